/** The main job: an app writes through a router, the primary changes, nothing acknowledged is lost. */
import { join } from "node:path";
import t from "tap";
import { Client } from "pg";
import { inCheckout } from "../../kit/checkout.ts";
import { runChild } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import { changePrimary } from "../../lab/change-primary.ts";
import { labPlace } from "../../lab/place.ts";
import { listLabs } from "../../lab/state.ts";
import { verifyWorkload, Workload } from "../../lab/workload.ts";
import { withLab } from "../support/lab.ts";
import type { TestLab } from "../support/lab.ts";

const checkout = inCheckout("");
const soon = { deadlineMs: 60_000, intervalMs: 20 };
const quiet = { note: () => undefined, signal: new AbortController().signal };

function loginOf(lab: TestLab) {
  const { user, password, database } = lab.json;
  return { user, password, database };
}

/** Runs an app until it has `count` acknowledged rows more than now. */
async function progress(workload: Workload, count: number): Promise<void> {
  const goal = workload.report().acknowledgedIds.length + count;
  await eventually(`${count} rows more`, soon, () =>
    workload.report().acknowledgedIds.length >= goal ? true : undefined,
  );
}

t.test("there and back again, under load", async (t) => {
  const lab = await withLab(t, { appHosts: 2 });
  const login = loginOf(lab);
  const host = (member: string): string =>
    lab.json.members.find((one) => one.name === member)?.postgres.host ?? "";
  for (const [round, [from, to]] of [
    ["dal-01", "chi-02"],
    ["chi-02", "dal-01"],
  ].entries()) {
    const table = `round_${round}`;
    const address = lab.json.appHosts[round]?.write ?? lab.json.write;
    const workload = await Workload.start({ address, login, table, connections: 4, rate: 100 });
    t.teardown(() => workload.abandon());
    await progress(workload, 50);
    const change = await changePrimary(lab.place, lab.name, quiet);
    await progress(workload, 50);
    const report = await workload.stop();

    t.equal(change.from, from);
    t.equal(change.to, to);
    t.strictSame(Object.keys(report.nodes).toSorted(), [host("dal-01"), host("chi-02")]);
    const old = report.nodes[host(change.from)];
    const fresh = report.nodes[host(change.to)];
    t.ok((old?.lastAt ?? 0) < change.promotedAt, "no write on the old node after the promotion");
    t.ok((fresh?.firstAt ?? 0) > change.promotedAt, "and none on the new one before");
    for (const member of lab.json.members) {
      const seen = await eventually(`${member.name} has caught up`, soon, async () => {
        const now = await verifyWorkload(member.postgres, login, table, report);
        return now.missing.length === 0 ? now : undefined;
      });
      t.equal(seen.found, report.acknowledgedIds.length, `all rows are on ${member.name}`);
      t.strictSame(seen.doubled, [], "and none twice");
    }
  }

  const slots = await Promise.all(
    lab.json.members.map(async (member) => {
      const client = await lab.connect(member.postgres, { as: "superuser" });
      const { rows } = await client.query(
        "SELECT slot_name, active, restart_lsn IS NOT NULL AS keeps FROM pg_replication_slots",
      );
      return rows;
    }),
  );
  t.strictSame(slots, [
    [{ slot_name: "chi_02", active: true, keeps: true }],
    [{ slot_name: "dal_01", active: false, keeps: false }],
  ]);
});

t.test("a standby that lacks something is not promoted", async (t) => {
  const lab = await withLab(t);
  const [dal, chi] = lab.json.members;
  if (dal === undefined || chi === undefined) throw new TypeError("a lab has two members");
  const standby = await lab.connect(chi.postgres, { as: "superuser" });
  await standby.query("SELECT pg_wal_replay_pause()");
  const primary = await lab.connect(lab.json.write);
  await primary.query("CREATE TABLE not_replayed AS SELECT 1 AS value");
  const controller = new AbortController();
  const change = changePrimary(lab.place, lab.name, { ...quiet, signal: controller.signal });
  // It waits for the replay as long as it may; the operator does not.
  await eventually("the old primary is stopped", soon, async () =>
    (await lab.status()).some((one) => one.part === "dal-01/postgres" && one.state === "stopped")
      ? true
      : undefined,
  );
  controller.abort(new Error("enough"));
  await t.rejects(change, /enough/);
  const { rows } = await standby.query<{ standby: boolean }>(
    "SELECT pg_is_in_recovery() AS standby",
  );
  t.strictSame(rows, [{ standby: true }]);
  await lab.run("start", "dal-01/postgres");
  const again = await lab.connect(lab.json.write);
  t.equal((await again.query("SELECT value FROM not_replayed")).rowCount, 1, "the stop is undone");
});

