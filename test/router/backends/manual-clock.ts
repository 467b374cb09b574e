/** A clock that a test moves: whoever sleeps wakes in the order of the moments, each with time to act. */
import { nextTurn } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";

export interface ManualClock extends Clock {
  /** Moves on by `ms`, waking each sleeper at its moment. */
  advance(ms: number): Promise<void>;
  /** Lets all happen that needs no time. */
  settle(): Promise<void>;
  /** How many timers a real clock would have now. */
  sleepers(): number;
}

const epoch = 1_700_000_000_000;
/** Turns of the event loop in which promises, files and messages of a moment find their end. */
const turns = 8;

export function createManualClock(): ManualClock {
  const sleeping = new Set<{ readonly atMs: number; readonly wake: () => void }>();
  let nowMs = 0;
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < turns; turn += 1) await nextTurn();
  };
  return {
    now: () => epoch + nowMs,
    monotonic: () => nowMs,
    sleep: async (ms, signal) => {
      signal?.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const sleeper = { atMs: nowMs + ms, wake: resolve };
      const giveUp = (): void => reject(signal?.reason);
      sleeping.add(sleeper);
      signal?.addEventListener("abort", giveUp, { once: true });
      try {
        await promise;
      } finally {
        sleeping.delete(sleeper);
        signal?.removeEventListener("abort", giveUp);
      }
    },
    advance: async (ms) => {
      const endMs = nowMs + ms;
      await settle();
      for (;;) {
        const [first] = [...sleeping].toSorted((one, other) => one.atMs - other.atMs);
        if (first === undefined || first.atMs > endMs) break;
        nowMs = Math.max(nowMs, first.atMs);
        sleeping.delete(first);
        first.wake();
        await settle();
      }
      nowMs = endMs;
      await settle();
    },
    settle,
    sleepers: () => sleeping.size,
  };
}
