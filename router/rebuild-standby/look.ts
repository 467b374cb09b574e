/**
 * Looks at the source and at the member, each as far as it answers. What does not answer stays
 * unknown; only the survey, taken once, reads WAL.
 */
import { escapeLiteral } from "pg";
import { parseLsn } from "../../kit/lsn.ts";
import type { Lsn } from "../../kit/lsn.ts";
import type { AskPostgres } from "../../kit/pg-session.ts";
import type { HostFacts } from "../postgres/control/contract.ts";
import { replayTimelineSql } from "../postgres/sql.ts";
import { readLayout } from "./layout.ts";
import { shortLayout, wholeLayout } from "./look-scripts.ts";
import { unknownMember, unknownSource } from "./observation.ts";
import type { Layout, MemberSeen, SourceSeen } from "./observation.ts";
import { besidePath, askMember, memberVolumes, openHostOf } from "./place.ts";
import type { RebuildPlace } from "./place.ts";
import { runScript } from "./run-script.ts";
import { segmentStart } from "./timelines.ts";

const askDeadlineMs = 3000;
const scriptDeadlineMs = 20_000;

const timelineOf = "substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";

/**
 * The source, as a primary: anything else answers no row. Its WAL is listed only where `member` is
 * not connected, as there may be many segments.
 */
const sourceStatement = (isWhole: boolean, member: string): string => `SELECT
  current_setting('default_transaction_read_only') AS read_only,
  current_setting('server_version_num') AS version,
  (SELECT system_identifier::text FROM pg_control_system()) AS identifier,
  ${timelineOf} AS timeline,
  (SELECT timeline_id::text FROM pg_control_checkpoint()) AS control_timeline,
  pg_read_file('pg_wal/' || ${timelineOf} || '.history', 0, 262144, true) AS history,
  CASE WHEN ${isWhole} OR NOT EXISTS (SELECT FROM pg_stat_replication
      WHERE application_name = ${escapeLiteral(member)})
    THEN (SELECT min(substr(name, 9)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$')
    END AS oldest,
  pg_current_wal_lsn()::text AS lsn,
  (SELECT setting FROM pg_settings WHERE name = 'wal_segment_size') AS segment,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('name', slot_name, 'active', active,
    'walStatus', to_jsonb(s) ->> 'wal_status', 'restartLsn', restart_lsn)), '[]')
    FROM pg_replication_slots s) AS slots,
  (SELECT coalesce(jsonb_agg(jsonb_build_object('name', r.application_name, 'state', r.state,
    'slot', s.slot_name, 'replayLsn', r.replay_lsn)), '[]')
    FROM pg_stat_replication r LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid) AS senders
  ${isWhole ? wholeColumns : ""}
  WHERE NOT pg_is_in_recovery()`;

const wholeColumns = `,
  (SELECT sum(pg_database_size(oid)) FROM pg_database)::text AS bytes,
  (SELECT coalesce(jsonb_agg(pg_tablespace_location(oid)), '[]') FROM pg_tablespace
    WHERE spcname NOT IN ('pg_default', 'pg_global')) AS tablespaces`;

/** Looks at the source; `whole` also at what does not change while a rebuild runs. */
export async function lookAtSource(
  place: RebuildPlace,
  how: "whole" | "short",
  signal: AbortSignal,
): Promise<SourceSeen> {
  const options = { deadlineMs: how === "whole" ? scriptDeadlineMs : askDeadlineMs, signal };
  try {
    return await askMember(place, place.source, options, async (ask) => {
      const [row] = await ask(sourceStatement(how === "whole", place.member.name));
      return row === undefined ? { ...unknownSource, reached: true, writable: false } : read(row);
    });
  } catch (error) {
    signal.throwIfAborted();
    return { ...unknownSource, error: error instanceof Error ? error.message : String(error) };
  }
}

type Row = Readonly<Record<string, unknown>>;

function read(row: Row): SourceSeen {
  const text = (name: string): string => (typeof row[name] === "string" ? row[name] : "");
  const list = (name: string): Row[] => JSON.parse(text(name) || "[]") as Row[];
  const lsnOf = (value: unknown): Lsn | null =>
    typeof value === "string" && value !== "" ? parseLsn(value) : null;
  const segmentBytes = Number(text("segment"));
  const timeline = Number.parseInt(text("timeline"), 16);
  const oldest = text("oldest");
  return {
    reached: true,
    error: "",
    writable: text("read_only") !== "on",
    versionNumber: Number(text("version")),
    systemIdentifier: text("identifier"),
    timeline,
    controlTimeline: Number(text("control_timeline")),
    history: timeline === 1 ? "" : ((row["history"] as string | null | undefined) ?? null),
    lsn: parseLsn(text("lsn")),
    segmentBytes,
    oldestWal: oldest === "" ? null : segmentStart(`00000000${oldest}`, segmentBytes),
    dataBytes: Number(text("bytes") || 0),
    tablespaces: list("tablespaces").map(String),
    slots: list("slots").map((one) => ({
      name: String(one["name"]),
      active: one["active"] === true,
      walStatus: (one["walStatus"] as string | null) ?? null,
      restartLsn: lsnOf(one["restartLsn"]),
    })),
    senders: list("senders").map((one) => ({
      name: String(one["name"]),
      slot: (one["slot"] as string | null) ?? null,
      state: (one["state"] as string | null) ?? null,
      replayLsn: lsnOf(one["replayLsn"]),
    })),
    mark: null,
    madeSlot: false,
  };
}

