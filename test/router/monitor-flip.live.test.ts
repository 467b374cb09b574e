/**
 * Flips on a cluster that a real monitor of pg_auto_failover runs: it is asked, clients are held and
 * led around it, it goes on whoever dies, and what would go behind its back is refused.
 */
import { Client } from "pg";
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../kit/clock.ts";
import { readSecrets } from "../../lab/secrets.ts";
import { lookAtCluster } from "../../router/cluster/observe.ts";
import type { FlipReport } from "../../router/flip-db/events.ts";
import { labApp } from "../support/flip-run.ts";
import { makePatient, withLab } from "../support/lab.ts";
import type { TestLab } from "../support/lab.ts";
import { startRecovery } from "../support/recovery-process.ts";

const soon = { deadlineMs: 60_000, intervalMs: 100 };

/** The monitor's own database, as its superuser. */
async function monitorOf(t: { teardown(work: () => Promise<void>): void }, lab: TestLab) {
  const { superuser } = await readSecrets(lab.model.folder);
  const { monitor } = lab.environment;
  if (monitor === undefined) throw new TypeError("the lab has no monitor");
  const login = { user: "postgres", password: superuser.reveal(), database: monitor.database };
  const client = new Client({ ...monitor.address, ...login, query_timeout: 10_000 });
  client.on("error", () => undefined);
  t.teardown(() => client.end());
  await client.connect();
  return client;
}

/** Waits until the cluster is as it should be, with `primary` as the primary. */
async function settles({ environment }: TestLab, primary: string): Promise<void> {
  let last = "";
  await eventually(`${primary} is the primary of a healthy cluster`, soon, async () => {
    const { view, verdict } = await lookAtCluster(environment);
    last = `${verdict.level}: ${verdict.summary}; ${verdict.reasons.join("; ")}`;
    const isSo = verdict.level === "healthy" && view.writable.join() === primary;
    return isSo ? true : undefined;
  }).catch((cause: unknown) => {
    throw new Error(last, { cause });
  });
}

const order = (report: FlipReport): string => report.steps.map(({ step }) => step).join(" ");