t.test("the workload tells what it lost, doubled and never got an answer for", async (t) => {
  const lab = await withLab(t);
  const login = loginOf(lab);
  const table = "counted";
  const address = lab.json.write;
  const workload = await Workload.start({ address, login, table, connections: 2, rate: 50 });
  t.teardown(() => workload.abandon());
  await progress(workload, 20);
  await lab.run("kill", "dal-01/pooler");
  await eventually("failures", soon, () =>
    workload.report().failedIds.length > 0 ? true : undefined,
  );
  await lab.run("start", "dal-01/pooler");
  await progress(workload, 20);
  const report = await workload.stop();
  t.ok(report.failedIds.length > 0);
  t.strictSame(
    report.acknowledgedIds.filter((id) => report.failedIds.includes(id)),
    [],
  );
  // Past the router, which may still be about to take the old pooler's end for the member's.
  const [dal] = lab.json.members;
  if (dal === undefined) throw new TypeError("a lab has two members");
  const client = await lab.connect(dal.postgres);
  const [gone, , twice] = report.acknowledgedIds;
  await client.query(`DELETE FROM ${table} WHERE id = $1`, [gone]);
  await client.query(`INSERT INTO ${table} VALUES ($1)`, [twice]);
  await client.query(`INSERT INTO ${table} SELECT unnest($1::bigint[])`, [report.failedIds]);
  const seen = await verifyWorkload(dal.postgres, login, table, report);
  t.strictSame(seen.missing, [gone]);
  t.ok(seen.doubled.includes(twice ?? -1));
  t.equal(seen.found, report.acknowledgedIds.length - 1);
  t.equal(seen.committedThoughFailed, report.failedIds.length);
});

t.test("bin/demo", async (t) => {
  const place = await labPlace();
  const demo = (...words: string[]) =>
    runChild(process.execPath, [join(checkout, "bin/commands/demo.ts"), ...words], {
      deadlineMs: 180_000,
      accept: [0, 1, 4, 64],
    });
  const before = await listLabs(place);

  const wrong = await demo("--jsno");
  t.equal(wrong.code, 64);
  t.match(wrong.stderr, /did you mean --json/);

  const run = await demo("--json");
  t.equal(run.code, 0, run.stderr);
  t.match(run.stdout, /^\{.*\}\n$/, "one object on one line, and nothing else");
  const result = JSON.parse(run.stdout) as Record<string, number | string> & {
    readonly flips: readonly Record<string, unknown>[];
  };
  t.strictSame(Object.keys(result), [
    ...["acknowledged", "found", "failed", "longestGapMs", "from", "to", "flips", "textbook"],
  ]);
  t.match(result.flips, [
    { from: "dal-01", to: "chi-02", mode: "seamless", failed: 0, failedConnects: 0, doubled: 0 },
    { from: "chi-02", to: "dal-01", mode: "seamless", failed: 0, failedConnects: 0, doubled: 0 },
  ]);
  for (const { names } of result.flips) {
    t.match(names, { name: /^primary\.demo[-0-9]*\.temps\.local$/, followed: true });
    const { resolvers } = names as { resolvers: { name: string; ms: number | null }[] };
    t.strictSame(
      resolvers.map(({ name, ms }) => `${name} ${typeof ms}`),
      ["dal-01 number", "chi-02 number", "app-01 number"],
    );
  }
  t.match(result.flips[1]?.["report"], { event: "report", result: "done", rejoined: true });
  t.ok(Number(result["acknowledged"]) > 0);
  t.equal(result["found"], result["acknowledged"]);
  t.equal(result["from"], "dal-01");
  t.equal(result["to"], "chi-02");
  const ours = /lab (demo[-0-9]*)\)/.exec(run.stderr)?.[1] ?? "";
  t.notOk((await listLabs(place)).includes(ours), "everything is stopped at the end");

  const kept = await demo("--keep");
  t.equal(kept.code, 0, kept.stderr);
  const name = /lab (demo[-0-9]*)\)/.exec(kept.stderr)?.[1] ?? "";
  t.teardown(() => runChild(join(checkout, "bin/lab"), ["down", "--name", name], soon));
  t.match(kept.stdout, /No acknowledged row was lost/);
  t.ok((await listLabs(place)).includes(name) && !before.includes(name), "the lab is left");
  const line = /^ *PGPASSWORD=\$\(cat (\S+)\) psql -h (\S+) -p ([0-9]+) -U (\S+) (\S+)$/m.exec(
    kept.stderr,
  );
  const [, file = "", host = "", port = "", user = "", database = ""] = line ?? [];
  const { stdout: password } = await runChild("/bin/cat", [file], soon);
  const client = new Client({
    host,
    port: Number(port),
    user,
    database,
    password: password.trim(),
  });
  await client.connect();
  t.ok(
    (await client.query("SELECT 1 FROM demo_1")).rowCount,
    "the printed psql line leads to the rows",
  );
  await client.end();
});
