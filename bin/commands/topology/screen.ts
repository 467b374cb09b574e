/** The one screen of topology: pure, from what is known to lines of at most 100 columns. */
import type { Finding } from "../../../router/cluster/findings.ts";
import type { Topology } from "../../../router/cluster/observe.ts";
import type { VerdictLevel } from "../../../router/cluster/verdict.ts";
import type { Style } from "../../cli/output.ts";
import { paragraph } from "../../cli/table.ts";
import { topologyTables } from "./table.ts";

export interface ScreenOptions {
  readonly columns: number;
  readonly style: Style;
}

const widest = 100;
const narrowest = 60;
/** Reasons beyond these stand further down, with the findings. */
const reasonsShown = 5;

type Paint = keyof Style;

const paintOfLevel: Readonly<Record<VerdictLevel, Paint>> = {
  healthy: "good",
  degraded: "warn",
  unsafe: "bad",
  unreachable: "bad",
};

const paintOfSeverity: Readonly<Record<Finding["severity"], Paint>> = {
  unsafe: "bad",
  degraded: "warn",
  note: "dim",
};

/** The lines of the screen; the verdict and its reasons come first. */
export function topologyScreen(topology: Topology, options: ScreenOptions): string[] {
  const columns = Math.max(narrowest, Math.min(widest, options.columns));
  const { style } = options;
  const sections = [
    verdictLines(topology, columns, style),
    ...topologyTables(topology.view, columns, style),
    ...findingBlocks(topology.findings, columns, style),
  ];
  return sections.flatMap((lines, index) => (index === 0 ? lines : ["", ...lines]));
}

function verdictLines({ view, verdict }: Topology, columns: number, style: Style): string[] {
  const word = verdict.level.toUpperCase();
  const [first = "", ...rest] = paragraph(`${word}  `, verdict.summary, columns);
  const painted = first.replace(word, style[paintOfLevel[verdict.level]](style.bold(word)));
  const when = view.observedAt.replace("T", " ").replace(/\.[0-9]+Z$/, " UTC");
  const where = `${view.environment}, cluster ${view.cluster}, at ${when}, looked for ${view.tookMs} ms`;
  const shown = verdict.reasons.slice(0, reasonsShown);
  const left = verdict.reasons.length - shown.length;
  return [
    painted,
    ...rest,
    ...shown.flatMap((one) => paragraph("  - ", one, columns)),
    ...(left > 0 ? [`  - and ${left} more, see below`] : []),
    ...paragraph("", where, columns).map((line) => style.dim(line)),
  ];
}

/** One block for each code: what was seen where, what it means, what to do. */
function findingBlocks(findings: readonly Finding[], columns: number, style: Style): string[][] {
  const codes = [...new Set(findings.map((one) => one.code))];
  return codes.map((code) => {
    const group = findings.filter((one) => one.code === code);
    const [{ severity, means } = { severity: "note", means: "" } as const] = group;
    const todos = [...new Set(group.map((one) => one.todo))];
    return [
      `${style[paintOfSeverity[severity]](severity)}  ${style.bold(code)}`,
      ...group.flatMap((one) => paragraph("  - ", `${one.part}: ${one.says}`, columns)),
      ...paragraph("    means: ", means, columns),
      ...todos.flatMap((todo) => paragraph("    do:    ", todo, columns)),
    ];
  });
}
