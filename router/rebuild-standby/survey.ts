/**
 * Reads where a member's WAL ends, whether it is the source's WAL, and what lies past the fork: by
 * pg_waldump on the member's host. Taken once, before anything is planned.
 */
import { formatLsn, parseLsn } from "../../kit/lsn.ts";
import type { Lsn } from "../../kit/lsn.ts";
import { countRecords, hashOfHead, lastRecord } from "./look-scripts.ts";
import type { Script } from "./look-scripts.ts";
import { emptySurvey } from "./observation.ts";
import type { RebuildObservation, SourceSeen, Survey, WalEnd } from "./observation.ts";
import { askMember, besidePath } from "./place.ts";
import type { RebuildPlace } from "./place.ts";
import { runScript } from "./run-script.ts";
import { beginAfter, historyName, relateEnd, segmentName } from "./timelines.ts";

/** All WAL since the last checkpoint is read, on a host that does nothing else with it. */
const readDeadlineMs = 600_000;
/** A record's header has this many bytes, its checksum among them. */
const recordHeaderBytes = 24n;

interface Reader {
  readonly place: RebuildPlace;
  /** The directory that holds the member's data now. */
  readonly folder: string;
  readonly programs: string;
  readonly signal: AbortSignal;
}

/** Surveys the member's WAL. What cannot be read stays null. */
export async function takeSurvey(
  place: RebuildPlace,
  seen: RebuildObservation,
  signal: AbortSignal,
): Promise<Survey> {
  const { member, source } = seen;
  const { layout, control } = member;
  const identifier = member.systemIdentifier ?? control?.systemIdentifier;
  if (layout === null || identifier !== source.systemIdentifier) return emptySurvey;
  const moved = layout.leftovers.find(({ kind }) => kind === "old");
  const isMoved = layout.data === "missing" && moved !== undefined;
  if (layout.data !== "cluster" && !isMoved) return emptySurvey;
  const folder = isMoved ? besidePath(place, moved.kind, moved.id) : place.control.data;
  const reader = { place, folder, programs: layout.programs, signal };
  try {
    const end = member.end ?? (await findEnd(reader, seen));
    if (end === null) return emptySurvey;
    const history = await readHistory(reader, end.timeline);
    const known = member.end === null ? recordHeaderBytes : 1n;
    const sameBytes = await compare(reader, { ...end, known }, source);
    const past = await countPast(reader, end, history, source);
    return { end, history, sameBytes, past, error: "" };
  } catch (error) {
    signal.throwIfAborted();
    return { ...emptySurvey, error: error instanceof Error ? error.message : String(error) };
  }
}

async function run(reader: Reader, script: Script, ...values: string[]): Promise<string> {
  const { place, signal } = reader;
  return await runScript(place, script, values, { deadlineMs: readDeadlineMs, signal });
}

/** The start of the last record that pg_waldump printed; null when it printed none. */
export function readRecordStart(text: string): Lsn | null {
  const match = /, lsn: ([0-9A-F]+\/[0-9A-F]+), prev /.exec(
    text.trimEnd().split("\n").at(-1) ?? "",
  );
  return match === null ? null : parseLsn(match[1] ?? "");
}

/**
 * The last record of the newest timeline that the member has WAL of. The control file names it only
 * after a checkpoint, so a primary that crashed soon after its promotion, or a standby, may be on a
 * newer one; that one's segments begin where it does, and hold nothing from before.
 */
async function findEnd(reader: Reader, { member }: RebuildObservation): Promise<WalEnd | null> {
  const { control, layout } = member;
  if (control === null) return null;
  const { folder, programs } = reader;
  const last: WalEnd = { timeline: control.timeline, lsn: control.checkpoint };
  const newer = [layout?.newestTimeline ?? 0, control.minRecoveryTimeline]
    .filter((timeline) => timeline > last.timeline)
    .toSorted((a, b) => b - a);
  for (const timeline of [...newer, last.timeline]) {
    const from = await beginOf(reader, timeline, last);
    if (from === null) continue;
    const words = [programs, `${folder}/pg_wal`, String(timeline), formatLsn(from)];
    const lsn = readRecordStart(await run(reader, lastRecord, ...words));
    if (lsn !== null) return { timeline, lsn };
  }
  return null;
}

async function beginOf(reader: Reader, timeline: number, last: WalEnd): Promise<Lsn | null> {
  if (timeline === last.timeline) return last.lsn;
  const history = await readHistory(reader, timeline);
  return history === null ? null : beginAfter(timeline, history, last);
}

async function readHistory({ place, folder, signal }: Reader, timeline: number) {
  if (timeline === 1) return "";
  const content = await place.host.readFile(`${folder}/pg_wal/${historyName(timeline)}`, signal);
  return content?.toString("utf8") ?? null;
}

/** Whether the segment is the same on the source, up to `known` bytes past the member's end. */
async function compare(
  reader: Reader,
  end: WalEnd & { readonly known: bigint },
  source: SourceSeen,
): Promise<boolean | null> {
  const { place, folder, signal } = reader;
  const { segmentBytes, timeline } = source;
  if (timeline === null || timeline < end.timeline) return null;
  const length = Number((end.lsn % BigInt(segmentBytes)) + end.known);
  const name = segmentName(end.timeline, end.lsn, segmentBytes);
  const count = String(Math.min(length, segmentBytes));
  const mine = (await run(reader, hashOfHead, `${folder}/pg_wal/${name}`, count)).trim();
  const names = [end.timeline, timeline].map((one) => segmentName(one, end.lsn, segmentBytes));
  const theirs = await askMember(
    place,
    place.source,
    { deadlineMs: 20_000, signal },
    async (ask) => {
      const reads = names.map(
        (one) => `encode(sha256(pg_read_binary_file('pg_wal/${one}', 0, ${count}, true)), 'hex')`,
      );
      const [row] = await ask(`SELECT coalesce(${reads.join(", ")}) AS hash`);
      return row?.["hash"];
    },
  );
  return typeof theirs === "string" ? theirs === mine : null;
}

async function countPast(
  reader: Reader,
  end: WalEnd,
  history: string | null,
  { timeline, history: sourceHistory, lsn }: SourceSeen,
): Promise<Survey["past"]> {
  if (history === null || timeline === null || sourceHistory === null || lsn === null) return null;
  const relation = relateEnd(end, history, { timeline, history: sourceHistory, end: lsn });
  if (relation.kind === "part") return null;
  const wal = `${reader.folder}/pg_wal`;
  const from = formatLsn(relation.at);
  const text = await run(reader, countRecords, reader.programs, wal, String(end.timeline), from);
  const transactions = Number(text.split("\n")[0]);
  const last = readRecordStart(text);
  return last === null ? null : { walBytes: Number(last - relation.at), transactions };
}
