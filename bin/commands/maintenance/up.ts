/** `maintenance up ENV`: opens the window, or goes on with the one that is open. */
import { openWindow } from "../../../router/maintenance/run.ts";
import type { Invocation } from "../../cli/command.ts";
import { environmentOf, printReport, windowOptions } from "./window.ts";

/** 0 when every step stands, 1 when one failed, 4 after Ctrl-C. */
export async function run(invocation: Invocation): Promise<number> {
  const environment = await environmentOf(invocation);
  const reason = String(invocation.flags["reason"] ?? "");
  const options = windowOptions(invocation, environment);
  const report = await openWindow(environment, { ...options, reason });
  const code = printReport(invocation, report);
  invocation.signal.throwIfAborted();
  return code;
}
