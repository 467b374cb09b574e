/** Waiting, as a parameter: a search reads the time and sleeps through these alone. */
import { setTimeout as delay } from "node:timers/promises";

export interface Timing {
  /** Milliseconds that never go back; only differences mean anything. */
  readonly now: () => number;
  /** Resolves after `ms`, or as soon as `signal` aborts: never rejects. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
}

/** The longest wait that a timer of Node takes as it stands. */
const longestMs = 2 ** 31 - 1;

export const systemTiming: Timing = {
  now: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(Math.min(Math.max(0, ms), longestMs), undefined, signal ? { signal } : {});
    } catch {
      // An abort ends the wait; who waits looks at the signal.
    }
  },
};

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
  const controller = new AbortController();
  const onAbort = (): void => {
    controller.abort();
    over();
  };
  const disarm = (): void => {
    outer?.removeEventListener("abort", onAbort);
    controller.abort();
  };
  if (outer?.aborted === true) {
    over();
    return () => undefined;
  }
  outer?.addEventListener("abort", onAbort, { once: true });
  const wait = async (): Promise<void> => {
    await timing.sleep(ms, controller.signal);
    if (controller.signal.aborted) return;
    outer?.removeEventListener("abort", onAbort);
    over();
  };
  if (ms !== Infinity) void wait();
  return disarm;
}

/** Resolves, with nothing, as soon as the signal aborts. */
export function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}
