/**
 * A pool while the primary changes under it: through a fast flip of a real lab under load, and where
 * the old primary says nothing at all, since it only stopped to take writes, or is frozen.
 */
import t from "tap";
import type { Test } from "tap";
import { createPool } from "../../client/index.ts";
import type { DialAddress, Pool, PoolConfig, Staleness } from "../../client/index.ts";
import { formatAddress } from "../../kit/address.ts";
import { eventually, systemClock } from "../../kit/clock.ts";
import { verifyWorkload } from "../../lab/workload.ts";
import { startFakeDns } from "../support/fake-dns.ts";
import { withLab } from "../support/lab.ts";
import { firstWrite, PoolApp } from "../support/pool-app.ts";
import { RealPostgres, superuser } from "../support/real-postgres.ts";
import { startRecovery } from "../support/recovery-process.ts";

const soon = { deadlineMs: 20_000, intervalMs: 20 };
const workers = 20;
const { test } = t;

interface Heard {
  readonly stale: Staleness<DialAddress>[];
  /** `from > to`, each an address. */
  readonly changes: string[];
}

function hear(pool: Pool): Heard {
  const heard: Heard = { stale: [], changes: [] };
  pool.on("stale", (staleness) => heard.stale.push(staleness));
  pool.on("primary-changed", ({ from, to }) => {
    heard.changes.push(`${from.address} > ${to.address}`);
  });
  return heard;
}

await test("a pool of 20 under load follows a fast flip, and runs nothing twice", async (t) => {
  const lab = await withLab(t, { names: true });
  const [old, next] = lab.json.members;
  if (old === undefined || next === undefined) throw new TypeError("a lab has two members");
  const { user, password, database } = lab.json;
  const login = { user, password, database };
  // Nobody listens to `error`: that sessions are lost in a flip must not end an app.
  const pool = createPool({
    connectionString: `postgresql://${user}:${encodeURIComponent(password)}@${lab.name}.temps.local/${database}?target_session_attrs=read-write`,
    max: workers,
    dns: { servers: lab.json.resolvers.map(({ dns }) => formatAddress(dns)) },
  });
  t.teardown(() => pool.end());
  const heard = hear(pool);
  await pool.query("CREATE TABLE app (id bigint NOT NULL)");
  await pool.query("CREATE TABLE witness (id bigint NOT NULL)");
  const held = await pool.connect();
  const app = new PoolApp({ pool, table: "app", workers: workers - 1, rate: 20 });
  await eventually("everyone writes", soon, () =>
    app.firstFrom(old.postgres.host).every((at) => at !== undefined) ? true : undefined,
  );
  await eventually("the witness's table is there", soon, async () => {
    const { rows } = await (
      await lab.connect(next.postgres)
    ).query<{ there: boolean }>("SELECT to_regclass('witness') IS NOT NULL AS there");
    return rows[0]?.there === true ? true : undefined;
  });
  const controller = new AbortController();
  t.teardown(() => controller.abort(new Error("the test is over")));
  const writable = firstWrite(next.postgres, login, "witness", controller.signal);
  const flip = startRecovery(t, [lab.name, "flip-db", "--yes", "--json", "--mode", "fast"], {
    stateHome: t.testdir(),
  });
  t.equal(await flip.end(), 0, "the flip is done");
  const since = await writable;
  const firsts = await eventually("everyone writes again", soon, () => {
    const all = app.firstFrom(next.postgres.host);
    return all.every((at) => at !== undefined) ? all : undefined;
  });
  const report = await app.stop();
  t.comment(
    `first answer after the first moment of writing: at the last of ${firsts.length} ${Math.round(Math.max(...firsts.map(({ answeredAt }) => answeredAt)) - since)} ms; ${report.failedIds.length} statements failed`,
  );
  const found = await verifyWorkload(next.postgres, login, "app", report);
  t.same(found.missing, [], "every acknowledged row is there");
  t.same(found.doubled, [], "no statement ran twice");
  t.ok(report.acknowledgedIds.length > workers, "it was under load");
  t.same(heard.changes, [`${old.postgres.host} > ${next.postgres.host}`]);
  t.equal(pool.primary?.address, next.postgres.host);
  t.equal(pool.epoch, heard.stale.length);
  t.same(
    heard.stale.map(({ address }) => address?.address),
    heard.stale.map(() => old.postgres.host),
    "no other server was left",
  );
  await t.rejects(held.query("SELECT 1"), "what was held open is lost");
  held.release();
  await eventually("no session is left on the old primary", soon, async () => {
    const client = await lab.connect(old.postgres, { as: "superuser", database: "postgres" });
    const { rows } = await client.query<{ count: number }>(
      "SELECT count(*)::int FROM pg_stat_activity WHERE datname = $1 AND usename = $2",
      [database, user],
    );
    return rows[0]?.count === 0 ? true : undefined;
  });
});

