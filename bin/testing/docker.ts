/**
 * What the tests on containers need: an engine, and our images as this checkout has them. Where they
 * are not there and cannot be had, those tests are skipped, and the run says why.
 */
import { inCheckout } from "../../kit/checkout.ts";
import { ChildError, runChild } from "../../kit/child.ts";
import { DeadlineError, systemClock } from "../../kit/clock.ts";
import type { Output } from "../cli/output.ts";
import type { FileReport } from "./report.ts";

/**
 * As long as installing an engine and building every image may take, and short enough to leave time
 * for the tests of a run that is bounded itself.
 */
const setupDeadlineMs = 20 * 60_000;

/**
 * Runs `bin/setup --docker`.
 * @returns why there is no engine or no image; undefined when both are there, or the run is
 * interrupted
 */
export async function whyNoDocker(
  output: Output,
  signal: AbortSignal,
): Promise<string | undefined> {
  const started = systemClock.monotonic();
  try {
    await runChild(inCheckout("bin/setup"), ["--docker"], { deadlineMs: setupDeadlineMs, signal });
    const seconds = ((systemClock.monotonic() - started) / 1000).toFixed(1);
    output.result(`     ${seconds.padStart(6)} s  bin/setup --docker`);
    return undefined;
  } catch (error) {
    // Files that are not run for this reason say so themselves.
    if (signal.aborted) return undefined;
    if (error instanceof DeadlineError) return error.message;
    if (!(error instanceof ChildError)) throw error;
    const said = error.stderr.trim().split("\n").slice(-2).join("; ");
    return `bin/setup --docker: ${said || error.message}`;
  }
}

/** The report of a file that was not run. */
export function skippedFile(name: string, why: string): FileReport {
  return {
    name,
    tests: [{ path: [name], outcome: "skipped", reasons: [why] }],
    tookMs: 0,
    stderr: "",
  };
}
