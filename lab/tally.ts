/** Counts what happens to an app: acknowledged and failed statements, and how long it stood still. */
import type { Clock } from "../kit/clock.ts";

export interface NodeCount {
  readonly acknowledged: number;
  /** Monotonic times of the first and the last acknowledgement, in ms. */
  readonly firstAt: number;
  readonly lastAt: number;
}

export interface WorkloadReport {
  readonly acknowledgedIds: readonly number[];
  /** Ids whose statement failed; they may have been committed all the same. */
  readonly failedIds: readonly number[];
  readonly failedConnects: number;
  /** How often each kind of failure came, by SQLSTATE or error code. */
  readonly failures: Readonly<Record<string, number>>;
  /** Longest time between two successive acknowledgements over all connections, in ms. */
  readonly longestGapMs: number;
  /** Longest time between two successive acknowledgements on one connection's worker, in ms. */
  readonly longestStallMs: number;
  /** By the address of the Postgres that answered. */
  readonly nodes: Readonly<Record<string, NodeCount>>;
}

/** Collects while the app runs. */
export class Tally {
  readonly #clock: Clock;
  readonly #lastByWorker: number[];
  readonly #acknowledgedIds: number[] = [];
  readonly #failedIds: number[] = [];
  readonly #failures = new Map<string, number>();
  readonly #nodes = new Map<string, NodeCount>();
  #failedConnects = 0;
  #last: number;
  #longestGapMs = 0;
  #longestStallMs = 0;

  constructor(clock: Clock, workers: number) {
    this.#clock = clock;
    this.#last = clock.monotonic();
    this.#lastByWorker = Array.from({ length: workers }, () => this.#last);
  }

  acknowledged(worker: number, id: number, node: string): void {
    const now = this.#clock.monotonic();
    this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#last);
    this.#longestStallMs = Math.max(
      this.#longestStallMs,
      now - (this.#lastByWorker[worker] ?? this.#last),
    );
    this.#last = now;
    this.#lastByWorker[worker] = now;
    this.#acknowledgedIds.push(id);
    const before = this.#nodes.get(node);
    this.#nodes.set(node, {
      acknowledged: (before?.acknowledged ?? 0) + 1,
      firstAt: before?.firstAt ?? now,
      lastAt: now,
    });
  }

  statementFailed(id: number, error: unknown): void {
    this.#failedIds.push(id);
    this.#count(error);
  }

  connectFailed(error: unknown): void {
    this.#failedConnects += 1;
    this.#count(error);
  }

  #count(error: unknown): void {
    const { code, message } = error as { code?: string; message?: string };
    // Error codes are few; a message may differ each time, so it is not kept.
    const kind = code ?? (message?.includes("timeout") === true ? "timeout" : "lost");
    this.#failures.set(kind, (this.#failures.get(kind) ?? 0) + 1);
  }

  /** What was counted up to now; a gap that still lasts counts. */
  report(): WorkloadReport {
    const now = this.#clock.monotonic();
    return {
      acknowledgedIds: [...this.#acknowledgedIds],
      failedIds: [...this.#failedIds],
      failedConnects: this.#failedConnects,
      failures: Object.fromEntries(this.#failures),
      longestGapMs: Math.max(this.#longestGapMs, now - this.#last),
      longestStallMs: Math.max(
        this.#longestStallMs,
        ...this.#lastByWorker.map((last) => now - last),
      ),
      nodes: Object.fromEntries(this.#nodes),
    };
  }
}
