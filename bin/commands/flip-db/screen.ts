/** What a flip looks like on a terminal, and as well in a pipe: a line for each step. Pure. */
import type { FlipEvent, FlipReport } from "../../../router/flip-db/events.ts";
import { unaccepted } from "../../../router/flip-db/report.ts";
import { flipSteps } from "../../../router/flip-db/steps.ts";
import type { Facts } from "../../../router/operation/step.ts";
import { printable } from "../../cli/output.ts";
import type { Style } from "../../cli/output.ts";
import {
  factLines,
  problemWords,
  stepPrinter,
  timeWidth,
  timeWords,
} from "../../cli/step-lines.ts";

/** Steps that take something back; most find that there is nothing to. */
const undoing: ReadonlySet<string> = new Set(
  flipSteps().flatMap((row) => row.undo.map((one) => one.step)),
);

/**
 * Prints the events of one run. Undoing steps that have nothing to take back are told as a count,
 * before the report.
 * @returns the lines for one event, as it comes; none for what needs no line
 */
export function eventPrinter(style: Style): (event: FlipEvent) => string[] {
  const linesOfStep = stepPrinter(style);
  const spare = new Set<string>();
  return (event) => {
    if (event.event === "step" && event.phase === "skipped" && undoing.has(event.step)) {
      spare.add(event.step);
      return [];
    }
    if (event.event === "step") return linesOfStep(event);
    if (event.event === "report") return spareLines(spare, style);
    return otherLines(event, style);
  };
}

function spareLines({ size }: ReadonlySet<string>, style: Style): string[] {
  if (size === 0) return [];
  const steps = size === 1 ? "1 step" : `${size} steps`;
  return [style.dim(`${" ".repeat(timeWidth)}  ${steps}: nothing to take back`)];
}

function otherLines(event: FlipEvent, style: Style): string[] {
  if (event.event === "note") {
    return [style.warn(`${" ".repeat(timeWidth)}  note: ${printable(event.words)}`)];
  }
  if (event.event !== "begin") return [];
  const { kind, from, to, mode, operationId } = event;
  const what = kind === "flip" ? `flip ${operationId}` : `${kind} of flip ${operationId}`;
  return [style.bold(printable(`${what}: ${from} to ${to}, ${mode}`))];
}

/** A change that a monitor was asked for is not ours to take back. */
function undoneWords({ from, aborted, manager }: FlipReport): string {
  const word = aborted ? "ABORTED" : "UNDONE";
  return manager === undefined
    ? `${word}  ${from} takes writes, as before`
    : `${word}  clients go on; who takes writes is the monitor's affair`;
}

const headings: Readonly<Record<FlipReport["result"], (report: FlipReport) => string>> = {
  done: ({ to, from, rejoined, kind, problems }) => {
    const follows = rejoined ? `, and ${from} follows` : `; ${from} does not follow it`;
    const staysBehind = problems.some(({ step }) => step === "names");
    const names = staysBehind ? `; NOT ALL NAMES LEAD TO ${to}` : "";
    return `DONE  ${to} takes writes${kind === "failover" ? "" : follows}${names}`;
  },
  undone: undoneWords,
  stuck: ({ from, to, loss }) =>
    `STUCK  between ${from} and ${to}; rows at risk: ${loss.startsWith("none") ? "none" : "see loss"}`,
  refused: () => "REFUSED  nothing was changed",
};

/** The report for people; the steps only when `withSteps`. */
export function reportLines(report: FlipReport, style: Style, withSteps: boolean): string[] {
  const isGood = report.result === "done" && unaccepted(report).length === 0;
  const paint = isGood ? style.good : style.bad;
  const rows: readonly (readonly [string, string | null])[] = [
    ["flip", `${report.operationId} (${report.kind}, ${report.mode}), from ${report.startedAt}`],
    ["took", `${report.tookMs} ms`],
    ["pause", pauseWords(report)],
    ["sessions", sessionsWords(report)],
    ["timelines", timelineWords(report)],
    ["LSNs", lsnWords(report)],
    ["loss", report.loss],
    ["names", namesWords(report)],
    ...report.problems.map((one) => ["problem", problemWords(one)] as const),
    ["next", report.next],
  ];
  return [
    paint(printable(headings[report.result](report))),
    ...factLines(rows),
    ...(withSteps ? report.steps.map(stepOfReport) : []),
  ];
}

function pauseWords({ pauseMs, longestHoldMs, mode }: FlipReport): string | null {
  if (pauseMs === null) return null;
  const held = longestHoldMs === null ? "" : `; no client was held longer than ${longestHoldMs} ms`;
  return `${pauseMs} ms ${mode === "seamless" ? "from hold to release" : "from stop to the new route"}${held}`;
}

function sessionsWords({ sessionsClosed, mode }: FlipReport): string {
  if (sessionsClosed > 0) return `${sessionsClosed} closed at the routers`;
  return mode === "seamless" ? "none of the clients' was closed" : "none closed at the routers";
}

function namesWords({ names }: FlipReport): string | null {
  if (names === undefined) return null;
  const { generation, since, resolvers, absent } = names;
  const times = resolvers.map(({ name, acknowledgedMs, answeredMs }) => {
    const [said, seen] = [acknowledgedMs, answeredMs].map((ms) =>
      ms === null ? null : `${ms} ms`,
    );
    if (said === null) return `${name} answered after ${seen}`;
    return seen === null
      ? `${name} acknowledged after ${said}`
      : `${name} acknowledged after ${said}, answered after ${seen}`;
  });
  const from = since === "promotion" ? "the promotion" : "they were asked to";
  const who = times.length === 0 ? "no resolver" : times.join("; ");
  const missing = absent.length === 0 ? "" : `; not waited for: ${absent.join(", ")}`;
  return `generation ${generation}, since ${from}: ${who}${missing}`;
}

function lsnWords({ lsns, from, to }: FlipReport): string | null {
  const { checkpoint, replayed } = lsns;
  if (checkpoint === null && replayed === null) return null;
  const words = [
    ...(checkpoint === null ? [] : [`${from} shut down at ${checkpoint}`]),
    ...(replayed === null ? [] : [`${to} had replayed to ${replayed}`]),
  ];
  return words.join("; ");
}

function timelineWords({ timelines: { before, after }, result }: FlipReport): string {
  if (after === null && result === "undone") return `${before}, as before`;
  return `${before} to ${after ?? "unknown"}`;
}

function stepOfReport({ step, ms, facts }: FlipReport["steps"][number]): string {
  return printable(`${timeWords(ms)}  ${step}${factWords(facts)}`);
}

function factWords(facts: Facts): string {
  const shown = Object.entries(facts).filter(([key]) => key !== "ms");
  return shown.length === 0 ? "" : `  ${shown.map(([key, one]) => `${key} ${one}`).join(", ")}`;
}
