/** The real world of a rebuild: looks, the survey, acts, the lock and the journal of one run. */
import type { Environment, Member } from "../../config/schema.ts";
import { systemTiming } from "../../kit/clock.ts";
import type { Timing } from "../../kit/clock.ts";
import type { Lsn } from "../../kit/lsn.ts";
import { FileJournal, noJournal } from "../operation/journal-file.ts";
import type { Journal } from "../operation/journal-file.ts";
import type { LockHold, LockPurpose } from "../operation/lock.ts";
import { quicken } from "../postgres/control/host.ts";
import { acquireClusterLock, lockDeadlineMs } from "../postgres/lock.ts";
import { rebuildActions } from "./actions.ts";
import { lookAtMember, lookAtSource } from "./look.ts";
import { unknownMember, unknownSource } from "./observation.ts";
import type { MemberSeen, RebuildObservation, RebuildPart, Survey } from "./observation.ts";
import { openPlace } from "./place.ts";
import type { RebuildPlace } from "./place.ts";
import type { Amount } from "./progress.ts";
import type { RebuildActions } from "./rebuild-actions.ts";
import { takeSurvey } from "./survey.ts";

export interface RebuildWorld {
  /** Everything, WAL included. */
  readonly survey: (
    signal: AbortSignal,
  ) => Promise<{ readonly seen: RebuildObservation; readonly survey: Survey }>;
  readonly observe: (
    parts: readonly RebuildPart[],
    signal: AbortSignal,
  ) => Promise<RebuildObservation>;
  /** The acts, as the last survey has found the host. */
  readonly actions: (onAmount: (step: string, amount: Amount) => void) => RebuildActions;
  readonly lock: (purpose: LockPurpose, signal: AbortSignal) => Promise<LockHold>;
  readonly journal: Journal;
  readonly timing: Timing;
  readonly close: () => Promise<void>;
}

export interface RebuildWorldOptions {
  readonly member: Member;
  readonly source: Member;
  /** Where WAL is to be exported on the member's host; null where it is not. */
  readonly exportTo: string | null;
  /** Signs what this run arms. */
  readonly run: string;
  /** The local journal of the operation; its folder exists. Null (dry run): nothing can be done. */
  readonly journalFile: string | null;
}

/** Opens the world of one run. @throws HostControlError, or the file system's error */
export async function openRebuildWorld(
  environment: Environment,
  options: RebuildWorldOptions,
): Promise<RebuildWorld> {
  const { member, source, run, journalFile, exportTo } = options;
  const place = openPlace(environment, member, source);
  const file = journalFile === null ? undefined : await FileJournal.open(journalFile);
  const known: { seen: RebuildObservation; mark: Lsn | null; madeSlot: boolean } = {
    seen: { source: unknownSource, member: unknownMember },
    mark: null,
    madeSlot: false,
  };
  return {
    survey: async (signal) => {
      known.seen = await lookWhole(place, { willAct: journalFile !== null, exportTo }, signal);
      return { seen: known.seen, survey: await takeSurvey(place, known.seen, signal) };
    },
    observe: async (parts, signal) => {
      const { source: seenSource, member: seenMember } = await lookShort(place, parts, signal);
      const { mark, madeSlot } = known;
      return { source: { ...seenSource, mark, madeSlot }, member: seenMember };
    },
    actions: (onAmount) =>
      rebuildActions({
        place,
        run,
        ...hostFacts(known.seen.member),
        segmentBytes: known.seen.source.segmentBytes,
        versionNumber: known.seen.source.versionNumber,
        onAmount,
        onMark: (lsn) => {
          known.mark = lsn;
        },
        onSlot: () => {
          known.madeSlot = true;
        },
      }),
    lock: (purpose, signal) =>
      acquireClusterLock(environment, [source.name, member.name], purpose, {
        deadlineMs: lockDeadlineMs,
        signal,
      }),
    journal: file ?? noJournal,
    timing: systemTiming,
    close: async () => {
      place.close();
      await file?.close();
    },
  };
}

/**
 * A member that streams has, a moment later, WAL that the source had not written before: how far the
 * source is must be known from after the look at the member.
 */
async function lookWhole(
  place: RebuildPlace,
  { willAct, exportTo }: { readonly willAct: boolean; readonly exportTo: string | null },
  signal: AbortSignal,
): Promise<RebuildObservation> {
  if (willAct) await quicken(place.host, signal);
  const source = await lookAtSource(place, "whole", signal);
  const major = Math.floor(source.versionNumber / 10_000);
  const member = await lookAtMember(place, { layout: "whole", major, exportTo }, signal);
  const { lsn } = await lookAtSource(place, "short", signal);
  return { source: { ...source, lsn }, member };
}

async function lookShort(
  place: RebuildPlace,
  parts: readonly RebuildPart[],
  signal: AbortSignal,
): Promise<RebuildObservation> {
  const how = { layout: "short", major: 0, exportTo: null } as const;
  const [source, member] = await Promise.all([
    parts.includes("source") ? lookAtSource(place, "short", signal) : unknownSource,
    parts.includes("member") ? lookAtMember(place, how, signal) : unknownMember,
  ]);
  return { source, member };
}

function hostFacts({ layout }: MemberSeen): { programs: string; hasRestoreCommand: boolean } {
  return {
    programs: layout?.programs ?? "",
    hasRestoreCommand: layout?.hasRestoreCommand === true,
  };
}
