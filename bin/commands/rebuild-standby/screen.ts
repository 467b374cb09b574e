/** What a rebuild looks like on a terminal, and as well in a pipe. Pure. */
import type { StepEvent } from "../../../router/operation/run-step.ts";
import type { RebuildReport } from "../../../router/rebuild-standby/events.ts";
import { sizeWords } from "../../../router/rebuild-standby/progress.ts";
import type { RebuildPlan } from "../../../router/rebuild-standby/rebuild-actions.ts";
import { rowsOf } from "../../../router/rebuild-standby/rebuild.ts";
import { printable } from "../../cli/output.ts";
import type { Style } from "../../cli/output.ts";

const timeWidth = 7;

/** The plan for people: the method and why, what is lost, what is worth knowing, every step. */
export function planLines(plan: RebuildPlan, style: Style): string[] {
  const { member, source, method, why, thrownAway, fork, risks, notes } = plan;
  const lost =
    thrownAway === null
      ? []
      : [
          `  thrown away  ${sizeWords(thrownAway.walBytes)} of WAL with ${thrownAway.transactions} committed transactions, after ${fork?.lsn ?? "?"}`,
        ];
  const exported = plan.exportTo === null ? [] : [`  exported to  ${plan.exportTo}`];
  const copies = plan.steps.includes("copy") ? [`  to copy      ${sizeWords(plan.dataBytes)}`] : [];
  const steps = rowsOf(plan).map((row, index) => {
    const number = String(index + 1).padStart(2);
    return `  ${number}  ${row.describe(plan)}`;
  });
  const head = style.bold(printable(`rebuild ${member} from ${source}: ${method}`));
  return [
    head,
    ...[`  because      ${why}`, ...copies, ...lost, ...exported].map(printable),
    ...risks.map(({ word, says }) => style.warn(printable(`  risk ${word}: ${says}`))),
    ...notes.map((text) => style.dim(printable(`  note: ${text}`))),
    ...(plan.mayCopy
      ? [style.dim("  note: a rewind that fails is followed by a base backup")]
      : []),
    ...steps.map(printable),
    ...(steps.length === 0 ? ["  nothing to do"] : []),
  ];
}

/** The line of one event; undefined for what needs none. */
export function stepLine(event: StepEvent, style: Style): string | undefined {
  const { phase, ms, words, reason } = event;
  const time = `${String(Math.round(ms)).padStart(timeWidth)} ms`;
  const said = printable(words);
  const lines: Readonly<Record<StepEvent["phase"], string | undefined>> = {
    start: undefined,
    done: `${time}  ${said}`,
    skipped: style.dim(`${" ".repeat(timeWidth + 3)}  ${said}: is so already`),
    waiting: style.dim(`${time}  ... ${said}`),
    failed: `${time}  ${style.bad("FAILED")} ${said}: ${printable(reason ?? "no reason given")}`,
  };
  return lines[phase];
}

const headings: Readonly<Record<RebuildReport["result"], (report: RebuildReport) => string>> = {
  done: ({ member, source }) => `DONE  ${member} streams from ${source}`,
  undone: ({ member }) => `UNDONE  ${member} is as it was`,
  stuck: ({ member }) => `STUCK  ${member} does not follow yet`,
  refused: () => "REFUSED  nothing was changed",
};

/** The report for people. */
export function reportLines(report: RebuildReport, style: Style): string[] {
  const { result, problems, copied, thrownAway } = report;
  const paint = result === "done" && problems.length === 0 ? style.good : style.bad;
  const lost =
    thrownAway === null
      ? null
      : `${sizeWords(thrownAway.walBytes)} of WAL, ${thrownAway.transactions} transactions${thrownAway.exportedTo === null ? "" : `, exported to ${thrownAway.exportedTo}`}`;
  const rows: readonly (readonly [string, string | null])[] = [
    ["method", `${report.method ?? "none"}: ${report.why}`],
    ["took", `${(report.tookMs / 1000).toFixed(1)} s`],
    ["copied", copied === null ? null : copiedWords(copied)],
    ["thrown away", lost],
    ...problems.map(({ step, reason }) => ["problem", withStep(step, reason)] as const),
    ["next", report.next],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    paint(printable(headings[result](report))),
    ...rows.flatMap(([name, text]) =>
      text === null ? [] : [`  ${name.padEnd(width)}  ${printable(text)}`],
    ),
  ];
}

function copiedWords({ bytes, ms, bytesPerSecond }: NonNullable<RebuildReport["copied"]>): string {
  return `${sizeWords(bytes)} in ${(ms / 1000).toFixed(1)} s, ${sizeWords(bytesPerSecond)}/s`;
}

function withStep(step: string, reason: string): string {
  return reason.startsWith(`${step}:`) ? reason : `${step}: ${reason}`;
}
