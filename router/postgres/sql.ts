/**
 * The one statement that says everything topology wants to know of a member, and the reading of
 * its answer. System views come as JSON rows, so that one text fits every major version: a column
 * that a version lacks is absent there. PostgreSQL manual, chapters 9.27, 28.2 and 54.
 */
import { parseLsn } from "../../kit/lsn.ts";
import { settingNames } from "./facts.ts";
import type { PostgresFacts, Sender, Slot } from "./facts.ts";

const inRecovery = "pg_is_in_recovery()";
const currentLsn = `CASE WHEN ${inRecovery}
    THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
    ELSE pg_current_wal_lsn() END`;
/** The first eight digits of a WAL file's name are its timeline; it is right before a checkpoint. */
const ownTimeline = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";

/**
 * SQL for the timeline that a standby replays; it takes EXECUTE on pg_stat_file. The control file
 * learns of a new one only at the next restartpoint and the receiver is gone once the primary is, but
 * the WAL that was replayed last lies in a file that is named after the timeline. Flips can follow
 * each other faster than restartpoints, so a few timelines past the known one are looked for.
 */
export const replayTimelineSql = `(SELECT coalesce(max(c.timeline), k.timeline)::int
    FROM (SELECT greatest((SELECT timeline_id FROM pg_control_checkpoint()),
        (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
        (SELECT received_tli FROM pg_stat_wal_receiver)) AS timeline) k
    LEFT JOIN LATERAL (SELECT t AS timeline
      FROM (SELECT pg_size_bytes(current_setting('wal_segment_size')) AS size) s,
        LATERAL (SELECT trunc((pg_last_wal_replay_lsn() - '0/0'::pg_lsn - 1) / s.size)::bigint AS number) n,
        generate_series(k.timeline, k.timeline + 16) t
      WHERE NOT EXISTS (SELECT FROM pg_stat_wal_receiver)
        AND (pg_stat_file('pg_wal/' || upper(lpad(to_hex(t), 8, '0') ||
          lpad(to_hex(n.number / (4294967296 / s.size)), 8, '0') ||
          lpad(to_hex(n.number % (4294967296 / s.size)), 8, '0')), true)).size IS NOT NULL
    ) c ON true GROUP BY k.timeline)`;

/** Columns that need the superuser, or EXECUTE granted on pg_stat_file and pg_read_file. */
const privileged = {
  armed: "(pg_stat_file('standby.signal', true)).size IS NOT NULL",
  signature:
    "substring(pg_read_file('standby.signal', 0, 256, true) from '^switchyard (.+?)\\s*$')",
  mounts: "pg_read_file('/proc/self/mountinfo', 0, 262144, true)",
  history: `CASE WHEN NOT ${inRecovery}
    THEN pg_read_file('pg_wal/' || ${ownTimeline} || '.history', 0, 262144, true) END`,
  timeline: `CASE WHEN ${inRecovery} THEN ${replayTimelineSql}
    ELSE ('x' || ${ownTimeline})::bit(32)::int END`,
};

