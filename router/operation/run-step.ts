/**
 * One step: look, skip what is done already, check what must hold and that the lock is held, write
 * "started", act under a deadline, and look again until the effect shows. An act that reports a
 * failure may have been done all the same, and one that reports success may not.
 */
import type { Timing } from "../../kit/clock.ts";
import { LockLostError } from "./lock.ts";
import type { LockHold } from "./lock.ts";
import { lookDeadlineMs, lookServesMs } from "./looks.ts";
import type { Looks } from "./looks.ts";
import type { Facts, OperationKind, StepRow } from "./step.ts";
import { waitingWords } from "./waiting.ts";
import type { Waiting } from "./waiting.ts";

export interface StepEvent {
  readonly step: string;
  readonly phase: "start" | "done" | "failed" | "skipped" | "waiting";
  /** Since the step began. */
  readonly ms: number;
  /** What the step does; with `waiting`, what it waits for. */
  readonly words: string;
  readonly reason?: string;
  /** With `done` and `skipped`: what is worth reporting. */
  readonly facts?: Facts;
}

export type StepResult =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly started: boolean; readonly reason: string };

export interface StepRun<K extends OperationKind> {
  readonly row: StepRow<K>;
  readonly plan: K["plan"];
  readonly actions: K["actions"];
  readonly looks: Looks<K>;
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

/** Who has waited long can wait a hundredth longer, up to this, and asks less often. */
const slowestLookMs = 100;

const never = new AbortController().signal;

/** Runs one row. @returns what came of it; never throws */
export async function runStep<K extends OperationKind>(run: StepRun<K>): Promise<StepResult> {
  const { row, plan, timing } = run;
  const began = timing.clock.monotonic();
  const words = row.describe(plan);
  const tell = (phase: StepEvent["phase"], more: Partial<StepEvent> = {}): number => {
    const ms = phase === "start" ? 0 : timing.clock.monotonic() - began;
    run.onEvent({ step: row.step, phase, ms, words, ...more });
    return Math.round(ms);
  };
  let started = false;
  try {
    const { seen, isDone } = await lookUnderLock(run);
    if (isDone) {
      const facts = row.factsOf?.(plan, seen) ?? {};
      tell("skipped", { facts });
      // A proof that is there already is one all the same, and a later run has to know it.
      if (Object.keys(facts).length > 0) await run.remember("done", facts);
      return { kind: "done" };
    }
    run.signal.throwIfAborted();
    await run.onStart();
    started = true;
    tell("start");
    const signal = row.pointOfNoReturn === true ? never : run.signal;
    const waiting = waitingWords({ ...run, tell: (text) => tell("waiting", { words: text }) });
    const facts = await act({ ...run, signal }, seen, waiting);
    const ms = tell("done", { facts });
    await run.remember("done", { ...facts, ms });
    return { kind: "done" };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const ms = tell("failed", { reason });
    await run.remember("failed", { reason, ms });
    return { kind: "failed", started, reason };
  }
}

/** As firstLook, and the lock is held; where that took its time, what was seen is looked at again. */
async function lookUnderLock<K extends OperationKind>(
  run: StepRun<K>,
): Promise<{ readonly seen: K["seen"]; readonly isDone: boolean }> {
  const first = await firstLook(run);
  if (first.isDone || (await requireLock(run)) === "at once") return first;
  return await firstLook(run);
}

/**
 * The look by which a row is allowed to run, or need not.
 * @throws StepError with why it must not run; what looking throws
 */
async function firstLook<K extends OperationKind>(
  run: StepRun<K>,
): Promise<{ readonly seen: K["seen"]; readonly isDone: boolean }> {
  const { row, plan, looks, signal } = run;
  const { clock } = run.timing;
  const end = clock.monotonic() + (row.passing?.withinMs ?? 0);
  let seen = await looks.recent(row.step, row.looksAt, signal);
  for (;;) {
    if (row.isDone?.(plan, seen) === true) return { seen, isDone: true };
    const why = row.whyNot(plan, seen);
    if (why === undefined) return { seen, isDone: false };
    const mayPass = row.passing?.may(plan, seen) === true && clock.monotonic() < end;
    if (!mayPass) throw new StepError(row.step, why);
    await clock.sleep(row.lookEveryMs, signal);
    seen = await looks.fresh(row.step, row.looksAt, signal);
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

/** @throws LockLostError */
async function requireLock<K extends OperationKind>(
  run: StepRun<K>,
): Promise<"at once" | "after a wait"> {
  const { row, hold, timing } = run;
  if (!row.needsLock) return "at once";
  if (hold.session === null) throw new LockLostError(row.step);
  if (hold.answeredWithin?.(lookServesMs) === true) return "at once";
  const what = `${row.step}: is the lock held`;
  const end = timing.clock.monotonic() + (row.passing?.withinMs ?? 0);
  for (let asked = 1; ; asked += 1) {
    const isHeld = await timing.limit(what, lookDeadlineMs, (inner) => hold.stillHeld(inner));
    if (isHeld) return asked === 1 ? "at once" : "after a wait";
    // A session that is still open may only be slow; one that has ended has given the lock back.
    const mayPass = hold.answeredWithin?.(Infinity) === true && timing.clock.monotonic() < end;
    if (!mayPass) throw new LockLostError(row.step);
    await timing.clock.sleep(row.lookEveryMs, run.signal);
  }
}

/** Acts and confirms; what the act threw is the cause when the effect does not show. */
async function act<K extends OperationKind>(
  run: StepRun<K>,
  seen: K["seen"],
  waiting: Waiting,
): Promise<Facts> {
  const { row, plan, actions, hold, timing, signal, looks } = run;
  const { clock } = timing;
  const began = clock.monotonic();
  const context = { plan, seen, actions, session: hold.session };
  let facts: Facts | undefined;
  let failure: Error | undefined;
  const stopWaiting = waiting.duringAct(seen);
  if (row.keepsLook !== true) looks.forget();
  const perform = (withinMs: number): Promise<Facts | undefined> =>
    timing.limit(row.describe(plan), withinMs, async (inner) => row.run(context, inner), signal);
  try {
    facts = await perform(row.deadlineMs);
  } catch (error) {
    failure = error instanceof Error ? error : new StepError(row.step, String(error), error);
  } finally {
    stopWaiting();
  }
  if (row.isDone === undefined) {
    if (failure !== undefined) throw failure;
    return facts ?? {};
  }
  // Past the point of no return only the world can tell; before it clients may be waiting.
  const short = failure !== undefined && row.pointOfNoReturn !== true;
  const end = short ? clock.monotonic() + afterFailureMs : began + row.deadlineMs;
  const again = row.fades === true && failure === undefined ? perform : undefined;
  const confirmed = await confirm(run, end, waiting, again);
  if ("why" in confirmed) throw failure ?? new StepError(row.step, confirmed.why);
  return { ...facts, ...row.factsOf?.(plan, confirmed.seen) };
}

type Confirmed<K extends OperationKind> = { readonly seen: K["seen"] } | { readonly why: string };

/**
 * Looks until the effect shows; `again` acts once more before the next look, within so many ms.
 * @returns the look that shows it, or why it did not
 */
async function confirm<K extends OperationKind>(
  run: StepRun<K>,
  end: number,
  waiting: Waiting,
  again: ((withinMs: number) => Promise<unknown>) | undefined,
): Promise<Confirmed<K>> {
  const { row, plan, timing, looks, signal } = run;
  const began = timing.clock.monotonic();
  let why = "its effect does not show";
  for (;;) {
    try {
      const seen = await looks.fresh(row.step, row.confirmsBy ?? row.looksAt, signal);
      if (row.isDone?.(plan, seen) === true) return { seen };
      const lost = row.whyLost?.(plan, seen);
      if (lost !== undefined) return { why: lost };
      why = row.waitsFor?.(plan, seen) ?? "its effect does not show";
      const leftMs = end - timing.clock.monotonic();
      if (leftMs > 0) await again?.(leftMs);
    } catch (error) {
      if (signal.aborted) return { why: "aborted by the operator" };
      why = error instanceof Error ? error.message : String(error);
    }
    if (timing.clock.monotonic() >= end) return { why: `${why}, still after ${row.deadlineMs} ms` };
    await waiting.duringConfirm();
    const waited = timing.clock.monotonic() - began;
    await timing.clock.sleep(Math.max(row.lookEveryMs, Math.min(waited / 100, slowestLookMs)));
  }
}
