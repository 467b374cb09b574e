/**
 * The report of a flip, made from its plan, its outcome and what its steps told. Pure: the same for
 * the terminal, for --json and for history.
 */
import { problemsOf } from "../operation/execute.ts";
import type { FlipReport } from "./events.ts";
import type { FlipPlan } from "./flip-actions.ts";
import { earlier, known } from "./report/report-facts.ts";
import type { ReportFacts, TimedStep } from "./report/report-facts.ts";
import { isMonitorSilent, lossWithMonitor, lossWords } from "./report/report-loss.ts";
import { namesLeft, namesReport } from "./report/report-names.ts";

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
  const rejoined = outcome.result === "done" && (isThere("rejoin") || isThere("follow"));
  const names = namesReport(steps);
  const left = namesLeft(steps, plan.from);
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
    loss: plan.manager === "none" ? lossWords(facts) : lossWithMonitor(facts),
    ...(names === undefined ? {} : { names }),
    ...(plan.manager === "none" ? {} : { manager: plan.manager }),
    rejoined,
    problems: [
      ...problemsOf(outcome)
        .filter((one, _, all) => !isConsequence(one.step, all))
        .concat(left.absent.map((reason) => ({ step: "names", reason })))
        .map((one) => asAccepted(one, plan)),
      ...left.gone.map((reason) => ({ step: leftOutStep, reason })),
      ...plan.leftOut.map((one) => ({ step: leftOutStep, reason: leftOutWords(one) })),
    ],
    next: nextCommand(facts, rejoined),
  };
}

/** Names that stay behind by an accepted risk are no problem of the flip's. */
function asAccepted(
  { step, reason }: FlipReport["problems"][number],
  { names }: FlipPlan,
): FlipReport["problems"][number] {
  return step === "names" && names === "try"
    ? { step: leftOutStep, reason: `${reason}; accepted: see to it when they are back` }
    : { step, reason };
}

/**
 * The old primary's pooler cannot be told what its Postgres is before that follows; a flip is not
 * closed while the monitor is at it.
 */
const consequences: Readonly<Record<string, readonly string[]>> = {
  "reconnect-old": ["rejoin", "follow"],
  "close-undone": ["ask", "switch"],
};

function isConsequence(step: string, all: FlipReport["problems"]): boolean {
  const causes = consequences[step] ?? [];
  return all.some((one) => causes.includes(one.step));
}

const heldFrom = ["hold", "stop", "ask"];
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

/** What the monitor is in the middle of, it goes on with by itself. */
function nextWithMonitor(
  { environment, plan, outcome }: ReportFacts,
  rejoined: boolean,
): string | null {
  if (outcome.result === "stuck") {
    const resume = `bin/recovery ${environment} flip-db --resume ${plan.operationId}`;
    const isSilent = isMonitorSilent(outcome);
    return isSilent ? `start the monitor (pg_autoctl run on its host), then ${resume}` : resume;
  }
  const isOver = rejoined || plan.cause === "lost";
  return isOver ? null : "pg_autoctl show state, and pg_autoctl show events";
}

function nextCommand(facts: ReportFacts, rejoined: boolean): string | null {
  const { environment, plan, outcome, steps } = facts;
  const flip = `bin/recovery ${environment} flip-db`;
  const topology = `bin/recovery ${environment} topology`;
  if (outcome.result === "undone") return topology;
  if (plan.manager !== "none") return nextWithMonitor(facts, rejoined);
  const staysBehind = problemsOf(outcome).some(({ step }) => step === "names");
  if (outcome.result === "done" && rejoined && staysBehind && plan.names !== "try") return topology;
  if (outcome.result === "done") {
    return rejoined ? null : `bin/recovery ${environment} rebuild-standby --member ${plan.from}`;
  }
  const isSent = steps.some((one) => one.step === "promote" && one.phase !== "skipped");
  if (plan.goal === "back") return `${flip} --abort ${plan.operationId}`;
  const resume = `${flip} --resume ${plan.operationId}`;
  return isSent ? resume : `${resume}, or ${flip} --abort ${plan.operationId}`;
}