/** A pool on both, for writes; its statements say which of them answered. */
function pairPool(t: Test, hosts: readonly string[], config: PoolConfig = {}): Pool {
  const pool = createPool({
    ...superuser,
    host: [...hosts],
    database: "postgres",
    targetSessionAttrs: "read-write",
    max: 3,
    ...config,
  });
  t.teardown(async () => {
    if (!pool.ending) await pool.end();
  });
  return pool;
}

/** Waits until a pool with one session in use has its watch as well. */
async function watched(server: RealPostgres, application: string): Promise<void> {
  await eventually("the watch is there", soon, async () => {
    const [row] = await server.sql(
      `SELECT count(*)::int FROM pg_stat_activity WHERE application_name = '${application}'`,
    );
    return Number(row?.["count"]) >= 2 ? true : undefined;
  });
}

const where = async (pool: Pool): Promise<string> => {
  const { rows } = await pool.query<{ host: string }>("SELECT host(inet_server_addr()) AS host");
  return rows[0]?.host ?? "";
};

await test("a primary that says nothing is left all the same", async (t) => {
  const [here, there] = ["127.71.2.1", "127.71.2.2"] as const;
  const one = await RealPostgres.create(t, here);
  const other = await RealPostgres.standbyOf(t, one, there);
  const pool = pairPool(t, [here, there], { application_name: "app" });
  const heard = hear(pool);

  await t.test("one that is frozen, and whoever waits for it is told", async (t) => {
    t.equal(await where(pool), here);
    const held = await pool.connect();
    await watched(one, "app");
    await one.signalAll("SIGSTOP");
    t.teardown(() => one.signalAll("SIGCONT"));
    const waiting = t.rejects(held.query("SELECT 1"), "the statement that waits for it");
    await other.sql("SELECT pg_promote()");
    const began = systemClock.monotonic();
    await eventually("the other one answers", soon, async () => {
      const answer = await Promise.race([where(pool), systemClock.sleep(2000).then(() => "")]);
      return answer === there ? true : undefined;
    });
    await waiting;
    t.comment(`left after ${Math.round(systemClock.monotonic() - began)} ms`);
    held.release();
    t.equal(pool.primary?.address, there);
    t.same(heard.changes, [`${here} > ${there}`]);
  });

  await t.test("one that only stopped to take writes, under an app that only reads", async (t) => {
    heard.changes.length = 0;
    await eventually("the first one takes writes", soon, async () => {
      await one.sql("SELECT 1");
      return true;
    });
    t.equal(await where(pool), there);
    await other.sql("ALTER SYSTEM SET default_transaction_read_only = on");
    await other.sql("SELECT pg_reload_conf()");
    await eventually("the first one answers again", soon, async () =>
      (await where(pool)) === here ? true : undefined,
    );
    t.same(heard.changes, [`${there} > ${here}`]);
    t.equal(heard.stale.at(-1)?.reason, "role");
  });

  await t.test(
    "one that its name no longer leads to, though it would take writes",
    { skip: process.getuid?.() === 0 ? false : "only root may listen on port 53" },
    async (t) => {
      await other.sql("ALTER SYSTEM RESET default_transaction_read_only");
      await other.sql("SELECT pg_reload_conf()");
      const names: Record<string, string[]> = { "app.example": [here] };
      const server = await startFakeDns("127.71.2.3", names);
      t.teardown(() => server.stop());
      const named = pairPool(t, ["app.example"], {
        dns: { servers: ["127.71.2.3"] },
        application_name: "named",
      });
      t.equal(await where(named), here);
      await watched(one, "named");
      names["app.example"] = [there];
      await eventually("the other one answers", soon, async () =>
        (await where(named)) === there ? true : undefined,
      );
      t.equal(named.primary?.address, there);
    },
  );

  await t.test("a pool that was ended ends what it has", async (t) => {
    await pool.end();
    await t.rejects(pool.query("SELECT 1"), /after calling end/);
    t.equal(pool.totalCount, 0);
  });
});
