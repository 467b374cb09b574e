/** What bin/test prints: a line for each file, the failures in full, the reasons of skips, the count. */
import type { Output } from "../cli/output.ts";
import type { Test } from "./verdict.ts";

export interface FileReport {
  readonly name: string;
  readonly tests: readonly Test[];
  readonly tookMs: number;
  readonly stderr: string;
}

/** Prints one finished file, with everything about it that failed. */
export function printFile(report: FileReport, output: Output): void {
  const { style } = output;
  const failed = report.tests.filter((test) => test.outcome === "failed");
  const mark = failed.length === 0 ? style.good("ok  ") : style.bad("FAIL");
  const seconds = (report.tookMs / 1000).toFixed(1).padStart(6);
  output.result(`${mark} ${seconds} s  ${report.name} (${report.tests.length})`);
  for (const test of failed) {
    output.result(style.bad(`       ${pathOf(test)}`));
    for (const reason of test.reasons) output.result(`         ${reason}`);
  }
  if (failed.length > 0 && report.stderr.trim() !== "") {
    output.result("       standard error:");
    for (const line of report.stderr.trimEnd().split("\n").slice(-40)) {
      output.result(`         ${line}`);
    }
  }
}

/** Prints the reasons of skips, the names of failures, and last the count alone on its line. */
export function printCount(reports: readonly FileReport[], output: Output): boolean {
  const tests = reports.flatMap((report) => report.tests);
  const skipped = tests.filter((test) => test.outcome === "skipped");
  const failed = tests.filter((test) => test.outcome === "failed");
  const passed = tests.length - skipped.length - failed.length;
  output.result("");
  for (const test of skipped) output.result(`skipped: ${pathOf(test)}: ${test.reasons.join("; ")}`);
  for (const test of failed) output.result(output.style.bad(`failed: ${pathOf(test)}`));
  if (skipped.length > 0) output.result(`${skipped.length} skipped`);
  output.result(`${passed} passed, ${failed.length} failed`);
  return failed.length === 0 && passed > 0;
}

function pathOf(test: Test): string {
  return test.path.join(" > ");
}
