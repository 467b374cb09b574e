/**
 * What a role source has seen of one cluster, as plain values, and what is known of the cluster
 * beside it. Which member takes writes is judged from these alone.
 */
import type { Lsn } from "../../kit/lsn.ts";
import type { MonitorNode } from "../../router/monitor/nodes.ts";
import type { RolesView } from "../contract.ts";

/** How far a member's WAL has come, and when that was so, in ms on the clock of who noted it. */
export interface Progress {
  readonly lsn: Lsn;
  readonly at: number;
}

/** A node as the monitor of pg_auto_failover has it, with how far it is and since when. */
export interface WatchedNode extends Omit<MonitorNode, "lsn"> {
  /** Null while it has not said how far it is. */
  readonly progress: Progress | null;
}

export interface MonitorObservation {
  readonly kind: "pg_auto_failover";
  /** ISO 8601. */
  readonly at: string;
  readonly nodes: readonly WatchedNode[];
  /** For how long the monitor has run and answered without a gap. */
  readonly steadyMs: number;
  /** How far each was at the look before, by name. */
  readonly earlier: Readonly<Record<string, Progress>>;
}

/** What a member said of itself. */
export interface ProbeAnswer {
  readonly standby: boolean;
  /** default_transaction_read_only. */
  readonly readOnly: boolean;
  readonly timeline: number;
  readonly system: string;
  /** Written by a primary, replayed by a standby. */
  readonly progress: Progress | null;
}

/** down: nothing listens there, or it closed the connection; silent: no answer, which says nothing. */
export interface ProbeFault {
  readonly kind: "down" | "silent" | "denied" | "no-address";
  readonly words: string;
  /** Since its last answer; null when it never gave one. */
  readonly silentMs: number | null;
}

export interface ProbedMember {
  readonly name: string;
  readonly answer: ProbeAnswer | ProbeFault;
}

export interface ProbeObservation {
  readonly kind: "probe";
  /** ISO 8601. */
  readonly at: string;
  readonly members: readonly ProbedMember[];
  /** As with a monitor. */
  readonly earlier: Readonly<Record<string, Progress>>;
}

/** The source did not answer. */
export interface SilentObservation {
  readonly kind: "silent";
  readonly reason: string;
}

/** There is no source. */
export interface NoObservation {
  readonly kind: "none";
  readonly at: string;
}

export type Observation = MonitorObservation | ProbeObservation | SilentObservation | NoObservation;

/** What is known of the cluster beside what was seen. */
export interface RoleContext {
  /** Names of its members, by ordinal. */
  readonly members: readonly string[];
  /** A standby further behind is left out; null: never. */
  readonly lagBytes: number | null;
  /** What was made of the look before. */
  readonly before: RolesView;
  /** Who has no record whatever is seen, one sentence each. */
  readonly leftOut: readonly string[];
}

/** What a source's table makes of a look; the rest of the view is the same for all. */
export type Judgement = Omit<RolesView, "seen_at">;

/** True for a member that did not answer. */
export function isFault(answer: ProbeAnswer | ProbeFault): answer is ProbeFault {
  return "kind" in answer;
}
