/**
 * An app: some connections, each inserting ids of its own at a steady rate, each in a transaction
 * of its own, never twice the same id. It remembers which ids were acknowledged, so that they can
 * be looked for afterwards.
 */
import { Socket } from "node:net";
import { Client } from "pg";
import type { Address } from "../kit/address.ts";
import { systemClock } from "../kit/clock.ts";
import type { Clock } from "../kit/clock.ts";
import type { LabLogin } from "./connect.ts";
import { withClient } from "./connect.ts";
import { Tally } from "./tally.ts";
import type { WorkloadReport } from "./tally.ts";

export interface WorkloadRequest {
  /** Where the app connects, such as the write address of a router. */
  readonly address: Address;
  readonly login: LabLogin;
  /** The table it makes and fills; a plain SQL name. */
  readonly table: string;
  /** 1 to 64. */
  readonly connections: number;
  /** Inserts a second that each connection aims at. */
  readonly rate: number;
  /** How long a connection may take; longer than a router's queue. Default 30 s. */
  readonly connectDeadlineMs?: number;
  /** How long a statement may take. Default 30 s. */
  readonly statementDeadlineMs?: number;
  readonly clock?: Clock;
}

const defaultDeadlineMs = 30_000;
const reconnectPauseMs = 20;
/** Ids are kept in memory: an hour at 1,000 inserts a second, and no more. */
const mostIds = 3_600_000;

/** A running app. */
export class Workload {
  readonly #request: WorkloadRequest;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  readonly #sockets = new Set<Socket>();
  readonly #tally: Tally;
  readonly #workers: readonly Promise<void>[];
  #nextId = 1;

  private constructor(request: WorkloadRequest) {
    this.#request = request;
    this.#clock = request.clock ?? systemClock;
    this.#tally = new Tally(this.#clock, request.connections);
    this.#workers = Array.from({ length: request.connections }, (_, worker) => this.#work(worker));
  }

  /** Makes the table and starts inserting. */
  static async start(request: WorkloadRequest): Promise<Workload> {
    if (!/^[a-z_][a-z0-9_]{0,62}$/.test(request.table)) {
      throw new TypeError(`not a plain table name: ${JSON.stringify(request.table)}`);
    }
    if (!(request.connections >= 1 && request.connections <= 64)) {
      throw new RangeError(`connections: expected 1 to 64, got ${request.connections}`);
    }
    await withClient(request.address, request.login, defaultDeadlineMs, (client) =>
      // No unique index: a row that was written twice must show, not be refused.
      client.query(`CREATE TABLE IF NOT EXISTS ${request.table} (id bigint NOT NULL)`),
    );
    return new Workload(request);
  }

  /** What has happened so far. */
  report(): WorkloadReport {
    return this.#tally.report();
  }

  /** Lets every statement under way end (or its deadline pass), and reports. */
  async stop(): Promise<WorkloadReport> {
    this.#stopping.abort();
    await Promise.all(this.#workers);
    return this.#tally.report();
  }

  /** Ends at once: connections are cut off. For cleaning up after a failure. */
  async abandon(): Promise<void> {
    this.#stopping.abort();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#workers);
  }

  async #work(worker: number): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted && this.#nextId < mostIds) {
      const connection = await this.#connect();
      if (connection === undefined) {
        await this.#clock.sleep(reconnectPauseMs, signal).catch(() => undefined);
        continue;
      }
      try {
        await this.#insertUntilBroken(worker, connection.client);
      } finally {
        connection.socket.destroy();
        this.#sockets.delete(connection.socket);
      }
    }
  }

  async #connect(): Promise<{ client: Client; socket: Socket } | undefined> {
    const { address, login, connectDeadlineMs, statementDeadlineMs } = this.#request;
    const socket = new Socket();
    const client = new Client({
      ...login,
      ...address,
      stream: () => socket,
      connectionTimeoutMillis: connectDeadlineMs ?? defaultDeadlineMs,
      query_timeout: statementDeadlineMs ?? defaultDeadlineMs,
    });
    // A connection that is lost shows itself in the next statement.
    client.on("error", () => undefined);
    this.#sockets.add(socket);
    try {
      await client.connect();
      return { client, socket };
    } catch (error) {
      this.#tally.connectFailed(error);
      socket.destroy();
      this.#sockets.delete(socket);
      return undefined;
    }
  }

  async #insertUntilBroken(worker: number, client: Client): Promise<void> {
    const { signal } = this.#stopping;
    const { table, rate } = this.#request;
    const text = `INSERT INTO ${table} VALUES ($1) RETURNING host(inet_server_addr()) AS node`;
    let due = this.#clock.monotonic();
    while (!signal.aborted && this.#nextId < mostIds) {
      const id = this.#nextId;
      this.#nextId += 1;
      try {
        const { rows } = await client.query<{ node: string }>(text, [id]);
        this.#tally.acknowledged(worker, id, rows[0]?.node ?? "");
      } catch (error) {
        this.#tally.statementFailed(id, error);
        return;
      }
      // Lost time is not made up for: a burst after a stall would hide how long it took.
      const now = this.#clock.monotonic();
      due = Math.max(due + 1000 / rate, now);
      await this.#clock.sleep(due - now, signal).catch(() => undefined);
    }
  }
}

export interface Verification {
  /** Acknowledged ids that the node has. */
  readonly found: number;
  readonly missing: readonly number[];
  /** Ids that stand in the table more than once. */
  readonly doubled: readonly number[];
  /** Ids whose statement failed and that were committed all the same. */
  readonly committedThoughFailed: number;
}

/** Reads the table on one node and compares it with what was acknowledged. */
export async function verifyWorkload(
  address: Address,
  login: LabLogin,
  table: string,
  report: WorkloadReport,
): Promise<Verification> {
  const counts = await withClient(address, login, defaultDeadlineMs, async (client) => {
    const { rows } = await client.query<{ id: string; copies: number }>(
      `SELECT id, count(*)::int AS copies FROM ${table} GROUP BY id`,
    );
    return new Map(rows.map((row) => [Number(row.id), row.copies]));
  });
  const missing = report.acknowledgedIds.filter((id) => !counts.has(id));
  return {
    found: report.acknowledgedIds.length - missing.length,
    missing,
    doubled: [...counts].flatMap(([id, copies]) => (copies > 1 ? [id] : [])),
    committedThoughFailed: report.failedIds.filter((id) => counts.has(id)).length,
  };
}
