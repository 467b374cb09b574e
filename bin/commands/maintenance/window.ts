/** What the verbs of `maintenance` have alike: the environment, its window, and how a report reads. */
import type { Environment } from "../../../config/schema.ts";
import type { StepEvent } from "../../../router/operation/run-step.ts";
import type { WindowOptions, WindowReport } from "../../../router/maintenance/run.ts";
import type { StepState, WindowView } from "../../../router/maintenance/window.ts";
import { windowFolder } from "../../../router/maintenance/window-file.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import type { ExitCode } from "../../cli/exit-codes.ts";
import { holderName, operationsPath } from "../operation-place.ts";
import { printable } from "../../cli/output.ts";
import { stepJson } from "../../cli/step-json.ts";
import { stepPrinter } from "../../cli/step-lines.ts";
import { environmentNamed } from "../environment.ts";

/** The environment that the first word names. @throws ConfigError */
export async function environmentOf(invocation: Invocation): Promise<Environment> {
  const [name = ""] = invocation.arguments;
  return await environmentNamed(name);
}

/** Where the windows of an environment are kept. */
export function folderOf(environment: Environment): string {
  return windowFolder(operationsPath(environment.name));
}

/** The options of an up or a down: progress goes to standard error, or as JSON to standard output. */
export function windowOptions(
  invocation: Invocation,
  environment: Environment,
  signal: AbortSignal = invocation.signal,
): WindowOptions {
  const { output, flags } = invocation;
  const linesOfStep = stepPrinter(output.style);
  const onEvent = (event: StepEvent): void => {
    if (flags["json"] === true) for (const line of stepJson(event)) output.result(line);
    else for (const line of linesOfStep(event)) output.note(line);
  };
  return { folder: folderOf(environment), by: holderName(), signal, onEvent };
}

/** Prints a report; @returns the exit code: 1 when it is stuck */
export function printReport(invocation: Invocation, report: WindowReport): ExitCode {
  const { output, flags } = invocation;
  if (flags["json"] === true) output.result(JSON.stringify(report));
  else for (const line of reportLines(report)) output.result(printable(line));
  return report.result === "stuck" ? exitCodes.failed : exitCodes.done;
}

const resultWords: Readonly<Record<string, string>> = {
  "up done": "maintenance: the window is open",
  "up nothing": "maintenance: the window was open already, and every step stands",
  "down done": "maintenance: the window is closed",
  "down nothing": "maintenance: no window was open",
  "up stuck": "maintenance: NOT all of it is done",
  "down stuck": "maintenance: NOT all of it is undone; the window is still open",
};

function reportLines(report: WindowReport): string[] {
  const { command, result, window, next } = report;
  const head = resultWords[`${command} ${result}`] ?? result;
  if (result !== "stuck") return [head];
  const steps = window === null ? [] : stateLines(window);
  return [head, ...steps, ...(next === null ? [] : [`next: ${next}`])];
}

const stateWords: Readonly<Record<StepState, string>> = {
  stands: "stands",
  begun: "begun; whether it was done is not known",
  failed: "failed; part of it may be done",
  undone: "undone",
  waiting: "not begun",
};

/** A line for each step of a window. */
export function stateLines({ steps }: WindowView): string[] {
  return steps.map(({ name, state }) => `  ${name}: ${stateWords[state]}`);
}