/** An archive_command may carry keys to a store: it is enough to know that there is one. */
const columns = {
  version_number: "current_setting('server_version_num')::int",
  version: "split_part(current_setting('server_version'), ' ', 1)",
  in_recovery: inRecovery,
  system_identifier: "(SELECT system_identifier::text FROM pg_control_system())",
  timeline: `CASE WHEN ${inRecovery} THEN greatest(
      (SELECT timeline_id FROM pg_control_checkpoint()),
      (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
      (SELECT received_tli FROM pg_stat_wal_receiver))
    ELSE ('x' || ${ownTimeline})::bit(32)::int END`,
  started_at: "to_json(pg_postmaster_start_time())",
  clock_ms: "(extract(epoch FROM clock_timestamp()) * 1000)::float8",
  write_lsn: `CASE WHEN NOT ${inRecovery} THEN pg_current_wal_lsn()::text END`,
  receive_lsn: `CASE WHEN ${inRecovery} THEN pg_last_wal_receive_lsn()::text END`,
  replay_lsn: `CASE WHEN ${inRecovery} THEN pg_last_wal_replay_lsn()::text END`,
  replay_paused: `CASE WHEN ${inRecovery} THEN pg_is_wal_replay_paused() ELSE false END`,
  replay_lag_ms: `CASE WHEN ${inRecovery} THEN
      CASE WHEN pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() THEN 0 ELSE
      round(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000) END
    END::float8`,
  receiver: "(SELECT to_jsonb(r) - 'conninfo' FROM pg_stat_wal_receiver r)",
  senders: `(SELECT coalesce(jsonb_agg(to_jsonb(s) || jsonb_build_object('replied_at_ms',
      extract(epoch FROM s.reply_time) * 1000)), '[]') FROM pg_stat_replication s)`,
  slots: `(SELECT coalesce(jsonb_agg(to_jsonb(s) || jsonb_build_object('retained',
      pg_wal_lsn_diff(${currentLsn}, s.restart_lsn))), '[]') FROM pg_replication_slots s)`,
  settings: `(SELECT jsonb_object_agg(name, CASE
      WHEN name = 'archive_command' AND setting <> '' THEN '(set)' ELSE setting END) FROM pg_settings
    WHERE name = ANY ('{${settingNames.join(",")}}'))`,
  pending_restart: `(SELECT coalesce(jsonb_agg(name), '[]') FROM pg_settings WHERE pending_restart)`,
  lax_roles: `(SELECT coalesce(jsonb_agg(coalesce(r.rolname, 'every role') || ' in ' ||
      coalesce(d.datname, 'every database')), '[]')
    FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS c (entry)
    LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase
    WHERE c.entry IN ('synchronous_commit=off', 'synchronous_commit=false'))`,
  archiver: "(SELECT to_jsonb(a) FROM pg_stat_archiver a)",
  sessions: `(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::int`,
  prepared: "(SELECT count(*) FROM pg_prepared_xacts)::int",
  prepared_age_s: `(SELECT extract(epoch FROM clock_timestamp() - min(prepared))
    FROM pg_prepared_xacts)::float8`,
  transaction_age_s: `(SELECT extract(epoch FROM clock_timestamp() - min(xact_start))
    FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid())::float8`,
  checksum_failures: "(SELECT coalesce(sum(checksum_failures), 0) FROM pg_stat_database)::float8",
  xid_age: "(SELECT max(age(datfrozenxid)) FROM pg_database)::int",
  managers: `(SELECT coalesce(jsonb_agg(DISTINCT m), '[]') FROM (
      SELECT CASE WHEN application_name ILIKE 'patroni%' THEN 'patroni'
        WHEN application_name ILIKE 'repmgrd%' THEN 'repmgr'
        WHEN usename = 'pgautofailover_monitor' OR application_name ILIKE 'pgautofailover%'
          THEN 'pg_auto_failover' END AS m FROM pg_stat_activity
      UNION ALL SELECT 'pg_auto_failover' FROM pg_replication_slots
        WHERE slot_name LIKE 'pgautofailover%' AND active) AS signs WHERE m IS NOT NULL)`,
};

function select(parts: Readonly<Record<string, string>>): string {
  const list = Object.entries(parts).map(([name, text]) => `${text} AS ${name}`);
  return `SELECT ${list.join(",\n  ")}`;
}

/** Everything, for a login that may look at files of the data directory. */
export const observeStatement = select({ ...columns, ...privileged });
/** The same for a login with pg_monitor alone: files of the data directory stay unknown. */
export const observeStatementUnprivileged = select({
  ...columns,
  armed: "NULL::boolean",
  signature: "NULL::text",
  mounts: "NULL::text",
  history: "NULL::text",
});

/** The timeline history of a primary, as its file has it; null where it has none. */
export const historyStatement = select({ history: privileged.history });

type Json = Readonly<Record<string, unknown>>;

