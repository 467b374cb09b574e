/**
 * Searches for the same target, side by side: at most one of them explores, the others wait for it.
 * What it learns is everybody's: how long there has been no server, what failed last, who passed.
 */
import { keyOf } from "./address.ts";
import type { FailedAttempt } from "./errors.ts";
import type { DialAddress } from "./finder.ts";
import type { Timing } from "./timing.ts";

/** A guess that is worth a dial of one's own; each search follows each lead once. */
export interface Lead {
  readonly address: DialAddress;
  /** Which pass, 0 the first. */
  readonly pass: number;
  /** How long it took whoever was there. */
  readonly ms: number;
}

const shortestBackoffMs = 20;
const longestBackoffMs = 1000;
/** A search never waits longer than this part of what the outage has lasted already. */
const backoffPart = 1 / 25;

/** What searches for one target share while there is one. */
export class Company {
  /** How many there are. */
  searches = 0;
  rounds = 0;
  lead: Lead | undefined;
  /** The last failure of each address. */
  readonly failures = new Map<string, FailedAttempt>();
  readonly #timing: Timing;
  #since: number;
  #exploring: Promise<void> | undefined;

  constructor(timing: Timing) {
    this.#timing = timing;
    this.#since = timing.now();
  }

  /** Open while one of them explores. */
  get exploring(): Promise<void> | undefined {
    return this.#exploring;
  }

  /** Runs `work` as the one that explores. Call it only where nobody does. */
  async explore(work: () => Promise<void>): Promise<void> {
    let onEnd: () => void = () => undefined;
    this.#exploring = new Promise((resolve) => {
      onEnd = resolve;
    });
    try {
      await work();
    } finally {
      this.#exploring = undefined;
      onEnd();
    }
  }

  /** Somebody passed: the outage, if there was one, is over. */
  passed(lead: Lead): void {
    this.lead = lead;
    this.rounds = 0;
    this.#since = this.#timing.now();
    this.failures.clear();
  }

  /** Where the lead went there is nobody any more; who has not followed it shall not. */
  failed(key: string): void {
    if (this.lead !== undefined && keyOf(this.lead.address) === key) this.lead = undefined;
  }

  /**
   * How long to wait before the next round: from 20 ms in the first half second, so that a flip is
   * followed within a few of them, to 1 s after 25 s, so that a dead cluster is left in peace.
   * @param random from 0 to 1
   */
  backoffMs(random: number): number {
    const part = (this.#timing.now() - this.#since) * backoffPart;
    const ms = Math.min(Math.max(part, shortestBackoffMs), longestBackoffMs);
    return ms * (0.5 + random / 2);
  }
}
