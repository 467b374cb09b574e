/**
 * Time as a parameter: everything that waits or reads the time does so through a Clock, so that a
 * test can own it. This is the only file outside client/ that touches timers and Date.now.
 */
import { setTimeout as delay } from "node:timers/promises";

export interface Clock {
  /** Wall-clock time in milliseconds since the epoch. */
  now(): number;
  /** A time in milliseconds that never goes back; only differences mean anything. */
  monotonic(): number;
  /** Resolves after `ms`; rejects with the signal's reason as soon as `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  },
};

/** What was waited for did not come in time. `what` says what was tried and on what, `cause` why not. */
export class DeadlineError extends Error {
  override readonly name = "DeadlineError";
  readonly code = "ERR_DEADLINE";
  readonly deadlineMs: number;
  constructor(what: string, deadlineMs: number, cause?: unknown) {
    const last = cause instanceof Error && cause.message !== "" ? ` (${cause.message})` : "";
    super(`${what}: no answer within ${deadlineMs} ms${last}`, { cause });
    this.deadlineMs = deadlineMs;
  }
}

/**
 * Runs `work` under a deadline in milliseconds. `work` gets a signal that aborts when the deadline
 * is over or `outer` aborts, and must give up then; the result of work that does not is dropped.
 * @throws DeadlineError when the deadline is over first, or the outer signal's reason
 */
export async function withDeadline<T>(
  what: string,
  deadlineMs: number,
  work: (signal: AbortSignal) => Promise<T>,
  outer?: AbortSignal,
): Promise<T> {
  outer?.throwIfAborted();
  const controller = new AbortController();
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const stop = (reason: unknown): void => {
    reject(reason);
    controller.abort(reason);
  };
  const onOuterAbort = (): void => stop(outer?.reason);
  const disarm = armed(deadlineMs, () => stop(new DeadlineError(what, deadlineMs)));
  outer?.addEventListener("abort", onOuterAbort, { once: true });
  try {
    return await Promise.race([work(controller.signal), interrupted]);
  } finally {
    disarm();
    outer?.removeEventListener("abort", onOuterAbort);
  }
}

/** A timer that comes later than this was held up by this process itself. */
const lateMs = 20;

/**
 * Calls `over` after `ms`. Where the timer comes late, this process was held up, and answers may lie
 * unread: they get as long as it was held up, once. @returns what disarms it
 */
function armed(ms: number, over: () => void): () => void {
  const due = performance.now() + ms;
  let timer = setTimeout(() => {
    const late = performance.now() - due;
    if (late < lateMs) over();
    else timer = setTimeout(over, Math.min(late, ms));
  }, ms);
  return () => clearTimeout(timer);
}

/**
 * Looks again every `intervalMs` until `look` answers with something other than undefined. `look`
 * gets a signal that aborts when the deadline is over; a look that does not end by then is dropped.
 * @throws DeadlineError after `deadlineMs`; its cause is the error of the last look that had ended by
 * then, if it threw one, whose words stand in the message
 */
export async function eventually<T>(
  what: string,
  options: { deadlineMs: number; intervalMs: number; clock?: Clock; signal?: AbortSignal },
  look: (signal: AbortSignal) => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const clock = options.clock ?? systemClock;
  const end = clock.monotonic() + options.deadlineMs;
  let lastError: unknown;
  do {
    try {
      const leftMs = Math.max(1, end - clock.monotonic());
      const seen = await withDeadline(
        what,
        leftMs,
        async (signal) => await look(signal),
        options.signal,
      );
      if (seen !== undefined) return seen;
      lastError = undefined;
    } catch (error) {
      const isCutShort = error instanceof DeadlineError && clock.monotonic() >= end;
      if (!isCutShort) lastError = error;
    }
    await clock.sleep(options.intervalMs, options.signal);
  } while (clock.monotonic() < end);
  throw new DeadlineError(what, options.deadlineMs, lastError);
}

/**
 * Calls `tick` every `ms` until the returned function is called; it keeps no process alive. What
 * `tick` throws, or rejects with, is its own affair and ends the process as any lost error does.
 */
export function every(ms: number, tick: () => void): () => void {
  const timer = setInterval(tick, ms);
  timer.unref();
  return () => clearInterval(timer);
}

/** Deadlines and ticks beside the clock they go by, for what has to be able to run in a test's time. */
export interface Timing {
  readonly clock: Clock;
  limit<T>(
    what: string,
    deadlineMs: number,
    work: (signal: AbortSignal) => Promise<T>,
    outer?: AbortSignal,
  ): Promise<T>;
  /** As `every`; without it nothing ticks. */
  every?(ms: number, tick: () => void): () => void;
}

export const systemTiming: Timing = { clock: systemClock, limit: withDeadline, every };

/** Lets the event loop turn once: what is ready to be read or written comes first. */
export function nextTurn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  return promise;
}