/** Reads the row that observeStatement answers with. */
export function parseFacts(row: Json): PostgresFacts {
  const settings = (row["settings"] ?? {}) as Readonly<Record<string, string>>;
  return {
    version: String(row["version"]),
    versionNumber: Number(row["version_number"]),
    role: row["in_recovery"] === true ? "standby" : "primary",
    readOnly: settings["default_transaction_read_only"] === "on",
    armed: row["armed"] === null ? null : row["armed"] === true && row["in_recovery"] !== true,
    signature: textOrNull(row["signature"]),
    systemIdentifier: String(row["system_identifier"]),
    timeline: Number(row["timeline"]),
    history: parseHistory(textOrNull(row["history"])),
    startedAt: new Date(String(row["started_at"])).toISOString(),
    clockMs: Number(row["clock_ms"]),
    writeLsn: lsnOrNull(row["write_lsn"]),
    receiveLsn: lsnOrNull(row["receive_lsn"]),
    replayLsn: lsnOrNull(row["replay_lsn"]),
    replayPaused: row["replay_paused"] === true,
    replayLagMs: numberOrNull(row["replay_lag_ms"]),
    receiver: parseReceiver(row["receiver"] as Json | null),
    senders: (row["senders"] as readonly Json[]).map(parseSender),
    slots: (row["slots"] as readonly Json[]).map(parseSlot),
    settings,
    pendingRestart: row["pending_restart"] as readonly string[],
    laxRoles: row["lax_roles"] as readonly string[],
    archiver: parseArchiver(row["archiver"] as Json),
    sessions: Number(row["sessions"]),
    preparedTransactions: Number(row["prepared"]),
    oldestPreparedS: numberOrNull(row["prepared_age_s"]),
    oldestTransactionS: numberOrNull(row["transaction_age_s"]),
    checksumFailures: Number(row["checksum_failures"]),
    xidAge: Number(row["xid_age"]),
    managers: row["managers"] as readonly string[],
    dataFileSystem: fileSystemOf(settings["data_directory"], textOrNull(row["mounts"])),
  };
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function numberOrNull(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}

function lsnOrNull(value: unknown): bigint | null {
  return typeof value === "string" ? parseLsn(value) : null;
}

function parseReceiver(row: Json | null): PostgresFacts["receiver"] {
  if (row === null) return null;
  return {
    status: textOrNull(row["status"]),
    senderHost: textOrNull(row["sender_host"]),
    senderPort: numberOrNull(row["sender_port"]),
    slot: textOrNull(row["slot_name"]),
  };
}

function parseSender(row: Json): Sender {
  return {
    name: textOrNull(row["application_name"]) ?? "",
    address: textOrNull(row["client_addr"]),
    state: textOrNull(row["state"]),
    syncState: textOrNull(row["sync_state"]),
    repliedAtMs: numberOrNull(row["replied_at_ms"]),
  };
}

function parseSlot(row: Json): Slot {
  return {
    name: String(row["slot_name"]),
    type: row["slot_type"] === "logical" ? "logical" : "physical",
    active: row["active"] === true,
    temporary: row["temporary"] === true,
    synced: row["synced"] === true,
    restartLsn: lsnOrNull(row["restart_lsn"]),
    walStatus: textOrNull(row["wal_status"]),
    retainedBytes: numberOrNull(row["retained"]),
  };
}

function parseArchiver(row: Json): PostgresFacts["archiver"] {
  return {
    failedCount: Number(row["failed_count"]),
    lastFailedAt: textOrNull(row["last_failed_time"]),
    lastFailedWal: textOrNull(row["last_failed_wal"]),
    lastArchivedAt: textOrNull(row["last_archived_time"]),
  };
}

/**
 * Reads a timeline history file: where each earlier timeline ended.
 * PostgreSQL manual, 26.3.6 "Timelines". Null where the file was not readable or does not exist.
 */
export function parseHistory(content: string | null): PostgresFacts["history"] {
  if (content === null) return null;
  return content.split("\n").flatMap((line) => {
    const match = /^\s*([0-9]+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(line);
    if (match === null) return [];
    return [{ timeline: Number(match[1]), endLsn: parseLsn(match[2] ?? "") }];
  });
}

/**
 * The type of the file system that holds `folder`, by /proc/self/mountinfo as proc(5) describes
 * it; null where that cannot be told.
 */
export function fileSystemOf(folder: string | undefined, mountinfo: string | null): string | null {
  if (folder === undefined || mountinfo === null) return null;
  let best = { point: "", type: null as string | null };
  for (const line of mountinfo.split("\n")) {
    const [front = "", back = ""] = line.split(" - ");
    const point = (front.split(" ")[4] ?? "").replaceAll(String.raw`\040`, " ");
    const holds = point === "/" || folder === point || folder.startsWith(`${point}/`);
    // A later mount at the same point hides an earlier one.
    if (point === "" || !holds || point.length < best.point.length) continue;
    best = { point, type: back.split(" ")[0] ?? null };
  }
  return best.type;
}
