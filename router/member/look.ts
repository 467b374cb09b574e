/**
 * What one statement says about a member during an operation, and the reading of its answer. It is
 * prepared once a session, because between hold and release clients wait for every look.
 */
import type { Member } from "../../config/schema.ts";
import { parseLsn } from "../../kit/lsn.ts";
import type { Lsn } from "../../kit/lsn.ts";
import type { PgRow } from "../../kit/pg-connection.ts";
import { openOperationSql } from "../postgres/journal.ts";
import type { PreparedStatement } from "../postgres/session.ts";
import { replayTimelineSql } from "../postgres/sql.ts";
import type { HostFacts } from "../postgres/control/contract.ts";
import { unknownMember } from "./seen.ts";
import type { MemberSeen } from "./seen.ts";

/** Why nothing is known of a host. */
export type HostFault = Pick<MemberSeen, "hostFault">;

const inRecovery = "pg_is_in_recovery()";

/**
 * A slot that reserves no WAL yet, or has lost it, would not keep what its standby needs: it counts
 * as none.
 */
const columns = {
  standby: inRecovery,
  read_only: "current_setting('default_transaction_read_only')",
  timeline: `CASE WHEN ${inRecovery} THEN ${replayTimelineSql}
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END`,
  identifier: "(SELECT system_identifier FROM pg_control_system())",
  written: `CASE WHEN NOT ${inRecovery} THEN pg_current_wal_lsn() END`,
  replayed: `CASE WHEN ${inRecovery} THEN pg_last_wal_replay_lsn() END`,
  received: `CASE WHEN ${inRecovery} THEN pg_last_wal_receive_lsn() END`,
  receiver: "r.status",
  sender_host: "r.sender_host",
  sender_port: "r.sender_port",
  synchronous: "current_setting('synchronous_standby_names')",
  slots: `(SELECT string_agg(s.slot_name, ',') FROM pg_get_replication_slots() s
    WHERE s.slot_type = 'physical' AND s.restart_lsn IS NOT NULL AND s.wal_status <> 'lost')`,
  has_journal: "to_regclass('switchyard.operation_record') IS NOT NULL",
};

function statement(name: string, extra: Readonly<Record<string, string>>): PreparedStatement {
  const list = Object.entries({ ...columns, ...extra }).map(([as, text]) => `${text} AS ${as}`);
  const from = "FROM (VALUES (1)) one (one) LEFT JOIN pg_stat_wal_receiver r ON true";
  return { name, text: `AS SELECT ${list.join(", ")} ${from}` };
}

/** Two statements: a member without the cluster's journal cannot be asked for it. */
export const lookStatements = {
  plain: statement("switchyard_look", {}),
  journal: statement("switchyard_look_journal", { open_operation: openOperationSql }),
} as const;

/** What a member's host says, as an operation sees it, or why it says nothing. */
export function hostSeen(host: HostFacts | HostFault, isWhole: boolean): Partial<MemberSeen> {
  if ("hostFault" in host) return host;
  return {
    process: host.process,
    processes: isWhole ? host.processes : null,
    archiveReady: isWhole ? host.archiveReady : null,
    control: host.control,
    armed: host.armed,
    promoteFile: host.promoteFile,
  };
}

/** Reads the row of either statement. `members` tell whose slot is whose, and who is who. */
export function postgresSeen(row: PgRow, members: readonly Member[]): Partial<MemberSeen> {
  const isStandby = row["standby"] === "t";
  return {
    reached: true,
    role: isStandby ? "standby" : "primary",
    writable: !isStandby && row["read_only"] === "off",
    timeline: Number(row["timeline"]),
    systemIdentifier: String(row["identifier"]),
    writeLsn: lsnOrNull(row["written"]),
    replayLsn: lsnOrNull(row["replayed"]),
    receiveLsn: lsnOrNull(row["received"]),
    streamsFrom: row["receiver"] === "streaming" ? senderOf(row, members) : null,
    synchronousNames: textOrNull(row["synchronous"]) ?? "",
    slots: slotOwners((textOrNull(row["slots"]) ?? "").split(","), members),
    openOperation: textOrNull(row["open_operation"]),
  };
}

/** Joins what the host and Postgres said; what neither said stays unknown. */
export function joinSeen(...parts: readonly Partial<MemberSeen>[]): MemberSeen {
  return Object.assign({}, unknownMember, ...parts) as MemberSeen;
}

function senderOf(row: PgRow, members: readonly Member[]): string | null {
  const [host, port] = [row["sender_host"], Number(row["sender_port"])];
  const sender = members.find(({ postgres }) => postgres.host === host && postgres.port === port);
  return sender?.name ?? null;
}

/** Slots by the member that streams through them. One that declares none needs none. */
function slotOwners(names: readonly string[], members: readonly Member[]): string[] {
  return members
    .filter(({ slot }) => slot === undefined || names.includes(slot))
    .map(({ name }) => name);
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

function lsnOrNull(value: unknown): Lsn | null {
  return typeof value === "string" ? parseLsn(value) : null;
}
