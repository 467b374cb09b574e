/**
 * What a rebuild does, bound to the real parts: programs on the member's host, statements on the
 * source. Whether an act took effect is judged by the looks, not by what it answers.
 */
import { eventually } from "../../kit/clock.ts";
import { parseLsn } from "../../kit/lsn.ts";
import { fetchStatus } from "../../sidecars/pg-health/client.ts";
import type { Facts } from "../operation/step.ts";
import { createSlotStatement, dropSlotStatement } from "../postgres/slots.ts";
import * as scripts from "./act-scripts.ts";
import { copyActs } from "./copy-acts.ts";
import type { Script } from "./look-scripts.ts";
import { askMember, besidePath } from "./place.ts";
import type { RebuildPlace } from "./place.ts";
import type { RebuildActions, RebuildPlan } from "./rebuild-actions.ts";
import { endlessMs, hookMs, quickMs, runScript } from "./run-script.ts";
import type { ActionOptions } from "./run-script.ts";
import { segmentName } from "./timelines.ts";

/** The acts of a rebuild at `options.place`. */
export function rebuildActions(options: ActionOptions): RebuildActions {
  const { place, run, programs } = options;
  const { data } = place.control;
  const script = async (
    text: Script,
    values: readonly string[],
    deadlineMs: number,
    signal: AbortSignal,
  ): Promise<undefined> => {
    await runScript(place, text, values, { deadlineMs, signal });
    return undefined;
  };
  return {
    ...copyActs(options),
    ...sourceActs(options),
    sweep: (plan, signal) => script(scripts.sweep, [data, plan.copyId], endlessMs, signal),
    putBack: (plan, signal) => script(scripts.putBack, [data, plan.copyId], quickMs, signal),
    moveAside: (plan, signal) => script(scripts.moveAside, [data, plan.copyId], quickMs, signal),
    swap: (plan, signal) => script(scripts.swap, [data, plan.copyId], quickMs, signal),
    clean: (plan, signal) =>
      script(scripts.clean, [data, plan.keepOld ? "keep" : "remove"], endlessMs, signal),
    recover: (plan, signal) =>
      script(scripts.recover, [programs, besidePath(place, "old", plan.copyId)], endlessMs, signal),
    archive: async (plan, signal) => {
      const values = [programs, besidePath(place, "old", plan.copyId)];
      const how = { deadlineMs: hookMs, signal };
      return { archived: Number(await runScript(place, scripts.archive, values, how)) };
    },
    exportWal: (plan, signal) => exportWal(options, plan, signal),
    arm: async (_plan, signal) => {
      await place.host.arm(run, signal);
      return undefined;
    },
    stop: async (signal) => {
      await place.host.stop(signal);
      return undefined;
    },
    start: async (signal) => {
      // A rewound member is consistent only past all that its source had inserted by then, and what
      // nobody there has committed may stay in its buffers. If it cannot be asked, a later step says so.
      const writtenOut = writeOut(place, signal).catch(() => undefined);
      await Promise.all([place.host.start(signal), writtenOut]);
      return undefined;
    },
    snapshot: (signal) => hook(place, place.control.snapshot, signal),
    restartPooler: async (signal) => {
      await place.host.restartPooler(signal);
      return undefined;
    },
    askHealth: (signal) => askHealth(place, signal),
  };
}

/** Lets the source write out all of its WAL. @returns a position in it, which its commit is past */
async function writeOut(place: RebuildPlace, signal: AbortSignal): Promise<string> {
  // The commit writes the message out; it must not wait for the very standby that is missing.
  const text = `SET synchronous_commit = local;
    SELECT pg_logical_emit_message(true, 'switchyard', 'rebuild')::text AS lsn`;
  const options = { deadlineMs: quickMs, signal };
  const rows = await askMember(place, place.source, options, (ask) => ask(text));
  return String(rows[0]?.["lsn"]);
}

async function hook(
  { beside }: RebuildPlace,
  words: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<undefined> {
  if (words !== undefined) await beside.runHook(words, { deadlineMs: hookMs, signal });
  return undefined;
}

/** Its next probe comes within a second. */
const healthDeadlineMs = 10_000;

/** pg-health says something else than standby of the member. */
export class HealthDisagreesError extends Error {
  override readonly name = "HealthDisagreesError";
  readonly code = "ERR_HEALTH_DISAGREES";
  readonly member: string;
  constructor(member: string, role: string) {
    super(`pg-health of ${member} says ${role}, not standby`);
    this.member = member;
  }
}

async function askHealth({ member }: RebuildPlace, signal: AbortSignal): Promise<Facts> {
  const { answer } = await eventually(
    `pg-health of ${member.name} says standby`,
    { deadlineMs: healthDeadlineMs, intervalMs: 200, signal },
    async (inner) => {
      const status = await fetchStatus(member.health, { deadlineMs: 2000, signal: inner });
      if (status.answer === "standby") return status;
      throw new HealthDisagreesError(member.name, status.answer);
    },
  );
  return { health: answer };
}

async function exportWal(
  options: ActionOptions,
  plan: RebuildPlan,
  signal: AbortSignal,
): Promise<undefined> {
  const { fork, exportTo } = plan;
  if (fork === null || exportTo === null) return undefined;
  const { place, programs, segmentBytes } = options;
  const folder =
    plan.method === "rewind" ? besidePath(place, "old", plan.copyId) : place.control.data;
  const first = segmentName(fork.timeline, parseLsn(fork.lsn), segmentBytes);
  const values = [programs, folder, exportTo, String(fork.timeline), fork.lsn, first];
  await runScript(place, scripts.exportWal, values, { deadlineMs: endlessMs, signal });
  return undefined;
}

type SourceActs = "makeSlot" | "dropSlot" | "checkpoint" | "mark" | "freshenSlots";

function sourceActs(options: ActionOptions): Pick<RebuildActions, SourceActs> {
  const { place, onMark, onSlot } = options;
  const { source, member, environment } = place;
  const tell = async (on: typeof source, text: string, signal: AbortSignal): Promise<undefined> => {
    await askMember(place, on, { deadlineMs: quickMs, signal }, (ask) => ask(text));
    return undefined;
  };
  return {
    makeSlot: async (slot, signal) => {
      await tell(source, `${dropSlotStatement(slot)}; ${createSlotStatement(slot, true)}`, signal);
      onSlot();
      return undefined;
    },
    dropSlot: (slot, signal) => tell(source, dropSlotStatement(slot), signal),
    checkpoint: async (signal) => {
      await askMember(place, source, { deadlineMs: endlessMs, signal }, (ask) => ask("CHECKPOINT"));
      return undefined;
    },
    mark: async (signal) => {
      const mark = await writeOut(place, signal);
      onMark(parseLsn(mark));
      return { mark };
    },
    freshenSlots: async (signal) => {
      const others = environment.members.filter((one) => one.name !== member.name);
      const slots = others.flatMap(({ slot }) => (slot === undefined ? [] : [slot]));
      const texts = slots.map(
        (slot) => `${dropSlotStatement(slot)}; ${createSlotStatement(slot, false)}`,
      );
      if (texts.length > 0) await tell(member, texts.join("; "), signal);
      return undefined;
    },
  };
}
