/** Names that follow the members themselves, and a reconciler that follows what is created and deleted. */
import { Client } from "pg";
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../kit/clock.ts";
import { openPostgresStore } from "../../registry/store/postgres.ts";
import { RealPostgres, superuser } from "../support/real-postgres.ts";
import { newDatabase, startPostgres } from "./store/stores.ts";
import { Names, newsOnly, passwordFile } from "./reconciled.ts";

const source = (path: string, interval_ms: number): object => ({
  kind: "probe",
  user: superuser.user,
  password_file: path,
  interval_ms,
});

// The tests of a pair share one; the later ends its replication.
const dal = await RealPostgres.create(t, "127.45.9.1", { wal_keep_size: "64MB" });
const chi = await RealPostgres.standbyOf(t, dal, "127.45.9.2");

/** A cluster `db` of the pair, whose members are asked themselves. */
async function setUp(t: Test, intervalMs = 200): Promise<Names> {
  const names = await Names.create(t);
  const { path } = await passwordFile(t, superuser.password);
  await names.createCluster({
    name: "db",
    source: source(path, intervalMs),
    members: [
      { name: "dal-01", ordinal: 1, address: dal.host },
      { name: "chi-02", ordinal: 2, address: chi.host },
    ],
  });
  return names;
}

async function setReadOnly(member: RealPostgres, to: "on" | "off"): Promise<void> {
  await member.sql(`ALTER SYSTEM SET default_transaction_read_only = ${to}`);
  await member.sql("SELECT pg_reload_conf()");
}

async function promote(member: RealPostgres): Promise<void> {
  await member.sql("SELECT pg_promote(wait => true)");
}

t.test("read-only is no primary, and a look on demand answers with what it found", async (t) => {
  const names = await setUp(t, 60_000);
  names.reconcile(newsOnly);
  const first = await names.lookUntil(
    "db",
    ({ outcome, standbys }) => outcome === "published" && standbys.length === 1,
  );
  t.match(first.roles, { outcome: "published", primary: "dal-01", standbys: ["chi-02"] });
  t.equal(first.generation, (await names.store.head()).generation);
  const same = await names.lookNow("db");
  t.match(same, { generation: first.generation, changed: false });

  await setReadOnly(dal, "on");
  await names.lookUntil("db", ({ outcome }) => outcome === "no-primary");
  t.equal(await names.addresses("primary.db"), "");

  const before = { ...names.writes };
  await Promise.all(Array.from({ length: 20 }, () => names.lookNow("db")));
  t.equal(names.writes.roles, before.roles, "what is known is not written again");
  t.ok(names.writes.endpoints - before.endpoints <= 20);
  const twice = JSON.stringify({ cluster: "db", request: "made again while it is answered" });
  const replies: string[] = [];
  names.store.subscribe("reconciled", (payload) => replies.push(payload));
  for (let time = 0; time < 2; time += 1) await names.store.publish("reconcile", twice);
  await names.lookNow("db");
  t.equal(replies.filter((payload) => payload.includes("made again")).length, 1);
  await t.rejects(names.lookNow("nothing"), { message: /cluster nothing: there is none/ });
  await setReadOnly(dal, "off");
});

t.test("names follow the members through a failover and a split", async (t) => {
  const names = await setUp(t);
  names.reconcile();
  await names.until("primary.db", dal.host);
  await names.until("replica.db", chi.host);

  // Nothing has changed for the reconciler, so that only what others write tells it to look.
  const { id } = (await names.store.cluster("db")) ?? { id: 0 };
  await names.store.putEndpoints([{ owner: { kind: "service_role", id }, drafts: [] }]);
  await names.until("primary.db", dal.host);

  await chi.stop();
  await names.until("replica.db", "");
  t.equal(await names.addresses("primary.db"), dal.host);
  await chi.start();
  await names.until("replica.db", chi.host);

  // A frozen standby is slow first, and dead then; a look does not wait for it each time.
  await chi.signalAll("SIGSTOP");
  const looked = await names.lookNow("db");
  t.match(looked.roles, { outcome: "published", primary: "dal-01" });
  await names.until("replica.db", "");
  await chi.signalAll("SIGCONT");
  await names.until("replica.db", chi.host);

  const { generation } = await names.store.head();
  await dal.stop();
  const silent = await names.untilOutcome(
    "db",
    "silent",
    /dal-01 does not answer .*its name stays/,
  );
  t.match(silent, { primary: "dal-01", standbys: ["chi-02"] });
  t.equal((await names.store.head()).generation, generation, "nobody else takes writes: no change");

  await promote(chi);
  await names.until("primary.db", chi.host);
  t.match((await names.roles("db")).reasons[0], /chi-02 was promoted after it: timeline 2, not 1/);

  await dal.start();
  const split = await names.untilOutcome("db", "ambiguous");
  t.match(split.reasons[0], /dal-01 \(timeline 1\) and chi-02 \(timeline 2\)/);
  t.equal(await names.addresses("primary.db"), "");

  await chi.stop();
  const gone = await names.lookNow("db");
  t.match(gone.roles, { outcome: "ambiguous", primary: null }, "chi-02 may take writes still");
  await chi.start();
  await dal.stop();
  await names.until("primary.db", chi.host);
});

