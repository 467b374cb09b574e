/**
 * Why a rebuild, or one of its methods, must not be: a table for what holds always, and a function
 * for each method. Each answers in words for the operator; undefined where nothing stands against.
 */
import { formatLsn } from "../../kit/lsn.ts";
import type { Lsn } from "../../kit/lsn.ts";
import { whyNotExport } from "./export-folder.ts";
import type { MemberSeen, RebuildObservation, WalEnd } from "./observation.ts";
import type { Case, RebuildPlan, RebuildRequest } from "./rebuild-actions.ts";
import { segmentStart, whyNotChild } from "./timelines.ts";

type Objection = (seen: RebuildObservation, request: RebuildRequest) => string | undefined;

const never: readonly Objection[] = [
  ({ source }, request) => {
    if (!source.reached) return `the source ${request.source} does not answer`;
    if (source.writable !== true) return `the source ${request.source} does not take writes`;
    return source.systemIdentifier === null ? `${request.source} cannot be read` : undefined;
  },
  ({ member }, { member: name }) =>
    member.writable === true || member.role === "primary"
      ? `${name} is a primary: nothing of it is touched; fence it first`
      : undefined,
  ({ member }, { member: name }) =>
    member.layout === null ? `the host of ${name} cannot be asked: ${member.hostError}` : undefined,
  ({ member }, { member: name }) =>
    member.process === "unknown" ? `whether Postgres runs on ${name} is not known` : undefined,
  ({ member }, { member: name }) =>
    member.process !== "gone" && !isSurelyStandby(member)
      ? `Postgres runs on ${name} and does not say that it is a standby; fence it first`
      : undefined,
  ({ member }, { member: name }) =>
    member.promoteFile === true ? `a promote file lies on ${name}: it may be promoted` : undefined,
  ({ member }, request) => whyNotExport(member, request),
];

