/**
 * Past operations on a cluster, from this host's files and from the cluster's own journal: what
 * ran here is known step by step, of the rest the intent and the outcome. Pure but for reading.
 */
import type { Environment } from "../../config/schema.ts";
import { withDeadline } from "../../kit/clock.ts";
import { fold } from "../operation/records.ts";
import type { JournalRecord, OperationState } from "../operation/records.ts";
import { listOperations } from "../operation/store.ts";
import type { StoredOperation } from "../operation/store.ts";
import type { LockHolder } from "../operation/lock.ts";
import { readRecords } from "../postgres/journal.ts";
import { findLockHolder } from "../postgres/lock.ts";
import { askOf, MemberSession } from "../postgres/session.ts";
import { readEvents } from "./event-log.ts";
import type { FlipReport } from "./events.ts";

export interface PastOperation {
  readonly operationId: string;
  /** here: this host has its files; cluster: only the cluster's journal tells of it. */
  readonly source: "here" | "cluster";
  /** ISO 8601; null when no record with a time is left. */
  readonly startedAt: string | null;
  readonly from: string | null;
  readonly to: string | null;
  readonly mode: string | null;
  /** done, undone, stuck, unfinished or, where the records are gone, unknown. */
  readonly result: string;
  /** Of every run of it, oldest first. */
  readonly reports: readonly FlipReport[];
}

/** What the cluster's journal says, or why it could not be asked. */
export type ClusterRecords =
  | {
      readonly records: readonly JournalRecord[];
      /** Who holds the cluster's lock now; null when nobody does. */
      readonly holder: LockHolder | null;
    }
  | { readonly error: string };

/** Who holds the cluster's lock on any member that answers; null when nobody is seen to. */
export async function lockHolder(
  environment: Environment,
  signal: AbortSignal,
): Promise<LockHolder | null> {
  const cluster = await clusterRecords(environment, signal);
  return "holder" in cluster ? cluster.holder : null;
}

/** Reads the cluster's journal and lock from every member that answers; a dead one costs its probe. */
export async function clusterRecords(
  environment: Environment,
  signal: AbortSignal,
): Promise<ClusterRecords> {
  const results = await Promise.allSettled(
    environment.members.map((member) => {
      const deadlineMs = environment.thresholds.probe;
      const what = `journal on ${member.name}`;
      return withDeadline(
        what,
        deadlineMs,
        async (inner) => {
          const applicationName = "switchyard history";
          const options = { deadlineMs, signal: inner, applicationName };
          const session = await MemberSession.open(environment, member, options);
          try {
            const ask = askOf(session, inner);
            return { records: await readRecords(ask), holder: await findLockHolder(ask) };
          } finally {
            await session.close();
          }
        },
        signal,
      );
    }),
  );
  signal.throwIfAborted();
  const lists = results.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  if (lists.length > 0) {
    const records = lists.flatMap((one) => one.records).toSorted((a, b) => a.at - b.at);
    return { records, holder: lists.find((one) => one.holder)?.holder ?? null };
  }
  const first = results.find((one) => one.status === "rejected");
  const reason: unknown = first?.status === "rejected" ? first.reason : undefined;
  return { error: reason instanceof Error ? reason.message : "there is no member" };
}

/** The newest `limit` operations of this host's `folder` with their reports. @throws the file system's error */
export async function localOperations(
  folder: string,
  limit?: number,
): Promise<{ readonly stored: StoredOperation; readonly reports: readonly FlipReport[] }[]> {
  const list = await listOperations(folder, limit);
  return await Promise.all(
    list.map(async (stored) => {
      const events = await readEvents(stored.files.events);
      return { stored, reports: events.filter((one) => one.event === "report") };
    }),
  );
}

type Local = Awaited<ReturnType<typeof localOperations>>;

/** Joins both, newest first; each operation once. */
export function mergeHistory(local: Local, records: readonly JournalRecord[]): PastOperation[] {
  const states = new Map(fold(records).map((one) => [one.operationId, one]));
  const times = new Map<string, number>();
  for (const { operationId, at } of records.toReversed()) times.set(operationId, at);
  const begun = local.filter(
    // What was refused before it was begun has left empty files at most.
    ({ stored, reports }) =>
      stored.state !== undefined ||
      stored.fault !== undefined ||
      reports.length > 0 ||
      states.has(stored.id),
  );
  const here = begun.map(({ stored, reports }) => {
    // It may have been ended from another host: then only the cluster knows the end.
    const there = states.get(stored.id);
    const hasEnded = stored.state === undefined || (there !== undefined && there.outcome !== null);
    const state = hasEnded ? there : stored.state;
    return past(stored.id, "here", state, times.get(stored.id), reports);
  });
  const known = new Set(local.map(({ stored }) => stored.id));
  const elsewhere = [...states.values()]
    .filter((one) => !known.has(one.operationId))
    .map((one) => past(one.operationId, "cluster", one, times.get(one.operationId), []));
  return [...here, ...elsewhere].toSorted((left, right) =>
    (right.startedAt ?? "").localeCompare(left.startedAt ?? ""),
  );
}

function past(
  operationId: string,
  source: PastOperation["source"],
  state: OperationState | undefined,
  at: number | undefined,
  reports: readonly FlipReport[],
): PastOperation {
  const [first] = reports;
  const last = reports.at(-1);
  const text = (key: string): string | null => {
    const value = state?.intent?.[key];
    return value === undefined ? null : String(value);
  };
  const outcome = state?.outcome?.["result"];
  const time = at === undefined ? null : new Date(at).toISOString();
  return {
    operationId,
    source,
    startedAt: first?.startedAt || time,
    from: last?.from || text("from"),
    to: last?.to || text("to"),
    mode: last?.mode ?? text("mode"),
    result: outcome !== undefined ? String(outcome) : (last?.result ?? unfinishedWord(state)),
    reports,
  };
}

function unfinishedWord(state: OperationState | undefined): string {
  return state === undefined ? "unknown" : "unfinished";
}
