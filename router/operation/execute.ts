/**
 * Carries out a list of steps, one at a time: look, check what must hold, write down what is about
 * to be done, act, look again. Before the point of no return a failure undoes every step that was
 * started, latest first; after it the operation stops and can be resumed. What was seen counts,
 * never what an act answered or the journal says.
 */
import type { Journal } from "./journal-file.ts";
import type { LockHold } from "./lock.ts";
import { runStep } from "./run-step.ts";
import type { StepEvent, StepResult, Timing } from "./run-step.ts";
import type { Phase } from "./records.ts";
import type { Facts, OperationKind, StepRow } from "./step.ts";

export interface Operation<K extends OperationKind> {
  readonly operationId: string;
  readonly plan: K["plan"];
  readonly rows: readonly StepRow<K>[];
  /** back: the rows take an operation back, and are all tried; forward: the first failure ends it. */
  readonly direction: "forward" | "back";
  /** Nothing is undone on failure: the point of no return was, or may have been, passed before. */
  readonly crossed: boolean;
  readonly actions: K["actions"];
  readonly observe: (parts: readonly K["part"][], signal: AbortSignal) => Promise<K["seen"]>;
  readonly hold: LockHold;
  /** Takes the lock anew while undoing; @throws when another has it. */
  readonly relock: () => Promise<LockHold>;
  readonly journal: Journal;
  readonly timing: Timing;
  /** The operator's wish to abort; heard before the point of no return only. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: StepEvent) => void;
}

/** done: all rows; undone: failed and taken back; stuck: stopped, to be resumed or aborted. */
export interface Outcome {
  readonly result: "done" | "undone" | "stuck";
  /** The step that failed, with the reason; null when none did. */
  readonly failed: { readonly step: string; readonly reason: string } | null;
  /** Steps that failed and did not end the operation, and undoing steps that failed. */
  readonly left: readonly { readonly step: string; readonly reason: string }[];
}

interface Progress<K extends OperationKind> {
  hold: LockHold;
  crossed: boolean;
  readonly started: StepRow<K>[];
  readonly left: { readonly step: string; readonly reason: string }[];
}

const never = new AbortController().signal;

/**
 * No part of an observation is older than this. Before anything is taken back, this long is
 * waited: a look from before the last act would make its traces look as if they were not there.
 */
const oldestLookMs = 300;

/**
 * Runs the operation to its outcome, which is journaled.
 * @returns the outcome; failures of steps, looks and acts are part of it
 * @throws only what the journal throws after the point of no return
 */
export async function execute<K extends OperationKind>(
  operation: Operation<K>,
): Promise<Outcome & { readonly hold: LockHold }> {
  const { crossed, hold, direction } = operation;
  const progress: Progress<K> = { hold, crossed, started: [], left: [] };
  const outcome =
    direction === "forward"
      ? await goForward(operation, progress)
      : await goBack(operation, progress);
  await remember(operation, "", "outcome", outcomeFacts(outcome));
  return { ...outcome, hold: progress.hold };
}

function outcomeFacts({ result, failed }: Outcome): Facts {
  return { result, ...(failed === null ? {} : { step: failed.step, reason: failed.reason }) };
}

async function goForward<K extends OperationKind>(
  operation: Operation<K>,
  progress: Progress<K>,
): Promise<Outcome> {
  for (const row of operation.rows) {
    const signal = progress.crossed ? never : operation.signal;
    const result = await attempt(operation, row, progress, signal);
    if (result.kind === "done") {
      if (row.pointOfNoReturn === true) progress.crossed = true;
      continue;
    }
    const failed = { step: row.step, reason: result.reason };
    if (row.mayFail === true) {
      progress.left.push(failed);
      continue;
    }
    if (row.pointOfNoReturn === true && result.started) progress.crossed = true;
    if (progress.crossed) return { result: "stuck", failed, left: progress.left };
    await undoStarted(operation, progress);
    const result2 = progress.left.length === 0 ? "undone" : "stuck";
    return { result: result2, failed, left: progress.left };
  }
  return { result: "done", failed: null, left: progress.left };
}

async function undoStarted<K extends OperationKind>(
  operation: Operation<K>,
  progress: Progress<K>,
): Promise<void> {
  await operation.timing.clock.sleep(oldestLookMs + 1);
  for (const row of progress.started.toReversed()) {
    const before = progress.left.length;
    for (const back of row.undo) await undoOne(operation, back, progress);
    if (progress.left.length === before) await remember(operation, row.step, "undone", {});
  }
}

async function goBack<K extends OperationKind>(
  operation: Operation<K>,
  progress: Progress<K>,
): Promise<Outcome> {
  await operation.timing.clock.sleep(oldestLookMs + 1);
  for (const row of operation.rows) await undoOne(operation, row, progress);
  const [failed = null] = progress.left;
  return { result: failed === null ? "undone" : "stuck", failed, left: progress.left };
}

/** Under a fresh signal: who aborts wants the step ended, not the undoing. */
async function undoOne<K extends OperationKind>(
  operation: Operation<K>,
  row: StepRow<K>,
  progress: Progress<K>,
): Promise<void> {
  // Once closed, nobody would be asked to finish what is left.
  if (row.closes === true && progress.left.length > 0) return;
  if (row.needsLock) await keepLock(operation, progress);
  const result = await attempt(operation, row, progress, never);
  if (result.kind === "failed") progress.left.push({ step: row.step, reason: result.reason });
}

/** Undoing may have ended the session itself; whoever took the lock meanwhile keeps it. */
async function keepLock<K extends OperationKind>(
  operation: Operation<K>,
  progress: Progress<K>,
): Promise<void> {
  if (progress.hold.session !== null && (await progress.hold.stillHeld(never))) return;
  try {
    await progress.hold.release();
    progress.hold = await operation.relock();
  } catch {
    // The step finds that the lock is missing and says so.
  }
}

async function attempt<K extends OperationKind>(
  operation: Operation<K>,
  row: StepRow<K>,
  progress: Progress<K>,
  signal: AbortSignal,
): Promise<StepResult> {
  const { hold } = progress;
  return await runStep({
    ...operation,
    hold,
    row,
    signal,
    onStart: async () => {
      await operation.journal.append(record(operation, row.step, "started", {}));
      progress.started.push(row);
    },
    remember: (phase, facts) => remember(operation, row.step, phase, facts),
  });
}

function record<K extends OperationKind>(
  { operationId, timing }: Operation<K>,
  step: string,
  phase: Phase,
  facts: Facts,
): Parameters<Journal["append"]>[0] {
  return { operationId, step, phase, at: timing.clock.now(), facts };
}

/** What has happened already is true with or without its record: a full disk must not hide it. */
async function remember<K extends OperationKind>(
  operation: Operation<K>,
  step: string,
  phase: Phase,
  facts: Facts,
): Promise<void> {
  try {
    await operation.journal.append(record(operation, step, phase, facts));
  } catch (error) {
    operation.onEvent({ step: "journal", phase: "failed", ms: 0, reason: String(error) });
  }
}
