/**
 * Carries out a list of steps, one at a time: look, check what must hold, write down what is about
 * to be done, act, look again. Before the point of no return a failure takes the operation back,
 * latest step first; after it the operation stops and can be resumed. What was seen counts,
 * never what an act answered or the journal says.
 */
import type { Timing } from "../../kit/clock.ts";
import type { Journal } from "./journal-file.ts";
import { LockedError } from "./lock.ts";
import type { LockHold } from "./lock.ts";
import { Looks } from "./looks.ts";
import type { Observe } from "./looks.ts";
import { runStep } from "./run-step.ts";
import type { StepEvent, StepResult } from "./run-step.ts";
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
  /**
   * What takes back whatever earlier runs of the operation may have done, in order; judged by the
   * world. Left out: a failure undoes the steps that this run has started.
   */
  readonly takeBack?: readonly StepRow<K>[];
  readonly actions: K["actions"];
  readonly observe: Observe<K>;
  readonly hold: LockHold;
  /**
   * Takes the lock anew while undoing.
   * @throws LockedError when another operation has it; what the connection throws
   */
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

/** Everything that failed, what ended the operation first. */
export function problemsOf({ failed, left }: Outcome): Outcome["left"] {
  return failed === null ? left : [failed, ...left.filter((one) => one !== failed)];
}

interface Progress<K extends OperationKind> {
  readonly looks: Looks<K>;
  hold: LockHold;
  crossed: boolean;
  readonly started: StepRow<K>[];
  readonly left: { readonly step: string; readonly reason: string }[];
  /** Undoing steps that failed, and that an operator who has aborted need not care about. */
  readonly spared: { readonly step: string; readonly reason: string }[];
  /** Another operation has the lock, so nothing more is taken back: the cluster is its affair. */
  isTaken: boolean;
}

const never = new AbortController().signal;

/**
 * No part of an observation is older than this. Before anything is taken back, this long is
 * waited: a look from before the last act would make its traces look as if they were not there.
 */
const oldestLookMs = 300;

/** How often a step past the point of no return is tried again, and after how long. */
const repeats = 2;
const repeatAfterMs = 100;

/**
 * Runs the operation to its outcome, which is journaled.
 * @returns the outcome; failures of steps, looks and acts are part of it
 * @throws only what the journal throws after the point of no return
 */
export async function execute<K extends OperationKind>(
  operation: Operation<K>,
): Promise<Outcome & { readonly hold: LockHold }> {
  const { crossed, hold, direction } = operation;
  const looks = new Looks(operation.observe, operation.timing);
  const lists = { started: [], left: [], spared: [] };
  const progress: Progress<K> = { looks, hold, crossed, ...lists, isTaken: false };
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
  for (const [index, row] of operation.rows.entries()) {
    const isPast = !operation.rows.slice(index).some((one) => one.pointOfNoReturn === true);
    const result =
      progress.crossed && isPast && row.once !== true
        ? await insist(operation, row, progress)
        : await attempt(operation, row, progress, progress.crossed ? never : operation.signal);
    if (result.kind === "done") {
      if (row.pointOfNoReturn === true) progress.crossed = true;
      // Who has it now, if anybody, is told by the next step that needs it.
      if (row.mayEndLock === true) await keepLock(operation, progress);
      continue;
    }
    const failed = { step: row.step, reason: result.reason };
    if (row.mayFail === true) {
      progress.left.push(failed);
      continue;
    }
    if (row.pointOfNoReturn === true && result.started) progress.crossed = true;
    if (progress.crossed) return { result: "stuck", failed, left: progress.left };
    await (operation.takeBack === undefined
      ? undoStarted(operation, progress)
      : undoAll(operation, operation.takeBack, progress));
    const result2 = progress.left.length === 0 ? "undone" : "stuck";
    return { result: result2, failed, left: [...progress.left, ...progress.spared] };
  }
  return { result: "done", failed: null, left: progress.left };
}

/**
 * Past the point of no return there is only one way, and clients may be waiting: what fails there
 * is tried again, as long as the step's own deadline allows.
 */
