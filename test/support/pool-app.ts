/**
 * An app with a pool, and what it goes through while the primary changes: workers that insert ids of
 * their own, each over a client that it takes and gives back, never the same id twice, and a witness on
 * one member that tells from when on it takes writes.
 */
import { Client } from "pg";
import type { Address } from "../../kit/address.ts";
import { systemClock } from "../../kit/clock.ts";
import { Tally } from "../../lab/tally.ts";
import type { WorkloadReport } from "../../lab/tally.ts";
import type { LabLogin } from "../../lab/connect.ts";

/** What of a pool the app uses: ours and pg's own alike. */
export interface AppPool {
  connect(): Promise<AppClient>;
}

interface AppClient {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>;
  release(error?: Error | boolean): void;
}

/** The first insert of a worker that one server answered. Monotonic, in ms. */
export interface FirstAnswer {
  /** When the worker had a client for it. */
  readonly clientAt: number;
  readonly answeredAt: number;
}

export interface PoolAppRequest {
  readonly pool: AppPool;
  /** A plain table with a bigint `id`, and no unique index: a row written twice must show. */
  readonly table: string;
  readonly workers: number;
  /** Inserts a second that each worker aims at. */
  readonly rate: number;
}

/** What one worker went through. */
interface WorkerTimes {
  /** By the address of the Postgres that answered. */
  readonly firstFrom: Map<string, FirstAnswer>;
}

const retryPauseMs = 1;

export class PoolApp {
  readonly #request: PoolAppRequest;
  readonly #tally: Tally;
  readonly #stopping = new AbortController();
  readonly #times: WorkerTimes[];
  readonly #workers: readonly Promise<void>[];
  #nextId = 1;

  constructor(request: PoolAppRequest) {
    this.#request = request;
    this.#tally = new Tally(systemClock, request.workers);
    this.#times = Array.from({ length: request.workers }, () => ({ firstFrom: new Map() }));
    this.#workers = this.#times.map((_, worker) => this.#work(worker));
  }

  report(): WorkloadReport {
    return this.#tally.report();
  }

  /** Each worker's first answer from `host` since the last `forget`; undefined for none. */
  firstFrom(host: string): (FirstAnswer | undefined)[] {
    return this.#times.map(({ firstFrom }) => firstFrom.get(host));
  }

  /** Forgets who had answered, before another change of primary. */
  forget(): void {
    for (const { firstFrom } of this.#times) firstFrom.clear();
  }

  /** Lets every statement under way end, and reports. */
  async stop(): Promise<WorkloadReport> {
    this.#stopping.abort();
    await Promise.all(this.#workers);
    return this.#tally.report();
  }

  async #work(worker: number): Promise<void> {
    const { signal } = this.#stopping;
    const { pool, table, rate } = this.#request;
    const text = `INSERT INTO ${table} VALUES ($1) RETURNING host(inet_server_addr()) AS node`;
    const pause = (ms: number): Promise<void> =>
      systemClock.sleep(ms, signal).catch(() => undefined);
    while (!signal.aborted) {
      const id = this.#nextId;
      this.#nextId += 1;
      const began = systemClock.monotonic();
      try {
        const client = await pool.connect();
        const clientAt = systemClock.monotonic();
        const node = await insert(client, text, id);
        this.#tally.acknowledged(worker, id, node);
        const firsts = this.#times[worker]?.firstFrom;
        const answeredAt = systemClock.monotonic();
        if (firsts?.has(node) === false) firsts.set(node, { clientAt, answeredAt });
        await pause(Math.max(0, 1000 / rate - (systemClock.monotonic() - began)));
      } catch (error) {
        this.#tally.statementFailed(id, error);
        await pause(retryPauseMs);
      }
    }
  }
}

/** As pool.query: a client that failed is not used again. */
async function insert(client: AppClient, text: string, id: number): Promise<string> {
  try {
    const { rows } = await client.query(text, [id]);
    client.release();
    const [{ node } = { node: "" }] = rows as { node: string }[];
    return node;
  } catch (error) {
    client.release(error as Error);
    throw error;
  }
}

/**
 * Writes to `address` over one connection all the time, until a write is accepted.
 * @param table with a bigint `id`; the member's own
 * @returns when the first accepted write was sent: monotonic, in ms
 */
export async function firstWrite(
  address: Address,
  login: LabLogin,
  table: string,
  signal: AbortSignal,
): Promise<number> {
  const client = new Client({ ...login, ...address });
  client.on("error", () => undefined);
  await client.connect();
  try {
    for (;;) {
      const sent = systemClock.monotonic();
      try {
        await client.query(`INSERT INTO ${table} VALUES (0)`);
        return sent;
      } catch (error) {
        if ((error as { code?: string }).code !== "25006") throw error;
      }
      await systemClock.sleep(1, signal);
    }
  } finally {
    await client.end();
  }
}
