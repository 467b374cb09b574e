/**
 * Reads PgBouncer's admin console: which tables are asked for in which order, and what their rows
 * mean. Columns by name, because versions add some; values may be text or numbers. PgBouncer
 * manual, "Admin console"; what is read here is in 1.18 to 1.24.
 */
import type { PgRow } from "./pg-connection.ts";

/** The name of the database that is the console itself. */
export const consoleDatabase = "pgbouncer";

const tables = ["version", "state", "databases", "pools", "lists", "config"] as const;
export type ConsoleTable = (typeof tables)[number];

/** SQLSTATE protocol_violation: what the console says to a command that it does not have. */
const protocolViolation = "08P01";

/**
 * Asks for the given tables, one after the other: the console takes one statement at a time. A
 * STATE that this PgBouncer does not have (before 1.19) is no rows.
 */
export async function showTables<T extends ConsoleTable>(
  ask: (text: string) => Promise<readonly PgRow[]>,
  wanted: readonly T[],
): Promise<Readonly<Record<T, readonly PgRow[]>>> {
  const shown: Partial<Record<ConsoleTable, readonly PgRow[]>> = {};
  for (const table of tables.filter((one) => wanted.some((other) => other === one))) {
    const rows = ask(`SHOW ${table.toUpperCase()}`);
    shown[table] = await (table === "state" ? rows.catch(noneWhereUnknown) : rows);
  }
  return shown as Record<T, readonly PgRow[]>;
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
