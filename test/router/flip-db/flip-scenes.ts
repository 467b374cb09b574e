/** Flips of a lab under an app that writes, whichever driver runs it: what clients see, and what is left. */
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import type { WorkloadReport } from "../../../lab/tally.ts";
import type { Verification } from "../../../lab/workload.ts";
import { findLockHolder } from "../../../router/postgres/lock.ts";
import type { DriverKind } from "../../../lab/addresses.ts";
import { flipRunner, labApp } from "../../support/flip-run.ts";
import type { FlipDone, LabApp } from "../../support/flip-run.ts";
import { withLab } from "../../support/lab.ts";
import type { TestLab } from "../../support/lab.ts";

export const soon = { deadlineMs: 20_000, intervalMs: 20 };

interface MemberState {
  readonly standby: boolean;
  readonly timeline: number;
  readonly slots: readonly { readonly name: string; readonly active: boolean; keeps: boolean }[];
  readonly signal: boolean;
  readonly journal: boolean;
}

/** What a member looks like to an operator with psql. */
export async function stateOf(lab: TestLab, member: string): Promise<MemberState> {
  const found = lab.json.members.find((one) => one.name === member);
  if (found === undefined) throw new TypeError(`the lab has no ${member}`);
  const client = await lab.connect(found.postgres, { as: "superuser", database: "postgres" });
  const { rows } = await client.query<MemberState>(
    `SELECT pg_is_in_recovery() AS standby, (pg_control_checkpoint()).timeline_id AS timeline,
      (SELECT coalesce(json_agg(json_build_object('name', slot_name, 'active', active,
        'keeps', restart_lsn IS NOT NULL)), '[]') FROM pg_replication_slots) AS slots,
      (pg_stat_file('standby.signal', true)).size IS NOT NULL AS signal,
      to_regclass('switchyard.operation_record') IS NOT NULL AS journal`,
  );
  const [state] = rows;
  if (state === undefined) throw new TypeError("no row");
  return state;
}

/** The lock that the flip held is free again on every member. */
export async function lockIsFree(lab: TestLab): Promise<void> {
  for (const member of lab.json.members) {
    const client = await lab.connect(member.postgres, { as: "superuser", database: "postgres" });
    await eventually(`lock on ${member.name}`, soon, async () => {
      const holder = await findLockHolder(async (text) => (await client.query(text)).rows);
      return holder === undefined ? true : undefined;
    });
  }
}

export function endedWith(t: Test, done: FlipDone, want: "done" | "undone" | "stuck"): void {
  if (done.result.kind === "refused") {
    t.fail(`refused: ${done.result.why}`);
    return;
  }
  const { result, failed, left } = done.result.outcome;
  t.equal(result, want, JSON.stringify({ failed, left }));
}

/** Nothing that was acknowledged is missing anywhere, and nothing stands there twice. */
function lossless(t: Test, { report, found }: Ended): void {
  for (const one of found) {
    t.equal(one.found, report.acknowledgedIds.length, "every acknowledged row is there");
    t.strictSame(one.missing, []);
    t.strictSame(one.doubled, [], "none is there twice");
  }
}

interface Ended {
  readonly report: WorkloadReport;
  readonly found: readonly Verification[];
}

export function unharmed(t: Test, ended: Ended): void {
  t.strictSame(ended.report.failedIds, [], "no statement failed");
  t.equal(ended.report.failedConnects, 0, "no connection was refused");
  lossless(t, ended);
}

export async function appsOn(t: Test, lab: TestLab, connections: number): Promise<LabApp[]> {
  const apps = await Promise.all(
    lab.json.appHosts.map((host) => labApp(t, lab, host.edge, connections)),
  );
  await Promise.all(apps.map((one) => one.progress(30)));
  return apps;
}

/** Seamless, there and back, with two app hosts; slots keep no WAL (pitfall 23). */
export async function flipsSeamlessly(t: Test, driver: DriverKind): Promise<void> {
  const lab = await withLab(t, { driver, appHosts: 2 });
  const flip = await flipRunner(t, lab);
  t.equal((await stateOf(lab, "dal-01")).journal, false, "there is no journal before");
  for (const [from, to] of [
    ["dal-01", "chi-02"],
    ["chi-02", "dal-01"],
  ] as const) {
    const apps = await appsOn(t, lab, 4);
    const done = await flip({ mode: "seamless" });
    await Promise.all(apps.map((one) => one.progress(30)));
    endedWith(t, done, "done");
    t.ok(done.words.indexOf("stop done") < done.words.indexOf("promote done"));
    for (const app of apps) unharmed(t, await app.end());
    const [old, fresh] = [await stateOf(lab, from), await stateOf(lab, to)];
    t.match(fresh, { standby: false, journal: true });
    t.match(fresh.slots, [{ name: from.replace("-", "_"), active: true, keeps: true }]);
    t.match(old, { standby: true, journal: true });
    t.match(old.slots, [{ name: to.replace("-", "_"), active: false, keeps: false }]);
    await lockIsFree(lab);
  }
}

/** Fast: sessions are closed once, and nobody is turned away. */
export async function flipsFast(t: Test, driver: DriverKind): Promise<void> {
  const lab = await withLab(t, { driver, pooling: "session" });
  const flip = await flipRunner(t, lab);
  for (const where of ["edge", "write"] as const) {
    const address = lab.json.appHosts[0]?.[where] ?? lab.json.write;
    const app = await labApp(t, lab, address, 4);
    await app.progress(30);
    const done = await flip({ mode: "fast" });
    await app.progress(30);
    endedWith(t, done, "done");
    const ended = await app.end();
    t.ok(ended.report.failedIds.length <= 4, "at most one statement a connection failed");
    t.equal(ended.report.failedConnects, 0, "no connection was refused");
    lossless(t, ended);
  }
}
