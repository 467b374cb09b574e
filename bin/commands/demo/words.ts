/** The demo's result in plain words. */
import type { PrimaryChange } from "../../../lab/change-primary.ts";
import { formatAddress } from "../../../kit/address.ts";
import { secretFile } from "../../../lab/secrets.ts";
import { labFolder } from "../../../lab/state.ts";
import type { LabPlace } from "../../../lab/place.ts";
import type { LabSummary } from "../../../lab/summary.ts";
import type { WorkloadReport } from "../../../lab/tally.ts";
import type { Verification } from "../../../lab/workload.ts";

export interface DemoResult {
  readonly change: PrimaryChange;
  readonly report: WorkloadReport;
  readonly verification: Verification;
}

/** What happened, for somebody who sees it for the first time. */
export function describeResult(lab: LabSummary, result: DemoResult): string[] {
  const { change, report, verification } = result;
  const acknowledged = report.acknowledgedIds.length;
  const lost = acknowledged - verification.found;
  const failed = report.failedIds.length;
  const verdict =
    acknowledged === 0
      ? "Nothing was written: this shows nothing."
      : lost === 0
        ? "No acknowledged row was lost."
        : `${lost} acknowledged ${lost === 1 ? "row is" : "rows are"} MISSING.`;
  return [
    `${change.from} was the primary, and ${change.to} is now. ${verdict}`,
    "",
    `  The app wrote through ${formatAddress(lab.write)} all the time; nobody told it of the change.`,
    `  ${acknowledged} rows were acknowledged, and ${verification.found} of them were found on ${change.to}.`,
    `  The longest time without an acknowledged row was ${Math.round(report.longestGapMs)} ms.`,
    `  ${failed} ${failed === 1 ? "statement" : "statements"} failed while there was no primary, and the app was told so.`,
  ];
}

/** What to do with a lab that was left running. */
export function whatToTry(place: LabPlace, lab: LabSummary): string[] {
  const name = lab.environment;
  const password = secretFile(labFolder(place, name), "app");
  const { host, port } = lab.write;
  return [
    "",
    `lab ${name} is still there: writes ${formatAddress(lab.write)}, reads ${formatAddress(lab.read)}, statistics ${lab.stats}`,
    "what to try next:",
    `  bin/recovery ${name} topology`,
    `  PGPASSWORD=$(cat ${password}) psql -h ${host} -p ${port} -U ${lab.user} ${lab.database}`,
    `  bin/lab status --name ${name}`,
    `  bin/lab stop dal-01 --name ${name}`,
    `  bin/lab down --name ${name}`,
  ];
}
