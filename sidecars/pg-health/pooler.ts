/**
 * Watches the node pooler: over its admin console where a login is declared (PgBouncer 1.18 and
 * newer), else by opening a TCP connection. Only three failures in a row make it dead; a pooler
 * that answers anything, be it that it is full or knows no such user, lives.
 */
import type { Secret } from "../../config/secret.ts";
import { formatAddress } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import { withDeadline } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";
import { knock, KnockError } from "../../kit/knock.ts";
import { PgConnectionError } from "../../kit/pg-connection.ts";
import type { PgRow } from "../../kit/pg-connection.ts";
import {
  consoleDatabase,
  readClientCount,
  readClientLimit,
  readDatabases,
  readPools,
  showTables,
} from "../../kit/pooler-console.ts";
import { isDeadline, openConnection } from "./connection.ts";
import type { Connection, Target } from "./connection.ts";
import type { HealthStatus } from "./contract.ts";

export interface PoolerOptions {
  readonly address: Address;
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
      const what = `connect to the pooler ${formatAddress(address)}`;
      await knock(address, { what, deadlineMs, signal });
      return { state: "ok", detail: "its port takes connections" };
    }
    this.#console ??= await openConnection(consoleTarget(address, admin), {
      deadlineMs,
      signal,
      onLost: () => this.#drop(),
    });
    const connection = this.#console;
    const what = `ask the console of the pooler ${formatAddress(address)}`;
    const look = async (): Promise<PoolerState> =>
      stateOf(await showTables(connection.query, viewTables));
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
    database: consoleDatabase,
    tls: { mode: "disable" },
    settings: {},
  };
}

/** True when nothing came back; any answer, an error too, shows that the pooler lives. */
function isNoAnswer(error: unknown): boolean {
  if (error instanceof PgConnectionError)
    return error.fault === "refused" || error.fault === "silent";
  return error instanceof KnockError || isDeadline(error);
}

/** PgBouncer's words for max_client_conn; it gives them the SQLSTATE of a protocol violation. */
function isFull(message: string): boolean {
  return message.includes("no more connections allowed");
}

/** The tables of the console that tell how the pooler is. */
const viewTables = ["databases", "pools", "lists", "config"] as const;

/** What the console shows. */
export type PoolerView = Readonly<Record<(typeof viewTables)[number], readonly PgRow[]>>;

/** Clients that wait for a server for so long are no moment's crowd. */
const waitMsMax = 1000;

/** Judges what the console shows. */
export function stateOf(view: PoolerView): PoolerState {
  const paused = readDatabases(view.databases).filter((one) => one.paused);
  if (paused.length > 0) {
    return { state: "paused", detail: `paused: ${paused.map((one) => one.name).join(", ")}` };
  }
  const clients = readClientCount(view.lists);
  const most = readClientLimit(view.config);
  if (most > 0 && clients >= most) {
    return { state: "full", detail: `${clients} clients, max_client_conn is ${most}` };
  }
  const waiting = readPools(view.pools)
    .filter((one) => one.maxWaitMs >= waitMsMax)
    .map((one) => {
      const seconds = Math.floor(one.maxWaitMs / 1000);
      return `${one.database} (${one.clientsWaiting} for ${seconds} s)`;
    });
  if (waiting.length > 0) {
    return { state: "full", detail: `clients wait for a server: ${waiting.join(", ")}` };
  }
  return { state: "ok", detail: `${clients} clients` };
}
