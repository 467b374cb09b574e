/** The demo itself: a lab, an app that writes through its router, a change of primary, a count. */
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { stateHome } from "../../cli/state-home.ts";
import { formatAddress } from "../../../kit/address.ts";
import { systemClock } from "../../../kit/clock.ts";
import { changePrimary } from "../../../lab/change-primary.ts";
import { labDown } from "../../../lab/down.ts";
import { labPlace } from "../../../lab/place.ts";
import type { LabPlace } from "../../../lab/place.ts";
import { listLabs } from "../../../lab/state.ts";
import type { LabSummary } from "../../../lab/summary.ts";
import { labUp } from "../../../lab/up.ts";
import { verifyWorkload, Workload } from "../../../lab/workload.ts";
import { describeResult, whatToTry } from "./words.ts";
import type { DemoResult } from "./words.ts";

const table = "demo";
const connections = 4;
const rate = 50;
/** How long the app writes before and after the change. */
const writingMs = 2000;

export async function run(invocation: Invocation): Promise<number> {
  const { output, flags, signal } = invocation;
  const place = await labPlace({ stateHome: stateHome() });
  const name = await freeName(place);
  output.note(`bringing up a cluster on this machine (lab ${name})`);
  const lab = await labUp(place, { name }, { note: output.note, signal });
  let keep = false;
  try {
    const result = await showMainJob(invocation, place, lab);
    keep = flags["keep"] === true;
    const { change, report, verification } = result;
    const acknowledged = report.acknowledgedIds.length;
    const { found } = verification;
    if (flags["json"] === true) {
      const failed = report.failedIds.length;
      const longestGapMs = Math.round(report.longestGapMs);
      const { from, to } = change;
      output.result(JSON.stringify({ acknowledged, found, failed, longestGapMs, from, to }));
    } else {
      for (const line of describeResult(lab, result)) output.result(line);
    }
    if (keep) for (const line of whatToTry(place, lab)) output.note(line);
    const proven = acknowledged > 0 && found === acknowledged && change.from !== change.to;
    return proven ? exitCodes.done : exitCodes.failed;
  } finally {
    if (!keep) {
      await labDown(place, name);
      output.note(`lab ${name} is gone again`);
    }
  }
}

async function freeName(place: LabPlace): Promise<string> {
  const taken = await listLabs(place);
  const names = ["demo", ...taken.map((_, index) => `demo-${index + 2}`)];
  return names.find((name) => !taken.includes(name)) ?? `demo-${taken.length + 2}`;
}

async function showMainJob(
  { output, signal }: Invocation,
  place: LabPlace,
  lab: LabSummary,
): Promise<DemoResult> {
  const { user, password, database } = lab;
  output.note(
    `an app writes through ${formatAddress(lab.write)}: ${connections} connections, each ${rate} rows/s`,
  );
  const login = { user, password, database };
  const workload = await Workload.start({ address: lab.write, login, table, connections, rate });
  try {
    await systemClock.sleep(writingMs, signal);
    output.note("changing the primary");
    const change = await changePrimary(place, lab.environment, { note: output.note, signal });
    await systemClock.sleep(writingMs, signal);
    const report = await workload.stop();
    const primary = lab.members.find((one) => one.name === change.to);
    if (primary === undefined) throw new TypeError(`${change.to} is no member`);
    // Straight at the node, so that the answer is the new primary's and nobody else's.
    const verification = await verifyWorkload(primary.postgres, login, table, report);
    return { change, report, verification };
  } finally {
    await workload.abandon();
  }
}
