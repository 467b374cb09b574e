/**
 * A simulated Postgres: its WAL as a list of entries, its control file, its signal files, its
 * supervisor. Whatever takes time is due at a moment of the simulated clock.
 */
import type { JournalRecord } from "../../router/operation/records.ts";

export interface Entry {
  readonly at: number;
  /** An acknowledged row; null for what is not a row. */
  readonly row: number | null;
  readonly record: JournalRecord | null;
}

/** Whether a stopped or killed postmaster comes back by itself. */
export type RestartPolicy = "never" | "when killed" | "always";

export class SimMember {
  readonly name: string;
  wal: Entry[] = [];
  journal: JournalRecord[] = [];
  running = true;
  /** Counts starts: a session lives in one of them. */
  starts = 1;
  inRecovery: boolean;
  /** Who wrote its standby.signal. */
  signal: string | null;
  promoteFile = false;
  promoteAt: number | null = null;
  /** When the asked-for shutdown has ended its sessions and writes its checkpoint. */
  stopAt: number | null = null;
  /** The checkpoint is written; walsenders still send. */
  draining = false;
  restartAt: number | null = null;
  /** A fault ended it, and nothing has started it since. */
  isKilled = false;
  /** Its archiver runs until then, though its postmaster can no longer write. */
  lingersUntil = 0;
  synchronousNames = "";
  timeline = 3;
  systemIdentifier = "7";
  upstream: string | null;
  state: string;
  checkpoint = 0;
  controlTimeline = 3;
  readonly slots = new Set<string>();
  readonly policy: RestartPolicy;

  constructor(name: string, upstream: string | null, policy: RestartPolicy) {
    this.name = name;
    this.upstream = upstream;
    this.policy = policy;
    this.inRecovery = upstream !== null;
    this.signal = upstream === null ? null : "setup";
    this.state = this.inRecovery ? "in archive recovery" : "in production";
  }

  get writable(): boolean {
    return this.running && !this.inRecovery && this.stopAt === null && !this.draining;
  }

  append(entry: Entry): void {
    this.wal.push(entry);
    if (entry.record !== null) this.journal.push(entry.record);
  }

  /** True when its WAL is the beginning of `other`'s. */
  isPrefixOf(other: SimMember): boolean {
    const last = this.wal.length - 1;
    return last < other.wal.length && (last < 0 || this.wal[last] === other.wal[last]);
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.isKilled = false;
    this.starts += 1;
    this.restartAt = null;
    this.promoteFile = false;
    this.promoteAt = null;
    this.inRecovery = this.signal !== null;
    this.state = this.inRecovery ? "in archive recovery" : "in production";
  }

  /** Fast shutdown; a repeated one changes nothing. */
  stop(now: number, lastsMs: number): void {
    if (this.running && this.stopAt === null && !this.draining) this.stopAt = now + lastsMs;
  }

  kill(now: number, backAfterMs: number): void {
    if (!this.running) return;
    this.down();
    this.isKilled = true;
    if (this.policy !== "never") this.restartAt = now + backAfterMs;
  }

  down(): void {
    this.running = false;
    this.stopAt = null;
    this.draining = false;
    this.promoteAt = null;
  }

  promote(): void {
    this.inRecovery = false;
    this.signal = null;
    this.promoteFile = false;
    this.promoteAt = null;
    this.timeline += 1;
    this.controlTimeline = this.timeline;
    this.state = "in production";
    this.upstream = null;
  }
}
