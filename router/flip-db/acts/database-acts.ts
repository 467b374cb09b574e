/** The acts of a flip that are SQL: the cluster's journal, checkpoint, slots, promotion, the write. */
import { escapeLiteral } from "pg";
import type { Member } from "../../../config/schema.ts";
import { systemClock } from "../../../kit/clock.ts";
import { formatLsn } from "../../../kit/lsn.ts";
import { operationRecord } from "../../operation/records.ts";
import type { Facts } from "../../operation/step.ts";
import { appendRecord, ensureJournal, heartbeatStatement } from "../../postgres/journal.ts";
import { askOf, MemberSession } from "../../postgres/session.ts";
import { createSlot, dropSlot } from "../../postgres/slots.ts";
import { historyStatement, parseHistory } from "../../postgres/sql.ts";
import type { FlipActions, FlipPlan } from "../flip-actions.ts";
import { channelsOf, lockSession } from "./flip-channels.ts";
import type { FlipChannels } from "./flip-channels.ts";
import { intentFacts } from "../plan.ts";
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
  | "forkOf"
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
    verifyWrite: async (id, member, plan, signal) => {
      // A monitor's keepers may have ended the lock's session; what they promoted is seen to be so.
      const session =
        plan.manager === "none"
          ? lockSession(channels, id)
          : await channelsOf(channels, member).session(signal);
      await writeHeartbeat(session, plan.operationId, signal);
      return undefined;
    },
    forkOf: async (member, signal) => {
      const ask = askOf(await channelsOf(channels, member).session(signal), signal);
      const [row] = await ask(historyStatement);
      const content = row?.["history"];
      const past = parseHistory(typeof content === "string" ? content : null)?.at(-1);
      return past === undefined ? {} : { promotedAt: formatLsn(past.endLsn) };
    },
    relaxSynchronous: async (id, signal) => {
      const session = lockSession(channels, id);
      await session.ask("ALTER SYSTEM SET synchronous_standby_names = ''", signal);
      await session.ask("SELECT pg_reload_conf()", signal);
      return undefined;
    },
  };
}

/** SQLSTATE undefined_table and invalid_schema_name. */
const missing: readonly unknown[] = ["42P01", "3F000"];

/** A failover comes without a record of its intent, and there may never have been a flip before it. */
async function writeHeartbeat(
  session: MemberSession,
  operationId: string,
  signal: AbortSignal,
): Promise<void> {
  const values = [escapeLiteral(operationId)];
  try {
    await session.execute(heartbeatStatement, values, signal);
  } catch (error) {
    if (!missing.includes((error as { sqlState?: string }).sqlState)) throw error;
    await ensureJournal(askOf(session, signal));
    await session.execute(heartbeatStatement, values, signal);
  }
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
