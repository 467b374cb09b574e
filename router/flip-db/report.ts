/**
 * The report of a flip, made from its plan, its outcome and what its steps told. Pure: the same for
 * the terminal, for --json and for history.
 */
import { problemsOf } from "../operation/execute.ts";
import type { Outcome } from "../operation/execute.ts";
import type { StepEvent } from "../operation/run-step.ts";
import type { Facts } from "../operation/step.ts";
import type { FlipReport } from "./events.ts";
import type { FlipPlan } from "./flip-actions.ts";

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

/** Where a problem is that the operator let something go that was cut off. */
const leftOutStep = "left-out";

function leftOutWords(part: string): string {
  return `${part} was cut off and is left out, as accepted: see to it when it is back`;
}

/** The problems that nobody has accepted beforehand. */
export function unaccepted({ problems }: Pick<FlipReport, "problems">): FlipReport["problems"] {
  return problems.filter((one) => one.step !== leftOutStep);
}

/** Makes the report. */
export function flipReport(facts: ReportFacts): FlipReport {
  const { plan, outcome, steps } = facts;
  const done = steps.filter((one) => one.phase === "done" || one.phase === "skipped");
  const isThere = (step: string): boolean => done.some((one) => one.step === step);
  const rejoined = outcome.result === "done" && isThere("rejoin");
  return {
    event: "report",
    operationId: plan.operationId,
    kind: plan.asked,
    result: outcome.result,
    aborted: facts.wasAborted && outcome.result === "undone",
    from: plan.from,
    to: plan.to,
    mode: plan.mode,
    startedAt: facts.startedAt,
    tookMs: Math.round(facts.tookMs),
    pauseMs: pauseMs(steps),
    longestHoldMs: plan.mode === "seamless" ? numberIn(done, "longestHoldMs") : null,
    steps: done
      .filter((one) => one.phase === "done")
      .map((one) => ({ step: one.step, ms: Math.round(one.ms), facts: one.facts ?? {} })),
    sessionsClosed: done.reduce((sum, one) => sum + Number(one.facts?.["sessionsClosed"] ?? 0), 0),
    timelines: { before: plan.timeline, after: timelineAfter(facts, done) },
    lsns: { checkpoint: known(facts, "checkpoint"), replayed: known(facts, "replayed") },
    loss: lossWords(facts),
    rejoined,
    problems: [
      ...problemsOf(outcome).filter((one, _, all) => !isConsequence(one.step, all)),
      ...plan.leftOut.map((one) => ({ step: leftOutStep, reason: leftOutWords(one) })),
    ],
    next: nextCommand(facts, rejoined),
  };
}

/** The old primary's pooler cannot be told what its Postgres is before that follows. */
function isConsequence(step: string, all: FlipReport["problems"]): boolean {
  return step === "reconnect-old" && all.some((one) => one.step === "rejoin");
}

const heldFrom = ["hold", "stop"];
const heldUntil = ["release", "release-back", "route", "start-old"];

/** From the start of the hold (without one, of the stop) to the end of the last release. */
function pauseMs(steps: readonly TimedStep[]): number | null {
  const begun = heldFrom
    .map((name) => steps.find((one) => one.step === name && one.phase === "start"))
    .find((one) => one !== undefined);
  if (begun === undefined) return null;
  const ends = heldUntil
    .map((name) => steps.findLast((one) => one.step === name && one.phase === "done"))
    .find((one) => one !== undefined);
  return ends === undefined ? null : Math.round(ends.at - begun.at);
}

function numberIn(steps: readonly TimedStep[], key: string): number | null {
  const value = steps.findLast((one) => one.facts?.[key] !== undefined)?.facts?.[key];
  return value === undefined ? null : Number(value);
}

/** What the promotion, or the row that was committed after it, has told; undone: nothing is after. */
function timelineAfter(facts: ReportFacts, done: readonly TimedStep[]): number | null {
  if (facts.outcome.result === "undone") return null;
  const { promote, verify } = earlier(facts);
  const before = promote?.["timeline"] ?? verify?.["timeline"];
  return numberIn(done, "timeline") ?? (before === undefined ? null : Number(before));
}

/** An earlier run's facts count where this one only finishes; what it has yet to prove, it proves. */
function earlier({ plan, before = {} }: ReportFacts): NonNullable<ReportFacts["before"]> {
  return plan.goal === "forward" && !plan.steps.includes("prove") ? before : {};
}

/** What the steps of this run have told, or else the proof of an earlier one. */
function known(facts: ReportFacts, key: string): string | null {
  const { prove, drain, stop } = earlier(facts);
  const value =
    facts.steps.findLast((one) => one.facts?.[key] !== undefined)?.facts?.[key] ??
    [prove, drain, stop].find((one) => one?.[key] !== undefined)?.[key];
  return value === undefined ? null : String(value);
}

function lossWords(facts: ReportFacts): string {
  const { plan, outcome, steps } = facts;
  const { from, to } = plan;
  if (outcome.result === "undone")
    return `none: ${from} keeps every row, and ${to} was not promoted`;
  if (plan.loss !== "none") return plan.loss;
  const isProven =
    steps.some((one) => one.step === "prove" && ["done", "skipped"].includes(one.phase)) ||
    earlier(facts)["prove"] !== undefined;
  if (isProven) {
    const [checkpoint, replayed] = [known(facts, "checkpoint"), known(facts, "replayed")];
    const at = checkpoint === null ? "" : `, its last checkpoint at ${checkpoint}`;
    const to2 = replayed === null ? "past it" : `to ${replayed}, past it`;
    return `none, proven by ${from} being shut down in good order${at}, and ${to} having replayed ${to2}, before ${to} was promoted`;
  }
  return outcome.result === "stuck"
    ? `not decided: ${to} is promoted only once it has every row of ${from}`
    : `not known here: ${to} had been promoted before this run began; a flip promotes only on the proof, which the history of the host that it ran on has`;
}

function nextCommand(
  { environment, plan, outcome, steps }: ReportFacts,
  rejoined: boolean,
): string | null {
  const flip = `bin/recovery ${environment} flip-db`;
  if (outcome.result === "undone") return `bin/recovery ${environment} topology`;
  if (outcome.result === "done") {
    return rejoined ? null : `bin/recovery ${environment} rebuild-standby --member ${plan.from}`;
  }
  const isSent = steps.some((one) => one.step === "promote" && one.phase !== "skipped");
  if (plan.goal === "back") return `${flip} --abort ${plan.operationId}`;
  const resume = `${flip} --resume ${plan.operationId}`;
  return isSent ? resume : `${resume}, or ${flip} --abort ${plan.operationId}`;
}
