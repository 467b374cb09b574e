/**
 * The gate itself: pauses the PgBouncer beside it under a lease, renews, resumes, and says how it
 * is. Who asks always gets an answer within a bound; what a silent PgBouncer is still owed is paid
 * when it answers again (keeper.ts).
 */
import { randomUUID } from "node:crypto";
import { DeadlineError } from "../../kit/clock.ts";
import { faultWords } from "../../kit/fault-words.ts";
import type { GateStatus, LeaseReply, PauseRequest } from "./contract.ts";
import { LeaseKeeper } from "./keeper.ts";
import type { KeeperOptions } from "./keeper.ts";
import { standingOf, whyNot } from "./lease.ts";
import type { EndedLease, LeaseEnd, LeaseTerms } from "./lease.ts";
import { objectionTo, statusOf } from "./status.ts";
import type { GateAnswer, PoolerLook } from "./status.ts";

export interface GateOptions extends KeeperOptions {
  /** How many databases a pause usually names; connections for so many are opened at the start. */
  readonly usualDatabases: number;
}

type Refusal = Extract<GateAnswer, { readonly body: GateStatus }>;

interface Failing {
  /** Something may be on disk or paused by now. */
  readonly touched: boolean;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

const unknownLease = "no such lease is known here: it ended long ago, or never was";

export class Gate {
  readonly #options: GateOptions;
  readonly #keeper: LeaseKeeper;
  #pausing: Promise<GateAnswer> | undefined;
  #stopping = false;
  /** Nothing is answered before it is known what an earlier gate left. */
  readonly #started = Promise.withResolvers<void>();

  constructor(options: GateOptions) {
    this.#options = options;
    this.#keeper = new LeaseKeeper(options);
  }

  /**
   * Resumes what an earlier gate had paused, going on in the background where that takes long.
   * @throws GateStateError
   */
  async start(): Promise<void> {
    const { logger, pooler, usualDatabases } = this.#options;
    await this.#keeper.start();
    this.#started.resolve();
    await this.#keeper.released();
    await pooler.warm(usualDatabases).catch((error: unknown) => {
      logger.warn({ reason: faultWords(error) }, "PgBouncer does not answer yet");
    });
  }

  /** Resumes what is paused, as far as PgBouncer answers in time; the rest is for the next start. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const { current } = this.#keeper.book;
    if (current !== null) await this.#endWhole(current.lease, "lost", "the gate was stopped");
    await this.#keeper.released();
    this.#keeper.stop();
    this.#options.pooler.close();
  }

  /** How the gate is now. */
  async status(): Promise<GateStatus> {
    await this.#started.promise;
    try {
      return this.#statusOf(await this.#options.pooler.look());
    } catch (error) {
      return this.#silent(faultWords(error)).body;
    }
  }

