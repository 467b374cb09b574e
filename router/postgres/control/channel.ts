/**
 * The few primitives that host control stands on, and the error it throws. There are two channels:
 * this machine's own file system, and a shell on another host. Neither judges what it finds.
 */
import { faultWords } from "../../../kit/fault-words.ts";
import type { RunOptions } from "./contract.ts";

/** A process as /proc shows it (proc(5)); zombies are never among them. */
export interface SeenProcess {
  readonly pid: number;
  /** The line of /proc/PID/stat. */
  readonly stat: string;
  /** /proc/PID/cmdline, its words and what pads them still parted by NUL or blanks. */
  readonly commandLine: string;
}

/** One look at a data directory. */
export interface HostLook {
  /** postmaster.pid; null when there is none. */
  readonly pidFile: string | null;
  /**
   * The process that postmaster.pid names, as this channel counts; null when it is none of ours.
   * One in a container counts itself from 1 (NSpid, proc(5)).
   */
  readonly postmaster: number | null;
  /** global/pg_control, read after the processes; null when it cannot be read. */
  readonly control: Uint8Array | null;
  /** standby.signal; null when there is none. */
  readonly signalFile: string | null;
  readonly promoteFile: boolean;
  /**
   * Postgres processes that work in the data directory. Null for a light look that found the
   * postmaster of postmaster.pid at work and no reason to look for the others.
   */
  readonly processes: readonly SeenProcess[] | null;
  /** Files named *.ready in pg_wal/archive_status; 0 for a light look. */
  readonly archiveReady: number;
}

export type HostSignal = "SIGINT" | "SIGTERM";

/** A small file by its absolute path, and its text without line ends at its end; null: it is missing. */
export interface FileAsSeen {
  readonly path: string;
  readonly text: string | null;
}

/** A way to one host and one data directory there. Everything it throws is a HostControlError. */
export interface HostChannel {
  /** Where it leads, for messages. */
  readonly place: string;
  /** False while looks go a way that is slow, until it is warm; true where not given. */
  readonly isQuick?: boolean;
  /** Opens what can be opened beforehand; `hooks`: also what one runHook needs. */
  warm(hooks: boolean, signal: AbortSignal): Promise<void>;
  look(how: "whole" | "light", signal: AbortSignal): Promise<HostLook>;
  /** A whole file by its absolute path; null when there is none. */
  read(path: string, signal: AbortSignal): Promise<Buffer | null>;
  /** Replaces a file durably; it belongs to the owner of the data directory. */
  write(path: string, content: string, signal: AbortSignal): Promise<void>;
  /** Removes a file durably; one that is not there is fine. */
  remove(path: string, signal: AbortSignal): Promise<void>;
  /**
   * Signals `pid` if it is a Postgres process of the data directory and, with `only`, that file is as
   * it says; judged and done in one go, whatever became of us since we looked. @returns false when not
   */
  kill(pid: number, name: HostSignal, signal: AbortSignal, only?: FileAsSeen): Promise<boolean>;
  /** Runs a program to its end, as the owner of the data directory or as the channel itself. */
  run(argv: readonly string[], as: "owner" | "channel", options: RunOptions): Promise<string>;
  /** What starts and stops Postgres, where that is not a process of the host but a container. */
  readonly service?: PostgresService;
  close(): void;
}

/** Starts and stops a Postgres that has something around it. */
export interface PostgresService {
  /** Asks for a fast shutdown, and marks it as stopped by hand. One that does not run is fine. */
  stop(signal: AbortSignal): Promise<void>;
  /**
   * Starts it once nothing of the one before is left, `clear` right before; resolves when the start
   * was accepted. One that has come up meanwhile is fine.
   */
  start(clear: () => Promise<void>, signal: AbortSignal): Promise<void>;
  /** Restarts the pooler beside it. */
  restartPooler(signal: AbortSignal): Promise<void>;
}

/** Something on a member's host could not be read or done: what was tried, and what came back. */
export class HostControlError extends Error {
  override readonly name = "HostControlError";
  readonly code = "ERR_HOST_CONTROL";
  readonly member: string;
  readonly tried: string;
  constructor(member: string, tried: string, cameBack: string, cause?: unknown) {
    super(`${member}: ${tried}: ${cameBack}`.replaceAll(/\s*\n\s*/g, " "), { cause });
    this.member = member;
    this.tried = tried;
  }
}

/**
 * Does `work`; what it throws becomes a HostControlError that says what was tried.
 * @throws HostControlError, or the reason of `signal` once that is aborted
 */
export async function attempt<T>(
  member: string,
  tried: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  try {
    return await work();
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof HostControlError) throw cause;
    throw new HostControlError(member, tried, faultWords(cause), cause);
  }
}