const memberStatement = `SELECT pg_is_in_recovery()::text AS standby,
  current_setting('default_transaction_read_only') AS read_only,
  (SELECT system_identifier::text FROM pg_control_system()) AS identifier,
  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()::text END AS replay,
  CASE WHEN pg_is_in_recovery() THEN
    greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())::text END AS received,
  CASE WHEN pg_is_in_recovery() THEN ${replayTimelineSql} END AS timeline,
  (SELECT bool_or(wait_event IN ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval'))::text
    FROM pg_stat_activity WHERE backend_type = 'startup') AS waits`;

type Answer = Pick<
  MemberSeen,
  "reached" | "role" | "writable" | "systemIdentifier" | "replayLsn" | "end" | "waitsForWal"
>;

async function askRole(ask: AskPostgres): Promise<Answer> {
  const [row = {}] = await ask(memberStatement);
  const isStandby = row["standby"] === "true";
  const lsn = (name: string): bigint | null =>
    typeof row[name] === "string" ? parseLsn(row[name]) : null;
  const received = lsn("received");
  return {
    reached: true,
    role: isStandby ? "standby" : "primary",
    writable: !isStandby && row["read_only"] !== "on",
    systemIdentifier: String(row["identifier"]),
    replayLsn: lsn("replay"),
    // An end, not a start: the byte before it belongs to the last record.
    end: received === null ? null : { timeline: Number(row["timeline"]), lsn: received - 1n },
    waitsForWal: row["waits"] === "true",
  };
}

/**
 * Looks at the member: its Postgres, its host and its directories, side by side. `exportTo`: where
 * WAL is to be exported, which a whole look judges.
 */
export async function lookAtMember(
  place: RebuildPlace,
  how: {
    readonly layout: "whole" | "short";
    readonly major: number;
    readonly exportTo: string | null;
  },
  signal: AbortSignal,
): Promise<MemberSeen> {
  const { member } = place;
  // The address of a container that is stopped does not refuse: it says nothing at all.
  const isGone = new AbortController();
  const limits = { deadlineMs: askDeadlineMs, signal: AbortSignal.any([signal, isGone.signal]) };
  const answer = askMember(place, member, limits, askRole).catch(() => undefined);
  try {
    const script = how.layout === "whole" ? wholeLayout : shortLayout;
    const { data, programs = "", container, snapshot } = place.control;
    // Elsewhere a hook is run as another user, who may find other programs.
    const hook = container === undefined ? "" : (snapshot?.[0] ?? "");
    const values = [data, programs, String(how.major), how.exportTo ?? "", hook];
    const text = await runScript(place, script, values, { deadlineMs: scriptDeadlineMs, signal });
    const layout = readLayout(text);
    const facts = await inspect(place, layout, signal);
    if (facts === null || facts.process === "gone") isGone.abort();
    const volumes = how.exportTo === null ? null : await memberVolumes(place, signal);
    return { ...unknownMember, ...factsOf(facts), layout, volumes, ...(await answer) };
  } catch (error) {
    signal.throwIfAborted();
    const hostError = error instanceof Error ? error.message : String(error);
    return { ...unknownMember, ...(await answer), hostError };
  }
}

/** The processes and the control file; where the data was moved aside, those of that directory. */
async function inspect(
  place: RebuildPlace,
  layout: Layout,
  signal: AbortSignal,
): Promise<HostFacts | null> {
  if (layout.data !== "missing") return await place.host.inspect(signal);
  const moved = layout.leftovers.find(({ kind }) => kind === "old" || kind === "rewind");
  if (moved === undefined) return null;
  const path = besidePath(place, moved.kind, moved.id);
  const host = openHostOf(place.environment, place.member, path);
  try {
    return await host.inspect(signal);
  } finally {
    host.close();
  }
}

function factsOf(facts: HostFacts | null): Partial<MemberSeen> {
  // Without a directory there is nothing that a Postgres could work in.
  if (facts === null) return { process: "gone", armed: false, promoteFile: false };
  const { process, processes, control, armed, promoteFile, archiveReady } = facts;
  return { process, processes, control, armed: armed !== null, promoteFile, archiveReady };
}
