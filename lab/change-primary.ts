/**
 * The textbook change of primary, by hand: stop the old one in good order, prove by its control
 * file that the standby has everything, promote the standby, and let the old one follow. Routers
 * find out by their own checks. PostgreSQL manual, 27.3 "Failover".
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "pg";
import { writeFileAtomically } from "../kit/atomic-file.ts";
import { eventually, systemClock } from "../kit/clock.ts";
import { formatLsn, parseLsn } from "../kit/lsn.ts";
import type { Lsn } from "../kit/lsn.ts";
import type { ControlFile } from "../router/postgres/control/contract.ts";
import { readControlFile } from "../router/postgres/control/control-file.ts";
import { connectTo, superuserLogin, withClient } from "./connect.ts";
import type { LabLogin } from "./connect.ts";
import { dataFolder } from "./driver/part.ts";
import { partOf } from "./model.ts";
import type { LabModel, MemberHost } from "./model.ts";
import type { LabPlace } from "./place.ts";
import { readSecrets } from "./secrets.ts";
import { modelOf, requireState } from "./state.ts";
import { actOnPart } from "./verbs.ts";
import type { VerbOptions } from "./verbs.ts";

export interface PrimaryChange {
  readonly from: string;
  readonly to: string;
  /** Each step with the time it took, in ms. */
  readonly steps: readonly { readonly step: string; readonly ms: number }[];
  /** Monotonic time at which the promotion was sent, in ms. */
  readonly promotedAt: number;
}

/** The change cannot be made, or not be finished; the message says what stands now. */
export class ChangeError extends Error {
  override readonly name = "ChangeError";
  readonly code = "ERR_LAB_CHANGE";
}

/** What the old primary's control file says, as far as the proof needs it. */
export type StoppedPrimary = Pick<ControlFile, "state" | "systemIdentifier" | "checkpoint">;

/** What the standby that is to be promoted says about itself. */
export interface StandbyPosition {
  readonly systemIdentifier: string;
  /** The end of what it has replayed. */
  readonly replayed: Lsn;
}

/**
 * Why `standby` must not be promoted yet, given the old primary's control file; undefined when the
 * old primary is shut down and the standby has replayed its last record. The checkpoint's location
 * is where that record starts, so to have replayed it is to be strictly past it.
 */
export function whyNotPromote(old: StoppedPrimary, standby: StandbyPosition): string | undefined {
  if (old.state !== "shut down") return `the old primary's control file says ${old.state}`;
  if (old.systemIdentifier !== standby.systemIdentifier) {
    return `the system identifiers differ: ${old.systemIdentifier} and ${standby.systemIdentifier}`;
  }
  return standby.replayed > old.checkpoint
    ? undefined
    : "the standby has not replayed the shutdown checkpoint";
}

interface Change {
  readonly place: LabPlace;
  readonly model: LabModel;
  readonly login: LabLogin;
  readonly from: MemberHost;
  readonly to: MemberHost;
  readonly options: VerbOptions;
}

const askDeadlineMs = 5000;
const stepDeadlineMs = 30_000;

/**
 * Makes the standby of lab `name` its primary, and its primary a standby.
 * @throws ChangeError, DeadlineError, or what a verb throws
 */
export async function changePrimary(
  place: LabPlace,
  name: string,
  options: VerbOptions,
): Promise<PrimaryChange> {
  const model = modelOf(place, await requireState(place, name));
  if (model.driver !== "process") {
    throw new ChangeError(
      `lab ${name} runs in containers, whose files are not at hand: bin/recovery ${name} flip-db moves its writes`,
    );
  }
  const login = superuserLogin(await readSecrets(model.folder));
  const { from, to } = await whoIsWho(model, login);
  const change: Change = { place, model, login, from, to, options };
  const steps: { step: string; ms: number }[] = [];
  const timed = async <T>(step: string, work: () => Promise<T>): Promise<T> => {
    const start = systemClock.monotonic();
    const result = await work();
    const ms = systemClock.monotonic() - start;
    steps.push({ step, ms });
    options.note(`${String(Math.round(ms)).padStart(6)} ms  ${step}`);
    return result;
  };
  // Opened before the stop, so that nothing has to connect while no primary takes writes.
  const connection = await connectTo(to.postgres, login, askDeadlineMs);
  const standby = connection.client;
  try {
    await timed(`stop ${from.name}`, () => stop(change));
    await timed(`prove that ${to.name} has everything`, () => prove(change, standby));
    const promotedAt = systemClock.monotonic();
    await timed(`promote ${to.name}`, () => promote(change, standby));
    await timed(`routers send writes to ${to.name}`, () => routed(change));
    await timed(`${from.name} follows ${to.name}`, () => follow(change, standby));
    return { from: from.name, to: to.name, steps, promotedAt };
  } finally {
    await connection.close();
  }
}

