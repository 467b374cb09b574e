/**
 * A rebuild as data, and what it can do to the world. Every act is safe to repeat; whether it took
 * effect is judged by looking.
 */
import type { Facts, OperationKind } from "../operation/step.ts";
import type { RebuildObservation, RebuildPart, Survey } from "./observation.ts";
import type { Relation } from "./timelines.ts";

/** A rebuild as the operator wants it. */
export interface RebuildRequest {
  readonly operationId: string;
  readonly member: string;
  readonly source: string;
  readonly method: "auto" | "start" | "rewind" | "basebackup";
  /** The member's slot, by the environment. */
  readonly slot: string | null;
  readonly keepOld: boolean;
  readonly exportTo: string | null;
  /** Hooks that the environment has for the member. */
  readonly hooks: { readonly snapshot: boolean; readonly restartPooler: boolean };
}

export interface Refusal {
  readonly refused: string;
}

/** What the choice of a method is made from. */
export interface Case {
  readonly request: RebuildRequest;
  readonly seen: RebuildObservation;
  readonly survey: Survey;
  /** foreign: another cluster's data, or none that can be read. */
  readonly relation: Relation | { readonly kind: "foreign" | "unread" };
  readonly streams: boolean;
}

/**
 * nothing: it streams already; start: its WAL is a part of the source's; rewind: take back what it
 * wrote after the fork; basebackup: a fresh copy; swap, put-back: finish or undo an earlier run.
 */
export type RebuildMethod = "nothing" | "start" | "rewind" | "basebackup" | "swap" | "put-back";

/** What the operator has to accept by name, and what it means here. */
export interface Risk {
  readonly word: "divergence" | "ahead" | "foreign" | "unread";
  readonly says: string;
}

export interface RebuildPlan {
  readonly operationId: string;
  /** The id in the names of the directories beside the data: an earlier run's where it goes on. */
  readonly copyId: string;
  readonly member: string;
  readonly source: string;
  readonly method: RebuildMethod;
  /** Why this method, for the operator. */
  readonly why: string;
  readonly systemIdentifier: string;
  /** The slot on the source; null where the member has none. */
  readonly slot: string | null;
  /** The slot was there before: undoing keeps it. */
  readonly hadSlot: boolean;
  /** From where on the member needs the source's WAL; null where a copy brings it along. */
  readonly needsFrom: string | null;
  /** The member has a restore_command: what its source lacks it may get from an archive. */
  readonly restores: boolean;
  /** Where the member left the source's timeline; null where it did not. */
  readonly fork: { readonly timeline: number; readonly lsn: string } | null;
  /** What is thrown away; null when nothing is, or it cannot be read. */
  readonly thrownAway: { readonly walBytes: number; readonly transactions: number } | null;
  readonly risks: readonly Risk[];
  /** own: its configuration is carried over; source: there is none, so the source's is taken. */
  readonly configuration: "own" | "source";
  readonly keepOld: boolean;
  /** A folder on the member's host for the WAL that is thrown away. */
  readonly exportTo: string | null;
  /** Where the second copy's pg_wal goes when the data directory's is a link. */
  readonly walFolder: string | null;
  readonly dataBytes: number;
  /** It ran when this was planned: undoing starts it again. */
  readonly wasRunning: boolean;
  /** A rewind that fails is followed by a base backup. */
  readonly mayCopy: boolean;
  /** What is worth knowing beforehand. */
  readonly notes: readonly string[];
  /** Names of rows, in order. */
  readonly steps: readonly string[];
}

type Act<Words extends readonly unknown[] = []> = (
  ...words: [...Words, signal: AbortSignal]
) => Promise<Facts | undefined>;

export interface RebuildActions {
  /** Ends what an earlier run left working, and removes what it left half done. */
  readonly sweep: Act<[plan: RebuildPlan]>;
  /** Renames `<data>.old-<id>` back to the data directory. */
  readonly putBack: Act<[plan: RebuildPlan]>;
  /** Makes the member's slot on the source reserve WAL from now on, anew when it was lost. */
  readonly makeSlot: Act<[slot: string]>;
  readonly dropSlot: Act<[slot: string]>;
  readonly checkpoint: Act;
  readonly arm: Act<[plan: RebuildPlan]>;
  readonly stop: Act;
  readonly start: Act;
  /** Renames the data directory to `<data>.old-<id>`, so that nothing can start it. */
  readonly moveAside: Act<[plan: RebuildPlan]>;
  /** Brings a crashed cluster that was moved aside to a clean shutdown, as a single user. */
  readonly recover: Act<[plan: RebuildPlan]>;
  /** Runs its archive_command for every segment that waits for it. */
  readonly archive: Act<[plan: RebuildPlan]>;
  /** Copies the WAL past the fork, and what pg_waldump says of it, to the operator's folder. */
  readonly exportWal: Act<[plan: RebuildPlan]>;
  /** Runs the environment's snapshot hook. */
  readonly snapshot: Act;
  /** pg_rewind without its effects. */
  readonly rehearse: Act<[plan: RebuildPlan]>;
  /** pg_rewind, its own configuration back, armed: `<data>.ready-<id>`. */
  readonly rewind: Act<[plan: RebuildPlan]>;
  /** pg_basebackup into `<data>.new-<id>`. */
  readonly copy: Act<[plan: RebuildPlan]>;
  /** pg_verifybackup, and everything on the disk. */
  readonly verify: Act<[plan: RebuildPlan]>;
  /** Its own configuration into the copy, armed: `<data>.ready-<id>`. */
  readonly prepare: Act<[plan: RebuildPlan]>;
  /** Removes the copy, ready or not. */
  readonly removeCopy: Act<[plan: RebuildPlan]>;
  /** The data directory to `<data>.old-<id>`, `<data>.ready-<id>` in its place. */
  readonly swap: Act<[plan: RebuildPlan]>;
  /** Writes a little WAL on the source, which the member has to replay. */
  readonly mark: Act;
  /** Slots on the member that keep WAL for nobody are made anew, reserving none. */
  readonly freshenSlots: Act;
  readonly restartPooler: Act;
  /** Asks pg-health of the member; fails unless it says standby. */
  readonly askHealth: Act;
  /** Removes what is left of the rebuild; the old data directory is kept where that was wished. */
  readonly clean: Act<[plan: RebuildPlan]>;
}

export interface RebuildKind extends OperationKind {
  readonly plan: RebuildPlan;
  readonly seen: RebuildObservation;
  readonly actions: RebuildActions;
  readonly part: RebuildPart;
}
