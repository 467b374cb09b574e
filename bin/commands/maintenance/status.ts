/** `maintenance status ENV`: the window that is open on this machine, and its steps. */
import { lookAtWindow } from "../../../router/maintenance/window-file.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { printable } from "../../cli/output.ts";
import { environmentOf, folderOf, stateLines } from "./window.ts";

/** Prints it; 0 with or without a window. */
export async function run(invocation: Invocation): Promise<number> {
  const { output, flags } = invocation;
  const environment = await environmentOf(invocation);
  const window = await lookAtWindow(folderOf(environment));
  if (flags["json"] === true) {
    const open = window !== undefined;
    output.result(JSON.stringify({ environment: environment.name, open, window: window ?? null }));
    return exitCodes.done;
  }
  if (window === undefined) {
    output.result(`${environment.name}: no maintenance window is open`);
    return exitCodes.done;
  }
  const why = window.reason === "" ? "" : `: ${window.reason}`;
  const head = `${environment.name}: maintenance since ${window.since} by ${window.by}${why}`;
  for (const line of [head, ...stateLines(window)]) output.result(printable(line));
  return exitCodes.done;
}