async function insist<K extends OperationKind>(
  operation: Operation<K>,
  row: StepRow<K>,
  progress: Progress<K>,
): Promise<StepResult> {
  const { clock } = operation.timing;
  const end = clock.monotonic() + row.deadlineMs;
  for (let left = repeats; ; left -= 1) {
    const result = await attempt(operation, row, progress, never, "unrecorded too");
    // Once at least: the lock is taken anew before, and its session may be what has failed.
    const isOver = left < repeats && clock.monotonic() >= end;
    if (result.kind === "done" || left === 0 || isOver) return result;
    await clock.sleep(repeatAfterMs);
    if (row.needsLock) await keepLock(operation, progress);
  }
}

async function undoStarted<K extends OperationKind>(
  operation: Operation<K>,
  progress: Progress<K>,
): Promise<void> {
  await operation.timing.clock.sleep(oldestLookMs + 1);
  for (const row of progress.started.toReversed()) {
    const before = progress.left.length;
    for (const back of row.undo) await undoOne(operation, back, progress);
    if (progress.isTaken) return;
    if (progress.left.length <= before) await remember(operation, row.step, "undone", {});
  }
}

async function undoAll<K extends OperationKind>(
  operation: Operation<K>,
  rows: readonly StepRow<K>[],
  progress: Progress<K>,
): Promise<void> {
  await operation.timing.clock.sleep(oldestLookMs + 1);
  for (const row of rows) await undoOne(operation, row, progress);
}

async function goBack<K extends OperationKind>(
  operation: Operation<K>,
  progress: Progress<K>,
): Promise<Outcome> {
  await undoAll(operation, operation.rows, progress);
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
  if (progress.isTaken || (row.closes === true && progress.left.length > 0)) return;
  const taken = row.needsLock ? await keepLock(operation, progress) : undefined;
  if (taken !== undefined) {
    progress.isTaken = true;
    const reason = `another operation holds the lock: ${taken.message}`;
    const words = row.describe(operation.plan);
    operation.onEvent({ step: row.step, phase: "failed", ms: 0, words, reason });
    progress.left.push({ step: row.step, reason });
    return;
  }
  const result = await attempt(operation, row, progress, never, "unrecorded too");
  if (result.kind === "failed") {
    const isSpared = operation.signal.aborted && row.mayFailAborted?.(operation.plan) === true;
    const list = isSpared ? progress.spared : progress.left;
    list.push({ step: row.step, reason: result.reason });
    return;
  }
  // Undoing comes by the same row again, and what holds now is no longer left to be undone.
  const isOther = ({ step }: { readonly step: string }): boolean => step !== row.step;
  progress.left.splice(0, Infinity, ...progress.left.filter(isOther));
}

/**
 * Undoing may have ended the session itself; whoever took the lock meanwhile keeps it.
 * @returns the error that says who took it; undefined when it is held, or just not to be had
 */
async function keepLock<K extends OperationKind>(
  operation: Operation<K>,
  progress: Progress<K>,
): Promise<LockedError | undefined> {
  if (progress.hold.session !== null && (await progress.hold.stillHeld(never))) return undefined;
  try {
    await progress.hold.release();
    progress.hold = await operation.relock();
  } catch (error) {
    if (error instanceof LockedError) return error;
    // The step finds that the lock is missing and says so.
  }
  return undefined;
}

async function attempt<K extends OperationKind>(
  operation: Operation<K>,
  row: StepRow<K>,
  progress: Progress<K>,
  signal: AbortSignal,
  how: "recorded" | "unrecorded too" = "recorded",
): Promise<StepResult> {
  const { hold, looks } = progress;
  return await runStep({
    ...operation,
    hold,
    looks,
    row,
    signal,
    onStart: async () => {
      // What is taken back, or has only one way to go, is judged by the world: no full disk stops it.
      if (how === "unrecorded too") await remember(operation, row.step, "started", {});
      else await operation.journal.append(record(operation, row.step, "started", {}));
      progress.started.push(row);
    },
    remember: async (phase, facts) => {
      // That it was done shows in the world; only that it was begun must be known beforehand.
      if (phase === "done" && operation.journal.note !== undefined) {
        operation.journal.note(record(operation, row.step, phase, facts));
      } else {
        await remember(operation, row.step, phase, facts);
      }
    },
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
    const words = "write the journal";
    operation.onEvent({ step: "journal", phase: "failed", ms: 0, words, reason: String(error) });
  }
}
