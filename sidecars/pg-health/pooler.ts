/**
 * Watches the node pooler: over its admin console where a login is declared (PgBouncer 1.18 and
 * newer), else by opening a TCP connection. Only three failures in a row make it dead; a pooler
 * that answers anything, be it that it is full or knows no such user, lives.
 */
import { connect } from "node:net";
import { withDeadline } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Secret } from "../../config/secret.ts";
import { ConnectionError, isDeadline, openConnection } from "./connection.ts";
import type { Connection, Row, Target } from "./connection.ts";
import type { HealthStatus } from "./contract.ts";

export interface PoolerOptions {
  readonly address: { readonly host: string; readonly port: number };
  readonly admin: { readonly user: string; readonly password: Secret } | undefined;
  readonly intervalMs: number;
  readonly deadlineMs: number;
  readonly clock: Clock;
  readonly onChange: () => void;
}

export type PoolerState = HealthStatus["pooler"];

/** That many failures in a row make a pooler dead: one may be a reload, two a restart. */
const failuresUntilDead = 3;

export class PoolerWatch {
  readonly #options: PoolerOptions;
  readonly #ended = new AbortController();
  #console: Connection | undefined;
  #failures = 0;
  #state: PoolerState = { state: "unknown", detail: "not asked yet" };

  constructor(options: PoolerOptions) {
    this.#options = options;
  }

  get state(): PoolerState {
    return this.#state;
  }

  /** Asks until stop() is called. */
  async start(): Promise<void> {
    const { clock, intervalMs, onChange } = this.#options;
    while (!this.#ended.signal.aborted) {
      this.#state = await this.#look();
      onChange();
      await clock.sleep(intervalMs, this.#ended.signal).catch(() => undefined);
    }
  }

  stop(): void {
    this.#ended.abort(new Error("pg-health is stopping"));
    this.#drop();
  }

  async #look(): Promise<PoolerState> {
    try {
      const state = await this.#ask();
      this.#failures = 0;
      return state;
    } catch (error) {
      this.#drop();
      const { message } = error as Error;
      if (!isNoAnswer(error)) {
        this.#failures = 0;
        return { state: isFull(message) ? "full" : "unknown", detail: message };
      }
      this.#failures += 1;
      if (this.#failures >= failuresUntilDead) return { state: "dead", detail: message };
      return { ...this.#state, detail: `${this.#failures} of ${failuresUntilDead}: ${message}` };
    }
  }

  async #ask(): Promise<PoolerState> {
    const { address, admin, deadlineMs } = this.#options;
    const signal = this.#ended.signal;
    if (admin === undefined) {
      const what = `connect to the pooler ${address.host}:${address.port}`;
      await withDeadline(what, deadlineMs, (inTime) => opens(address, inTime), signal);
      return { state: "ok", detail: "its port takes connections" };
    }
    this.#console ??= await openConnection(consoleTarget(address, admin), {
      deadlineMs,
      signal,
      onLost: () => this.#drop(),
    });
    const connection = this.#console;
    const what = `ask the console of the pooler ${address.host}:${address.port}`;
    const look = async (): Promise<PoolerState> => stateOf(await show(connection));
    return await withDeadline(what, deadlineMs, look, signal);
  }

  #drop(): void {
    this.#console?.close();
    this.#console = undefined;
  }
}

function consoleTarget(
  address: PoolerOptions["address"],
  admin: NonNullable<PoolerOptions["admin"]>,
): Target {
  const { host, port } = address;
  const { user, password } = admin;
  return {
    kind: "PgBouncer",
    host,
    port,
    user,
    password,
    database: "pgbouncer",
    tls: { mode: "disable" },
    settings: {},
  };
}

/** True when nothing came back; any answer, an error too, shows that the pooler lives. */
function isNoAnswer(error: unknown): boolean {
  if (error instanceof ConnectionError)
    return error.fault === "refused" || error.fault === "silent";
  return isDeadline(error);
}

/** PgBouncer's words for max_client_conn; it gives them the SQLSTATE of a protocol violation. */
function isFull(message: string): boolean {
  return message.includes("no more connections allowed");
}

/** What the console shows. PgBouncer manual, "Admin console". */
export interface PoolerView {
  readonly databases: readonly Row[];
  readonly pools: readonly Row[];
  readonly lists: readonly Row[];
  readonly config: readonly Row[];
}

async function show(connection: Connection): Promise<PoolerView> {
  // One after the other: the console takes one statement at a time.
  const databases = await connection.query("SHOW DATABASES");
  const pools = await connection.query("SHOW POOLS");
  const lists = await connection.query("SHOW LISTS");
  const config = await connection.query("SHOW CONFIG");
  return { databases, pools, lists, config };
}

/** Clients that wait for a server for so long are no moment's crowd, in seconds. */
const waitSecondsMax = 1;

/** Judges what the console shows; columns by name, because versions add some. */
export function stateOf(view: PoolerView): PoolerState {
  const databases = view.databases.filter((row) => row["name"] !== "pgbouncer");
  const paused = databases.filter((row) => row["paused"] === "1").map((row) => row["name"]);
  if (paused.length > 0) return { state: "paused", detail: `paused: ${paused.join(", ")}` };
  const clients = numberOf(view.lists.find((row) => row["list"] === "used_clients")?.["items"]);
  const most = numberOf(view.config.find((row) => row["key"] === "max_client_conn")?.["value"]);
  if (most > 0 && clients >= most) {
    return { state: "full", detail: `${clients} clients, max_client_conn is ${most}` };
  }
  const waiting = view.pools
    .filter((row) => numberOf(row["maxwait"]) >= waitSecondsMax)
    .map((row) => `${row["database"]} (${row["cl_waiting"]} for ${row["maxwait"]} s)`);
  if (waiting.length > 0) {
    return { state: "full", detail: `clients wait for a server: ${waiting.join(", ")}` };
  }
  return { state: "ok", detail: `${clients} clients` };
}

function numberOf(text: string | null | undefined): number {
  return Number(text ?? 0);
}

function opens(address: { host: string; port: number }, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host: address.host, port: address.port });
  const settle = (done: () => void): void => {
    signal.removeEventListener("abort", onAbort);
    socket.destroy();
    done();
  };
  const onAbort = (): void => settle(() => reject(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  socket.on("connect", () => settle(resolve));
  socket.on("error", (error) =>
    settle(() =>
      reject(new ConnectionError(`PgBouncer ${address.host}:${address.port}`, "refused", error)),
    ),
  );
  return promise;
}
