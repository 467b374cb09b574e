/**
 * Who is connected through a PgBouncer, and its settings: SHOW CLIENTS, SERVERS and CONFIG of the
 * admin console, by column names. PgBouncer manual, "Admin console".
 */
import type { PgRow } from "../../kit/pg-connection.ts";
import { consoleDatabase } from "../../kit/pooler-console.ts";

export interface PoolerClient {
  /** Tells it from the others as long as it is connected. */
  readonly id: string;
  readonly user: string;
  readonly database: string;
  readonly address: string;
  /** As it calls itself; "" where it does not. */
  readonly application: string;
}

export interface PoolerServer {
  readonly database: string;
  /** Its own end of the connection, such as 10.0.1.1:49152. */
  readonly local: string;
  /** The process id of the backend, where the server is Postgres. */
  readonly backendPid: number;
}

/** SHOW CLIENTS; those of the console are left out. */
export function readClients(rows: readonly PgRow[]): PoolerClient[] {
  return ofDatabases(rows).map((row) => ({
    id: `${text(row["ptr"])} ${text(row["addr"])} ${text(row["port"])} ${text(row["connect_time"])}`,
    user: text(row["user"]),
    database: text(row["database"]),
    address: text(row["addr"]),
    application: text(row["application_name"]),
  }));
}

/** SHOW SERVERS. */
export function readServers(rows: readonly PgRow[]): PoolerServer[] {
  return ofDatabases(rows).map((row) => ({
    database: text(row["database"]),
    local: endpoint(text(row["local_addr"]), text(row["local_port"])),
    backendPid: Number(row["remote_pid"] ?? 0),
  }));
}

/** SHOW CONFIG, as names and values. */
export function readSettings(rows: readonly PgRow[]): Record<string, string> {
  return Object.fromEntries(rows.map((row) => [text(row["key"]), text(row["value"])]));
}

/** One way to write an address with a port, whoever wrote it: an IPv4 inside IPv6 is an IPv4. */
export function endpoint(address: string, port: string): string {
  return `${address.replace(/^::ffff:/i, "").replaceAll(/[[\]]/g, "")}:${port}`;
}

function ofDatabases(rows: readonly PgRow[]): readonly PgRow[] {
  return rows.filter((row) => row["database"] !== consoleDatabase);
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}
