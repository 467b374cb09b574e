/**
 * What a flip can do to the world. Every act is safe to repeat; it may succeed, fail, be done and
 * still report a failure, or not end before its signal aborts. The flip finds out by looking.
 */
import type { Lsn } from "../../kit/lsn.ts";
import type { Facts, OperationKind } from "../operation/step.ts";
import type { FlipObservation, FlipPart } from "./observation.ts";

/** What the operator asked for. */
export type FlipGoal = "flip" | "resume" | "abort" | "failover";

/** The flip as data: printed by a dry run, journaled as its intent. */
export interface FlipPlan {
  readonly operationId: string;
  /** This run of the tool: it signs what it arms, holds and pauses. */
  readonly run: string;
  readonly asked: FlipGoal;
  readonly goal: "forward" | "back";
  readonly from: string;
  readonly to: string;
  readonly mode: "seamless" | "fast";
  /** planned: the old primary is stopped in good order; lost: it is down or cannot be reached. */
  readonly cause: "planned" | "lost";
  /** The operator has typed that the old primary is dead, where it cannot be seen. */
  readonly operatorSaysDead: boolean;
  /**
   * What clients do after the promotion while synchronous_standby_names asks for a standby: wait
   * for the old primary to stream again, or go on without it after a moment. none: it asks for none.
   */
  readonly synchronous: "none" | "wait" | "relax";
  /**
   * Whether the flip waits for the names: none where there is no registry; try where the operator
   * lets them stay behind.
   */
  readonly names: "none" | "wait" | "try";
  /** Whose affair the change itself is: our own, or that of the monitor, which is asked for it. */
  readonly manager: "none" | "pg_auto_failover";
  /** Of the old primary, when the flip was first planned. */
  readonly timeline: number;
  readonly systemIdentifier: string;
  /** The slot of the old primary was on the standby before the flip: undoing keeps it. */
  readonly hadSlot: boolean;
  /** The old primary may have been stopped: a failure is not undone by itself. */
  readonly crossed: boolean;
  /**
   * Routers and gates that are cut off and that the operator lets go: neither looked at nor acted
   * on, since their own checks find the new primary. As `router app-02`, `gate app-02-edge`.
   */
  readonly leftOut: readonly string[];
  /** Acknowledged rows that the new primary may lack, in words; `none` where it was proven. */
  readonly loss: string;
  /** Names of rows, in order. */
  readonly steps: readonly string[];
}

/** Checked by the standby in the statement that promotes it, so that no stale look can decide. */
export interface PromotionTerms {
  readonly timeline: number;
  readonly systemIdentifier: string;
  /** Its replay must be strictly past this position. */
  readonly past: Lsn;
}

type Act<Words extends readonly unknown[] = []> = (
  ...words: [...Words, signal: AbortSignal]
) => Promise<Facts | undefined>;

/** Facts that the report uses are named with the act; all others are shown as they are. */
export interface FlipActions {
  /** Writes the intent into the cluster's journal on the primary, creating it when it is missing. */
  readonly recordIntent: Act<[plan: FlipPlan]>;
  /** Writes the outcome into the cluster's journal on `member`, which takes writes. */
  readonly recordOutcome: Act<[member: string, plan: FlipPlan, result: "done" | "undone"]>;
  readonly checkpoint: Act<[member: string]>;
  /** A physical slot for `slotOf` that reserves WAL at once, over the lock's session. */
  readonly createSlot: Act<[session: string, slotOf: string]>;
  readonly dropSlot: Act<[session: string, slotOf: string]>;
  /** Opens and warms every control channel that is used between hold and release. */
  readonly warmChannels: Act<[plan: FlipPlan]>;
  /** Writes standby.signal saying `by` (also over another's), durably. */
  readonly arm: Act<[member: string, by: string]>;
  /** Removes standby.signal if it still says `by`, and fails otherwise. */
  readonly disarm: Act<[member: string, by: string]>;
  /** Pauses every edge pooler under a lease that this process renews until it ends. */
  readonly holdClients: Act<[run: string]>;
  /** Resumes what the leases of `run` paused; a gate that is not paused is fine. {longestHoldMs} */
  readonly releaseClients: Act<[run: string]>;
  /** `health down` on every router. The routers' own checks undo it by themselves. {sessionsClosed} */
  readonly divertFrom: Act<[member: string]>;
  readonly undivert: Act<[member: string]>;
  /**
   * Fast shutdown, marked as stopped by hand where the host has such a mark. Does not wait. Only
   * while its standby.signal says `by` (null: while it has none), and fails otherwise: who was frozen
   * may wake up after another took the flip back.
   */
  readonly stopOld: Act<[member: string, by: string | null]>;
  /** Stops the standby over the lock's session or, marked by it, over its control channel. */
  readonly stopStandby: Act<[session: string, member: string]>;
  /** `pg_promote(wait => false)` over the lock's session, only on these terms. */
  readonly promote: Act<[session: string, member: string, terms: PromotionTerms]>;
  readonly removePromoteFile: Act<[member: string]>;
  readonly startMember: Act<[member: string]>;
  /** Commits a row with synchronous_commit = local, over the lock's session. */
  readonly verifyWrite: Act<[session: string, member: string, plan: FlipPlan]>;
  readonly reconnectPooler: Act<[member: string]>;
  /** `down` down and `up` up in one line, on all routers at once. {sessionsClosed} */
  readonly route: Act<[move: { readonly down: string; readonly up: string }]>;
  /** Closes what is still open to `member` on every router, in old workers too. {sessionsClosed} */
  readonly sweepSessions: Act<[member: string]>;
  /** Asks the registry to look now, and waits until the names lead to the new primary. */
  readonly moveNames: Act<[plan: FlipPlan]>;
  /** Asks the monitor for the change: of a planned flip for `to`, else for a standby of its choice. */
  readonly askMonitor: Act<[plan: FlipPlan]>;
  /** Where the timeline of `member`, which was promoted, left the one before. {promotedAt} */
  readonly forkOf: Act<[member: string]>;
  /** Empties synchronous_standby_names over the lock's session. */
  readonly relaxSynchronous: Act<[session: string]>;
}

export interface FlipKind extends OperationKind {
  readonly plan: FlipPlan;
  readonly seen: FlipObservation;
  readonly actions: FlipActions;
  readonly part: FlipPart;
}
