/** Flips of a real cluster under an app that writes: what clients see, and what is left afterwards. */
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import type { WorkloadReport } from "../../../lab/tally.ts";
import type { Verification } from "../../../lab/workload.ts";
import { findLockHolder } from "../../../router/postgres/lock.ts";
import { flipRunner, labApp } from "../../support/flip-run.ts";
import type { FlipDone, LabApp } from "../../support/flip-run.ts";
import { withLab } from "../../support/lab.ts";
import type { TestLab } from "../../support/lab.ts";

const soon = { deadlineMs: 20_000, intervalMs: 20 };

interface MemberState {
  readonly standby: boolean;
  readonly timeline: number;
  readonly slots: readonly { readonly name: string; readonly active: boolean; keeps: boolean }[];
  readonly signal: boolean;
  readonly journal: boolean;
}

/** What a member looks like to an operator with psql. */
async function stateOf(lab: TestLab, member: string): Promise<MemberState> {
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
async function lockIsFree(lab: TestLab): Promise<void> {
  for (const member of lab.json.members) {
    const client = await lab.connect(member.postgres, { as: "superuser", database: "postgres" });
    await eventually(`lock on ${member.name}`, soon, async () => {
      const holder = await findLockHolder(async (text) => (await client.query(text)).rows);
      return holder === undefined ? true : undefined;
    });
  }
}

function endedWith(t: Test, done: FlipDone, want: "done" | "undone" | "stuck"): void {
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

function unharmed(t: Test, ended: Ended): void {
  t.strictSame(ended.report.failedIds, [], "no statement failed");
  t.equal(ended.report.failedConnects, 0, "no connection was refused");
  lossless(t, ended);
}

async function appsOn(t: Test, lab: TestLab, connections: number): Promise<LabApp[]> {
  const apps = await Promise.all(
    lab.json.appHosts.map((host) => labApp(t, lab, host.edge, connections)),
  );
  await Promise.all(apps.map((one) => one.progress(30)));
  return apps;
}

t.test("seamless: there and back, two app hosts; slots keep no WAL (pitfall 23)", async (t) => {
  const lab = await withLab(t, { appHosts: 2 });
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
});

t.test("what does not end in a flip leaves no trace", async (t) => {
  const lab = await withLab(t);
  const flip = await flipRunner(t, lab);

  await t.test("refused: the standby does not answer", async (t) => {
    await lab.run("stop", "chi-02/postgres");
    const done = await flip();
    t.match(done.result, { kind: "refused", why: /chi-02/ });
    t.strictSame(done.words, []);
    t.match(await stateOf(lab, "dal-01"), { signal: false, journal: false });
    await lab.run("start", "chi-02/postgres");
  });

  for (const step of ["record", "arm", "hold", "divert"]) {
    await t.test(`pitfall 4: aborted during ${step}`, async (t) => {
      await eventually("the standby streams", soon, async () => {
        const { slots } = await stateOf(lab, "dal-01");
        return slots.some(({ active }) => active) ? true : undefined;
      });
      const [app] = await appsOn(t, lab, 4);
      const controller = new AbortController();
      const done = await flip({
        signal: controller.signal,
        onEvent: (event) => {
          if (event.step === step && event.phase === "start") controller.abort(new Error("enough"));
        },
      });
      endedWith(t, done, "undone");
      t.notOk(done.words.includes("promote start"));
      await app?.progress(30);
      if (app !== undefined) unharmed(t, await app.end());
      t.match(await stateOf(lab, "dal-01"), { standby: false, signal: false, timeline: 1 });
      const { slots } = await stateOf(lab, "chi-02");
      t.strictSame(slots, [{ name: "dal_01", active: false, keeps: false }]);
      await lockIsFree(lab);
    });
  }

  await t.test("pitfall 4 and 29: the standby freezes once the old primary is armed", async (t) => {
    const [app] = await appsOn(t, lab, 4);
    const frozen: Promise<void>[] = [];
    const done = await flip({
      onEvent: ({ step, phase }) => {
        if (step === "arm" && phase === "done") frozen.push(lab.run("freeze", "chi-02/postgres"));
      },
    });
    await Promise.all(frozen);
    t.notOk(done.words.includes("promote start"), "it was not promoted");
    await app?.progress(30);
    await lab.run("thaw", "chi-02/postgres");
    t.match(await stateOf(lab, "dal-01"), { standby: false, signal: false, timeline: 1 });
    const { result, operationId } = done;
    if (result.kind === "ended" && result.outcome.result === "stuck") {
      endedWith(t, await flip({ goal: "abort", operationId }), "undone");
    }
    if (app !== undefined) unharmed(t, await app.end());
    endedWith(t, await flip(), "done");
  });
});

t.test("fast: sessions are closed once, and nobody is turned away", async (t) => {
  const lab = await withLab(t, { pooling: "session" });
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
});
