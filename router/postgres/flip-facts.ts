/**
 * What a flip wants to know of a member's Postgres beyond what topology reads: one statement and
 * the reading of its answer. Rows of system views come as JSON, so that one text fits every major
 * version. PostgreSQL manual, chapters 9.27, 28.2 and 54.
 */
import type { PgRow } from "../../kit/pg-connection.ts";

/** A client's session, not a tool's of ours. */
export interface Backend {
  readonly pid: number;
  readonly user: string;
  readonly database: string;
  readonly application: string;
  readonly address: string;
}

/** A session in a transaction. */
export interface Transaction extends Backend {
  /** Such as active or idle in transaction. */
  readonly state: string;
  readonly ageMs: number;
  /** Since its state changed. */
  readonly idleMs: number;
}

export interface WalSender {
  readonly pid: number;
  readonly application: string;
  readonly address: string;
  /** Such as streaming or backup. */
  readonly state: string;
  readonly slot: string | null;
  readonly logical: boolean;
  /** Up to where its receiver has flushed; null where it does not say that. */
  readonly flushLsn: string | null;
}

export interface LogicalSlot {
  readonly name: string;
  readonly database: string;
  /** PostgreSQL 17: to be copied to standbys; this is such a copy. */
  readonly failover: boolean;
  readonly synced: boolean;
  readonly temporary: boolean;
}

export interface FlipPostgres {
  readonly superuser: boolean;
  /** In the unit of pg_settings; one that the version does not have is absent. */
  readonly settings: Readonly<Record<string, string>>;
  /** When the statement ran; ms since the epoch by the member's clock. */
  readonly clockMs: number;
  /** Primary: its end of WAL; standby: what it has replayed. */
  readonly lsn: string | null;
  readonly transactions: readonly Transaction[];
  readonly prepared: readonly { readonly gid: string; readonly ageMs: number }[];
  /** Sessions that hold advisory locks. */
  readonly lockHolders: readonly Backend[];
  readonly senders: readonly WalSender[];
  readonly logicalSlots: readonly LogicalSlot[];
  readonly slots: readonly string[];
  /** Null where the login may not look. */
  readonly archiveReady: number | null;
  readonly archiveFailures: number;
  readonly archiveLastFailedWal: string | null;
  /** ms since the epoch; null when never. */
  readonly archivedAtMs: number | null;
  readonly archiveFailedAtMs: number | null;
  /** Sum of all databases; bytes. */
  readonly dataBytes: number;
  readonly startedAtMs: number;
  readonly canPrewarm: boolean;
  readonly backends: readonly Backend[];
  /** How the primary would be reached by this member; holds no password where it is well made. */
  readonly primaryConninfo: string;
  readonly restoreCommand: string;
}

const settingNames = [
  "max_replication_slots",
  "max_wal_senders",
  "recovery_target",
  "recovery_target_lsn",
  "recovery_target_name",
  "recovery_target_time",
  "recovery_target_xid",
  "shared_buffers",
  "sync_replication_slots",
  "wal_sender_shutdown_timeout",
  "wal_sender_timeout",
] as const;

/** Sessions of these names are ours: probes, tools, the lock. */
const oursPattern = "switchyard%";
const other = "a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()";
const client = `${other} AND a.application_name NOT LIKE '${oursPattern}'`;
const locks = `EXISTS (SELECT FROM pg_locks l
      WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.granted)`;
const who = `'pid', a.pid, 'user', a.usename, 'database', a.datname,
  'application', a.application_name, 'address', host(a.client_addr)`;
const ms = (interval: string): string => `(extract(epoch FROM ${interval}) * 1000)::float8`;
const list = (row: string, from: string): string =>
  `(SELECT coalesce(jsonb_agg(${row}), '[]') FROM ${from})`;
const backends = list(`jsonb_build_object(${who})`, `pg_stat_activity a WHERE ${client}`);

const columns = {
  superuser: "current_setting('is_superuser') = 'on'",
  settings: `(SELECT jsonb_object_agg(name, setting) FROM pg_settings
    WHERE name = ANY ('{${settingNames.join(",")}}'))`,
  clock_ms: ms("clock_timestamp()"),
  lsn: `(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
    ELSE pg_current_wal_lsn() END)::text`,
  transactions: list(
    `jsonb_build_object(${who}, 'state', a.state,
      'age', ${ms("clock_timestamp() - a.xact_start")},
      'idle', ${ms("clock_timestamp() - a.state_change")}) ORDER BY a.xact_start`,
    `pg_stat_activity a WHERE ${client} AND a.xact_start IS NOT NULL`,
  ),
  prepared: list(
    `jsonb_build_object('gid', gid, 'age', ${ms("clock_timestamp() - prepared")}) ORDER BY prepared`,
    "pg_prepared_xacts",
  ),
  lock_holders: list(
    `jsonb_build_object(${who}) ORDER BY a.pid`,
    `pg_stat_activity a WHERE ${client} AND ${locks}`,
  ),
  senders: list(
    `to_jsonb(r) || jsonb_build_object('slot', s.slot_name, 'slot_type', s.slot_type)`,
    "pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid",
  ),
  slots: list("to_jsonb(s)", "pg_replication_slots s"),
  archiver: `(SELECT jsonb_build_object('failed', failed_count, 'wal', last_failed_wal,
    'at', ${ms("last_archived_time")}, 'failed_at', ${ms("last_failed_time")}) FROM pg_stat_archiver)`,
  data_bytes: "(SELECT sum(pg_database_size(oid)) FROM pg_database)::float8",
  started_ms: ms("pg_postmaster_start_time()"),
  prewarm: "EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_prewarm')",
  backends,
};

