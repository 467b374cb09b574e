/** `maintenance down ENV`: undoes what stands and closes the window. */
import { closeWindow } from "../../../router/maintenance/run.ts";
import type { Invocation } from "../../cli/command.ts";
import { environmentOf, printReport, windowOptions } from "./window.ts";

/** 0 when nothing stands any more, 1 when an undoing failed, 4 after Ctrl-C. */
export async function run(invocation: Invocation): Promise<number> {
  const environment = await environmentOf(invocation);
  const report = await closeWindow(environment, windowOptions(invocation, environment));
  const code = printReport(invocation, report);
  invocation.signal.throwIfAborted();
  return code;
}
