/**
 * What a flip sees: plain values, taken just now. What was not asked for, or did not answer, is
 * unknown, and the unknown proves nothing.
 */
import type { Lsn } from "../../kit/lsn.ts";
import type { JournalRecord } from "../operation/records.ts";

/** What a look can be asked for. others: the members that are neither end of the flip. */
export type FlipPart = "from" | "to" | "others" | "routers" | "gates";

export const allParts: readonly FlipPart[] = ["from", "to", "others", "routers", "gates"];

/** The control file, read as a file, its version and CRC checked. */
export interface ControlSeen {
  /** As pg_controldata prints it: shut down, shut down in recovery, in production … */
  readonly state: string;
  /** Where the record of the latest checkpoint starts. */
  readonly checkpoint: Lsn;
  readonly timeline: number;
  readonly systemIdentifier: string;
}

export interface MemberSeen {
  /** Postgres answered a query. */
  readonly reached: boolean;
  readonly role: "primary" | "standby" | "unknown";
  /** A primary that is not read-only; null while unknown. */
  readonly writable: boolean | null;
  /** The timeline that it writes or replays; null while unknown. */
  readonly timeline: number | null;
  readonly systemIdentifier: string | null;
  /** Standby: the end of what it has replayed. */
  readonly replayLsn: Lsn | null;
  /** The member it streams from, when that is connected. */
  readonly streamsFrom: string | null;
  /** gone: no process is left that can write. stopping: a shutdown was asked for and goes on. */
  readonly process: "alive" | "stopping" | "gone" | "unknown";
  /** Null when it could not be read, or failed its CRC. */
  readonly control: ControlSeen | null;
  /** Whose standby.signal it holds; null when there is none. */
  readonly armed: { readonly by: string } | null | "unknown";
  /** A `promote` file lies in the data directory; null while unknown. */
  readonly promoteFile: boolean | null;
  /** Names of its replication slots; null while unknown. */
  readonly slots: readonly string[] | null;
  /** The flip that its copy of the cluster's journal calls unfinished; null when none. */
  readonly openOperation: string | null;
}

export const unknownMember: MemberSeen = {
  reached: false,
  role: "unknown",
  writable: null,
  timeline: null,
  systemIdentifier: null,
  replayLsn: null,
  streamsFrom: null,
  process: "unknown",
  control: null,
  armed: "unknown",
  promoteFile: null,
  slots: null,
  openOperation: null,
};

export interface RouterSeen {
  readonly name: string;
  readonly reached: boolean;
  /** Members that it gives new write connections to. */
  readonly up: readonly string[];
  /** Members whose own check passed when it last ran. */
  readonly passing: readonly string[];
}

export interface GateSeen {
  readonly name: string;
  readonly reached: boolean;
  /** The run that holds the lease of its pause; null while it is not paused. */
  readonly pausedBy: string | null;
}

export interface FlipObservation {
  readonly members: Readonly<Record<string, MemberSeen>>;
  /** Empty where routers, or gates, were not asked for. */
  readonly routers: readonly RouterSeen[];
  readonly gates: readonly GateSeen[];
  /** The cluster's journal, as the members that answered have it. */
  readonly journal: readonly JournalRecord[];
}
