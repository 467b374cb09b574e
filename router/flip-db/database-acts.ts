/** The acts of a flip that are SQL: the cluster's journal, checkpoint, slots, promotion, the write. */
import { escapeLiteral } from "pg";
import type { Member } from "../../config/schema.ts";
import { systemClock } from "../../kit/clock.ts";
import { operationRecord } from "../operation/records.ts";
import type { Facts } from "../operation/step.ts";
import { appendRecord, ensureJournal, heartbeatStatement } from "../postgres/journal.ts";
import { askOf, MemberSession } from "../postgres/session.ts";
import { createSlot, dropSlot } from "../postgres/slots.ts";
import type { FlipActions, FlipPlan } from "./flip-actions.ts";
import { channelsOf, lockSession } from "./flip-channels.ts";
import type { FlipChannels } from "./flip-channels.ts";
import { intentFacts } from "./plan.ts";
import { promote } from "./promotion.ts";

const checkpointConnectMs = 5000;
/** So much is written in no time at the shutdown; a checkpoint that took longer is done once more. */
const shortCheckpointMs = 1000;

type DatabaseActs = Pick<
  FlipActions,
  | "recordIntent"
  | "recordOutcome"
  | "checkpoint"
  | "createSlot"
  | "dropSlot"
  | "promote"
  | "verifyWrite"
  | "relaxSynchronous"
>;

/** The acts over these channels. */
export function databaseActs(channels: FlipChannels): DatabaseActs {
  const memberOf = (name: string): Member => channelsOf(channels, name).member;
  return {
    recordIntent: async (plan, signal) => {
      const ask = askOf(await channelsOf(channels, plan.from).session(signal), signal);
      await ensureJournal(ask);
      await appendRecord(ask, recordOf(plan, "intent", intentFacts(plan)));
      return undefined;
    },
    recordOutcome: async (member, plan, result, signal) => {
      const ask = askOf(await channelsOf(channels, member).session(signal), signal);
      await ensureJournal(ask);
      await appendRecord(ask, recordOf(plan, "outcome", { result }));
      return undefined;
    },
    checkpoint: (member, signal) => checkpoint(channels, member, signal),
    createSlot: (id, slotOf, signal) =>
      createSlot(askOf(lockSession(channels, id), signal), memberOf(slotOf)),
    dropSlot: (id, slotOf, signal) =>
      dropSlot(askOf(lockSession(channels, id), signal), memberOf(slotOf)),
    promote: (id, member, terms, signal) =>
      promote(lockSession(channels, id), member, terms, signal),
    verifyWrite: async (id, _member, plan, signal) => {
      const session = lockSession(channels, id);
      await session.execute(heartbeatStatement, [escapeLiteral(plan.operationId)], signal);
      return undefined;
    },
    relaxSynchronous: async (id, signal) => {
      const session = lockSession(channels, id);
      await session.ask("ALTER SYSTEM SET synchronous_standby_names = ''", signal);
      await session.ask("SELECT pg_reload_conf()", signal);
      return undefined;
    },
  };
}

function recordOf(plan: FlipPlan, phase: "intent" | "outcome", facts: Facts) {
  return operationRecord(plan.operationId, phase, systemClock.now(), facts);
}

/** Over a connection of its own: looks go on meanwhile. */
async function checkpoint(
  channels: FlipChannels,
  name: string,
  signal: AbortSignal,
): Promise<Facts> {
  const { environment, member } = { ...channels, member: channelsOf(channels, name).member };
  const session = await MemberSession.open(environment, member, {
    applicationName: "switchyard flip checkpoint",
    deadlineMs: checkpointConnectMs,
    signal,
  });
  try {
    await session.ask("SET statement_timeout = 0", signal);
    const tookMs = async (): Promise<number> => {
      const began = systemClock.monotonic();
      await session.ask("CHECKPOINT", signal);
      return Math.round(systemClock.monotonic() - began);
    };
    const first = await tookMs();
    return first > shortCheckpointMs
      ? { firstMs: first, secondMs: await tookMs() }
      : { firstMs: first };
  } finally {
    session.cut();
  }
}
