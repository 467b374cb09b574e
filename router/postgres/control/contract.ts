/**
 * What can be done to a member's Postgres on its own host, past Postgres itself: read its control
 * file, arm and disarm it, stop it, start it. Everything is safe to repeat and is judged by looking
 * again; nothing here decides whether it may be done.
 */
import type { Lsn } from "../../../kit/lsn.ts";

/** global/pg_control, read as a file, its version and CRC checked. */
export interface ControlFile {
  /** As pg_controldata prints it: shut down, shut down in recovery, in production … */
  readonly state: string;
  /** Where the record of the latest checkpoint starts. */
  readonly checkpoint: Lsn;
  readonly timeline: number;
  readonly systemIdentifier: string;
  /** End of recovery's minimum, for a standby; 0/0 for a primary. */
  readonly minRecoveryEnd: Lsn;
  /** The timeline of minRecoveryEnd; 0 for a primary. Past `timeline` right after a promotion. */
  readonly minRecoveryTimeline: number;
  /** False: neither checksums nor wal_log_hints, so pg_rewind cannot be used. */
  readonly canRewind: boolean;
}

/** A process of this Postgres, by what its title says. */
export interface PostgresProcess {
  readonly pid: number;
  /** Such as postmaster, checkpointer, walsender, archiver, logger, backend, startup. */
  readonly kind: string;
  /** The whole title, for the operator. */
  readonly title: string;
}

export interface HostFacts {
  /**
   * gone: no process is left that can write (archiver, walsenders and an ending postmaster whose
   * control file says `shut down` may remain); stopping: a shutdown was asked for and goes on.
   */
  readonly process: "alive" | "stopping" | "gone";
  /** All processes that run on the data directory. */
  readonly processes: readonly PostgresProcess[];
  /** Null when it cannot be read, or fails its CRC. */
  readonly control: ControlFile | null;
  /** What its standby.signal says; null when there is none. `by` is "" for one that says nothing. */
  readonly armed: { readonly by: string } | null;
  readonly promoteFile: boolean;
  /** Files that wait in pg_wal/archive_status as .ready. */
  readonly archiveReady: number;
}

export interface RunOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** Each whole line as it comes, of standard output and standard error. */
  readonly onLine?: (line: string) => void;
  /** Written to the program's standard input, then closed. */
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A member's host. Errors are HostControlError: what was tried, on which member, what came back. */
export interface HostControl {
  readonly member: string;
  readonly data: string;
  /** False while looks go a way that is slow, until it is warm: give them seconds. */
  readonly isQuick: boolean;
  /** Opens what is opened only once, so that later acts open and spawn nothing. */
  warm(signal: AbortSignal): Promise<void>;
  /** `light` leaves out archiveReady (0 then) and, while the postmaster is there, the process list. */
  inspect(signal: AbortSignal, how?: "whole" | "light"): Promise<HostFacts>;
  /** Writes standby.signal, saying `by`, durably and as its data directory's owner; reads it back. */
  arm(by: string, signal: AbortSignal): Promise<void>;
  /** Removes standby.signal durably if it still says `by`, and fails otherwise. None is fine. */
  disarm(by: string, signal: AbortSignal): Promise<void>;
  /**
   * Asks for a fast shutdown and, with control.stop, marks it as stopped by hand. Does not wait. With
   * `armed` only while its standby.signal says `by` (null: while there is none), which is looked at
   * once more where and when the signal is sent; else ArmedByAnotherError.
   */
  stop(signal: AbortSignal, armed?: { readonly by: string | null }): Promise<void>;
  /** Starts Postgres on its data; resolves when its start was accepted, not when it answers. */
  start(signal: AbortSignal): Promise<void>;
  removePromoteFile(signal: AbortSignal): Promise<void>;
  /** Ends one process of this Postgres (SIGTERM), such as a walsender that holds up a shutdown. */
  terminate(pid: number, signal: AbortSignal): Promise<void>;
  /** Reads a whole file; null when there is none. Relative paths are below the data directory. */
  readFile(path: string, signal: AbortSignal): Promise<Buffer | null>;
  /** Runs a program on the host as the owner of the data directory. @returns its standard output */
  run(argv: readonly [string, ...string[]], options: RunOptions): Promise<string>;
  /** Restarts the PgBouncer beside it, by its container or its hook; nothing where it has neither. */
  restartPooler(signal: AbortSignal): Promise<void>;
  /** Runs a program as whoever the channel is (root, often): hooks of the environment. */
  runHook(argv: readonly string[], options: RunOptions): Promise<string>;
  close(): void;
}
