/**
 * Turns at something of which few may go on side by side, here authentications: each costs a server a
 * process and a password check. A turn that takes too long is no longer counted, so that a server
 * that says nothing does not hold up the one that would.
 */
import { armed } from "./timing.ts";
import type { Timing } from "./timing.ts";

export interface Turns {
  /**
   * Resolves with what ends the turn, as soon as there is one.
   * @throws the signal's reason
   */
  take(signal: AbortSignal): Promise<() => void>;
}

export interface TurnsOptions {
  readonly atOnce: number;
  /** After this many milliseconds a turn no longer counts. */
  readonly countedMs: number;
  readonly timing: Timing;
}

/** Hands out turns, first come, first served. */
export function createTurns({ atOnce, countedMs, timing }: TurnsOptions): Turns {
  const queue: (() => void)[] = [];
  let taken = 0;

  const free = (): void => {
    taken -= 1;
    queue.shift()?.();
  };
  const begin = (): (() => void) => {
    taken += 1;
    let isCounted = true;
    const end = (): void => {
      disarm();
      if (!isCounted) return;
      isCounted = false;
      free();
    };
    const disarm = armed(timing, countedMs, end);
    return end;
  };
  return {
    take: async (signal) => {
      signal.throwIfAborted();
      if (taken < atOnce) return begin();
      return await new Promise<() => void>((resolve, reject) => {
        const onAbort = (): void => {
          queue.splice(queue.indexOf(onFree), 1);
          reject(signal.reason as Error);
        };
        const onFree = (): void => {
          signal.removeEventListener("abort", onAbort);
          resolve(begin());
        };
        signal.addEventListener("abort", onAbort, { once: true });
        queue.push(onFree);
      });
    },
  };
}
