/**
 * What a rebuild sees: plain values of the source and of the member that is to follow it again.
 * What did not answer is unknown, and the unknown is never taken for harmless.
 */
import type { Lsn } from "../../kit/lsn.ts";
import type { PostgresProcess } from "../postgres/control/contract.ts";

/** What a look can be asked for. */
export type RebuildPart = "source" | "member";

export interface SourceSlot {
  readonly name: string;
  readonly active: boolean;
  /** reserved, extended, unreserved or lost; null where it holds nothing. */
  readonly walStatus: string | null;
  /** The WAL from here on is kept for it; null where it holds nothing. */
  readonly restartLsn: Lsn | null;
}

/** A standby that the source sends WAL to. */
export interface SourceSender {
  readonly name: string;
  readonly slot: string | null;
  readonly state: string | null;
  readonly replayLsn: Lsn | null;
}

export interface SourceSeen {
  readonly reached: boolean;
  /** What came back instead of an answer; "" when it answered. */
  readonly error: string;
  /** A primary that is not read-only; null while unknown. */
  readonly writable: boolean | null;
  readonly versionNumber: number;
  readonly systemIdentifier: string | null;
  readonly timeline: number | null;
  /** The timeline in its control file, which knows of a promotion only after a checkpoint. */
  readonly controlTimeline: number | null;
  /** The text of its timeline's history file; "" on timeline 1, null when it cannot be read. */
  readonly history: string | null;
  /** The end of what it has written. */
  readonly lsn: Lsn | null;
  readonly segmentBytes: number;
  /** Where the oldest WAL segment that it keeps begins; null while it sends to the member. */
  readonly oldestWal: Lsn | null;
  /** All databases together, without WAL. */
  readonly dataBytes: number;
  readonly tablespaces: readonly string[];
  readonly slots: readonly SourceSlot[];
  readonly senders: readonly SourceSender[];
  /** The end of the WAL that this run has written as a mark; null before. */
  readonly mark: Lsn | null;
  /** This run has made the member's slot anew. */
  readonly madeSlot: boolean;
}

/** Directories of a rebuild beside the data directory, by what they hold. */
export const leftoverKinds = ["new", "ready", "old", "rewind", "work"] as const;

export type LeftoverKind = (typeof leftoverKinds)[number];

export interface Leftover {
  readonly kind: LeftoverKind;
  /** The id in its name: `<data>.<kind>-<id>`. */
  readonly id: string;
}

/** The member's data directory and what lies around it, as its owner sees it. */
export interface Layout {
  /** foreign: something that is not a data directory, or one that is not empty and has no PG_VERSION. */
  readonly data: "cluster" | "empty" | "missing" | "foreign";
  readonly isMountPoint: boolean;
  /** Its owner may make and rename directories beside it. */
  readonly parentWritable: boolean;
  /** Of the file system that holds it. */
  readonly freeBytes: number;
  /** The major version in PG_VERSION; null when there is none. */
  readonly major: number | null;
  /** Where pg_wal leads when it is a link. */
  readonly walLink: string | null;
  /** Whether its own configuration says whom it follows. */
  readonly hasConninfo: boolean;
  readonly hasRestoreCommand: boolean;
  readonly hasArchiveCommand: boolean;
  /** Where the oldest WAL segment that it has begins, and its size; null without WAL. */
  readonly oldestSegment: string | null;
  /** The newest timeline that it has WAL segments of; null without WAL. */
  readonly newestTimeline: number | null;
  /** The folder of Postgres's programs on the host. */
  readonly programs: string;
  readonly leftovers: readonly Leftover[];
  /** The data directory with every link followed. */
  readonly realData: string;
  /** Where the folder of --export leads, every link followed; null where none can be made. */
  readonly realExport: string | null;
  /** The program of the hook `snapshot`, where the image of a container lacks it; null otherwise. */
  readonly missingHook: string | null;
  /** Processes of an earlier rebuild that still work on its directories. */
  readonly workers: readonly number[];
}

/** Where the member's WAL ends: where its last whole record starts, and on which timeline. */
export interface WalEnd {
  readonly timeline: number;
  readonly lsn: Lsn;
}

export interface ControlSeen {
  readonly state: string;
  readonly checkpoint: Lsn;
  readonly timeline: number;
  /** Up to here it must replay before it is consistent, on minRecoveryTimeline; 0 for a primary. */
  readonly minRecoveryEnd: Lsn;
  readonly minRecoveryTimeline: number;
  readonly systemIdentifier: string;
  readonly canRewind: boolean;
}

export interface MemberSeen {
  /** Postgres answered a query. */
  readonly reached: boolean;
  readonly role: "primary" | "standby" | "unknown";
  readonly writable: boolean | null;
  readonly systemIdentifier: string | null;
  readonly replayLsn: Lsn | null;
  /** Where a standby that answers has WAL to; null for any other. */
  readonly end: WalEnd | null;
  /** It is a standby that has replayed all WAL of its own and waits for more. */
  readonly waitsForWal: boolean;
  /** unknown: its host did not answer. */
  readonly process: "alive" | "stopping" | "gone" | "unknown";
  readonly processes: readonly PostgresProcess[];
  readonly control: ControlSeen | null;
  readonly armed: boolean | "unknown";
  readonly promoteFile: boolean | null;
  readonly archiveReady: number;
  readonly layout: Layout | null;
  /** What of a container outlives a command, by path; null: not in one, or nothing is exported. */
  readonly volumes: { readonly container: string; readonly targets: readonly string[] } | null;
  /** Why its host could not be asked; "" when it could. */
  readonly hostError: string;
}

/** Only the first, whole look has it. */
export interface Survey {
  /** Null while it runs, or where no WAL can be read. */
  readonly end: WalEnd | null;
  /** The text of the history file of the member's timeline; "" on timeline 1, null when missing. */
  readonly history: string | null;
  /** Whether the WAL just before its end is, byte for byte, the source's; null when not compared. */
  readonly sameBytes: boolean | null;
  /** What lies past the fork; null where it does not apply or cannot be read. */
  readonly past: { readonly walBytes: number; readonly transactions: number } | null;
  /** Why WAL could not be read; "" when it was not tried or could be. */
  readonly error: string;
}

export interface RebuildObservation {
  readonly source: SourceSeen;
  readonly member: MemberSeen;
}

export const unknownSource: SourceSeen = {
  reached: false,
  error: "",
  writable: null,
  versionNumber: 0,
  systemIdentifier: null,
  timeline: null,
  controlTimeline: null,
  history: null,
  lsn: null,
  segmentBytes: 16 * 1024 ** 2,
  oldestWal: null,
  dataBytes: 0,
  tablespaces: [],
  slots: [],
  senders: [],
  mark: null,
  madeSlot: false,
};

export const unknownMember: MemberSeen = {
  reached: false,
  role: "unknown",
  writable: null,
  systemIdentifier: null,
  replayLsn: null,
  end: null,
  waitsForWal: false,
  process: "unknown",
  processes: [],
  control: null,
  armed: "unknown",
  promoteFile: null,
  archiveReady: 0,
  layout: null,
  volumes: null,
  hostError: "",
};

export const emptySurvey: Survey = {
  end: null,
  history: null,
  sameBytes: null,
  past: null,
  error: "",
};