await t.test("a monitor is asked", async (t) => {
  const lab = await withLab(t, { cluster: "pg_auto_failover", memberCount: 2 });
  await makePatient(lab);
  const stateHome = t.testdir();
  const recovery = (...words: readonly string[]) =>
    startRecovery(t, [lab.name, ...words], { stateHome });
  const monitor = await monitorOf(t, lab);
  const [app] = lab.json.appHosts;
  if (app === undefined) throw new TypeError("the lab has no app host");
  await settles(lab, "dal-01");

  await t.test("a flip: clients wait, none fails, and nothing is lost", async (t) => {
    const workload = await labApp(t, lab, app.edge, 2);
    await workload.progress(20);
    const flip = recovery("flip-db", "--yes", "--json");
    t.equal(await flip.end(), 0);
    const report = flip.report();
    t.match(report, { result: "done", to: "chi-02", mode: "seamless", rejoined: true });
    t.match(report, { manager: "pg_auto_failover", problems: [], next: null });
    t.match(report.loss, /^none of what came by the gates, proven: dal-01 had written up to /);
    t.equal(report.timelines.after, 2);
    t.match(order(report), /^record warm hold ask switch verify-new compare .*release.*follow/);
    t.notMatch(
      order(report),
      /\b(arm|stop|promote|rejoin|slot|checkpoint)\b/,
      "not behind its back",
    );
    await workload.progress(20);
    const { report: told, found } = await workload.end();
    t.same(told.failures, {}, "clients behind a gate saw latency and no error");
    for (const one of found) t.same(one.missing, []);
    await settles(lab, "chi-02");
  });

  await t.test(
    "the executor is killed while the monitor is at it: the watcher ends it",
    async (t) => {
      const workload = await labApp(t, lab, app.edge, 2);
      const flip = recovery("flip-db", "--yes", "--json");
      const { pids } = await flip.step("ask", "done");
      process.kill(pids.executor, "SIGKILL");
      t.equal(await flip.end(), 0);
      t.match(flip.report(), { kind: "resume", result: "done", to: "dal-01", rejoined: true });
      await workload.progress(20);
      const { found } = await workload.end();
      for (const one of found) t.same(one.missing, []);
      await settles(lab, "dal-01");
    },
  );

  /** What would go behind its back is refused, with its own command. */
  const refusals = async (t: Test): Promise<void> => {
    const cases = [
      [["fence", "chi-02", "--yes"], /chi-02 is run by pg_auto_failover.*enable maintenance/],
      [["unfence", "chi-02", "--yes"], /chi-02 is run by pg_auto_failover.*disable maintenance/],
      [["rebuild-standby", "--yes"], /is run by pg_auto_failover.*use pg_autoctl run on its host/],
      [["failover", "--yes"], /dal-01 takes writes; a planned change loses nothing: .*flip-db/],
    ] as const;
    const runs = cases.map(async ([words, says]) => {
      const run = recovery(...words);
      t.equal(await run.end(), 3, words.join(" "));
      t.match(run.notes(), says);
    });
    await Promise.all(runs);
  };

  await t.test("refused: behind its back, a target in maintenance, a monitor away", async (t) => {
    const behind = refusals(t);
    const id = "SELECT nodeid FROM pgautofailover.node WHERE nodename = 'chi-02'";
    await monitor.query(`SELECT pgautofailover.start_maintenance((${id})::int)`);
    await eventually("chi-02 is in maintenance", soon, async () => {
      const { findings } = await lookAtCluster(lab.environment);
      const said = findings.find(
        (one) => one.code === "monitor-unsettled" && one.part === "chi-02",
      );
      return said?.says.startsWith("is maintenance") === true ? true : undefined;
    });
    const refused = recovery("flip-db", "--yes");
    t.equal(await refused.end(), 3);
    t.match(
      refused.notes(),
      /chi-02 is in maintenance: on its host pg_autoctl disable maintenance/,
    );
    await monitor.query(`SELECT pgautofailover.stop_maintenance((${id})::int)`);
    await behind;

    await lab.run("stop", "mon-01/monitor");
    const alone = recovery("flip-db", "--yes");
    t.equal(await alone.end(), 3);
    t.match(alone.notes(), /the monitor does not answer \(.*\): start it with pg_autoctl run/);
    const { findings, view } = await lookAtCluster(lab.environment);
    t.ok(findings.some((one) => one.code === "monitor-unreachable"));
    t.same(view.writable, ["dal-01"], "nothing was changed");
    await lab.run("start", "mon-01/monitor");
    await settles(lab, "dal-01");
  });

  await t.test("a failover: the monitor does it, and clients are led after it", async (t) => {
    const quick = await monitorOf(t, lab);
    for (const [name, ms] of [
      ["node_considered_unhealthy_timeout", 4000],
      ["primary_demote_timeout", 3000],
      ["health_check_period", 1000],
    ] as const) {
      await quick.query(`ALTER SYSTEM SET pgautofailover.${name} = ${ms}`);
    }
    await quick.query("SELECT pg_reload_conf()");
    await lab.run("kill", "dal-01");
    await eventually("the monitor gives dal-01 up", soon, async () => {
      const { rows } = await quick.query<{ health: number }>(
        "SELECT health FROM pgautofailover.node WHERE nodename = 'dal-01'",
      );
      return rows[0]?.health === 0 ? true : undefined;
    });
    const failover = recovery("failover", "--yes", "--json");
    t.equal(await failover.end(), 0);
    const report = failover.report();
    t.match(report, { kind: "failover", result: "done", from: "dal-01", to: "chi-02" });
    t.match(report.loss, /^not known: the monitor promotes chi-02, which has all that waited/);
    const { view } = await lookAtCluster(lab.environment);
    t.same(view.writable, ["chi-02"]);
    t.same(
      view.routers.map((one) => one.sendsWritesTo),
      [["chi-02"]],
    );
  });
});