/** For the superuser alone, or those it has granted them to. */
const privileged = {
  archive_ready: `(SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')::int`,
  primary_conninfo: "current_setting('primary_conninfo')",
  restore_command: "current_setting('restore_command')",
};

function select(parts: Readonly<Record<string, string>>): string {
  const all = Object.entries(parts).map(([name, words]) => `${words} AS ${name}`);
  return `SELECT ${all.join(",\n  ")}`;
}

/** Everything; answers with one row for parseFlipFacts. */
export const flipStatement = select({ ...columns, ...privileged });
/** The same for a login that is no superuser. */
export const flipStatementUnprivileged = select({
  ...columns,
  archive_ready: "NULL::int",
  primary_conninfo: "''",
  restore_command: "''",
});
/** The sessions alone, for a second look; answers with one row for parseBackends. */
export const backendsStatement = `SELECT ${backends} AS backends`;

type Json = Readonly<Record<string, unknown>>;

/** Reads the row that flipStatement answers with. */
export function parseFlipFacts(row: PgRow): FlipPostgres {
  const archiver = (row["archiver"] ?? {}) as Json;
  const slots = rowsOf(row["slots"]);
  return {
    superuser: row["superuser"] === true,
    settings: (row["settings"] ?? {}) as Readonly<Record<string, string>>,
    clockMs: Number(row["clock_ms"]),
    lsn: textOrNull(row["lsn"]),
    transactions: rowsOf(row["transactions"]).map((one) => ({
      ...parseBackend(one),
      state: text(one["state"]),
      ageMs: Number(one["age"] ?? 0),
      idleMs: Number(one["idle"] ?? 0),
    })),
    prepared: rowsOf(row["prepared"]).map((one) => ({
      gid: text(one["gid"]),
      ageMs: Number(one["age"] ?? 0),
    })),
    lockHolders: rowsOf(row["lock_holders"]).map(parseBackend),
    senders: rowsOf(row["senders"]).map(parseSender),
    logicalSlots: slots.filter((one) => one["slot_type"] === "logical").map(parseLogicalSlot),
    slots: slots.map((one) => text(one["slot_name"])),
    archiveReady: numberOrNull(row["archive_ready"]),
    archiveFailures: Number(archiver["failed"] ?? 0),
    archiveLastFailedWal: textOrNull(archiver["wal"]),
    archivedAtMs: numberOrNull(archiver["at"]),
    archiveFailedAtMs: numberOrNull(archiver["failed_at"]),
    dataBytes: Number(row["data_bytes"] ?? 0),
    startedAtMs: Number(row["started_ms"]),
    canPrewarm: row["prewarm"] === true,
    backends: parseBackends(row),
    primaryConninfo: text(row["primary_conninfo"]),
    restoreCommand: text(row["restore_command"]),
  };
}

/** Reads the row that backendsStatement answers with. */
export function parseBackends(row: PgRow): Backend[] {
  return rowsOf(row["backends"]).map(parseBackend);
}

function parseBackend(row: Json): Backend {
  return {
    pid: Number(row["pid"]),
    user: text(row["user"]),
    database: text(row["database"]),
    application: text(row["application"]),
    address: textOrNull(row["address"]) ?? "its own host",
  };
}

function parseSender(row: Json): WalSender {
  return {
    pid: Number(row["pid"]),
    application: text(row["application_name"]),
    address: textOrNull(row["client_addr"]) ?? "its own host",
    state: text(row["state"]),
    slot: textOrNull(row["slot"]),
    logical: row["slot_type"] === "logical",
    flushLsn: textOrNull(row["flush_lsn"]),
  };
}

function parseLogicalSlot(row: Json): LogicalSlot {
  return {
    name: text(row["slot_name"]),
    database: text(row["database"]),
    failover: row["failover"] === true,
    synced: row["synced"] === true,
    temporary: row["temporary"] === true,
  };
}

function rowsOf(value: unknown): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function numberOrNull(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}
