/**
 * An app with a pool, and what it goes through while the primary changes: workers that insert ids of
 * their own through `pool.query`, never the same twice, and a witness on one member that tells from
 * when on it takes writes.
 */
import { Client } from "pg";
import type { Address } from "../../kit/address.ts";
import { systemClock } from "../../kit/clock.ts";
import { Tally } from "../../lab/tally.ts";
import type { WorkloadReport } from "../../lab/tally.ts";
import type { LabLogin } from "../../lab/connect.ts";

/** What of a pool the app uses: ours and pg's own alike. */
export interface AppPool {
  query(text: string, values: unknown[]): Promise<{ rows: unknown[] }>;
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
  /** By the address of the Postgres that answered: when its first answer came. Monotonic, in ms. */
  readonly firstFrom: Map<string, number>;
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

  /** When each worker had its first answer from `host` since the last `forget`; undefined for none. */
  firstFrom(host: string): (number | undefined)[] {
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
        const { rows } = await pool.query(text, [id]);
        const [{ node } = { node: "" }] = rows as { node: string }[];
        this.#tally.acknowledged(worker, id, node);
        const firsts = this.#times[worker]?.firstFrom;
        if (firsts?.has(node) === false) firsts.set(node, systemClock.monotonic());
        await pause(Math.max(0, 1000 / rate - (systemClock.monotonic() - began)));
      } catch (error) {
        this.#tally.statementFailed(id, error);
        await pause(retryPauseMs);
      }
    }
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
