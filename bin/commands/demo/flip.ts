/** The flip of the demo: the very command that an operator types, in a process of its own. */
import { inCheckout } from "../../../kit/checkout.ts";
import { runChild } from "../../../kit/child.ts";
import { parseEvents } from "../../../router/flip-db/event-log.ts";
import type { Output } from "../../cli/output.ts";
import { eventPrinter, reportLines } from "../flip-db/screen.ts";
import type { Change } from "./words.ts";

const deadlineMs = 120_000;

/** The flip ended without a report. */
export class DemoFlipError extends Error {
  override readonly name = "DemoFlipError";
  readonly code = "ERR_DEMO_FLIP";
}

/**
 * Runs `bin/recovery ENVIRONMENT flip-db --yes --json` and shows what it tells.
 * @throws ChildError, DeadlineError, DemoFlipError, or the signal's reason
 */
export async function flipBySwitchyard(
  environment: string,
  output: Output,
  signal: AbortSignal,
): Promise<Change> {
  const words = [environment, "flip-db", "--yes", "--json"];
  const { stdout } = await runChild(inCheckout("bin/recovery"), words, { deadlineMs, signal });
  const linesFor = eventPrinter(output.style);
  for (const event of parseEvents(stdout)) {
    for (const line of linesFor(event)) output.note(line);
    if (event.event !== "report") continue;
    for (const line of reportLines(event, output.style, false)) output.note(line);
    return { way: "flip-db", from: event.from, to: event.to, report: event };
  }
  throw new DemoFlipError(`bin/recovery ${words.join(" ")}: ended without a report`);
}
