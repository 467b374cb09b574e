/**
 * The records of an operation's journal and what they amount to. Records are only ever added; the
 * same record may come from the local file and from the cluster, and is then counted once.
 */
import type { Facts } from "./step.ts";

/** intent and outcome are about the operation, the others about one of its steps. */
export const phases = ["intent", "started", "done", "failed", "undone", "outcome"] as const;

export type Phase = (typeof phases)[number];

export interface JournalRecord {
  readonly operationId: string;
  /** Empty for intent and outcome. */
  readonly step: string;
  readonly phase: Phase;
  /** Milliseconds since the epoch, by the clock of the host that wrote it. */
  readonly at: number;
  readonly facts: Facts;
}

/** A record about the whole of an operation: its intent, or its outcome. `at` is ms since the epoch. */
export function operationRecord(
  operationId: string,
  phase: "intent" | "outcome",
  at: number,
  facts: Facts,
): JournalRecord {
  return { operationId, step: "", phase, at, facts };
}

/** What the journal says of one operation. It says what was tried; the world says what is. */
export interface OperationState {
  readonly operationId: string;
  /** The facts of the intent; null when only later records are known. */
  readonly intent: Facts | null;
  /** Every step that was started, in order; a later undo does not remove it. */
  readonly started: readonly string[];
  readonly done: readonly string[];
  readonly undone: readonly string[];
  /** The last step that failed, with its reason. */
  readonly failed: { readonly step: string; readonly reason: string } | null;
  /** The facts of the outcome; null while the operation is unfinished. */
  readonly outcome: Facts | null;
}

/** Makes of records, in the order they were written, one state for each operation, oldest first. */
export function fold(records: readonly JournalRecord[]): OperationState[] {
  const byId = new Map<string, JournalRecord[]>();
  for (const record of records) {
    const list = byId.get(record.operationId) ?? [];
    if (!list.some((one) => isSame(one, record))) list.push(record);
    byId.set(record.operationId, list);
  }
  return [...byId].map(([operationId, list]) => stateOf(operationId, list));
}

/** The newest operation without an outcome, or the one that is named; undefined when there is none. */
export function unfinished(
  states: readonly OperationState[],
  operationId?: string,
): OperationState | undefined {
  return states.findLast(
    (one) => one.outcome === null && (operationId === undefined || one.operationId === operationId),
  );
}

function isSame(left: JournalRecord, right: JournalRecord): boolean {
  return left.step === right.step && left.phase === right.phase && left.at === right.at;
}

/**
 * The facts of the latest outcome, by the clocks of the hosts, unless it is that the operation is
 * stuck: that one waits to be resumed or aborted, also when another run had closed it before.
 */
function outcomeOf(records: readonly JournalRecord[]): Facts | null {
  const outcomes = records.filter((one) => one.phase === "outcome");
  const [last] = outcomes.toSorted((left, right) => right.at - left.at);
  return last === undefined || last.facts["result"] === "stuck" ? null : last.facts;
}

function stateOf(operationId: string, records: readonly JournalRecord[]): OperationState {
  const factsOf = (phase: Phase): Facts | null =>
    records.findLast((one) => one.phase === phase)?.facts ?? null;
  const stepsIn = (phase: Phase): string[] => [
    ...new Set(records.filter((one) => one.phase === phase).map((one) => one.step)),
  ];
  const failed = records.findLast((one) => one.phase === "failed");
  return {
    operationId,
    intent: factsOf("intent"),
    started: stepsIn("started"),
    done: stepsIn("done"),
    undone: stepsIn("undone"),
    failed:
      failed === undefined
        ? null
        : { step: failed.step, reason: String(failed.facts["reason"] ?? "no reason was recorded") },
    outcome: outcomeOf(records),
  };
}
