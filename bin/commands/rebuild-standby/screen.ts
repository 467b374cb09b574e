/** What a rebuild looks like on a terminal, and as well in a pipe. Pure. */
import type { RebuildReport } from "../../../router/rebuild-standby/report.ts";
import { sizeWords } from "../../../router/rebuild-standby/progress.ts";
import type { RebuildPlan } from "../../../router/rebuild-standby/rebuild-actions.ts";
import { rowsOf } from "../../../router/rebuild-standby/rebuild.ts";
import { printable } from "../../cli/output.ts";
import type { Style } from "../../cli/output.ts";
import { factLines, problemWords } from "../../cli/step-lines.ts";

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
    ...problems.map((one) => ["problem", problemWords(one)] as const),
    ["next", report.next],
  ];
  return [paint(printable(headings[result](report))), ...factLines(rows)];
}

function copiedWords({ bytes, ms, bytesPerSecond }: NonNullable<RebuildReport["copied"]>): string {
  return `${sizeWords(bytes)} in ${(ms / 1000).toFixed(1)} s, ${sizeWords(bytesPerSecond)}/s`;
}
