/** Names that follow a pg_auto_failover monitor: its notifications, its restarts, its contradictions. */
import t from "tap";
import type { Test } from "tap";
import { Secret } from "../../config/secret.ts";
import { eventually, systemClock } from "../../kit/clock.ts";
import { askMonitor } from "../../router/monitor/ask.ts";
import { TestMonitor } from "../support/monitor.ts";
import type { Keeper } from "../support/monitor.ts";
import { superuser } from "../support/real-postgres.ts";
import { Names, newsOnly, passwordFile } from "./reconciled.ts";

const monitorHost = "127.45.0.1";
const monitor = await TestMonitor.create(t, monitorHost);

interface Stage {
  readonly names: Names;
  readonly dal: Keeper;
  readonly chi: Keeper;
  readonly dalAddress: string;
  readonly chiAddress: string;
  readonly changePassword: (password: string) => Promise<void>;
}

let formations = 0;

/** A pair at rest in a formation of its own, with the names of the other pairs, and a cluster `db`. */
async function setUp(t: Test): Promise<Stage> {
  formations += 1;
  const formation = `formation-${formations}`;
  await monitor.createFormation(formation);
  const dalAddress = `127.45.${formations}.1`;
  const chiAddress = `127.45.${formations}.2`;
  const dal = await monitor.register(formation, "dal-01", dalAddress);
  await monitor.settle(dal);
  const chi = await monitor.register(formation, "chi-02", chiAddress);
  await monitor.healthy(dal, chi);
  await monitor.settle(dal, chi);
  const names = await Names.create(t);
  const password = await passwordFile(t, superuser.password);
  await names.createCluster({
    name: "db",
    source: {
      kind: "pg_auto_failover",
      host: monitorHost,
      tls: "disable",
      password_file: password.path,
      formation,
    },
    members: [
      { name: "dal-01", ordinal: 1, address: dalAddress },
      { name: "chi-02", ordinal: 2, address: chiAddress },
    ],
  });
  return { names, dal, chi, dalAddress, chiAddress, changePassword: password.change };
}

t.test("names follow a failover by notifications alone", async (t) => {
  const { names, dal, chi, dalAddress, chiAddress } = await setUp(t);
  names.reconcile(newsOnly);
  await names.until("primary.db", dalAddress);
  t.same([dal.state, chi.state], ["primary", "secondary"]);
  t.equal(await names.addresses("replica.db"), chiAddress);
  t.equal(await names.addresses("db-2.db"), chiAddress);
  t.equal(await names.addresses("db"), `${dalAddress} ${chiAddress}`);

  await monitor.sql(`SELECT pgautofailover.perform_failover('${dal.formation}', 0)`);
  await names.untilOutcome("db", "no-primary");
  t.equal(await names.addresses("primary.db"), "");
  t.equal(await names.addresses("db"), chiAddress, "a node that is being promoted answers reads");

  // dal-01 never reports again: the monitor waits out its time to demote itself.
  await monitor.report(chi, "secondary");
  t.equal(await monitor.report(chi, "prepare_promotion"), "stop_replication");
  await eventually(
    "the monitor to give up dal-01",
    { deadlineMs: 20_000, intervalMs: 100 },
    async () =>
      (await monitor.report(chi, "stop_replication")) === "wait_primary" ? true : undefined,
  );
  t.equal(await names.addresses("primary.db"), "", "promoted, and read-only still");

  let committedAt = 0;
  const end = names.store.subscribe("generation", () => {
    committedAt = systemClock.monotonic();
  });
  await monitor.report(chi, "wait_primary");
  const reportedAt = systemClock.monotonic();
  await names.until("primary.db", chiAddress);
  end();
  t.comment(`reported → committed: ${(committedAt - reportedAt).toFixed(1)} ms`);
  const roles = await names.untilOutcome("db", "published");
  t.match(roles, { primary: "chi-02", standbys: [] });
  t.match(roles.reasons.join(), /dal-01 said primary last/);

  const { generation } = await names.store.head();
  await monitor.settle(dal, chi);
  await names.until("replica.db", dalAddress);
  t.equal(await names.addresses("primary.db"), chiAddress, "dal-01 is back and follows");
  t.ok((await names.store.head()).generation > generation);
});

t.test("nothing new writes nothing, and a contradiction publishes nobody", async (t) => {
  const { names, dal, chi, dalAddress, chiAddress } = await setUp(t);
  names.reconcile(newsOnly);
  await names.until("replica.db", chiAddress);
  const isPublished = ({ outcome }: { outcome: string }): boolean => outcome === "published";
  await names.lookUntil("db", isPublished);
  const { generation } = await names.store.head();
  const before = { ...names.writes };
  for (let round = 0; round < 20; round += 1) {
    await monitor.report(dal, "primary");
    await monitor.report(chi, "secondary");
    await monitor.sql("NOTIFY state, 'x'");
  }
  const reply = await names.lookNow("db");
  t.match(reply, { generation, changed: false, roles: { primary: "dal-01" } });
  t.equal(names.writes.roles, before.roles);
  t.equal(
    names.writes.endpoints,
    before.endpoints + 1,
    "the look that was asked for, and it bumped nothing",
  );

  await monitor.sql(
    `UPDATE pgautofailover.node SET reportedstate = 'wait_primary', goalstate = 'wait_primary'
     WHERE nodeid = ${chi.id}`,
  );
  await monitor.sql("NOTIFY state, 'x'");
  const roles = await names.untilOutcome("db", "ambiguous");
  t.match(roles.reasons[0], /dal-01 .*and chi-02/);
  t.equal(await names.addresses("primary.db"), "");
  t.equal(await names.addresses("db-1.db"), dalAddress, "members keep their own names");
});

