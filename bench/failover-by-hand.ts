/**
 * Primary stopped and standby promoted by hand: how long until new writes flow through HAProxy,
 * counted from the promotion, and whether a write lands on the old node meanwhile. Each run changes
 * the primary of one lab, so the roles alternate.  usage: bin/with-node ../bench/failover-by-hand.ts [RUNS]
 */
import { systemClock } from "../kit/clock.ts";
import { changePrimary } from "../lab/change-primary.ts";
import type { PrimaryChange } from "../lab/change-primary.ts";
import { labDown } from "../lab/down.ts";
import { labPlace } from "../lab/place.ts";
import type { LabSummary } from "../lab/summary.ts";
import { labUp, upDefaults } from "../lab/up.ts";
import { verifyWorkload, Workload } from "../lab/workload.ts";
import { machine, median } from "./figures.ts";

const connections = 4;
const rate = 100;
const settleMs = 1500;

interface Run {
  readonly change: PrimaryChange;
  /** From sending pg_promote to the first row acknowledged by the new primary. */
  readonly untilWritesMs: number;
  /** Rows acknowledged by the old node after the promotion was sent. */
  readonly onOldNode: number;
  readonly gapMs: number;
  readonly lost: number;
}

const runs = Number(process.argv[2] ?? 9);
const controller = new AbortController();
process.once("SIGINT", () => controller.abort(new Error("interrupted")));
const options = { note: () => undefined, signal: controller.signal };
const place = await labPlace();
const name = `bench-${process.pid}`;
try {
  const lab = await labUp(place, { ...upDefaults, name }, options);
  const done: Run[] = [];
  while (done.length < runs) done.push(await measure(lab, done.length));
  print(done);
} finally {
  await labDown(place, name);
}

async function measure(lab: LabSummary, index: number): Promise<Run> {
  const { user, password, database } = lab;
  const login = { user, password, database };
  const table = `run_${index}`;
  const workload = await Workload.start({ address: lab.write, login, table, connections, rate });
  try {
    // At a random moment of HAProxy's check interval.
    await systemClock.sleep(settleMs + Math.random() * 1000, controller.signal);
    const change = await changePrimary(place, name, options);
    await systemClock.sleep(settleMs, controller.signal);
    const report = await workload.stop();
    const hostOf = (member: string): string =>
      lab.members.find((one) => one.name === member)?.postgres.host ?? "";
    const old = report.nodes[hostOf(change.from)];
    const fresh = report.nodes[hostOf(change.to)];
    const { host, port } = { host: hostOf(change.to), port: 5432 };
    const { missing } = await verifyWorkload({ host, port }, login, table, report);
    return {
      change,
      untilWritesMs: (fresh?.firstAt ?? Number.POSITIVE_INFINITY) - change.promotedAt,
      onOldNode: old !== undefined && old.lastAt > change.promotedAt ? 1 : 0,
      gapMs: report.longestGapMs,
      lost: missing.length,
    };
  } finally {
    await workload.abandon();
  }
}

function print(done: readonly Run[]): void {
  const until = spread(done.map((one) => one.untilWritesMs));
  const gap = spread(done.map((one) => one.gapMs));
  const onOldNode = done.reduce((sum, one) => sum + one.onOldNode, 0);
  const lost = done.reduce((sum, one) => sum + one.lost, 0);
  process.stdout.write(
    [
      `machine: ${machine()}`,
      `method: ${done.length} changes by hand, ${connections} connections of ${rate} inserts/s through HAProxy, default flap guards; median (min to max)`,
      `from the promotion to the first write through HAProxy: ${until} ms (must 2000, aim 1000)`,
      `longest gap between two acknowledged writes: ${gap} ms`,
      `runs with a write acknowledged by the old node after the promotion: ${onOldNode} (must 0)`,
      `acknowledged rows missing on the new primary: ${lost} (must 0)`,
      "steps, medians:",
      ...stepMedians(done).map(([step, ms]) => `  ${String(ms).padStart(5)} ms  ${step}`),
      "",
    ].join("\n"),
  );
}

function stepMedians(done: readonly Run[]): (readonly [step: string, ms: number])[] {
  const steps = ["stop", "prove", "promote", "route", "follow"];
  return steps.map((step, index) => {
    const all = done.map((one) => one.change.steps[index]?.ms ?? 0);
    return [step, Math.round(median(all))] as const;
  });
}

function spread(values: readonly number[]): string {
  const [least, middle, most] = [Math.min(...values), median(values), Math.max(...values)];
  return `${Math.round(middle)} (${Math.round(least)} to ${Math.round(most)})`;
}
