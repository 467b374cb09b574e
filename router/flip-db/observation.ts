/**
 * What a flip sees: plain values, taken just now. What was not asked for, or did not answer, is
 * unknown, and the unknown proves nothing.
 */
import type { MemberSeen } from "../member/seen.ts";
import type { MonitorNode } from "../monitor/nodes.ts";
import type { JournalRecord } from "../operation/records.ts";

/**
 * What a look can be asked for. processes: the whole process list and the archive's backlog of the
 * members asked for; sessions: how many the routers have open to each member. Both take longer, so
 * they are asked for only where they count.
 */
export type FlipPart = "from" | "to" | "processes" | "routers" | "sessions" | "gates" | "monitor";

export const allParts: readonly FlipPart[] = [
  "from",
  "to",
  "processes",
  "routers",
  "sessions",
  "gates",
  "monitor",
];

export interface RouterSeen {
  readonly name: string;
  readonly reached: boolean;
  /** Members that it gives new write connections to. */
  readonly up: readonly string[];
  /** Members whose own check passed when it last ran. */
  readonly passing: readonly string[];
  /** Open sessions by member, those of old workers included; empty when not asked for. */
  readonly sessions: Readonly<Record<string, number>>;
}

export interface GateSeen {
  readonly name: string;
  readonly reached: boolean;
  /** The run that holds the lease of its pause; null while it is not paused. */
  readonly pausedBy: string | null;
  /** When its lease ends unless it is renewed, in ms from the look; left out where that is not known. */
  readonly endsInMs?: number;
}

export type MonitorSeen = { readonly nodes: readonly MonitorNode[] } | { readonly fault: string };

export interface FlipObservation {
  readonly members: Readonly<Record<string, MemberSeen>>;
  /** Empty where routers, or gates, were not asked for. */
  readonly routers: readonly RouterSeen[];
  readonly gates: readonly GateSeen[];
  /** What the monitor says, or why it says nothing; left out where there is none, or it was not asked. */
  readonly monitor?: MonitorSeen;
  /** The cluster's journal, as the members that answered have it. */
  readonly journal: readonly JournalRecord[];
}
