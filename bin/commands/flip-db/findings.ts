/** How prechecks and a plan are printed: every finding, and with --dry-run every row. Pure. */
import type { Precheck } from "../../../router/flip-db/prechecks.ts";
import { flipSteps } from "../../../router/flip-db/steps.ts";
import { rowsOf } from "../../../router/flip-db/flip.ts";
import type { FlipPlan } from "../../../router/flip-db/flip-actions.ts";
import { printable } from "../../cli/output.ts";
import type { Style } from "../../cli/output.ts";
import type { Prepared } from "./prepare.ts";

type Outcome = Precheck["outcome"];

const paintOf: Readonly<Record<Outcome, keyof Style>> = {
  ok: "good",
  refused: "bad",
  unknown: "bad",
  warned: "warn",
  accepted: "warn",
  told: "dim",
};

/**
 * What an operator has to know before the question: everything that is not simply fine. What is
 * unknown for one and the same reason is told once.
 */
export function findingLines({ prechecks }: Prepared, style: Style): string[] {
  const unknown = prechecks.filter((one) => one.outcome === "unknown");
  const shown = prechecks.filter(({ code, outcome, finding }) => {
    if (outcome !== "unknown") return !["ok", "told"].includes(outcome);
    return unknown.find((one) => one.finding === finding)?.code === code;
  });
  return shown.flatMap((one) => {
    const same = unknown.filter(({ finding }) => finding === one.finding);
    if (one.outcome !== "unknown" || same.length === 1) return precheckLines(one, style);
    const finding = `and ${same.length - 1} more: ${one.finding}`;
    return precheckLines({ ...one, finding }, style).slice(0, 1);
  });
}

/** All prechecks, then the plan with every step. */
export function dryLines(prepared: Prepared, style: Style): string[] {
  const { plan, prechecks } = prepared;
  const checks = prechecks.flatMap((one) => precheckLines(one, style));
  if ("refused" in plan) return [...checks, `${style.bad("REFUSED")}  ${printable(plan.refused)}`];
  return [
    ...checks,
    ...(checks.length === 0 ? [] : [""]),
    style.bold(printable(`plan: ${plan.from} to ${plan.to}, ${plan.mode}`)),
    ...stepsOf(plan).map(({ step, words }) => printable(`  ${step.padEnd(stepWidth)}  ${words}`)),
    ...plan.leftOut.map((one) => printable(`left out, as accepted: ${one}`)),
    "nothing was changed",
  ];
}

const stepWidth = 14;

function stepsOf(plan: FlipPlan): { step: string; words: string }[] {
  return rowsOf(plan, flipSteps()).map((row) => ({ step: row.step, words: row.describe(plan) }));
}

/** The one object of --dry-run --json. */
export function dryObject({ plan, prechecks }: Prepared): object {
  const isPlan = !("refused" in plan);
  return {
    event: "dry-run",
    prechecks,
    plan: isPlan ? { ...plan, steps: stepsOf(plan) } : null,
    refused: isPlan ? null : plan.refused,
  };
}

const codeWidth = 20;

function precheckLines(
  { code, title, outcome, finding, help, risk }: Precheck,
  style: Style,
): string[] {
  const word = style[paintOf[outcome]](outcome.padEnd(8));
  const name = printable(code.padEnd(codeWidth));
  if (outcome === "ok") return [`${word}  ${name}  ${printable(title)}`];
  const accept = risk === null || outcome === "accepted" ? "" : ` Or: --accept-risk=${risk}`;
  const indent = " ".repeat(8 + 2);
  return [
    `${word}  ${name}  ${printable(finding)}`,
    ...(outcome === "told" ? [] : [`${indent}${printable(help + accept)}`]),
  ];
}
