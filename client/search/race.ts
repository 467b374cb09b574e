/**
 * A staggered race (RFC 8305, section 5): candidates start one after the other, the next when the
 * youngest has had `staggerMs` or one has failed; none is stopped because another starts. The first
 * value wins, the others are told to stop, and what they bring nevertheless goes to `onLost`.
 */
import { armed, systemTiming } from "./timing.ts";
import type { Timing } from "./timing.ts";

export interface RaceRules<C, T> {
  readonly attempt: (candidate: C, signal: AbortSignal) => Promise<T>;
  readonly staggerMs: number;
  /** A value that nobody waits for any more: close it. */
  readonly onLost: (value: T) => void;
  readonly onFailed?: (candidate: C, error: unknown, ms: number) => void;
  /** Still no answer after `staggerMs`; it runs on. */
  readonly onSlow?: (candidate: C) => void;
  readonly timing?: Timing | undefined;
}

export interface Win<C, T> {
  readonly winner: C;
  readonly value: T;
  /** How long the winning attempt took. */
  readonly ms: number;
}

export interface Failure<C> {
  readonly candidate: C;
  readonly error: unknown;
  readonly ms: number;
}

interface Runner {
  readonly controller: AbortController;
  readonly startedAt: number;
  isSlow: boolean;
}

/** A race that takes candidates while it runs; it ends with a winner or with `close`. */
export class OpenRace<C, T> {
  /** Resolves with the winner; stays open where nobody wins. */
  readonly won: Promise<Win<C, T>>;
  readonly #rules: RaceRules<C, T>;
  readonly #timing: Timing;
  readonly #queue: C[] = [];
  readonly #running = new Map<C, Runner>();
  readonly #waiting = new Set<() => void>();
  #onWon: (win: Win<C, T>) => void = () => undefined;
  #disarm: () => void = () => undefined;
  #isOver = false;

  constructor(rules: RaceRules<C, T>) {
    this.#rules = rules;
    this.#timing = rules.timing ?? systemTiming;
    this.won = new Promise((resolve) => {
      this.#onWon = resolve;
    });
  }

  enter(candidates: readonly C[]): void {
    if (this.#isOver) return;
    this.#queue.push(...candidates);
    this.#look(false);
  }

  /** Somebody has won, or it was closed. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Candidates that wait or run. */
  entered(): readonly C[] {
    return [...this.#queue, ...this.#running.keys()];
  }

  /** Candidates that run, and for how long. */
  running(): readonly { readonly candidate: C; readonly ms: number }[] {
    const now = this.#timing.now();
    return [...this.#running].map(([candidate, { startedAt }]) => ({
      candidate,
      ms: now - startedAt,
    }));
  }

  /** Resolves when all have started and each has failed or is slow, or when the race is over. */
  quiet(): Promise<void> {
    if (this.#isQuiet()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  /** Stops all attempts; nobody wins any more. */
  close(reason: unknown): void {
    this.#isOver = true;
    this.#disarm();
    this.#queue.length = 0;
    const runners = [...this.#running.values()];
    this.#running.clear();
    for (const { controller } of runners) controller.abort(reason);
    this.#wake();
  }

  #isQuiet(): boolean {
    const isYoung = [...this.#running.values()].some(({ isSlow }) => !isSlow);
    return this.#isOver || (this.#queue.length === 0 && !isYoung);
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Starts who may start, marks the slow, and comes back when the next of them is due. */
  #look(hasFailed: boolean): void {
    this.#disarm();
    this.#markSlow();
    const young = this.#youngestStart();
    if ((young === undefined || hasFailed) && this.#queue.length > 0) {
      const [next] = this.#queue.splice(0, 1) as [C];
      this.#start(next);
      this.#look(false);
      return;
    }
    if (this.#isQuiet()) this.#wake();
    if (young === undefined) return;
    const leftMs = this.#rules.staggerMs - (this.#timing.now() - young);
    this.#disarm = armed(this.#timing, leftMs, () => this.#look(false));
  }

  #youngestStart(): number | undefined {
    const young = [...this.#running.values()].filter(({ isSlow }) => !isSlow);
    return young.length === 0 ? undefined : Math.max(...young.map(({ startedAt }) => startedAt));
  }

  #markSlow(): void {
    const now = this.#timing.now();
    for (const [candidate, runner] of this.#running) {
      if (runner.isSlow || now - runner.startedAt < this.#rules.staggerMs) continue;
      runner.isSlow = true;
      this.#rules.onSlow?.(candidate);
    }
  }

  #start(candidate: C): void {
    const controller = new AbortController();
    const runner: Runner = { controller, startedAt: this.#timing.now(), isSlow: false };
    this.#running.set(candidate, runner);
    void this.#run(candidate, runner);
  }

  async #run(candidate: C, runner: Runner): Promise<void> {
    const isLate = (): boolean => this.#running.get(candidate) !== runner;
    const ms = (): number => this.#timing.now() - runner.startedAt;
    let value: T;
    try {
      value = await this.#rules.attempt(candidate, runner.controller.signal);
    } catch (error) {
      if (isLate()) return;
      this.#running.delete(candidate);
      this.#rules.onFailed?.(candidate, error, ms());
      this.#look(true);
      return;
    }
    if (isLate()) {
      this.#rules.onLost(value);
      return;
    }
    this.#running.delete(candidate);
    this.#onWon({ winner: candidate, value, ms: ms() });
    this.close(new Error("another address was quicker"));
  }
}

export interface RaceOptions<T> {
  readonly staggerMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly onLost: (value: T) => void;
  readonly timing?: Timing | undefined;
}

/**
 * Runs one race over `candidates`, in their order.
 * @returns the winner and its value, or every failure in the order they came
 * @throws the signal's reason as soon as it aborts
 */
export async function race<C, T>(
  candidates: readonly C[],
  attempt: (candidate: C, signal: AbortSignal) => Promise<T>,
  { signal, ...rules }: RaceOptions<T>,
): Promise<Win<C, T> | { readonly failures: readonly Failure<C>[] }> {
  signal?.throwIfAborted();
  const failures: Failure<C>[] = [];
  let onEnd: (win: { readonly failures: readonly Failure<C>[] }) => void = () => undefined;
  let onAbort = (): void => undefined;
  const end = new Promise<{ readonly failures: readonly Failure<C>[] }>((resolve, reject) => {
    onEnd = resolve;
    onAbort = () => reject(signal?.reason as Error);
  });
  const open = new OpenRace<C, T>({
    ...rules,
    attempt,
    onFailed: (candidate, error, ms) => {
      failures.push({ candidate, error, ms });
      if (failures.length === candidates.length) onEnd({ failures });
    },
  });
  signal?.addEventListener("abort", onAbort, { once: true });
  if (candidates.length === 0) onEnd({ failures });
  open.enter(candidates);
  let outcome: Win<C, T> | { readonly failures: readonly Failure<C>[] } | undefined;
  try {
    outcome = await Promise.race([open.won, end]);
    return outcome;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    open.close(signal?.reason ?? new Error("the race is over"));
    if (outcome === undefined) void lose(open, rules.onLost);
  }
}

/** What is won in the very moment in which the race is called off is nobody's. */
async function lose<C, T>({ won }: OpenRace<C, T>, onLost: (value: T) => void): Promise<void> {
  const { value } = await won;
  onLost(value);
}
