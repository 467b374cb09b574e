/**
 * Watches the node pooler: over its admin console where a login is declared (PgBouncer 1.18 and
 * newer), else by opening a TCP connection. Only three failures in a row make it dead; a pooler
 * that answers anything, be it that it is full or knows no such user, lives.
 */
import { connect } from "node:net";
import { withDeadline } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";
import type { Secret } from "../../config/secret.ts";
import { ConnectionError, openConnection } from "./connection.ts";
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
      if (lives(error)) {
        this.#failures = 0;
        const { message, fault } = error;
        const full = fault === "full" || isFull(message);
        return { state: full ? "full" : "unknown", detail: message };
      }
      this.#failures += 1;
      const { message } = error as Error;
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
    const console = this.#console;
    const what = `SHOW DATABASES on the pooler ${address.host}:${address.port}`;
    const rows = await withDeadline(
      what,
      deadlineMs,
      () => console.query("SHOW DATABASES"),
      signal,
    );
    return stateOf(rows);
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

/** The pooler answered, though it did not do as asked. */
function lives(error: unknown): error is ConnectionError {
  if (!(error instanceof ConnectionError)) return false;
  return error.fault === "full" || error.fault === "denied" || error.fault === "failed";
}

/** PgBouncer's words for max_client_conn; it gives them the SQLSTATE of a protocol violation. */
function isFull(message: string): boolean {
  return message.includes("no more connections allowed");
}

/** Reads SHOW DATABASES; columns by name, because versions add some. */
export function stateOf(rows: readonly Row[]): PoolerState {
  const databases = rows.filter((row) => row["name"] !== "pgbouncer");
  const paused = databases.filter((row) => row["paused"] === "1").map((row) => row["name"] ?? "");
  if (paused.length > 0) return { state: "paused", detail: `paused: ${paused.join(", ")}` };
  const full = databases.filter((row) => isAtLimit(row)).map((row) => row["name"] ?? "");
  if (full.length > 0) return { state: "full", detail: `at its limit: ${full.join(", ")}` };
  return { state: "ok", detail: `${databases.length} databases` };
}

function isAtLimit(row: Row): boolean {
  const limit = Number(row["max_connections"] ?? 0);
  return limit > 0 && Number(row["current_connections"] ?? 0) >= limit;
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
  socket.on("error", (error) => settle(() => reject(error)));
  return promise;
}