async function whoIsWho(
  model: LabModel,
  login: LabLogin,
): Promise<{ from: MemberHost; to: MemberHost }> {
  const roles = await Promise.all(
    model.members.map(async (member) => {
      const standby = await withClient(member.postgres, login, askDeadlineMs, isStandby);
      return { member, standby };
    }),
  );
  const from = roles.filter((one) => !one.standby).map((one) => one.member);
  const to = roles.filter((one) => one.standby).map((one) => one.member);
  if (from[0] !== undefined && to[0] !== undefined && from.length === 1) {
    return { from: from[0], to: to[0] };
  }
  throw new ChangeError(
    `a change of primary needs one primary and a standby; primaries: ${from.length}, standbys: ${to.length}`,
  );
}

async function isStandby(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ standby: boolean }>(
    "SELECT pg_is_in_recovery() AS standby",
  );
  return rows[0]?.standby === true;
}

async function stop({ place, model, from, options }: Change): Promise<void> {
  const quiet = { ...options, note: () => undefined };
  await actOnPart(place, model.name, "stop", `${from.name}/postgres`, quiet);
}

async function prove(change: Change, standby: Client): Promise<void> {
  const old = await readControl(change);
  let why: string | undefined;
  let position: StandbyPosition | undefined;
  await eventually(
    `replay of the shutdown checkpoint at ${formatLsn(old.checkpoint)}`,
    { deadlineMs: stepDeadlineMs, intervalMs: 5, signal: change.options.signal },
    async () => {
      position = await readPosition(standby);
      why = whyNotPromote(old, position);
      return why === undefined || old.state !== "shut down" ? true : undefined;
    },
  );
  if (why !== undefined) {
    throw new ChangeError(
      `${change.to.name} is not promoted: ${why}; bin/lab start ${change.from.name}/postgres --name ${change.model.name} undoes the stop`,
    );
  }
}

async function readControl({ model, from, to }: Change): Promise<ControlFile> {
  const part = partOf(model, from.name, "postgres");
  const path = join(dataFolder(part), "global/pg_control");
  const read = readControlFile(await readFile(path));
  if ("control" in read) return read.control;
  throw new ChangeError(`${to.name} is not promoted: ${path}: ${read.why}`);
}

async function readPosition(standby: Client): Promise<StandbyPosition> {
  const { rows } = await standby.query<{ identifier: string; replayed: string }>(
    "SELECT system_identifier::text AS identifier, pg_last_wal_replay_lsn()::text AS replayed FROM pg_control_system()",
  );
  return {
    systemIdentifier: rows[0]?.identifier ?? "",
    replayed: parseLsn(rows[0]?.replayed ?? ""),
  };
}

async function promote({ to, options }: Change, standby: Client): Promise<void> {
  // pg_promote's own wait looks every 100 ms only.
  await standby.query("SELECT pg_promote(wait => false)");
  await eventually(
    `promotion of ${to.name}`,
    { deadlineMs: stepDeadlineMs, intervalMs: 5, signal: options.signal },
    async () => ((await isStandby(standby)) ? undefined : true),
  );
}

/** Every router's write address leads to a node that takes writes. */
async function routed({ model, login, options }: Change): Promise<void> {
  await Promise.all(
    model.apps.map((app) =>
      eventually(
        `writes through router ${app.router}`,
        { deadlineMs: stepDeadlineMs, intervalMs: 20, signal: options.signal },
        async () => {
          const standby = await withClient(app.write, login, stepDeadlineMs, isStandby);
          return standby ? undefined : true;
        },
      ),
    ),
  );
}

/** Starts the old primary on its own data as a standby of the new one. */
async function follow(change: Change, primary: Client): Promise<void> {
  const { place, model, from, to, login, options } = change;
  const part = partOf(model, from.name, "postgres");
  const { uid, gid } = await stat(dataFolder(part));
  const owner = place.privileged ? { owner: { uid, gid } } : {};
  await writeFileAtomically(join(dataFolder(part), "standby.signal"), "", {
    mode: 0o600,
    ...owner,
  });
  const quiet = { ...options, note: () => undefined };
  await actOnPart(place, model.name, "start", part.name, quiet);
  await eventually(
    `${from.name} streams from ${to.name} through slot ${from.slot}`,
    { deadlineMs: stepDeadlineMs, intervalMs: 20, signal: options.signal },
    async () => ((await streamsThroughSlot(primary, from)) ? true : undefined),
  );
  // The new primary's slot stayed behind on the old one, where nothing moves it on: it would keep
  // WAL for ever. A fresh one reserves none until it is used.
  await withClient(from.postgres, login, askDeadlineMs, async (client) => {
    await client.query("SELECT pg_drop_replication_slot($1)", [to.slot]);
    await client.query("SELECT pg_create_physical_replication_slot($1)", [to.slot]);
  });
}

/** True when the primary of `client` streams to `standby` through the standby's slot. */
async function streamsThroughSlot(client: Client, standby: MemberHost): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT 1 FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid
     WHERE r.state = 'streaming' AND r.application_name = $1 AND s.slot_name = $2`,
    [standby.name, standby.slot],
  );
  return rowCount === 1;
}
