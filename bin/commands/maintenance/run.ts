/**
 * `maintenance run ENV -- COMMAND`: a command in a maintenance window. The window is closed however
 * the command ends; where that cannot be done, the last line says that it is still open.
 */
import { closeWindow, openWindow } from "../../../router/maintenance/run.ts";
import { lookAtWindow } from "../../../router/maintenance/window-file.ts";
import type { Environment } from "../../../config/schema.ts";
import type { Invocation } from "../../cli/command.ts";
import { UsageError } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import type { ExitCode } from "../../cli/exit-codes.ts";
import { runForeground, sayAtTheEnd } from "../../cli/foreground.ts";
import { environmentOf, folderOf, windowOptions } from "./window.ts";

/** A window was open before: whoever opened it closes it. */
class WindowOpenError extends Error {
  override readonly name = "WindowOpenError";
  readonly code = "ERR_REFUSED";
}

/** The exit code of the command; 1 when the window could not be opened or closed. */
export async function run(invocation: Invocation): Promise<number> {
  const [, program, ...words] = invocation.arguments;
  if (program === undefined) {
    throw new UsageError("run needs COMMAND", "write maintenance run ENVIRONMENT -- COMMAND");
  }
  const environment = await environmentOf(invocation);
  await refuseOpenWindow(environment);
  const { name } = environment;
  const open = `maintenance: the window is still open; bin/maintenance down ${name} closes it`;
  const closed = sayAtTheEnd(open);
  const reason = String(invocation.flags["reason"] ?? [program, ...words].join(" "));
  const options = windowOptions(invocation, environment);
  const opened = await openWindow(environment, { ...options, reason });
  const isOpen = opened.result !== "stuck";
  try {
    if (isOpen) return await runForeground(program, words);
    invocation.output.note("maintenance: COMMAND was not run: the window could not be opened");
    return exitCodes.failed;
  } finally {
    const code = await close(invocation, environment);
    if (code === exitCodes.done) closed();
  }
}

async function refuseOpenWindow(environment: Environment): Promise<void> {
  const window = await lookAtWindow(folderOf(environment));
  if (window === undefined) return;
  const { name } = environment;
  throw new WindowOpenError(
    `a maintenance window is open since ${window.since} by ${window.by}: run the command by itself, or close it first with bin/maintenance down ${name}`,
  );
}

/** Under a signal of its own: who presses Ctrl-C wants the command ended, not the closing. */
async function close(invocation: Invocation, environment: Environment): Promise<ExitCode> {
  const options = windowOptions(invocation, environment, new AbortController().signal);
  try {
    const report = await closeWindow(environment, options);
    const problem = report.problems[0];
    if (report.result !== "stuck") return exitCodes.done;
    invocation.output.note(`maintenance: ${problem?.step ?? "down"}: ${problem?.reason ?? ""}`);
  } catch (error) {
    invocation.output.note(`maintenance: ${(error as Error).message}`);
  }
  return exitCodes.failed;
}
