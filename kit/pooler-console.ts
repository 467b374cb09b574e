/**
 * Reads PgBouncer's admin console: which tables are asked for in which order, and what their rows
 * mean. Columns by name, because versions add some; values may be text or numbers. PgBouncer
 * manual, "Admin console"; what is read here is in 1.18 to 1.24.
 */
import type { Address } from "./address.ts";
import type { PgRow, PgTarget } from "./pg-connection.ts";

/** The name of the database that is the console itself. */
export const consoleDatabase = "pgbouncer";

/** Who may use a console. */
export interface ConsoleLogin {
  readonly user: string;
  readonly password: { readonly reveal: () => string };
}

/** How the console of the PgBouncer at `address` is reached; `title` is for messages. */
export function consoleTarget(
  title: string,
  address: Address,
  login: ConsoleLogin,
  applicationName: string,
): PgTarget {
  return {
    title,
    ...address,
    user: login.user,
    password: () => login.password.reveal(),
    database: consoleDatabase,
    tls: { mode: "disable" },
    applicationName,
  };
}

const tables = ["version", "state", "databases", "pools", "lists", "config"] as const;
export type ConsoleTable = (typeof tables)[number];

/** SQLSTATE protocol_violation: what the console says to a command that it does not have. */
const protocolViolation = "08P01";

/**
 * Asks for the given tables, one after the other: the console takes one statement at a time. A
 * STATE that this PgBouncer does not have (before 1.19) is no rows; it is not asked for where the
 * version is, since PgBouncer logs what it does not know.
 */
export async function showTables<T extends ConsoleTable>(
  ask: (text: string) => Promise<readonly PgRow[]>,
  wanted: readonly T[],
): Promise<Readonly<Record<T, readonly PgRow[]>>> {
  const shown: Partial<Record<ConsoleTable, readonly PgRow[]>> = {};
  for (const table of tables.filter((one) => wanted.some((other) => other === one))) {
    if (table === "state" && isBeforeState(readVersion(shown.version ?? []))) {
      shown.state = [];
      continue;
    }
    const rows = ask(`SHOW ${table.toUpperCase()}`);
    shown[table] = await (table === "state" ? rows.catch(noneWhereUnknown) : rows);
  }
  return shown as Record<T, readonly PgRow[]>;
}

function isBeforeState(version: string): boolean {
  const minor = /^1\.([0-9]+)/.exec(version)?.[1];
  return minor !== undefined && Number(minor) < 19;
}

function noneWhereUnknown(error: unknown): readonly PgRow[] {
  if ((error as { sqlState?: unknown }).sqlState === protocolViolation) return [];
  throw error;
}

export interface PoolerDatabase {
  readonly name: string;
  readonly host: string | null;
  readonly port: number;
  readonly paused: boolean;
  readonly disabled: boolean;
}

export interface PoolerPool {
  readonly database: string;
  readonly user: string;
  readonly clientsActive: number;
  readonly clientsWaiting: number;
  readonly servers: number;
  /** For how long the first client in the queue has waited. */
  readonly maxWaitMs: number;
  readonly mode: string;
}

/** Of the whole PgBouncer; unknown where it has no SHOW STATE. */
export type PoolerWorkState = "active" | "paused" | "suspended" | "unknown";

/** SHOW VERSION: such as 1.18.0; empty when there is no row. */
export function readVersion(rows: readonly PgRow[]): string {
  return text(rows[0]?.["version"]).replace(/^PgBouncer /, "");
}

/** SHOW STATE. */
export function readState(rows: readonly PgRow[]): PoolerWorkState {
  if (rows.length === 0) return "unknown";
  const has = (key: string): boolean =>
    rows.some((row) => row["key"] === key && isOn(row["value"]));
  if (has("suspended")) return "suspended";
  return has("paused") ? "paused" : "active";
}

/** SHOW DATABASES; the console's own is left out. */
export function readDatabases(rows: readonly PgRow[]): PoolerDatabase[] {
  return rows
    .map((row) => ({
      name: text(row["name"]),
      host: text(row["host"]) === "" ? null : text(row["host"]),
      port: count(row["port"]),
      paused: isOn(row["paused"]),
      disabled: isOn(row["disabled"]),
    }))
    .filter((one) => one.name !== consoleDatabase);
}

const serverColumns = ["sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login"] as const;

/** SHOW POOLS; the console's own is left out. */
export function readPools(rows: readonly PgRow[]): PoolerPool[] {
  return rows
    .map((row) => ({
      database: text(row["database"]),
      user: text(row["user"]),
      clientsActive: count(row["cl_active"]),
      clientsWaiting: count(row["cl_waiting"]),
      servers: serverColumns.reduce((sum, name) => sum + count(row[name]), 0),
      maxWaitMs: count(row["maxwait"]) * 1000 + Math.round(count(row["maxwait_us"]) / 1000),
      mode: text(row["pool_mode"]),
    }))
    .filter((one) => one.database !== consoleDatabase);
}

/** SHOW POOLS: server connections in a transaction or a session, by database; only those with any. */
export function readBusy(rows: readonly PgRow[]): { database: string; servers: number }[] {
  const counts = new Map<string, number>();
  for (const row of rows) {
    const [database, servers] = [text(row["database"]), count(row["sv_active"])];
    if (servers === 0 || database === consoleDatabase) continue;
    counts.set(database, (counts.get(database) ?? 0) + servers);
  }
  return [...counts].map(([database, servers]) => ({ database, servers }));
}

/** SHOW DATABASES and SHOW CONFIG: how each database is pooled, by name. */
export function readPoolModes(
  databases: readonly PgRow[],
  config: readonly PgRow[],
): Record<string, string> {
  const usual = text(config.find((row) => row["key"] === "pool_mode")?.["value"]);
  const rows = databases.filter((row) => row["name"] !== consoleDatabase);
  return Object.fromEntries(
    rows.map((row) => [text(row["name"]), text(row["pool_mode"]) || usual]),
  );
}

/** SHOW LISTS: how many clients are connected; 0 when it does not say. */
export function readClientCount(rows: readonly PgRow[]): number {
  return count(rows.find((row) => row["list"] === "used_clients")?.["items"]);
}

/** SHOW CONFIG: max_client_conn; 0 when it does not say. */
export function readClientLimit(rows: readonly PgRow[]): number {
  return count(rows.find((row) => row["key"] === "max_client_conn")?.["value"]);
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function count(value: unknown): number {
  return Number(value ?? 0);
}

/** The console writes truths as 1, yes or true, whichever the table and the version. */
function isOn(value: unknown): boolean {
  return ["1", "yes", "true"].includes(String(value));
}
