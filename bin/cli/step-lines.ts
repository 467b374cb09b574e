/**
 * How the steps of an operation and its report read on a terminal, and as well in a pipe: the same
 * for every command.
 */
import type { StepEvent } from "../../router/operation/run-step.ts";
import { printable } from "./output.ts";
import type { Style } from "./output.ts";

/** How wide a time is, so that words stand under each other. */
export const timeWidth = 7;

/** A time of `ms`, as wide as all others up to a quarter of an hour. */
export function timeWords(ms: number): string {
  const text = ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
  return text.padStart(timeWidth);
}

type Told = Pick<StepEvent, "step" | "phase" | "ms" | "words" | "reason">;

type Paint = (words: string, style: Style) => string;

/** Rows that do nothing but prove: one that holds at the first look was not done before. */
const proofs = ["prove"];

/** The same words of what is waited for come again after this long (ms). */
const wordsAgainMs = 10_000;

/** What stands behind the time of a step; a start has no line. */
const paints: Readonly<Record<StepEvent["phase"], Paint | undefined>> = {
  start: undefined,
  done: (words) => words,
  skipped: (words, style) => style.dim(`${words}: is so already`),
  waiting: (words, style) => style.dim(`... ${words}`),
  failed: (words, style) => `${style.bad("FAILED")} ${words}`,
};

/**
 * Prints the steps of one operation: what is waited for when its words change, and every ten seconds.
 * @returns the lines for one event of a step, as it comes; none for a start
 */
export function stepPrinter(style: Style): (event: Told) => string[] {
  let waited: Told | undefined;
  return (event) => {
    if (event.phase !== "waiting") {
      waited = undefined;
      return stepLines(event, style);
    }
    const isSame = waited?.step === event.step && waited.words === event.words;
    if (waited !== undefined && isSame && event.ms - waited.ms < wordsAgainMs) return [];
    waited = event;
    return stepLines(event, style);
  };
}

function stepLines({ step, phase, ms, words, reason }: Told, style: Style): string[] {
  if (phase === "skipped" && proofs.includes(step)) {
    return [`${timeWords(ms)}  ${printable(words)}: proven`];
  }
  const paint = paints[phase];
  if (paint === undefined) return [];
  const time = phase === "skipped" ? " ".repeat(timeWidth) : timeWords(ms);
  const said = reason === undefined ? words : `${words}: ${reason}`;
  return [`${time}  ${paint(printable(said), style)}`];
}

/** A problem of a report: the step in front, unless its reason begins with it. */
export function problemWords({ step, reason }: { step: string; reason: string }): string {
  return reason.startsWith(`${step}: `) ? reason : `${step}: ${reason}`;
}

/** The rows of a report, named at the left; one without text is left out. */
export function factLines(rows: readonly (readonly [string, string | null])[]): string[] {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.flatMap(([name, text]) =>
    text === null ? [] : [`  ${name.padEnd(width)}  ${printable(text)}`],
  );
}
