/** The demo's results in plain words, and as the object that --json prints. */
import { formatAddress } from "../../../kit/address.ts";
import type { LabPlace } from "../../../lab/place.ts";
import { secretFile } from "../../../lab/secrets.ts";
import { labFolder } from "../../../lab/state.ts";
import type { LabSummary } from "../../../lab/summary.ts";
import type { WorkloadReport } from "../../../lab/tally.ts";
import type { Verification } from "../../../lab/workload.ts";
import type { FlipReport } from "../../../router/flip-db/events.ts";
import type { Style } from "../../cli/output.ts";
import { follows } from "./names.ts";
import type { NameSeen } from "./names.ts";

/** One change of primary. */
export interface Change {
  readonly way: "flip-db" | "textbook";
  readonly from: string;
  readonly to: string;
  /** Of flip-db. */
  readonly report: FlipReport | null;
}

/** One change of primary with what the app saw of it. */
export interface Act {
  readonly change: Change;
  readonly report: WorkloadReport;
  readonly verification: Verification;
  readonly names: NameSeen;
}

const count = (number: number, one: string): string => `${number} ${one}${number === 1 ? "" : "s"}`;

/** What the app saw of one change, for somebody who sees it for the first time. */
export function describeAct({ report, verification, change, names }: Act, style: Style): string[] {
  const acknowledged = report.acknowledgedIds.length;
  const lost = acknowledged - verification.found;
  const verdict = lost === 0 ? "none is lost" : style.bad(`${count(lost, "row")} MISSING`);
  return [
    `  the app: ${count(acknowledged, "row")} acknowledged, ${verification.found} of them found on ${change.to}: ${verdict}`,
    `  the app: longest time without an acknowledged row ${Math.round(report.longestGapMs)} ms, ${count(report.failedIds.length, "failed statement")}`,
    ...describeNames(names, style),
  ];
}

function describeNames({ name, before, after, followed, resolvers }: NameSeen, style: Style) {
  const rows = resolvers.map((one) => `${one.name} ${whenNamed(one.ms)}`);
  const others = resolvers.filter(({ answers }) => !follows(answers, before, after));
  return [
    `  the name: ${name} was ${before} and is ${after}; by the app's first row there: ${rows.join(", ")}`,
    ...(followed
      ? []
      : others.map((one) =>
          style.bad(`  the name: ${one.name} answered ${one.answers.join(", then ") || "nothing"}`),
        )),
  ];
}

/** From the app's first row on the new primary to an answer that names it. */
function whenNamed(ms: number | null): string {
  if (ms === null) return "never";
  return ms < 0 ? `${-ms} ms before` : `${ms} ms after`;
}

/** When the last resolver named the new primary. */
function nameMoved({ resolvers }: NameSeen): string {
  const times = resolvers.flatMap(({ ms }) => ms ?? []);
  return times.length < resolvers.length ? "never" : whenNamed(Math.max(...times));
}

/** The end of the demo. */
export function describeAll(acts: readonly Act[]): string[] {
  const rows = acts.map(({ change, report, verification, names }) => [
    change.way,
    `${change.from} to ${change.to}`,
    `${Math.round(report.longestGapMs)} ms`,
    String(report.failedIds.length),
    String(report.acknowledgedIds.length - verification.found),
    nameMoved(names),
  ]);
  const table = [
    ["change", "writes moved", "longest gap", "failed", "lost", "name moved"],
    ...rows,
  ];
  const widths = table[0]?.map((_, at) => Math.max(...table.map((row) => row[at]?.length ?? 0)));
  const isWhole = acts.every(({ report, verification }) => {
    const acknowledged = report.acknowledgedIds.length;
    return acknowledged > 0 && verification.found === acknowledged;
  });
  return [
    "",
    ...table.map((row) => row.map((cell, at) => cell.padEnd(widths?.[at] ?? 0)).join("  ")),
    "",
    isWhole
      ? "No acknowledged row was lost. The app used one address all the time; nobody told it of the changes."
      : "Acknowledged rows are MISSING, or none was written: see above.",
  ];
}

/** `bin/demo --json`; docs/cli-json.md has it as a contract. */
export function jsonOf(acts: readonly Act[]): object {
  const sum = (pick: (act: Act) => number): number => acts.reduce((all, one) => all + pick(one), 0);
  const flips = acts.flatMap((act) =>
    act.change.report === null
      ? []
      : [{ ...seenByApp(act), mode: act.change.report.mode, report: act.change.report }],
  );
  const [textbook] = acts.filter(({ change }) => change.way === "textbook").map(seenByApp);
  const last = acts.at(-1)?.change;
  return {
    acknowledged: sum(({ report }) => report.acknowledgedIds.length),
    found: sum(({ verification }) => verification.found),
    failed: sum(({ report }) => report.failedIds.length),
    longestGapMs: Math.round(Math.max(...acts.map(({ report }) => report.longestGapMs))),
    from: last?.from,
    to: last?.to,
    flips,
    textbook,
  };
}

function seenByApp({ change, report, verification, names }: Act) {
  return {
    from: change.from,
    to: change.to,
    acknowledged: report.acknowledgedIds.length,
    found: verification.found,
    failed: report.failedIds.length,
    failedConnects: report.failedConnects,
    doubled: verification.doubled.length,
    longestGapMs: Math.round(report.longestGapMs),
    longestStallMs: Math.round(report.longestStallMs),
    names,
  };
}

/** What to do with a lab that was left running; `primary` is the name of its primary. */
export function whatToTry(place: LabPlace, lab: LabSummary, primary: string): string[] {
  const name = lab.environment;
  const password = secretFile(labFolder(place, name), "app");
  const { host, port } = lab.edge;
  return [
    "",
    `lab ${name} is still there: writes ${formatAddress(lab.edge)}, reads ${formatAddress(lab.read)}, statistics ${lab.stats}`,
    "what to try next:",
    `  bin/recovery ${name} topology`,
    `  bin/recovery ${name} flip-db`,
    `  bin/recovery ${name} history`,
    ...lab.resolvers
      .slice(-1)
      .map(({ dns }) => `  dig +short @${dns.host} -p ${dns.port} ${primary}`),
    `  PGPASSWORD=$(cat ${password}) psql -h ${host} -p ${port} -U ${lab.user} ${lab.database}`,
    `  bin/lab status --name ${name}`,
    `  bin/lab kill dal-01 --name ${name}`,
    `  bin/lab down --name ${name}`,
  ];
}
