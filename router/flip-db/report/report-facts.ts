/** What the report of a flip is made of, and how its facts are read. Pure. */
import type { Outcome } from "../../operation/execute.ts";
import type { StepEvent } from "../../operation/run-step.ts";
import type { Facts } from "../../operation/step.ts";
import type { FlipPlan } from "../flip-actions.ts";

/** A step's event and when it came, in milliseconds of a time that never goes back. */
export interface TimedStep extends StepEvent {
  readonly at: number;
}

export interface ReportFacts {
  readonly environment: string;
  readonly plan: FlipPlan;
  readonly outcome: Outcome;
  readonly steps: readonly TimedStep[];
  /** ISO 8601. */
  readonly startedAt: string;
  readonly tookMs: number;
  readonly wasAborted: boolean;
  /** Of earlier runs of this operation, from its journal: step by step. */
  readonly before?: Readonly<Record<string, Facts>>;
}

/** An earlier run's facts count where this one only finishes; what it has yet to prove, it proves. */
export function earlier({ plan, before = {} }: ReportFacts): NonNullable<ReportFacts["before"]> {
  return plan.goal === "forward" && !plan.steps.includes("prove") ? before : {};
}

/** What the steps of this run have told, or else the proof of an earlier one. */
export function known(facts: ReportFacts, key: string): string | null {
  const { prove, drain, stop } = earlier(facts);
  const value =
    facts.steps.findLast((one) => one.facts?.[key] !== undefined)?.facts?.[key] ??
    [prove, drain, stop].find((one) => one?.[key] !== undefined)?.[key];
  return value === undefined ? null : String(value);
}

/** What the steps of this run have told, or else whatever an earlier run has. */
export function told({ steps, before = {} }: ReportFacts, key: string): string | null {
  const now = steps.findLast((one) => one.facts?.[key] !== undefined)?.facts?.[key];
  const then = Object.values<Facts>(before).find((one) => one[key] !== undefined)?.[key];
  const value = now ?? then;
  return value === undefined ? null : String(value);
}
