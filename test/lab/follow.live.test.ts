/**
 * libpq and PgBouncer follow the primary's name through a flip: with a resolver of the lab as their
 * name server, in a mount namespace of their own. docs/names.md says how to set them up so.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import t from "tap";
import type { Test } from "tap";
import { inCheckout } from "../../kit/checkout.ts";
import { runChild } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import { findPrograms } from "../../lab/programs.ts";
import { ask } from "../support/lab-faults.ts";
import { makePatient, withLab } from "../support/lab.ts";
import type { TestLab } from "../support/lab.ts";
import { cannotHaveOwn, ownNames } from "../support/own-name-server.ts";
import type { OwnNames } from "../support/own-name-server.ts";
import { startRecovery } from "../support/recovery-process.ts";

const soon = { deadlineMs: 60_000, intervalMs: 100 };
const whoAnswers = "SELECT current_setting('cluster_name')";
/** As docs/names.md has it: whoever is let in by a standby goes, and is led to the primary. */
const guard =
  "connect_query='SELECT pg_terminate_backend(pg_backend_pid()) WHERE pg_is_in_recovery()'";
const ttls = ["dns_max_ttl = 2", "dns_nxdomain_ttl = 1"] as const;
const looksAtSerials = "dns_zone_check_period = 1";
const machines = "/etc/resolv.conf";

/** Whether this PgBouncer sees a new serial: c-ares keeps an SOA for an hour since its version 1.31. */
async function seesSerials(): Promise<boolean> {
  const { pgbouncer } = await findPrograms();
  const { stdout } = await runChild(pgbouncer, ["--version"], { deadlineMs: 30_000 });
  const [, major, minor] = /adns: c-ares ([0-9]+)\.([0-9]+)/.exec(stdout) ?? [];
  return major === "1" && Number(minor) < 31;
}

/** Clients of a PgBouncer of its own, which finds the members by name. */
async function pooler(
  t: Test,
  lab: TestLab,
  own: OwnNames,
  databases: readonly string[],
  dns: readonly string[],
): Promise<(to: string) => Promise<Client>> {
  const { user, password } = lab.json;
  const { pgbouncer } = await findPrograms();
  const pool = ["pool_mode = transaction", "server_login_retry = 1", `admin_users = ${user}`];
  const settings = ["[databases]", ...databases, "[pgbouncer]", ...pool, ...dns];
  const users = `"${user}" "${password}"\n`;
  const address = await own.pooler(pgbouncer, settings, users, lab.place.uid);
  return async (database) =>
    await eventually(`PgBouncer lets in to ${database}`, soon, async () => {
      const times = { connectionTimeoutMillis: 5000, query_timeout: 10_000 };
      const one = new Client({ ...address, user, password, database, ...times });
      one.on("error", () => undefined);
      t.teardown(() => one.end().catch(() => undefined));
      await one.connect();
      return one;
    });
}

/** Whom a client that never left comes to reach: chi-02, or whom it reached at last. */
async function comesTo(t: Test, client: Client): Promise<string> {
  let last = "";
  await eventually("a client is led to chi-02", soon, async () => {
    last = await ask(client, whoAnswers);
    return last === "chi-02" ? true : undefined;
  }).catch((cause: unknown) => t.comment(`stays on ${last}: ${String(cause)}`));
  return last;
}

t.test("by name alone", { skip: await cannotHaveOwn() }, async (t) => {
  const lab = await withLab(t, { names: true });
  await makePatient(lab);
  const { user, password, database, resolvers, environment } = lab.json;
  const name = `primary.${environment}.temps.local`;
  const own = await ownNames(t, resolvers.at(-1)?.dns.host ?? "");
  const before = await readFile(machines, "utf8");
  const { postgresFolder } = await findPrograms();

  /** Whom libpq reaches by a name, in a process of its own. */
  const byLibpq = async (host: string, attributes: string): Promise<string> => {
    const target = `host=${host} dbname=${database} user=${user} target_session_attrs=${attributes}`;
    const words = [join(postgresFolder, "psql"), target, "-XAtc", whoAnswers];
    return await own.run(words, { PGPASSWORD: password });
  };

  const page = await readFile(inCheckout("docs/names.md"), "utf8");
  for (const line of [guard, ...ttls, looksAtSerials]) t.ok(page.includes(`${line}\n`), line);
  const member = `${environment}-1.${environment}.temps.local`;
  const guarded = await pooler(
    t,
    lab,
    own,
    [
      `app = host=${name} port=5432 dbname=${database} ${guard}`,
      `chi = host=${member} port=5432 dbname=${database} ${guard}`,
    ],
    [...ttls],
  );
  const byTtl = await guarded("app");
  // Only the serial can tell this one: it would keep the address for an hour.
  const watching = await pooler(
    t,
    lab,
    own,
    [`app = host=${name} port=5432 dbname=${database}`],
    ["dns_max_ttl = 3600", looksAtSerials],
  );
  const bySerial = await watching("app");
  t.equal(await byLibpq(name, "any"), "dal-01");
  t.equal(await byLibpq(`${environment}.temps.local`, "read-write"), "dal-01");
  t.equal(await ask(byTtl, whoAnswers), "dal-01");
  t.equal(await ask(bySerial, whoAnswers), "dal-01");
  const sees = await seesSerials();
  if (sees) {
    const admin = await watching("pgbouncer");
    await eventually("PgBouncer knows the serial of the cluster's names", soon, async () => {
      const { rows } = await admin.query<{ zonename: string; serial: string }>("SHOW DNS_ZONES");
      const zone = rows.find(({ zonename }) => zonename === `${environment}.temps.local`);
      return Number(zone?.serial) > 0 ? true : undefined;
    });
  }

  const flip = startRecovery(t, [lab.name, "flip-db", "--yes"], { stateHome: t.testdir() });
  // It asks from now on, and nobody lets it in before chi-02 is the primary.
  const long = { ...soon, deadlineMs: 120_000 };
  const letIn = eventually("chi-02 lets in", long, async () =>
    ask(await guarded("chi"), `${whoAnswers} || ' ' || pg_is_in_recovery()`),
  );
  const [code, first] = await Promise.all([flip.end(), letIn]);
  t.equal(code, 0, "the flip is done");
  t.equal(first, "chi-02 false", "a guarded pool has no standby for anybody");

  // The names have moved before the flip says that it is done.
  t.equal(await byLibpq(name, "any"), "chi-02");
  t.equal(await byLibpq(`${environment}.temps.local`, "read-write"), "chi-02");
  t.equal(await comesTo(t, byTtl), "chi-02", "PgBouncer, by the time that it keeps a name");
  const skip = sees ? false : "this one looks at no serial, or its c-ares keeps the SOA";
  await t.test("PgBouncer by the serial", { skip }, async (t) => {
    t.equal(await comesTo(t, bySerial), "chi-02");
  });

  t.equal(await readFile(machines, "utf8"), before, "the machine's is as it was");
  // The machine's own name servers may be out of reach: its resolver is told to be quick about that.
  const asked = { deadlineMs: 60_000, accept: [2] };
  const words = ["RES_OPTIONS=timeout:1 attempts:1", "/usr/bin/getent", "hosts", name];
  const { stdout } = await runChild("/usr/bin/env", words, asked);
  t.equal(stdout, "", "and it knows nothing of the name");
});
