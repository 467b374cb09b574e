/**
 * Whether a standby follows closely enough to be published. Members are asked one after the other and
 * report once a second, so that on a busy cluster the primary's number is often the newer one: a
 * standby counts as behind only where it lacks what the primary had before the standby's own moment.
 */
import { lsnDistance } from "../../kit/lsn.ts";
import type { Progress } from "./observation.ts";

export interface Place {
  readonly timeline: number;
  readonly progress: Progress | null;
}

export interface Ahead extends Place {
  /** Where it was at the look before. */
  readonly earlier: Progress | undefined;
}

export interface LagRule {
  /** Bytes; null: any distance will do. */
  readonly limit: number | null;
  /** True where it is published now: it comes back only once it is half as close. */
  readonly isPublished: boolean;
}

/** Without an end to compare with, a standby stays what it was. */
const unknownYet = "how far it is behind is not known yet";

/**
 * Why a standby is not published beside a primary (undefined: it may be). `ahead` is undefined while
 * no primary is known, and nobody is behind then.
 */
export function whyBehind(
  standby: Place,
  ahead: Ahead | undefined,
  rule: LagRule,
): string | undefined {
  const end = ahead?.progress ?? null;
  if (ahead === undefined || end === null) return undefined;
  if (hasDiverged(standby, ahead.timeline, end)) {
    return `it has WAL of timeline ${standby.timeline} that the primary on timeline ${ahead.timeline} has not`;
  }
  const { limit, isPublished } = rule;
  if (limit === null) return undefined;
  if (standby.progress === null) return isPublished ? undefined : unknownYet;
  const allowed = isPublished ? limit : Math.floor(limit / 2);
  if (lsnDistance(end.lsn, standby.progress.lsn) <= allowed) return undefined;
  const proof = provenEnd([end, ahead.earlier], standby.progress.at);
  if (proof === undefined) return isPublished ? undefined : unknownYet;
  const behind = lsnDistance(proof.lsn, standby.progress.lsn);
  return behind <= allowed ? undefined : `it is more than ${allowed} bytes behind the primary`;
}

/** The primary's newest position that is no newer than `at`. */
function provenEnd(known: readonly (Progress | undefined)[], at: number): Progress | undefined {
  return known.find((one) => one !== undefined && one.at <= at);
}

/** A standby that is ahead of a later reading of the primary, on an older timeline, follows another past. */
function hasDiverged(standby: Place, timeline: number, end: Progress): boolean {
  const { progress } = standby;
  if (progress === null || standby.timeline >= timeline) return false;
  return end.at >= progress.at && progress.lsn > end.lsn;
}