  /** Pauses under a new lease. `signal` aborts when nobody waits for the answer any more. */
  async pause(asked: PauseRequest, signal: AbortSignal): Promise<GateAnswer> {
    await this.#started.promise;
    if (whyNot(this.#keeper.book) === "owed") await this.#keeper.released();
    // From here to the beginning of the lease nothing is waited for: who asks twice asks once.
    if (this.#stopping) return await this.#refusal(503, "the gate is stopping");
    const { lease = randomUUID(), holder } = asked;
    const standing = standingOf(this.#keeper.book, lease);
    if (standing.is === "ended") return await this.#gone(standing.ended);
    if (standing.is === "current") {
      return (await this.#pausing) ?? (await this.renew(lease, asked.ttlMs));
    }
    const reason = whyNot(this.#keeper.book);
    if (reason !== undefined) return await this.#refusal(reason === "held" ? 409 : 503);
    const terms = { lease, holder, databases: [...new Set(asked.databases)] };
    this.#keeper.begin(terms, asked.deadlineMs);
    const either = AbortSignal.any([signal, this.#keeper.ending]);
    const pausing = this.#pause(terms, asked, either);
    this.#pausing = pausing;
    return await pausing.finally(() => (this.#pausing = undefined));
  }

  /** The lease lives `ttlMs` from now, where its pause still holds. */
  async renew(lease: string, ttlMs: number): Promise<GateAnswer> {
    await this.#started.promise;
    const refused = await this.#unlessHeld(lease);
    if (refused !== undefined) return refused;
    let paused: readonly string[];
    try {
      paused = await this.#options.pooler.paused();
    } catch (error) {
      return this.#silent(faultWords(error));
    }
    const again = await this.#unlessHeld(lease);
    if (again !== undefined) return again;
    const { current } = this.#keeper.book;
    const free = current?.databases.filter((one) => !paused.includes(one)) ?? [];
    if (free.length > 0) {
      const why = `PgBouncer pauses ${free.join(", ")} no more: it was restarted, or somebody resumed`;
      await this.#endWhole(lease, "lost", why);
      return await this.#refusal(410, why);
    }
    this.#keeper.renew(lease, ttlMs);
    // Its time may have been over at this very moment, and was not lengthened then.
    return (await this.#unlessHeld(lease)) ?? this.#reply(lease);
  }

  /** Ends the lease, and answers when clients flow. */
  async resume(lease: string): Promise<GateAnswer<GateStatus>> {
    await this.#started.promise;
    await this.#keeper.expireIfOver();
    const standing = standingOf(this.#keeper.book, lease);
    if (standing.is === "unknown") return await this.#refusal(410, unknownLease);
    if (standing.is === "current") {
      await this.#endWhole(lease, "resumed", "its holder resumed");
      this.#options.logger.info({ lease }, "resumed");
    } else if (standing.ended.how === "expired" || standing.ended.how === "lost") {
      return await this.#gone(standing.ended);
    }
    await this.#keeper.released();
    const status = await this.status();
    return { status: whyNot(this.#keeper.book) === "owed" ? 503 : 200, body: status };
  }

  async #pause(
    terms: LeaseTerms,
    asked: Pick<PauseRequest, "ttlMs" | "deadlineMs">,
    signal: AbortSignal,
  ): Promise<GateAnswer> {
    const { clock, logger, pooler } = this.#options;
    const { lease, databases } = terms;
    const failing = { touched: false, deadlineMs: asked.deadlineMs, signal };
    try {
      const objection = objectionTo(await pooler.look(), databases);
      if (objection !== undefined) return await this.#fail(lease, 409, objection, failing);
      await pooler.warm(databases.length);
      failing.touched = true;
      await this.#keeper.engage(terms);
      signal.throwIfAborted();
      const start = clock.monotonic();
      await pooler.pause(databases, { deadlineMs: asked.deadlineMs, signal });
      const paused = await pooler.paused();
      signal.throwIfAborted();
      const free = databases.filter((one) => !paused.includes(one));
      if (free.length > 0) {
        const why = `PgBouncer did not keep the pause of ${free.join(", ")}`;
        return await this.#fail(lease, 409, why, failing);
      }
      const tookMs = clock.monotonic() - start;
      this.#keeper.hold(lease, { ttlMs: asked.ttlMs, tookMs });
      logger.info({ ...terms, tookMs }, "paused");
      return this.#reply(lease);
    } catch (error) {
      return await this.#giveUp(lease, error, failing);
    }
  }

  async #giveUp(lease: string, error: unknown, failing: Failing): Promise<GateAnswer> {
    if (failing.signal.aborted) {
      return await this.#fail(lease, 504, "the pause was called off", failing);
    }
    // What it waited for is out of sight once clients flow again.
    const look = failing.touched ? this.#options.pooler.look() : undefined;
    const before = await look?.catch(() => undefined);
    if (before === undefined) {
      // Nobody is kept waiting for a PgBouncer that is silent.
      void this.#fail(lease, 503, faultWords(error), failing);
      return this.#silent(faultWords(error));
    }
    if (!(error instanceof DeadlineError)) {
      return await this.#fail(lease, 503, faultWords(error), failing);
    }
    const why = `transactions did not end within ${failing.deadlineMs} ms`;
    const { status, body } = await this.#fail(lease, 504, why, failing);
    return { status, body: { ...body, busy: before.busy.map((one) => ({ ...one })) } };
  }

  async #fail(
    lease: string,
    status: Refusal["status"],
    why: string,
    { touched }: Failing,
  ): Promise<Refusal> {
    this.#keeper.end(lease, "failed", why, touched);
    await this.#keeper.released();
    this.#options.logger.warn({ lease, reason: why }, "the pause failed");
    return await this.#refusal(status, why);
  }

  /** Ends a lease in whatever phase it is. */
  async #endWhole(lease: string, how: LeaseEnd, why: string): Promise<void> {
    if (this.#pausing !== undefined) {
      this.#keeper.callOff(why);
      await this.#pausing;
    }
    // The pause may have taken hold just before it was called off.
    this.#keeper.end(lease, how, why);
    await this.#keeper.released();
  }

  async #unlessHeld(lease: string): Promise<Refusal | undefined> {
    await this.#keeper.expireIfOver();
    const standing = standingOf(this.#keeper.book, lease);
    if (standing.is === "unknown") return await this.#refusal(410, unknownLease);
    if (standing.is === "ended") return await this.#gone(standing.ended);
    return standing.lease.phase === "held" ? undefined : await this.#refusal(409);
  }

  async #gone({ holder, why }: EndedLease): Promise<Refusal> {
    return await this.#refusal(410, `the lease of ${holder} has ended: ${why}`);
  }

  /** Not looked again: who asks has waited for a deadline already. */
  #silent(silence: string): Refusal {
    return { status: 503, body: this.#statusOf(undefined, silence) };
  }

  async #refusal(status: Refusal["status"], reason?: string): Promise<Refusal> {
    const body = await this.status();
    return { status, body: reason === undefined ? body : { ...body, reason } };
  }

  #statusOf(look: PoolerLook | undefined, silence = ""): GateStatus {
    const now = this.#options.clock.monotonic();
    return statusOf(this.#keeper.book, look, { now, silence });
  }

  #reply(id: string): { readonly status: 200; readonly body: LeaseReply } {
    const { current } = this.#keeper.book;
    if (current?.lease !== id) throw new TypeError(`the lease ${id} is not the current one`);
    const { lease, holder, databases, until, tookMs } = current;
    const expiresInMs = Math.max(0, until - this.#options.clock.monotonic());
    return { status: 200, body: { lease, holder, databases: [...databases], expiresInMs, tookMs } };
  }
}
