/** So many at once, and whoever comes later in the order in which they came. */

/** Too many wait already. */
export class TurnsError extends Error {
  override readonly name = "TurnsError";
  readonly code = "ERR_TURNS";
}

export interface Turns {
  /**
   * Waits for its turn.
   * @returns what ends the turn; more than one call of it ends it once
   * @throws TurnsError when too many wait, or the signal's reason
   */
  take(signal?: AbortSignal): Promise<() => void>;
}

/** Turns of which `atOnce` can be had at the same time, while at most `waiting` wait for one. */
export function createTurns(atOnce: number, waiting: number): Turns {
  const queue: (() => void)[] = [];
  let taken = 0;
  const next = (): void => {
    taken -= 1;
    queue.shift()?.();
  };
  const begin = (): (() => void) => {
    taken += 1;
    let isOver = false;
    return () => {
      if (!isOver) next();
      isOver = true;
    };
  };
  return {
    take: async (signal) => {
      signal?.throwIfAborted();
      if (taken < atOnce) return begin();
      if (queue.length >= waiting) throw new TurnsError(`${waiting} wait for their turn already`);
      const { promise, resolve, reject } = Promise.withResolvers<() => void>();
      const start = (): void => {
        signal?.removeEventListener("abort", giveUp);
        resolve(begin());
      };
      const giveUp = (): void => {
        queue.splice(queue.indexOf(start), 1);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", giveUp, { once: true });
      queue.push(start);
      return await promise;
    },
  };
}
