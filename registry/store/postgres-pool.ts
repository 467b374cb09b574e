/**
 * A few connections to one Postgres, opened when they are needed and kept. A connection that failed is
 * not used again; one that turns out to have died while nobody used it costs its user nothing.
 */
import { types } from "pg";
import { withDeadline } from "../../kit/clock.ts";
import { faultCode } from "../../kit/fault-words.ts";
import { openPgConnection, PgConnectionError } from "../../kit/pg-connection.ts";
import type { PgConnection, PgTarget } from "../../kit/pg-connection.ts";
import { createTurns } from "../../kit/turns.ts";

const connectDeadlineMs = 5000;
/** A connection to a server that has gone without a word is given up after this long. */
const idleDeadlineMs = 3000;
const connectionsMax = 6;
const waitingMax = 10_000;

/** Whether the connection is still good: the server said no, or the fault is none of the connection's. */
function lives(error: unknown): boolean {
  const { severity } = error as { severity?: unknown };
  if (severity === "FATAL" || severity === "PANIC") return false;
  if (error instanceof PgConnectionError) return error.fault === "failed";
  return severity !== undefined || faultCode(error).startsWith("ERR_");
}

async function rolledBack(connection: PgConnection): Promise<boolean> {
  return await connection.query("ROLLBACK").then(
    () => true,
    () => false,
  );
}

/** Connections to one target; none is open before it is needed. */
export class PgPool {
  readonly #target: PgTarget;
  readonly #turns = createTurns(connectionsMax, waitingMax);
  readonly #idle: PgConnection[] = [];
  readonly #open = new Set<PgConnection>();
  #isClosed = false;

  constructor(target: PgTarget) {
    this.#target = target;
  }

  /**
   * Runs `begin` on a connection, then `work` with it, which commits; rolls back when it rejects. The
   * connection is kept unless it failed itself.
   * @throws what the connection throws, TurnsError, or what `work` throws
   */
  async transaction<T>(begin: string, work: (one: PgConnection) => Promise<T>): Promise<T> {
    const done = await this.#turns.take();
    try {
      const connection = await this.#begun(begin);
      try {
        const result = await work(connection);
        this.#keep(connection);
        return result;
      } catch (error) {
        if (lives(error) && (await rolledBack(connection))) this.#keep(connection);
        else this.#drop(connection);
        throw error;
      }
    } finally {
      done();
    }
  }

  /** Ends every connection; whoever comes later is refused. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#open].map((connection) => connection.close()));
  }

  /** A connection on which `begin` was done; kept ones that died meanwhile are passed over. */
  async #begun(begin: string): Promise<PgConnection> {
    for (let kept = this.#idle.pop(); kept !== undefined; kept = this.#idle.pop()) {
      const one = kept;
      try {
        await withDeadline("an idle connection", idleDeadlineMs, () => one.query(begin));
        return one;
      } catch {
        this.#drop(one);
      }
    }
    const fresh = await this.#connect();
    try {
      await fresh.query(begin);
      return fresh;
    } catch (error) {
      this.#drop(fresh);
      throw error;
    }
  }

  async #connect(): Promise<PgConnection> {
    if (this.#isClosed) throw new Error("it is closed");
    const lost = new AbortController();
    const connection = await openPgConnection(this.#target, {
      deadlineMs: connectDeadlineMs,
      onLost: (error) => lost.abort(error),
    });
    connection.client.setTypeParser(types.builtins.INT8, Number);
    this.#open.add(connection);
    lost.signal.addEventListener("abort", () => this.#forget(connection), { once: true });
    return connection;
  }

  #keep(connection: PgConnection): void {
    if (this.#isClosed || !this.#open.has(connection)) this.#drop(connection);
    else this.#idle.push(connection);
  }

  #drop(connection: PgConnection): void {
    this.#forget(connection);
    connection.cut();
  }

  #forget(connection: PgConnection): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
  }
}
