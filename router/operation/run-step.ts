/**
 * One step: look, skip what is done already, check what must hold and that the lock is held, write
 * "started", act under a deadline, and look again until the effect shows. An act that reports a
 * failure may have been done all the same, and one that reports success may not.
 */
import type { Clock } from "../../kit/clock.ts";
import { LockLostError } from "./lock.ts";
import type { LockHold } from "./lock.ts";
import type { Facts, OperationKind, StepRow } from "./step.ts";

/** Time as the executor needs it; `limit` is kit's withDeadline. */
export interface Timing {
  readonly clock: Clock;
  limit<T>(
    what: string,
    deadlineMs: number,
    work: (signal: AbortSignal) => Promise<T>,
    outer?: AbortSignal,
  ): Promise<T>;
}

export interface StepEvent {
  readonly step: string;
  readonly phase: "start" | "done" | "failed" | "skipped";
  readonly ms: number;
  readonly reason?: string;
}

export type StepResult =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly started: boolean; readonly reason: string };

export interface StepRun<K extends OperationKind> {
  readonly row: StepRow<K>;
  readonly plan: K["plan"];
  readonly actions: K["actions"];
  readonly observe: (parts: readonly K["part"][], signal: AbortSignal) => Promise<K["seen"]>;
  readonly hold: LockHold;
  readonly timing: Timing;
  readonly signal: AbortSignal;
  /** Makes "started" durable; the act does not begin before. */
  readonly onStart: () => Promise<void>;
  readonly remember: (phase: "done" | "failed", facts: Facts) => Promise<void>;
  readonly onEvent: (event: StepEvent) => void;
}

/** How long after a reported failure the effect may still show itself. */
const afterFailureMs = 250;
/** One look, and one question to the lock. */
const lookDeadlineMs = 5000;

/** Runs one row. @returns what came of it; never throws */
export async function runStep<K extends OperationKind>(run: StepRun<K>): Promise<StepResult> {
  const { row, plan, timing, onEvent } = run;
  const began = timing.clock.monotonic();
  const ms = (): number => timing.clock.monotonic() - began;
  let started = false;
  try {
    const seen = await look(run);
    if (row.isDone?.(plan, seen) === true) {
      onEvent({ step: row.step, phase: "skipped", ms: ms() });
      return { kind: "done" };
    }
    const why = row.whyNot(plan, seen);
    if (why !== undefined) throw new StepError(row.step, why);
    await requireLock(run);
    run.signal.throwIfAborted();
    await run.onStart();
    started = true;
    onEvent({ step: row.step, phase: "start", ms: 0 });
    const facts = await act(run, seen);
    await run.remember("done", { ...facts, ms: Math.round(ms()) });
    onEvent({ step: row.step, phase: "done", ms: ms() });
    return { kind: "done" };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    await run.remember("failed", { reason, ms: Math.round(ms()) });
    onEvent({ step: row.step, phase: "failed", ms: ms(), reason });
    return { kind: "failed", started, reason };
  }
}

/** A step could not be begun, or did not take effect. */
export class StepError extends Error {
  override readonly name = "StepError";
  readonly code = "ERR_STEP";
  readonly step: string;
  constructor(step: string, reason: string, cause?: unknown) {
    super(`${step}: ${reason}`, { cause });
    this.step = step;
  }
}

async function look<K extends OperationKind>(run: StepRun<K>): Promise<K["seen"]> {
  const { row, observe, timing, signal } = run;
  const what = `${row.step}: look at ${row.looksAt.join(", ")}`;
  return await timing.limit(what, lookDeadlineMs, (inner) => observe(row.looksAt, inner), signal);
}

async function requireLock<K extends OperationKind>(run: StepRun<K>): Promise<void> {
  const { row, hold, timing } = run;
  if (!row.needsLock) return;
  if (hold.session === null) throw new LockLostError(row.step);
  const what = `${row.step}: is the lock held`;
  const isHeld = await timing.limit(what, lookDeadlineMs, (inner) => hold.stillHeld(inner));
  if (!isHeld) throw new LockLostError(row.step);
}

/** Acts and confirms; what the act threw is the cause when the effect does not show. */
async function act<K extends OperationKind>(run: StepRun<K>, seen: K["seen"]): Promise<Facts> {
  const { row, plan, actions, hold, timing, signal } = run;
  const { clock } = timing;
  const began = clock.monotonic();
  const context = { plan, seen, actions, session: hold.session };
  let facts: Facts | undefined;
  let failure: Error | undefined;
  try {
    const work = async (inner: AbortSignal): Promise<Facts | undefined> =>
      await row.run(context, inner);
    facts = await timing.limit(row.describe(plan), row.deadlineMs, work, signal);
  } catch (error) {
    failure = error instanceof Error ? error : new StepError(row.step, String(error), error);
  }
  if (row.isDone === undefined) {
    if (failure !== undefined) throw failure;
    return facts ?? {};
  }
  // Past the point of no return only the world can tell; before it clients may be waiting.
  const short = failure !== undefined && row.pointOfNoReturn !== true;
  const end = short ? clock.monotonic() + afterFailureMs : began + row.deadlineMs;
  const why = await confirm(run, end);
  if (why === undefined) return facts ?? {};
  throw failure ?? new StepError(row.step, why);
}

/** Looks until the effect shows; @returns why it did not, or undefined when it did */
async function confirm<K extends OperationKind>(
  run: StepRun<K>,
  end: number,
): Promise<string | undefined> {
  const { row, plan, timing } = run;
  let why = "its effect was not seen";
  for (;;) {
    try {
      const seen = await look(run);
      if (row.isDone?.(plan, seen) === true) return undefined;
      const lost = row.whyLost?.(plan, seen);
      if (lost !== undefined) return lost;
      why = "its effect was not seen";
    } catch (error) {
      if (run.signal.aborted) return "aborted";
      why = error instanceof Error ? error.message : String(error);
    }
    if (timing.clock.monotonic() >= end) return `${why} within ${row.deadlineMs} ms`;
    await timing.clock.sleep(row.lookEveryMs);
  }
}
