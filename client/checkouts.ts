/**
 * Who gets which client of a pool: nobody one that is stale, and whoever waits for a connection of his
 * own gets one that comes free before it is there. After a flip the first login serves all who wait,
 * and the others follow behind.
 */
import type { PoolClient as PgPoolClient } from "pg";
import { ConnectError } from "./errors.ts";
import type { Client } from "./pg-client.ts";

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
  /** A client that is about to be handed out: where it is connected may be news. */
  met(client: Client): void;
  isStale(client: Client): boolean;
}

interface Waiting {
  readonly callback: Callback;
  /** How many of pg-pool's answers are still to come. */
  asked: number;
  isServed: boolean;
}

/** How long a farewell may take: a dead server never answers it. */
const farewellMs = 1000;

export class Checkouts {
  readonly #lender: Lender;
  readonly #waiting = new Set<Waiting>();

  constructor(lender: Lender) {
    this.#lender = lender;
  }

  /** Hands out a client, as pg-pool does. */
  take(callback: Callback): void {
    const waiting: Waiting = { callback, asked: 0, isServed: false };
    this.#waiting.add(waiting);
    this.#ask(waiting);
  }

  /** Takes each idle client out of the pool, and puts back those that are good. */
  dropIdle(): void {
    // Who waits already gets an idle one first, and is given another.
    const { ending, idleCount, waitingCount } = this.#lender;
    const count = ending() ? 0 : idleCount() - waitingCount();
    for (let taken = 0; taken < count; taken += 1) {
      this.#lender.connect((_error, client, done) => {
        if (client === undefined) return;
        if (this.#lender.isStale(client)) discard(client, done);
        else this.#giveBack(done);
      });
    }
  }

  #ask(waiting: Waiting): void {
    waiting.asked += 1;
    this.#lender.connect((error, client, done) => {
      waiting.asked -= 1;
      if (client === undefined) this.#refuse(waiting, error, done);
      else this.#give(waiting, client, done);
    });
  }

  #refuse(waiting: Waiting, error: Error | undefined, done: Done): void {
    if (waiting.isServed || waiting.asked > 0) return;
    waiting.isServed = true;
    this.#waiting.delete(waiting);
    waiting.callback(addressed(error), undefined, done);
  }

  #give(waiting: Waiting, client: PoolClient, done: Done): void {
    this.#lender.met(client);
    if (this.#lender.isStale(client)) {
      discard(client, done);
      if (!waiting.isServed && waiting.asked === 0) this.#ask(waiting);
      return;
    }
    if (waiting.isServed) {
      this.#giveBack(done);
      return;
    }
    waiting.isServed = true;
    this.#waiting.delete(waiting);
    const release: Done = (error) => {
      if (error !== undefined && error !== false) done(error);
      else if (this.#lender.isStale(client)) discard(client, done);
      else this.#giveBack(done);
    };
    client.release = release;
    waiting.callback(undefined, client, release);
  }

  #giveBack(done: Done): void {
    done();
    const { idleCount, waitingCount } = this.#lender;
    if (this.#waiting.size === 0 || idleCount() <= waitingCount()) return;
    // One that has been asked for twice has an idle one coming.
    const next = [...this.#waiting].find(({ asked }) => asked === 1);
    if (next !== undefined) this.#ask(next);
  }
}

/** Takes a client out of its pool for good, without waiting for a server that does not answer. */
function discard(client: Client, done: Done): void {
  done(true);
  setTimeout(() => cut(client), farewellMs).unref();
}

/** Ends a connection at once, whatever it does. */
export function cut(client: Client): void {
  client.connection.stream.destroy();
}

/** pg-pool's own word for a connect that took too long says nothing of where; its cause does. */
function addressed(error: Error | undefined): Error | undefined {
  return error?.cause instanceof ConnectError ? error.cause : error;
}
