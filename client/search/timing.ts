/**
 * Waiting, as a parameter: a search reads the time and sleeps through these alone. And the wait for an
 * answer on a connection that is there, which is by this process's own timers in any case.
 */

export interface Timing {
  /** Milliseconds that never go back; only differences mean anything. */
  readonly now: () => number;
  /** Resolves after `ms`, or as soon as `signal` aborts: never rejects. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
  /** Calls `over` after `ms`, unless what it returns is called before; without it, sleep does. */
  readonly after?: (ms: number, over: () => void) => () => void;
}

/** The longest wait that a timer of Node takes as it stands. */
const longestMs = 2 ** 31 - 1;

type After = (ms: number, over: () => void) => () => void;

/** Plain timers: those of node:timers/promises make an error with a stack each time they are cut short. */
const after: After = (ms, over) => {
  const timer = setTimeout(over, Math.min(Math.max(0, ms), longestMs));
  return () => clearTimeout(timer);
};

/** The same, which does not keep Node running. */
const unrefAfter: After = (ms, over) => {
  const timer = setTimeout(over, Math.min(Math.max(0, ms), longestMs)).unref();
  return () => clearTimeout(timer);
};

const sleepBy =
  (later: After): Timing["sleep"] =>
  (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const end = (): void => {
        cancel();
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const cancel = later(ms, end);
      signal?.addEventListener("abort", end, { once: true });
    });

export const systemTiming: Timing = {
  now: () => performance.now(),
  sleep: sleepBy(after),
  after,
};

/** The same time, in which nothing that waits keeps Node running. */
export function unrefTiming(timing: Timing): Timing {
  // Only timers of this process can keep it running.
  if (timing.after !== after) return timing;
  return { ...timing, sleep: sleepBy(unrefAfter), after: unrefAfter };
}

/** As `after`, by sleeping. */
function afterSleep(timing: Timing, ms: number, over: () => void): () => void {
  const controller = new AbortController();
  const wait = async (): Promise<void> => {
    await timing.sleep(ms, controller.signal);
    if (!controller.signal.aborted) over();
  };
  void wait();
  return () => controller.abort();
}

/**
 * Calls `over` after `ms` (never where that is Infinity) or as soon as `outer` aborts.
 * @returns what disarms it
 */
export function armed(
  timing: Timing,
  ms: number,
  over: () => void,
  outer?: AbortSignal,
): () => void {
  if (outer?.aborted === true) {
    over();
    return () => undefined;
  }
  let cancel = (): void => undefined;
  const disarm = (): void => {
    outer?.removeEventListener("abort", onEnd);
    cancel();
  };
  const onEnd = (): void => {
    disarm();
    over();
  };
  outer?.addEventListener("abort", onEnd, { once: true });
  if (ms !== Infinity) cancel = timing.after?.(ms, onEnd) ?? afterSleep(timing, ms, onEnd);
  return disarm;
}

/** A timer that comes later than this was held up by this process, and answers may lie unread. */
const lateMs = 20;

/**
 * Calls `over` after `ms` in which a server has not answered; it does not keep Node running. As long
 * as this process was held up itself the answer gets once more: it is no fault of the server.
 * @returns what disarms it
 */
export function unlessAnswered(ms: number, over: () => void): () => void {
  const due = performance.now() + ms;
  let isArmed = true;
  // What lies there is read before that.
  const end = (): void => void setImmediate(() => (isArmed ? over() : undefined));
  let timer = setTimeout(() => {
    const late = performance.now() - due;
    if (late < lateMs) end();
    else timer = setTimeout(end, Math.min(late, ms)).unref();
  }, ms).unref();
  return () => {
    isArmed = false;
    clearTimeout(timer);
  };
}

/** Resolves, with nothing, as soon as the signal aborts. */
export function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}
