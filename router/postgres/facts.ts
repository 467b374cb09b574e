/** What one look at a member's Postgres says. LSNs are byte positions, ages are in seconds. */
import type { Lsn } from "../../kit/lsn.ts";

export interface Sender {
  /** The standby's application_name: by convention the member's name. */
  readonly name: string;
  readonly address: string | null;
  readonly state: string | null;
  readonly syncState: string | null;
  /** When it last said how far it is, by its own clock; ms since the epoch. */
  readonly repliedAtMs: number | null;
}

export interface Slot {
  readonly name: string;
  readonly type: "physical" | "logical";
  readonly active: boolean;
  readonly temporary: boolean;
  /** PostgreSQL 17: a copy of the primary's logical slot, inactive by design. */
  readonly synced: boolean;
  readonly restartLsn: Lsn | null;
  /** reserved, extended, unreserved or lost; null where the slot holds nothing. */
  readonly walStatus: string | null;
  readonly retainedBytes: number | null;
}

export interface PostgresFacts {
  readonly version: string;
  /** server_version_num: 150018 is 15.18. */
  readonly versionNumber: number;
  readonly role: "primary" | "standby";
  /** default_transaction_read_only is on. */
  readonly readOnly: boolean;
  /** A running primary whose data directory holds standby.signal; null where that is not known. */
  readonly armed: boolean | null;
  /** Who signed its standby.signal, standby or not; null where nobody did or it is not known. */
  readonly signature: string | null;
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** Primary: where the timelines before its own ended; null where that is not known or empty. */
  readonly history: readonly { readonly timeline: number; readonly endLsn: Lsn }[] | null;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Its clock at the look; ms since the epoch. */
  readonly clockMs: number;
  readonly writeLsn: Lsn | null;
  readonly receiveLsn: Lsn | null;
  readonly replayLsn: Lsn | null;
  readonly replayPaused: boolean;
  /** Age of the last replayed commit while there is something left to replay, else 0. */
  readonly replayLagMs: number | null;
  readonly receiver: {
    readonly status: string | null;
    readonly senderHost: string | null;
    readonly senderPort: number | null;
    readonly slot: string | null;
  } | null;
  readonly senders: readonly Sender[];
  readonly slots: readonly Slot[];
  /** The settings of `settingNames`, in the unit of pg_settings. */
  readonly settings: Readonly<Record<string, string>>;
  readonly pendingRestart: readonly string[];
  /** For whom ALTER ROLE or ALTER DATABASE turns synchronous_commit off. */
  readonly laxRoles: readonly string[];
  readonly archiver: {
    readonly failedCount: number;
    readonly lastFailedAt: string | null;
    readonly lastFailedWal: string | null;
    readonly lastArchivedAt: string | null;
  };
  readonly sessions: number;
  readonly preparedTransactions: number;
  readonly oldestPreparedS: number | null;
  readonly oldestTransactionS: number | null;
  readonly checksumFailures: number;
  readonly xidAge: number;
  /** Cluster managers that are seen at work: patroni, repmgr, pg_auto_failover. */
  readonly managers: readonly string[];
  /** Type of the file system under the data directory; null where that is not known. */
  readonly dataFileSystem: string | null;
}

/** The settings that are read. */
export const settingNames = [
  "archive_command",
  "archive_library",
  "archive_mode",
  "data_checksums",
  "data_directory",
  "default_transaction_read_only",
  "fsync",
  "full_page_writes",
  "max_connections",
  "max_locks_per_transaction",
  "max_prepared_transactions",
  "max_wal_senders",
  "max_worker_processes",
  "primary_slot_name",
  "recovery_min_apply_delay",
  "reserved_connections",
  "superuser_reserved_connections",
  "synchronous_commit",
  "synchronous_standby_names",
  "wal_level",
  "wal_log_hints",
  "wal_receiver_status_interval",
  "wal_segment_size",
] as const;
