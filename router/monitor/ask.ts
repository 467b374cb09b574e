/**
 * Speaks to the monitor of pg_auto_failover: SQL in its own database, as pg_autoctl does. It is only
 * ever asked; what it makes of its nodes is its own affair.
 */
import { readFile } from "node:fs/promises";
import { escapeLiteral } from "pg";
import type { MonitorKeys } from "../../config/schema.ts";
import { withDeadline } from "../../kit/clock.ts";
import { openPgConnection } from "../../kit/pg-connection.ts";
import type { PgConnection, PgRow, PgTarget } from "../../kit/pg-connection.ts";
import { withPgSession } from "../../kit/pg-session.ts";
import type { MonitorNode } from "./nodes.ts";
import { nodesStatement, readNodes } from "./rows.ts";

/** The monitor did not do what it was asked for; the message has its own words. */
export class MonitorRefusedError extends Error {
  override readonly name = "MonitorRefusedError";
  readonly code = "ERR_MONITOR_REFUSED";
  constructor(tried: string, said: string, cause?: unknown) {
    super(`ask the monitor to ${tried}: ${said}`, { cause });
  }
}

/** An order waits for whatever else the monitor does with this group just now. */
const orderMs = 4000;

async function monitorTarget(keys: MonitorKeys): Promise<PgTarget> {
  const { address, user, password, database, tls, tlsCa } = keys;
  const ca = tlsCa === undefined ? undefined : await readFile(tlsCa, "utf8");
  return {
    title: "the monitor",
    ...address,
    user,
    password: () => password.reveal(),
    database,
    tls: { mode: tls, ...(ca === undefined ? {} : { ca }) },
    applicationName: "switchyard",
    values: "text",
  };
}

/**
 * The nodes of the cluster, over a session of its own.
 * @throws PgSessionError, DeadlineError, the signal's reason
 */
export async function askMonitor(
  keys: MonitorKeys,
  options: { readonly deadlineMs: number; readonly signal: AbortSignal },
): Promise<MonitorNode[]> {
  const target = await monitorTarget(keys);
  return readNodes(await withPgSession(target, options, (ask) => ask(nodesStatement(keys))));
}

/** A way to the monitor that is kept open: between hold and release nothing is opened. */
export class MonitorChannel {
  readonly #keys: MonitorKeys;
  readonly #deadlineMs: number;
  #connection: PgConnection | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(keys: MonitorKeys, deadlineMs: number) {
    this.#keys = keys;
    this.#deadlineMs = deadlineMs;
  }

  /** The nodes now. @throws PgConnectionError, DeadlineError, the signal's reason */
  async nodes(signal: AbortSignal): Promise<MonitorNode[]> {
    return readNodes(await this.#ask(nodesStatement(this.#keys), signal));
  }

  /**
   * Asks it to give writes to `name`. That may take effect although this fails.
   * @throws MonitorRefusedError, PgConnectionError, DeadlineError, the signal's reason
   */
  async promote(name: string, signal: AbortSignal): Promise<void> {
    const formation = escapeLiteral(this.#keys.formation);
    const call = `pgautofailover.perform_promotion(${formation}, ${escapeLiteral(name)})`;
    const [row] = await this.#order(`promote ${name}`, `SELECT ${call} AS begun`, signal);
    if (row?.["begun"] === "f") {
      throw new MonitorRefusedError(`promote ${name}`, "it says that nothing was to be done");
    }
  }

  /** Asks it to give writes to a standby of its choice. @throws as promote */
  async failover(signal: AbortSignal): Promise<void> {
    const { formation, group } = this.#keys;
    const call = `pgautofailover.perform_failover(${escapeLiteral(formation)}, ${group})`;
    await this.#order("fail over", `SELECT ${call}`, signal);
  }

  close(): void {
    this.#connection?.cut();
    this.#connection = undefined;
  }

  async #order(tried: string, statement: string, signal: AbortSignal): Promise<readonly PgRow[]> {
    try {
      return await this.#ask(statement, signal, orderMs);
    } catch (error) {
      signal.throwIfAborted();
      const { sqlState, message } = error as { sqlState?: string } & Error;
      if (sqlState === undefined) throw error;
      throw new MonitorRefusedError(tried, message, error);
    }
  }

  /** One question at a time; one that is not answered in time costs the connection. */
  async #ask(
    statement: string,
    signal: AbortSignal,
    deadlineMs = this.#deadlineMs,
  ): Promise<readonly PgRow[]> {
    const before = this.#last;
    const turn = Promise.withResolvers<void>();
    this.#last = turn.promise;
    try {
      await before;
      return await withDeadline(
        "the monitor",
        deadlineMs,
        async (inner) => {
          this.#connection ??= await this.#open(inner);
          return await this.#connection.query(statement);
        },
        signal,
      );
    } catch (error) {
      // A statement that the server refused leaves the connection as it was.
      if ((error as { sqlState?: string }).sqlState === undefined) this.close();
      throw error;
    } finally {
      turn.resolve();
    }
  }

  async #open(signal: AbortSignal): Promise<PgConnection> {
    const target = await monitorTarget(this.#keys);
    const connection: PgConnection = await openPgConnection(target, {
      deadlineMs: this.#deadlineMs,
      signal,
      onLost: () => {
        if (this.#connection === connection) this.#connection = undefined;
      },
    });
    return connection;
  }
}