/** Why this member must not be touched at all. */
export function whyNever(seen: RebuildObservation, request: RebuildRequest): string | undefined {
  for (const objection of never) {
    const why = objection(seen, request);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** Why what these steps run on the member's host cannot be run there. */
export function whyNotRun(
  steps: readonly string[],
  { member }: RebuildObservation,
  { member: name }: RebuildRequest,
): string | undefined {
  const program = member.layout?.missingHook ?? null;
  return steps.includes("snapshot") && program !== null
    ? `control.snapshot of ${name} cannot be run: the image of its container has no ${program}`
    : undefined;
}

/** It answers as one, or it is a recovery that a signal file keeps from ending. */
export function isSurelyStandby(member: MemberSeen): boolean {
  if (member.reached) return member.role === "standby";
  const isRecovering =
    member.control?.state === "in archive recovery" ||
    member.control?.state === "shut down in recovery";
  return isRecovering && member.armed === true && member.promoteFile === false;
}

const gigabyte = 1024 ** 3;

/** Why a second copy cannot be made and put in the place of the first. */
export function whyNotCopy(
  { source, member }: RebuildObservation,
  { member: name, source: from }: RebuildRequest,
): string | undefined {
  const { layout } = member;
  if (layout === null) return `the host of ${name} cannot be asked`;
  const place = whyNotMovable(member, name);
  if (place !== undefined) return place;
  const spaces = source.tablespaces.join(", ");
  if (spaces !== "") {
    return `${from} has tablespaces (${spaces}): a second copy of them has no place; use pg_basebackup --tablespace-mapping by hand`;
  }
  // What is written while it copies comes on top: a tenth, and a gigabyte for small ones.
  const needed = source.dataBytes + Math.max(source.dataBytes / 10, 4 * source.segmentBytes);
  if (layout.freeBytes >= needed) return undefined;
  return `a second copy needs ${gigabytes(needed)}, and ${gigabytes(layout.freeBytes)} are free beside the data of ${name}`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / gigabyte).toFixed(2)} GB`;
}

function whyNotMovable({ layout }: MemberSeen, name: string): string | undefined {
  if (layout?.isMountPoint === true) {
    return `the data directory of ${name} is a mount point and cannot be renamed: let it be a directory inside the mount`;
  }
  return layout?.parentWritable === false
    ? `the owner of the data directory of ${name} may not write beside it`
    : undefined;
}

/** Why starting it on its own data would not make it follow. */
export function whyNotStart(one: Case): string | undefined {
  const { relation, seen, survey, request } = one;
  const { layout } = seen.member;
  const { source, member } = request;
  if (relation.kind === "foreign") return `${member} holds no data of this cluster`;
  if (relation.kind === "unread") return `the end of the WAL of ${member} cannot be read`;
  if (relation.kind === "ahead") return `${member} has WAL that ${source} never had`;
  if (relation.kind === "diverged") return `${member} wrote on after ${source} was promoted`;
  if (layout?.hasConninfo !== true) return `${member} has no primary_conninfo`;
  return survey.end === null ? undefined : whyNotKept(one, survey.end.lsn);
}

/** Why the source cannot send the WAL from `lsn` on. */
function whyNotKept({ seen, request }: Case, lsn: Lsn): string | undefined {
  const { oldestWal } = seen.source;
  const isKept = oldestWal !== null && oldestWal <= lsn;
  return isKept || seen.member.layout?.hasRestoreCommand === true
    ? undefined
    : walIsGone(request, lsn);
}

/** The words for it, with from where on the WAL is needed. */
export function walIsGone(
  { source, member }: Pick<RebuildPlan, "source" | "member">,
  lsn: Lsn,
): string {
  return `${source} no longer has the WAL that ${member} needs, from ${formatLsn(lsn)} on`;
}

/**
 * Why a member that was started waits for WAL in vain; undefined while it may still follow. What an
 * archive has is not known here, so a member with a restore_command is not judged by the source's WAL.
 */
export function whyNeverFollows(
  plan: RebuildPlan,
  { source, member }: RebuildObservation,
): string | undefined {
  const slot = source.slots.find(({ name }) => name === plan.slot);
  if (slot?.walStatus === "lost") {
    return `${plan.source} has removed WAL that slot ${slot.name} was to keep for ${plan.member}`;
  }
  const end = endOf(member);
  const { timeline, history, lsn, oldestWal, segmentBytes } = source;
  if (plan.restores || end === null || timeline === null || history === null || lsn === null) {
    return undefined;
  }
  const why = whyNotChild(end, { timeline, history, end: lsn });
  if (why !== undefined) return `${plan.member} ${why}: it needs a rewind or a copy`;
  if (!member.waitsForWal || oldestWal === null) return undefined;
  const needed = end.lsn + 1n;
  const segment = needed - (needed % BigInt(segmentBytes));
  return segment < oldestWal ? walIsGone(plan, needed) : undefined;
}

/** What it has replayed; before it answers, what it must replay before it does. */
function endOf({ reached, role, end, replayLsn, control }: MemberSeen): WalEnd | null {
  if (reached) {
    const isKnown = role === "standby" && end !== null && replayLsn !== null && replayLsn > 0n;
    return isKnown ? { timeline: end.timeline, lsn: replayLsn - 1n } : null;
  }
  const { minRecoveryEnd = 0n, minRecoveryTimeline = 0 } = control ?? {};
  return minRecoveryEnd > 0n && minRecoveryTimeline > 0
    ? { timeline: minRecoveryTimeline, lsn: minRecoveryEnd - 1n }
    : null;
}

/** Why pg_rewind cannot take back what it wrote. */
export function whyNotRewind(one: Case): string | undefined {
  const { relation, seen, request } = one;
  const { layout, control } = seen.member;
  const { member, source } = request;
  if (relation.kind === "part") return `${member} has nothing to take back`;
  if (relation.kind !== "diverged") {
    return relation.kind === "ahead"
      ? `${member} has WAL that ${source} never had: only a fresh copy is sure`
      : whyNotStart(one);
  }
  if (control?.canRewind !== true) return `${member} has neither checksums nor wal_log_hints`;
  if (layout?.hasConninfo !== true) return `${member} has no primary_conninfo`;
  const place = whyNotMovable(seen.member, member);
  if (place !== undefined) return place;
  const oldest = segmentStart(layout.oldestSegment ?? "", seen.source.segmentBytes);
  const isKept = oldest !== null && oldest <= relation.at;
  return isKept || layout.hasRestoreCommand
    ? whyNotKept(one, relation.at)
    : `${member} no longer has its WAL back to where ${source} left it`;
}
