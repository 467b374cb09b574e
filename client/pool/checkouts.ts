/**
 * Who gets which client of a pool: nobody one that is stale, and whoever has waited longest the next
 * one that there is, whoever it was asked for. After a flip the first login serves all who wait, and
 * the others follow behind.
 */
import type { PoolClient as PgPoolClient } from "pg";
import { ConnectError } from "../errors.ts";
import type { Client } from "../pg-client.ts";
import { cut } from "../session/leaving.ts";

export type PoolClient = PgPoolClient & Client;
/** Gives a client back; with a value other than undefined and false it is ended. */
export type Done = (release?: Error | boolean) => void;
/** As pg-pool calls back. */
export type Callback = (
  error: Error | undefined,
  client: PoolClient | undefined,
  done: Done,
) => void;

/** What of the pool is needed. */
export interface Lender {
  /** pg-pool's own connect. */
  connect(callback: Callback): void;
  readonly idleCount: () => number;
  readonly waitingCount: () => number;
  readonly ending: () => boolean;
  isStale(client: Client): boolean;
}

/** One answer of pg-pool that is still to come. */
interface Request {
  /** Who hears of it when it fails; nobody where it was asked for somebody who has a client now. */
  holder: Callback | undefined;
  /** It was asked for somebody else, earlier: its time is over before the holder's. */
  isInherited: boolean;
}

/** How long a farewell may take: a dead server never answers it. */
const farewellMs = 1000;

export class Checkouts {
  readonly #lender: Lender;
  /** Who waits, longest first, each with the request that he holds. */
  readonly #waiting = new Map<Callback, Request>();
  /** Requests that nobody holds. */
  readonly #free = new Set<Request>();
  #isDropping = false;

  constructor(lender: Lender) {
    this.#lender = lender;
  }

  /** Hands out a client, as pg-pool does. */
  take(callback: Callback): void {
    // One callback may be given twice.
    this.#ask((...answer) => callback(...answer));
  }

  /**
   * Takes each idle client out of the pool, and puts back those that are good. It waits until pg-pool
   * has heard of what has just happened: where it counts one as idle that is lost, it would connect.
   */
  dropIdle(): void {
    if (this.#isDropping) return;
    this.#isDropping = true;
    process.nextTick(() => {
      this.#isDropping = false;
      this.#dropIdle();
    });
  }

  #dropIdle(): void {
    // Who waits already gets an idle one first, and is given another.
    const { ending, idleCount, waitingCount } = this.#lender;
    const count = ending() ? 0 : idleCount() - waitingCount();
    for (let taken = 0; taken < count; taken += 1) {
      this.#lender.connect((_error, client, done) => {
        if (client === undefined) return;
        if (this.#lender.isStale(client)) discard(client, done);
        else this.#handOn(client, done);
      });
    }
  }

  /** Nobody waits any longer: the pool has ended. */
  refuseAll(reason: Error): void {
    for (const [holder, request] of [...this.#waiting]) {
      this.#waiting.delete(holder);
      this.#hold(request, undefined);
      holder(reason, undefined, () => undefined);
    }
  }

  #ask(holder: Callback | undefined): void {
    const request: Request = { holder, isInherited: false };
    this.#hold(request, holder);
    this.#lender.connect((error, client, done) => {
      this.#free.delete(request);
      if (client === undefined) this.#refuse(request, error, done);
      else this.#give(request, client, done);
    });
  }

  #hold(request: Request, holder: Callback | undefined): void {
    request.holder = holder;
    // Whoever is in the map keeps his place in it.
    if (holder === undefined) this.#free.add(request);
    else this.#waiting.set(holder, request);
  }

  #refuse({ holder, isInherited }: Request, error: Error | undefined, done: Done): void {
    if (holder === undefined) return;
    const [free] = this.#free;
    if (free !== undefined) {
      this.#free.delete(free);
      this.#inherit(free, holder);
    } else if (isInherited) {
      this.#ask(holder);
    } else {
      this.#waiting.delete(holder);
      holder(addressed(error), undefined, done);
    }
  }

  #inherit(request: Request, holder: Callback | undefined): void {
    request.isInherited = true;
    this.#hold(request, holder);
  }

  #give({ holder }: Request, client: PoolClient, done: Done): void {
    if (this.#lender.isStale(client)) {
      discard(client, done);
      if (holder !== undefined) this.#ask(holder);
      return;
    }
    this.#handOn(client, done, holder);
  }

  /**
   * To whoever has waited longest, else back into the pool.
   * @param heir who it was asked for: he waits for what the other one waited for
   */
  #handOn(client: PoolClient, done: Done, heir?: Callback): void {
    const [oldest] = this.#waiting;
    if (oldest === undefined) {
      done();
      return;
    }
    const [first, request] = oldest;
    this.#waiting.delete(first);
    if (first !== heir) this.#inherit(request, heir);
    const release: Done = (error) => {
      if (error !== undefined && error !== false) done(error);
      else if (this.#lender.isStale(client)) discard(client, done);
      else this.#giveBack(done);
    };
    client.release = release;
    first(undefined, client, release);
  }

  #giveBack(done: Done): void {
    done();
    const { idleCount, waitingCount } = this.#lender;
    // What pg-pool has promised to nobody is for who waits for a login.
    if (this.#waiting.size > 0 && idleCount() > waitingCount()) this.#ask(undefined);
  }
}

/** Takes a client out of its pool for good, without waiting for a server that does not answer. */
function discard(client: Client, done: Done): void {
  done(true);
  setTimeout(() => cut(client), farewellMs).unref();
}

/** pg-pool's own word for a connect that took too long says nothing of where; its cause does. */
function addressed(error: Error | undefined): Error | undefined {
  return error?.cause instanceof ConnectError ? error.cause : error;
}
