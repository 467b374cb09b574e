/**
 * Time that passes only when nothing else is left to do: what waits by it runs in its order and takes
 * no time of ours, in whole milliseconds as timers have them. Counts what still waits, so that a test
 * sees a timer that was left behind.
 */
import { nextTurn } from "../../kit/clock.ts";

interface Sleeper {
  readonly due: number;
  readonly wake: () => void;
}

export class VirtualTime {
  #now = 1000;
  readonly #sleepers = new Set<Sleeper>();

  readonly now = (): number => this.#now;

  readonly sleep = async (ms: number, signal?: AbortSignal): Promise<void> => {
    if (signal?.aborted === true) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const sleeper = { due: this.#now + Math.max(0, Math.ceil(ms)), wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", wake, { once: true });
    });
  };

  /** How many wait. */
  get waiting(): number {
    return this.#sleepers.size;
  }

  /** Lets time pass until `work` has ended, and gives what it gave or throws what it threw. */
  async until<T>(work: Promise<T>): Promise<T> {
    const state = { isOver: false };
    const end = (): void => {
      state.isOver = true;
    };
    const ended = work.then(end, end);
    while (!state.isOver) {
      await settled();
      if (state.isOver) break;
      if (!this.#step(Infinity))
        throw new Error("nothing is left that could end what is waited for");
    }
    await ended;
    await settled();
    return await work;
  }

  /** Lets `ms` pass. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms;
    await settled();
    while (this.#step(end)) await settled();
    this.#now = end;
  }

  /** Goes to the next time at which somebody wakes, if that is not after `end`. */
  #step(end: number): boolean {
    const [next] = [...this.#sleepers].sort((one, other) => one.due - other.due);
    if (next === undefined || next.due > end) return false;
    this.#now = Math.max(this.#now, next.due);
    next.wake();
    return true;
  }
}

/** Everything that can go on without time passing has done so. */
async function settled(): Promise<void> {
  await nextTurn();
  await nextTurn();
}
