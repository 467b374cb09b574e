/**
 * What a flip can do to the world. Every act is safe to repeat; it may succeed, fail, be done and
 * still report a failure, or not end before its signal aborts. The flip finds out by looking.
 */
import type { Lsn } from "../../kit/lsn.ts";
import type { Facts, OperationKind } from "../operation/step.ts";
import type { FlipObservation, FlipPart } from "./observation.ts";

/** The flip as data: printed by a dry run, journaled as its intent. */
export interface FlipPlan {
  readonly operationId: string;
  /** This run of the tool: it signs what it arms, holds and pauses. */
  readonly run: string;
  readonly goal: "forward" | "back";
  readonly from: string;
  readonly to: string;
  readonly others: readonly string[];
  readonly mode: "seamless" | "fast";
  /** Of the old primary, when the flip was first planned. */
  readonly timeline: number;
  readonly systemIdentifier: string;
  /** The slot of the old primary was on the standby before the flip: undoing keeps it. */
  readonly hadSlot: boolean;
  /** The old primary may have been stopped: a failure is not undone by itself. */
  readonly crossed: boolean;
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
  /** Writes standby.signal signed by `run` (also over another run's), durably. */
  readonly arm: Act<[member: string, run: string]>;
  /** Removes standby.signal if it is still the one signed by `by`, and fails otherwise. */
  readonly disarm: Act<[member: string, by: string]>;
  /** Pauses every edge pooler under a lease that this process renews until it ends. */
  readonly holdClients: Act<[run: string]>;
  /** Resumes what the leases of `run` paused; a gate that is not paused is fine. */
  readonly releaseClients: Act<[run: string]>;
  /** `health down` on every router. The routers' own checks undo it by themselves. */
  readonly divertFrom: Act<[member: string]>;
  readonly undivert: Act<[member: string]>;
  /** Fast shutdown, marked as stopped by hand where the host has such a mark. */
  readonly stopOld: Act<[member: string]>;
  /** Stops the standby over the lock's session or, marked by it, over its control channel. */
  readonly stopStandby: Act<[session: string, member: string]>;
  /** `pg_promote(wait => false)` over the lock's session, only on these terms. */
  readonly promote: Act<[session: string, member: string, terms: PromotionTerms]>;
  readonly removePromoteFile: Act<[member: string]>;
  readonly startMember: Act<[member: string]>;
  /** Commits a row with synchronous_commit = local, over the lock's session. */
  readonly verifyWrite: Act<[session: string, member: string, plan: FlipPlan]>;
  readonly reconnectPooler: Act<[member: string]>;
  /** `down` down and `up` up in one line, on all routers at once. */
  readonly route: Act<[move: { readonly down: string; readonly up: string }]>;
  /** Lets the other members stream from `upstream`. */
  readonly repoint: Act<[members: readonly string[], upstream: string]>;
}

export interface FlipKind extends OperationKind {
  readonly plan: FlipPlan;
  readonly seen: FlipObservation;
  readonly actions: FlipActions;
  readonly part: FlipPart;
}