t.test("what is created, changed and deleted is followed; the lead is handed over", async (t) => {
  const names = await Names.create(t);
  const first = names.reconcile(newsOnly);
  const second = names.reconcile(newsOnly);
  await eventually(
    "a lead",
    { deadlineMs: 20_000, intervalMs: 10 },
    () => first.leads() || undefined,
  );
  t.notOk(second.leads());

  await names.createCluster({ name: "db", source: { kind: "none" } });
  await names.store.addMember("db", { ...member(1), address: "10.0.0.1" });
  await names.until("db-1.db", "10.0.0.1");
  await names.store.updateMember("db", "m-1", { ...member(1), address: "10.0.0.9" });
  await names.until("db-1.db", "10.0.0.9");

  const node = await names.store.addNode(
    { name: "host-1", address: "192.168.0.1" },
    "0".repeat(64),
  );
  await names.store.addMember("db", { ...member(2), node: node.name });
  await names.until("db-2.db", "192.168.0.1");

  await names.store.addMember("db", { ...member(4), node: "nowhere" });
  const told = await names.lookNow("db");
  t.match(told.roles.reasons.join(), /m-4 has no record: its node nowhere is not known/);

  // A source that never answers keeps no member's own name away.
  await names.createCluster({
    name: "far",
    source: { kind: "probe", user: "x", password_file: "/does/not/exist" },
    members: [{ ...member(1), address: "127.45.9.9" }],
  });
  await names.until("far-1.far", "127.45.9.9");
  t.match((await names.untilOutcome("far", "silent")).reasons[0], /cannot read \/does\/not\/exist/);

  await first.stop();
  t.notOk(first.leads());
  await names.store.addMember("db", { ...member(3), address: "10.0.0.3" });
  await names.until("db-3.db", "10.0.0.3");
  t.ok(second.leads());

  await names.store.removeMember("db", "m-1");
  await names.store.deleteCluster("far");
  await names.lookNow("db");
  const { records } = await names.store.snapshot();
  t.ok(records.length > 0);
  t.ok(
    records.every(({ fqdn }) => /db-[23]\.db\./.test(fqdn)),
    "nothing is left of what went",
  );
});

t.test("a store that is restarted is used again", async (t) => {
  const postgres = await startPostgres(t, "127.45.9.3");
  const url = await newDatabase(postgres);
  const names = Names.on(t, await openPostgresStore(url, { zone: "temps.local" }));
  const reconciler = names.reconcile();
  await names.createCluster({
    name: "db",
    source: { kind: "none" },
    members: [{ ...member(1), address: "10.0.0.1" }],
  });
  await names.until("db-1.db", "10.0.0.1");
  await postgres.stop();
  await eventually("the lead to be lost", { deadlineMs: 20_000, intervalMs: 20 }, () =>
    reconciler.leads() ? undefined : true,
  );
  await postgres.start();
  await names.store.updateMember("db", "m-1", { ...member(1), address: "10.0.0.9" });
  await names.until("db-1.db", "10.0.0.9");
  t.ok(reconciler.leads());

  // Somebody else has taken the lead, and this process has not heard of it.
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query("UPDATE registry_lead SET term = term + 1");
  await client.end();
  await names.store.updateMember("db", "m-1", { ...member(1), address: "10.0.0.8" });
  await names.until("db-1.db", "10.0.0.8");
});

t.test("records without an owner go when the lead is taken", async (t) => {
  const names = await Names.create(t);
  const draft = {
    fqdn: "primary.gone.temps.local",
    record_type: "A",
    target_ip: "10.0.0.1",
    target_port: 5432,
    ttl: 5,
    node_id: null,
  } as const;
  await names.store.putEndpoints([
    { owner: { kind: "service_role", id: 99 }, drafts: [draft] },
    { owner: { kind: "static", id: 1 }, drafts: [{ ...draft, fqdn: "www.temps.local" }] },
  ]);
  names.reconcile(newsOnly);
  await names.until("primary.gone", "");
  t.equal(await names.addresses("www"), "10.0.0.1", "what others own stays");
});

function member(ordinal: number): Parameters<Names["store"]["addMember"]>[1] {
  return {
    name: `m-${ordinal}`,
    ordinal,
    address: null,
    port: 5432,
    node: null,
    published_port: null,
  };
}
