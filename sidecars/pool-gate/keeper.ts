/**
 * Keeps the one lease of a gate and pays its debts: a lease ends when its time is over, and what it
 * paused is resumed, tried again until that was seen. What may be paused is on disk until then, so
 * that the next gate pays where this one is killed.
 */
import { withDeadline } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";
import { faultWords } from "../../kit/fault-words.ts";
import type { Logger } from "../../kit/logger.ts";
import { clearLease, readLease, writeLease } from "./durable-lease.ts";
import * as leases from "./lease.ts";
import type { LeaseBook, LeaseEnd, LeaseTerms } from "./lease.ts";
import type { PoolerConsole } from "./pooler.ts";

export interface KeeperOptions {
  readonly pooler: PoolerConsole;
  readonly stateFile: string;
  readonly clock: Clock;
  readonly logger: Pick<Logger, "info" | "warn">;
}

/** How long an asker waits for a resume; the keeper goes on trying after that. */
const releaseDeadlineMs = 1500;
const releaseRetryMs = 200;
const watchMs = 100;

export class LeaseKeeper {
  readonly #options: KeeperOptions;
  #book: LeaseBook = leases.emptyBook;
  #releasing: Promise<void> | undefined;
  #stopped = false;
  #ending = new AbortController();

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  get book(): LeaseBook {
    return this.#book;
  }

  /** Aborts when the current lease ends, or its pause is called off. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Takes over what an earlier gate left; released() pays it. @throws GateStateError */
  async start(): Promise<void> {
    const left = await readLease(this.#options.stateFile);
    if (left === undefined) return;
    this.#options.logger.warn({ ...left }, "an earlier gate left this pause: resuming it");
    this.#book = leases.bookAfterRestart(left);
  }

  /** Tries no more; what is still owed is for the next gate. */
  stop(): void {
    this.#stopped = true;
  }

  /** A lease begins to pause; nothing may be held or owed. */
  begin(terms: LeaseTerms, deadlineMs: number): void {
    const until = this.#options.clock.monotonic() + deadlineMs;
    this.#book = leases.beginLease(this.#book, terms, until);
    this.#ending = new AbortController();
  }

  /** Puts on disk what is about to be paused. @throws GateStateError */
  async engage(terms: LeaseTerms): Promise<void> {
    await writeLease(this.#options.stateFile, terms);
  }

  /** The pause has taken hold: its time to live begins. */
  hold(lease: string, times: { readonly ttlMs: number; readonly tookMs: number }): void {
    const now = this.#options.clock.monotonic();
    this.#book = leases.holdLease(this.#book, lease, { now, ...times });
    void this.#watch(lease, this.#ending.signal);
  }

  /** Lengthens, or shortens, a lease that is held. */
  renew(lease: string, ttlMs: number): void {
    this.#book = leases.renewLease(this.#book, lease, {
      now: this.#options.clock.monotonic(),
      ttlMs,
    });
  }

  /** Calls off a pause that still waits for transactions. */
  callOff(why: string): void {
    this.#ending.abort(new Error(why));
  }

  /** The lease ends; with `owes`, what it names may be paused. Another lease changes nothing. */
  end(lease: string, how: LeaseEnd, why: string, owes = true): void {
    const before = this.#book;
    this.#book = leases.endLease(before, lease, { how, why, owes });
    if (this.#book !== before) this.#ending.abort(new Error(why));
  }

  /** Ends the current lease where its time is over; a late renewal may come before the watch. */
  async expireIfOver(): Promise<void> {
    const { current } = this.#book;
    const now = this.#options.clock.monotonic();
    if (current?.phase !== "held" || !leases.isOver(this.#book, now)) return;
    this.#options.logger.warn({ lease: current.lease }, "the lease has ended by time: resuming");
    this.end(current.lease, "expired", "its time was over: nobody renewed it");
    await this.released();
  }

  /** Resolves when nothing is owed, or after a while; the work goes on then. */
  async released(): Promise<void> {
    this.#releasing ??= this.#release().finally(() => (this.#releasing = undefined));
    const releasing = this.#releasing;
    await withDeadline("resume", releaseDeadlineMs, () => releasing).catch(() => undefined);
  }

  async #release(): Promise<void> {
    const { clock, logger, pooler, stateFile } = this.#options;
    while (this.#book.owed.length > 0 && !this.#stopped) {
      const { owed } = this.#book;
      try {
        await pooler.resume(owed);
        await clearLease(stateFile);
        this.#book = leases.settle(this.#book, owed);
      } catch (error) {
        logger.warn({ owed, reason: faultWords(error) }, "could not resume: trying again");
        await clock.sleep(releaseRetryMs);
      }
    }
  }

  async #watch(lease: string, ending: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      const { current } = this.#book;
      if (current?.lease !== lease) return;
      const leftMs = current.until - clock.monotonic();
      if (leftMs <= 0) return await this.expireIfOver();
      // A renewal may also shorten it.
      await clock.sleep(Math.min(leftMs, watchMs), ending).catch(() => undefined);
    }
  }
}
