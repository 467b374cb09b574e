/**
 * What an operation sees of one member: plain values, taken just now. What was not asked for, or
 * did not answer, is unknown, and the unknown proves nothing.
 */
import type { Lsn } from "../../kit/lsn.ts";
import type { PostgresProcess } from "../postgres/control/contract.ts";

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
  /** Primary: the end of what it has written. */
  readonly writeLsn: Lsn | null;
  /** Standby: the end of what it has replayed. */
  readonly replayLsn: Lsn | null;
  /** Standby: the end of what it has received and flushed; null when none since its start. */
  readonly receiveLsn: Lsn | null;
  /** The member it streams from, when that is connected. */
  readonly streamsFrom: string | null;
  /** Its synchronous_standby_names as set now, whatever its role; null while unknown. */
  readonly synchronousNames: string | null;
  /**
   * gone: no process is left that can write (archiver, walsenders and an ending postmaster may
   * remain). stopping: a shutdown was asked for and goes on.
   */
  readonly process: "alive" | "stopping" | "gone" | "unknown";
  /** All its processes; null when they were not asked for, or could not be listed. */
  readonly processes: readonly PostgresProcess[] | null;
  /** WAL files that wait for the archiver; null when not asked for. */
  readonly archiveReady: number | null;
  /** Null when it could not be read, or failed its CRC. */
  readonly control: ControlSeen | null;
  /** What its standby.signal says; null when there is none. */
  readonly armed: { readonly by: string } | null | "unknown";
  /** A `promote` file lies in the data directory; null while unknown. */
  readonly promoteFile: boolean | null;
  /** Why its host could not be looked at; null when it could, or was not asked. */
  readonly hostFault: string | null;
  /** Names of its replication slots; null while unknown. */
  readonly slots: readonly string[] | null;
  /** The flip that its copy of the cluster's journal calls unfinished; null when none. */
  readonly openOperation: string | null;
}

/** A member of which nothing is known. */
export const unknownMember: MemberSeen = {
  reached: false,
  role: "unknown",
  writable: null,
  timeline: null,
  systemIdentifier: null,
  writeLsn: null,
  replayLsn: null,
  receiveLsn: null,
  streamsFrom: null,
  synchronousNames: null,
  process: "unknown",
  processes: null,
  archiveReady: null,
  control: null,
  armed: "unknown",
  promoteFile: null,
  hostFault: null,
  slots: null,
  openOperation: null,
};
