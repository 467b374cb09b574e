/**
 * Gathers the facts that the prechecks are judged by: topology's look first, then everything else
 * side by side, each part under its own deadline. Nothing is changed anywhere, and nothing is
 * written but temporary files of the checks on a host.
 */
import type { EdgePooler, Environment, Member } from "../../../config/schema.ts";
import { withPgSession } from "../../../kit/pg-session.ts";
import { fetchGateStatus } from "../../../sidecars/pool-gate/client.ts";
import type { GateStatus } from "../../../sidecars/pool-gate/contract.ts";
import type { Report } from "../../cluster/observation.ts";
import { reporter } from "../../cluster/look.ts";
import type { Look } from "../../cluster/look.ts";
import { observeCluster } from "../../cluster/observe.ts";
import { assembleView } from "../../cluster/view.ts";
import type { ClusterView } from "../../cluster/view.ts";
import type { JournalRecord } from "../../operation/records.ts";
import {
  flipStatement,
  flipStatementUnprivileged,
  parseFlipFacts,
} from "../../postgres/flip-facts.ts";
import { readRecords } from "../../postgres/journal.ts";
import { findLockHolder } from "../../postgres/lock.ts";
import { memberTarget } from "../../postgres/session.ts";
import { runPrechecks } from "../prechecks.ts";
import type { Precheck } from "../prechecks.ts";
import { withoutCutOff } from "./cut-off.ts";
import { chooseMode } from "./mode.ts";
import type { ModeChoice } from "./mode.ts";
import type { MemberLook, PrecheckFacts, PrecheckLimits } from "./facts.ts";
import { lookAtHosts } from "./look-hosts.ts";
import { lookAtPoolers } from "./look-poolers.ts";

export interface FlipCheckRequest extends GatherOptions {
  readonly wanted: "auto" | "seamless" | "fast";
  /** Names of risks that the operator accepts. */
  readonly acceptedRisks: readonly string[];
}

export interface FlipCheck extends ModeChoice {
  readonly facts: PrecheckFacts;
  /** Every row that applies, in the order of the table; a flip needs none that refuses. */
  readonly prechecks: readonly Precheck[];
}

export interface GatherOptions {
  /** The standby that shall take over; the only other member when not given. */
  readonly to?: string;
  /** Records of this machine's journals, so that an unfinished operation is seen. */
  readonly localRecords?: readonly JournalRecord[];
  /** We hold the cluster's lock ourselves: it is no obstacle. */
  readonly holdsLock?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Looks, chooses the mode and judges.
 * @returns the mode, why it is not seamless, and all prechecks
 * @throws the signal's reason
 */
export async function checkFlip(
  environment: Environment,
  request: FlipCheckRequest,
): Promise<FlipCheck> {
  const facts = await gatherPrecheckFacts(environment, request);
  const choice = chooseMode(withoutCutOff(facts, request.acceptedRisks), request.wanted);
  return { ...choice, facts, prechecks: runPrechecks(facts, { ...request, mode: choice.mode }) };
}

/** Sizes of all databases take their time on a large cluster. */
const statementDeadlineMs = 5000;

/**
 * Looks at everything that a flip depends on. What cannot be read is a report that says why.
 * @throws the signal's reason
 */
async function gatherPrecheckFacts(
  environment: Environment,
  options: GatherOptions = {},
): Promise<PrecheckFacts> {
  const { signal } = options;
  const view = assembleView(environment, await observeCluster(environment, signal));
  const { from, to } = endsOf(view, options.to);
  const look = reporter(environment.thresholds.probe, signal);
  const postgres = lookAtMembers(environment, options);
  const [poolers, gates, members, hosts] = await Promise.all([
    lookAtPoolers(environment, { from, look, postgres, signal }),
    lookAtGates(environment, look),
    postgres,
    postgres.then((seen) => lookAtHosts(environment, { from, to, postgres: seen, signal })),
  ]);
  const limits = limitsOf(environment);
  const { localRecords = [] } = options;
  return { view, limits, from, to, postgres: members, hosts, gates, ...poolers, localRecords };
}

function endsOf(view: ClusterView, wanted: string | undefined): Pick<PrecheckFacts, "from" | "to"> {
  const [writer, ...others] = view.writable;
  const from = writer !== undefined && others.length === 0 ? writer : null;
  const standbys = view.members.filter((one) => one.name !== from);
  const only = from !== null && standbys.length === 1 ? standbys[0]?.name : undefined;
  return { from, to: wanted ?? only ?? null };
}

function limitsOf({ flip, haproxy }: Environment): PrecheckLimits {
  return {
    holdMs: flip.holdDeadline,
    lagBytes: flip.lag,
    archiveBacklog: flip.archiveBacklog,
    routerHoldMs: haproxy.queueTimeout + haproxy.connectTimeout,
    synchronous: flip.synchronous,
  };
}

type ByName<T> = Readonly<Record<string, Report<T>>>;

async function lookAtMembers(
  environment: Environment,
  options: GatherOptions,
): Promise<ByName<MemberLook>> {
  const look = reporter(statementDeadlineMs, options.signal);
  const looks = environment.members.map(
    async (member) =>
      [
        member.name,
        await look(`Postgres of ${member.name}`, ({ signal }) =>
          lookAtMember(environment, member, options.holdsLock === true, signal),
        ),
      ] as const,
  );
  return Object.fromEntries(await Promise.all(looks));
}

/** SQLSTATE insufficient_privilege. */
const privilegeMissing = "42501";

async function lookAtMember(
  environment: Environment,
  member: Member,
  holdsLock: boolean,
  signal: AbortSignal,
): Promise<MemberLook> {
  const target = await memberTarget(environment, member, "switchyard-prechecks");
  const session = { deadlineMs: statementDeadlineMs, signal };
  return await withPgSession({ ...target, values: "parsed" }, session, async (ask) => {
    const unlessDenied = <T>(work: Promise<T>): Promise<T | null> =>
      work.catch((error: unknown) => {
        if ((error as { sqlState?: unknown }).sqlState === privilegeMissing) return null;
        throw error;
      });
    const whole = await unlessDenied(ask(flipStatement));
    const [row = {}] = whole ?? (await ask(flipStatementUnprivileged));
    const lockHolder = holdsLock ? null : ((await findLockHolder(ask)) ?? null);
    return { ...parseFlipFacts(row), lockHolder, records: await unlessDenied(readRecords(ask)) };
  });
}

async function lookAtGates(environment: Environment, look: Look): Promise<ByName<GateStatus>> {
  const looks = environment.edgePoolers.flatMap((edge) => {
    const { gate } = edge;
    return gate === undefined ? [] : [lookAtGate(edge, gate, look)];
  });
  return Object.fromEntries(await Promise.all(looks));
}

async function lookAtGate(
  { name }: EdgePooler,
  { url, token }: NonNullable<EdgePooler["gate"]>,
  look: Look,
): Promise<readonly [string, Report<GateStatus>]> {
  const target = { name, url, token: () => token.reveal() };
  return [name, await look(`pool-gate of ${name}`, (options) => fetchGateStatus(target, options))];
}
