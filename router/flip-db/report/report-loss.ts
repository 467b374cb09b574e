/**
 * What a flip has lost of what was acknowledged, in words, and by what that is proven: from what its
 * steps have told, in this run or an earlier one. Pure.
 */
import { lsnDistance, parseLsn } from "../../../kit/lsn.ts";
import { silentMonitor } from "../proof.ts";
import { earlier, known, told } from "./report-facts.ts";
import type { ReportFacts } from "./report-facts.ts";

/** What is lost of what was acknowledged: `none` where it is certain. */
export function lossWords(facts: ReportFacts): string {
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

/** What ended it was, or came with, a monitor that did not answer. */
export function isMonitorSilent({ failed }: ReportFacts["outcome"]): boolean {
  return failed?.reason.includes(silentMonitor) === true;
}

/**
 * The same where a monitor made the change. What was written before the clients were held, or before
 * it was asked, is compared with where the new primary was promoted: it has all up to there.
 */
export function lossWithMonitor(facts: ReportFacts): string {
  const { plan, outcome, steps } = facts;
  const { from, to, cause } = plan;
  const isAsked = [
    ...steps,
    ...Object.entries(facts.before ?? {}).map(([step]) => ({ step })),
  ].some(({ step }) => step === "ask");
  if (!isAsked && outcome.result === "undone") {
    return `none: ${from} keeps every row, and the monitor was not asked`;
  }
  if (outcome.result !== "done") {
    return isMonitorSilent(outcome)
      ? `not decided here: ${silentMonitor}, and nothing goes on before it runs again`
      : "not decided here: the monitor goes on by itself";
  }
  if (cause === "lost") return plan.loss;
  const [written, promotedAt] = [told(facts, "written"), told(facts, "promotedAt")];
  if (written === null || promotedAt === null) {
    return "not known here: another run asked the monitor, or its proof could not be read";
  }
  const missing = lsnDistance(parseLsn(written), parseLsn(promotedAt));
  const places = `${from} had written up to ${written}, and ${to} was promoted at ${promotedAt}`;
  if (missing > 0) return `possible: ${places}, which is ${missing} bytes short`;
  const wasHeld = steps.some((one) => one.step === "verify-new" && one.facts?.["held"] === true);
  if (wasHeld) return `none of what came by the gates, proven: ${places}, past it`;
  return `none of what was written before the monitor was asked: ${places}; what came later is safe where it waited for a standby`;
}