t.test("a dead and a lagging standby go, and come back", async (t) => {
  const { names, dal, chi, chiAddress } = await setUp(t);
  names.reconcile(newsOnly);
  await names.until("replica.db", chiAddress);
  const look = async (): Promise<string> => {
    await names.lookUntil("db", ({ outcome }) => outcome === "published");
    return await names.addresses("replica.db");
  };
  await monitor.report(chi, "secondary", "0/5000000");
  await monitor.report(dal, "primary", "0/9000000");
  await look();
  await monitor.report(dal, "primary", "0/9100000");
  await monitor.report(chi, "secondary", "0/5000000");
  t.equal(await look(), "", "64 MB behind");
  await monitor.report(chi, "secondary", "0/9000000");
  t.equal(await look(), chiAddress);
  await monitor.sql(`UPDATE pgautofailover.node SET health = 0 WHERE nodeid = ${chi.id}`);
  t.equal(await look(), "", "dead");
  await monitor.healthy(chi);
  t.equal(await look(), chiAddress);
  t.match(await names.roles("db"), { outcome: "published", primary: "dal-01" });
});

t.test("an older monitor, which keeps no timelines, is read too", async (t) => {
  const { names, dal, dalAddress } = await setUp(t);
  const rename = (from: string, to: string) =>
    monitor.sql(`ALTER TABLE pgautofailover.node RENAME ${from} TO ${to}`);
  await rename("reportedtli", "not_yet_known");
  t.teardown(() => rename("not_yet_known", "reportedtli").then(() => undefined));
  names.reconcile(newsOnly);
  await names.until("primary.db", dalAddress);
  const { user, password } = superuser;
  const keys = {
    ...{ address: { host: monitorHost, port: 5432 }, user, password: new Secret(password) },
    ...{ database: monitor.database, tls: "disable" as const, formation: dal.formation, group: 0 },
  };
  const signal = new AbortController().signal;
  t.match(await askMonitor(keys, { deadlineMs: 20_000, signal }), [
    { name: "dal-01", reported: "primary", timeline: 0, running: true },
    { name: "chi-02", reported: "secondary", timeline: 0, health: 1 },
  ]);
});

t.test("a silent monitor leaves the names, and is found again", async (t) => {
  const { names, dal, chi, changePassword, dalAddress, chiAddress } = await setUp(t);
  const reconciler = names.reconcile();
  await names.until("replica.db", chiAddress);
  const { generation } = await names.store.head();

  await monitor.disconnect();
  await monitor.postgres.stop();
  const silent = await names.untilOutcome("db", "silent");
  t.match(silent, { primary: "dal-01", standbys: ["chi-02"] });
  t.match(silent.reasons[0], /the monitor of db at 127\.45\.0\.1:5432 does not answer: /);
  await monitor.postgres.start();
  await monitor.report(dal, "primary");
  await monitor.report(chi, "secondary");
  await names.untilOutcome("db", "published");
  t.equal(
    (await names.store.head()).generation,
    generation,
    "a restart of the monitor changes no name",
  );

  await monitor.postgres.signalAll("SIGSTOP");
  t.teardown(() => monitor.postgres.signalAll("SIGCONT"));
  const frozen = await names.lookNow("db");
  t.match(frozen.roles, { outcome: "silent", primary: "dal-01" });
  await monitor.postgres.signalAll("SIGCONT");
  await monitor.report(dal, "primary");
  await monitor.report(chi, "secondary");
  await names.untilOutcome("db", "published");

  await monitor.sql("ALTER ROLE autoctl_node PASSWORD 'another one'");
  await monitor.sql(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'switchyard-registry'",
  );
  // A look that was under way says that its connection was ended; the next one is refused.
  const refused = await names.untilOutcome("db", "silent", /password authentication failed/);
  t.match(refused, { primary: "dal-01", standbys: ["chi-02"] });
  t.notMatch(JSON.stringify(refused), superuser.password);
  await changePassword("another one");
  await names.untilOutcome("db", "published");

  await reconciler.stop();
  await monitor.sql(`SELECT pgautofailover.perform_failover('${dal.formation}', 0)`);
  await monitor.settle(chi, dal);
  t.equal(await names.addresses("primary.db"), dalAddress, "nobody looks");
  names.reconcile();
  await names.until("primary.db", chiAddress);
  t.equal(await names.addresses("replica.db"), dalAddress);
});
