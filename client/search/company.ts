/**
 * Searches for the same target, side by side: at most one of them explores, the others wait for it.
 * What it learns is everybody's: how long there has been no server, what failed last, who passed.
 */
import { keyOf, withPort } from "../target/address.ts";
import type { FailedAttempt } from "../errors.ts";
import type { DialAddress } from "./finder.ts";
import type { Timing } from "./timing.ts";
import { createTurns } from "./turns.ts";
import type { Turns } from "./turns.ts";

/** A guess that is worth a dial of one's own; each search follows each lead once. */
export interface Lead {
  readonly address: DialAddress;
  /** Which pass, 0 the first. */
  readonly pass: number;
  /** How long it took whoever was there. */
  readonly ms: number;
}

const shortestBackoffMs = 20;
const quickBackoffMs = 50;
const longestBackoffMs = 1000;
/** A flip is over within this time: rounds are quick until then. */
const quickMs = 2000;
/** From then on the wait doubles each time that this has passed. */
const doublingMs = 500;
/** Each round is a login at every server that answers: what is left of an outage is known for so long. */
const rememberedMs = 10_000;
/** How many log in at one address side by side: more of them only hold up each other. */
const loginsAtOnce = 4;

/** What searches for one target share while there is one. */
export class Company {
  /** How many there are. */
  searches = 0;
  rounds = 0;
  lead: Lead | undefined;
  /** The last failure of each address. */
  readonly failures = new Map<string, FailedAttempt>();
  readonly #timing: Timing;
  readonly #countedMs: number;
  readonly #turns = new Map<string, Turns>();
  /** When the outage began, if there is one. */
  #since: number | undefined;
  /** When the last of them failed, where none is left. */
  #restsSince: number | undefined;
  #exploring: Promise<void> | undefined;

  constructor(timing: Timing, staggerMs: number) {
    this.#timing = timing;
    this.#countedMs = staggerMs / 4;
  }

  /**
   * A turn at one address, for who follows a lead there: few log in side by side. One that takes long,
   * because the server is far away or says nothing, makes room for the next all the same.
   * @throws the signal's reason
   */
  turn({ address, port }: DialAddress, signal: AbortSignal): Promise<() => void> {
    const key = withPort(address, port);
    const [timing, countedMs] = [this.#timing, this.#countedMs];
    const turns = this.#turns.get(key) ?? createTurns({ atOnce: loginsAtOnce, countedMs, timing });
    this.#turns.set(key, turns);
    return turns.take(signal);
  }

  /** The last search has failed: what remains is how long there has been no server. */
  rest(): void {
    this.lead = undefined;
    this.rounds = 0;
    this.failures.clear();
    this.#turns.clear();
    this.#restsSince = this.#timing.now();
  }

  /** True where it is of no use to the next search. */
  get isForgotten(): boolean {
    const since = this.#restsSince;
    const isResting = this.searches === 0 && since !== undefined;
    return isResting && this.#timing.now() - since > rememberedMs;
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
    this.#since = undefined;
    this.failures.clear();
  }

  /** Where the lead went there is nobody any more; who has not followed it shall not. */
  failed(key: string): void {
    if (this.lead !== undefined && keyOf(this.lead.address) === key) this.lead = undefined;
  }

  /**
   * How long to wait before the next round: 20 to 50 ms in the first two seconds, so that a flip is
   * followed within a few of them, then up to 1 s, so that a dead cluster is left in peace.
   * @param random from 0 to 1
   */
  backoffMs(random: number): number {
    const now = this.#timing.now();
    this.#since ??= now;
    const elapsed = now - this.#since;
    const ms =
      elapsed <= quickMs
        ? Math.max(shortestBackoffMs, (elapsed / quickMs) * quickBackoffMs)
        : Math.min(quickBackoffMs * 2 ** ((elapsed - quickMs) / doublingMs), longestBackoffMs);
    return ms * (0.5 + random / 2);
  }
}
