/**
 * Whether a member's WAL is a part of the source's. Timelines are compared by what their history
 * files say, switch by switch: two promotions can give the same number to different timelines.
 * PostgreSQL manual, 26.3.6 "Timelines".
 */
import { formatLsn, parseLsn } from "../../kit/lsn.ts";
import type { Lsn } from "../../kit/lsn.ts";
import type { WalEnd } from "./observation.ts";

/** A stretch of WAL: all of `timeline` from the one before up to `end`. */
interface Stretch {
  readonly timeline: number;
  readonly end: Lsn;
}

/** One side of the comparison: its timeline, its history file's text and how far its WAL goes. */
export interface Past {
  readonly timeline: number;
  readonly history: string;
  readonly end: Lsn;
}

/**
 * part: all that the member has, the source has too. diverged: the source left the member's
 * timeline at `at`, and the member wrote on. ahead: the member has WAL of a timeline that the
 * source never followed, or more of the same one; the source may be the stale one.
 */
export type Relation =
  | { readonly kind: "part" }
  | { readonly kind: "diverged"; readonly timeline: number; readonly at: Lsn }
  | { readonly kind: "ahead"; readonly timeline: number; readonly at: Lsn };

function stretchesOf({ timeline, history, end }: Past): Stretch[] {
  const before = history.split("\n").flatMap((line): Stretch[] => {
    const match = /^\s*([0-9]+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(line);
    return match === null ? [] : [{ timeline: Number(match[1]), end: parseLsn(match[2] ?? "") }];
  });
  return [...before, { timeline, end }];
}

/**
 * Compares the member's WAL with the source's. `member.end` is where its last record starts, so a
 * member whose record starts exactly at the switch has one that the source lacks; `source.end` is
 * an end.
 */
export function relate(member: Past, source: Past): Relation {
  const [mine, theirs] = [stretchesOf(member), stretchesOf(source)];
  for (const [index, one] of mine.entries()) {
    const other = theirs[index];
    const before = mine[index - 1];
    if (other === undefined || other.timeline !== one.timeline) {
      return { kind: "ahead", timeline: one.timeline, at: before?.end ?? 0n };
    }
    const isLastOfMine = index === mine.length - 1;
    const isLastOfTheirs = index === theirs.length - 1;
    if (isLastOfMine) {
      if (one.end < other.end) return { kind: "part" };
      const kind = isLastOfTheirs ? "ahead" : "diverged";
      return { kind, timeline: one.timeline, at: other.end };
    }
    if (isLastOfTheirs || one.end !== other.end) {
      const at = one.end < other.end ? one.end : other.end;
      return { kind: "ahead", timeline: one.timeline, at };
    }
  }
  return { kind: "part" };
}

/** The relation of a member whose WAL ends at `end`, with its history file's text, to the source. */
export function relateEnd(end: WalEnd, history: string, source: Past): Relation {
  return relate({ timeline: end.timeline, history, end: end.lsn }, source);
}

/**
 * Where the WAL of `timeline` begins, as its history file's text says, if that comes by `from`: the
 * member's last checkpoint. Null where it does not: Postgres would not go on to it either.
 */
export function beginAfter(timeline: number, history: string, from: WalEnd): Lsn | null {
  const before = stretchesOf({ timeline, history, end: 0n }).slice(0, -1);
  const shared = before.find((one) => one.timeline === from.timeline);
  return shared === undefined || shared.end < from.lsn ? null : (before.at(-1)?.end ?? null);
}

/**
 * Why a standby whose WAL ends at `end` can't ever replay the source's, in words that follow its name;
 * undefined where it may, or may be a moment ahead of what is known of the source.
 */
export function whyNotChild(end: WalEnd, source: Past): string | undefined {
  const stretches = stretchesOf(source);
  const index = stretches.findIndex((one) => one.timeline === end.timeline);
  const left = stretches[index]?.end;
  if (left === undefined) return `is on timeline ${end.timeline}, which its source never was`;
  if (index === stretches.length - 1 || end.lsn < left) return undefined;
  return `has WAL of timeline ${end.timeline} past ${formatLsn(left)}, where its source left it`;
}

/** The name of the WAL segment that holds `lsn`. */
export function segmentName(timeline: number, lsn: Lsn, segmentBytes: number): string {
  const perLog = 0x1_0000_0000n / BigInt(segmentBytes);
  const number = lsn / BigInt(segmentBytes);
  const hex = (value: bigint): string => value.toString(16).toUpperCase().padStart(8, "0");
  return hex(BigInt(timeline)) + hex(number / perLog) + hex(number % perLog);
}

/** Where the segment of that name begins; null for what is not a segment's name. */
export function segmentStart(name: string, segmentBytes: number): Lsn | null {
  const match = /^[0-9A-F]{8}([0-9A-F]{8})([0-9A-F]{8})$/.exec(name);
  if (match === null) return null;
  return (BigInt(`0x${match[1]}`) << 32n) + BigInt(`0x${match[2]}`) * BigInt(segmentBytes);
}

/** The name of the history file of a timeline. */
export function historyName(timeline: number): string {
  return `${timeline.toString(16).toUpperCase().padStart(8, "0")}.history`;
}
