/**
 * What one probe asks of Postgres and what its answer says. One statement, one round trip; it
 * needs no privilege (pg_stat_wal_receiver shows its positions to pg_monitor and superusers only,
 * and the lag is then counted from what was received).
 */
import { parseLsn } from "../../kit/lsn.ts";
import type { Lsn } from "../../kit/lsn.ts";

export interface Sample {
  readonly role: "primary" | "standby";
  readonly readOnly: boolean;
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** When the postmaster started; ISO 8601 with microseconds, so that it names one start. */
  readonly startedAt: string;
  readonly writeLsn: Lsn | null;
  readonly receiveLsn: Lsn | null;
  readonly replayLsn: Lsn | null;
  /** Standby: the furthest position that its upstream has told it of. */
  readonly upstreamLsn: Lsn | null;
  /** Standby: true while a WAL receiver runs. */
  readonly streaming: boolean | null;
  /** Standby: milliseconds since the WAL receiver's last message; null where this login may not see it. */
  readonly receiverSilentMs: number | null;
  /** wal_receiver_timeout in milliseconds; 0: none. */
  readonly receiverTimeoutMs: number;
  /** Standby: milliseconds since the last replayed commit was made. */
  readonly replayedAgeMs: number | null;
}

/** A sample and when it was asked for and answered (monotonic milliseconds). */
export interface TimedSample {
  readonly sample: Sample;
  readonly askedAt: number;
  readonly answeredAt: number;
}

/**
 * How the probe stands with Postgres, as far as it has been told. lost: the connection is, and the
 * one attempt at another has not ended yet, which tells whether Postgres is gone too.
 */
export interface Link {
  readonly state: "connecting" | "up" | "lost" | "full" | "silent" | "denied" | "down";
  readonly reason: string;
}

const iso = (value: string): string =>
  `to_char(${value} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/**
 * The probe. The role is read once (MATERIALIZED), because a promotion may happen in between. A
 * primary's timeline is that of its next WAL file: the control file keeps the old one until the
 * first checkpoint after a promotion. PostgreSQL manual, 9.27 "System Administration Functions".
 */
export const probeSql = `
WITH state AS MATERIALIZED (SELECT pg_is_in_recovery() AS standby)
SELECT state.standby::text AS standby,
  current_setting('default_transaction_read_only') AS read_only,
  (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
  CASE WHEN state.standby THEN greatest(
      (SELECT timeline_id FROM pg_control_checkpoint()),
      (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
      receiver.received_tli)
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
  END::text AS timeline,
  ${iso("pg_postmaster_start_time()")} AS started_at,
  CASE WHEN NOT state.standby THEN pg_current_wal_lsn()::text END AS write_lsn,
  CASE WHEN state.standby THEN pg_last_wal_receive_lsn()::text END AS receive_lsn,
  CASE WHEN state.standby THEN pg_last_wal_replay_lsn()::text END AS replay_lsn,
  receiver.latest_end_lsn::text AS upstream_lsn,
  (receiver.pid IS NOT NULL)::text AS streaming,
  (extract(epoch FROM clock_timestamp() - receiver.last_msg_receipt_time) * 1000)::bigint::text
    AS receiver_silent_ms,
  (extract(epoch FROM current_setting('wal_receiver_timeout')::interval) * 1000)::bigint::text
    AS receiver_timeout_ms,
  CASE WHEN state.standby THEN
    (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint::text
  END AS replayed_age_ms
FROM state LEFT JOIN pg_stat_wal_receiver AS receiver ON true`;

/** Whether this login may ask when the timeline began. */
export const promotionPrivilegeSql = `SELECT has_function_privilege('pg_catalog.pg_ls_waldir()', 'execute')::text AS granted`;

/**
 * When a timeline began: the node that was promoted wrote the timeline's history file then. No row
 * where there is no such file (a primary that never was a standby).
 */
export function promotionSql(timeline: number): string {
  const file = `${timeline.toString(16).toUpperCase().padStart(8, "0")}.history`;
  return `SELECT ${iso("modification")} AS promoted_at FROM pg_ls_waldir() WHERE name = '${file}'`;
}

/** The probe's answer is not what the statement asks for. */
export class SampleError extends Error {
  override readonly name = "SampleError";
  readonly code = "ERR_SAMPLE";
}

/**
 * Reads the probe's one row (values as text).
 * @throws SampleError when a value is missing or is not what it should be
 */
export function readSample(row: Readonly<Record<string, string | null>> | undefined): Sample {
  const text = (name: string): string => {
    const value = row?.[name];
    if (typeof value === "string") return value;
    throw new SampleError(`the probe's answer has no ${name}`);
  };
  const lsn = (name: string): Lsn | null => {
    const value = row?.[name] ?? null;
    return value === null ? null : parseLsn(value);
  };
  const standby = text("standby") === "true";
  const timeline = Number(text("timeline"));
  if (!Number.isInteger(timeline)) {
    throw new SampleError(`the probe's answer has timeline ${JSON.stringify(text("timeline"))}`);
  }
  const age = (name: string): number | null => {
    const value = row?.[name] ?? null;
    return value === null ? null : Math.max(0, Number(value));
  };
  return {
    role: standby ? "standby" : "primary",
    readOnly: text("read_only") === "on",
    systemIdentifier: text("system_identifier"),
    timeline,
    startedAt: text("started_at"),
    writeLsn: lsn("write_lsn"),
    receiveLsn: lsn("receive_lsn"),
    replayLsn: lsn("replay_lsn"),
    upstreamLsn: lsn("upstream_lsn"),
    streaming: standby ? text("streaming") === "true" : null,
    receiverSilentMs: age("receiver_silent_ms"),
    receiverTimeoutMs: Number(text("receiver_timeout_ms")),
    replayedAgeMs: age("replayed_age_ms"),
  };
}
