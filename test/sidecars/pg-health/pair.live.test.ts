/** pg-health beside a real pair: a standby and its lag, a promotion, two primaries, a stale one. */
import t from "tap";
import { eventually } from "../../../kit/clock.ts";
import type { HealthStatus } from "../../../sidecars/pg-health/contract.ts";
import { startHealth } from "../../support/health-process.ts";
import type { HealthProcess } from "../../support/health-process.ts";
import { RealPostgres, superuser } from "../../support/real-postgres.ts";

const dal = "127.40.2.1";
const chi = "127.40.2.2";

const dalPostgres = await RealPostgres.create(t, dal);
await dalPostgres.sql("CREATE TABLE written (id bigint)");
await dalPostgres.sql("CREATE ROLE health LOGIN PASSWORD 'another-password'");
const chiPostgres = await RealPostgres.standbyOf(t, dalPostgres, chi);

/** Each beside its Postgres, each the other's peer. */
async function beside(host: string, peer: string, login: string): Promise<HealthProcess> {
  return await startHealth(t, host, {
    PG_HEALTH_POSTGRES: `${host}:5432`,
    PG_HEALTH_USER: login,
    PG_HEALTH_PASSWORD: login === "health" ? "another-password" : superuser.password,
    PG_HEALTH_PEERS: `http://${peer}:8008`,
  });
}
const dalHealth = await beside(dal, chi, superuser.user);
const chiHealth = await beside(chi, dal, superuser.user);

const soon = { deadlineMs: 20_000, intervalMs: 20 };

/** Waits until `path` answers with this status; resolves with the word. */
async function answers(health: HealthProcess, path: string, status: number): Promise<string> {
  return await eventually(`${path} answers ${status}`, soon, async () => {
    const answer = await health.get(path);
    if (answer.status !== status) throw new Error(`it answers ${answer.status} ${answer.text}`);
    return answer.word;
  });
}

/** Waits until its standby streams and has replayed all it got: WAL may come at any time. */
async function streams(health: HealthProcess): Promise<HealthStatus> {
  return await eventually("it streams, and nothing is left to replay", soon, async () => {
    const status = await health.status();
    const { streaming, lagBytes } = status.postgres ?? {};
    return streaming === true && lagBytes === 0 ? status : undefined;
  });
}

t.test("a pair as it should be", async (t) => {
  await dalHealth.becomes("primary", 20_000);
  await chiHealth.becomes("standby", 20_000);
  t.equal((await chiHealth.get("/")).status, 503);
  t.equal(await answers(chiHealth, "/replica", 200), "standby");
  t.equal((await chiHealth.get("/readyz")).status, 200);
  const sees = (health: typeof chiHealth, state: string) =>
    eventually(`its peer is seen as ${state}`, soon, async () => {
      const seen = await health.status();
      return seen.peers[0]?.state === state ? seen : undefined;
    });
  await sees(chiHealth, "primary");
  await sees(dalHealth, "standby");
  const { postgres } = await streams(chiHealth);
  t.match(postgres, { role: "standby", timeline: 1, streaming: true, writeLsn: null });
});

t.test("/replica and a standby whose replay is paused", async (t) => {
  t.equal(await answers(chiHealth, "/replica?lag=64kB", 200), "standby");
  t.equal(await answers(chiHealth, "/replica?lag=5s", 200), "standby");
  await chiPostgres.sql("SELECT pg_wal_replay_pause()");
  await dalPostgres.sql("INSERT INTO written SELECT generate_series(1, 20000)");
  t.equal(await answers(chiHealth, "/replica?lag=64kB", 503), "standby (lagging)");
  t.equal(await answers(chiHealth, "/replica?lag=100ms", 503), "standby (lagging)");
  t.equal(await answers(chiHealth, "/replica", 200), "standby", "without a limit any lag is taken");
  t.equal(await answers(chiHealth, "/replica?lag=1GB", 200), "standby", "within a wide limit");
  t.equal(
    await answers(chiHealth, "/replica?lag=64kB&mode=write", 200),
    "standby",
    "what is received is not behind",
  );
  const { postgres } = await chiHealth.status();
  t.ok((postgres?.lagBytes ?? 0) > 65536, `${postgres?.lagBytes} bytes behind`);
  t.match((await chiHealth.get("/metrics")).text, /switchyard_pg_health_lag_bytes [1-9]/);
  await chiPostgres.sql("SELECT pg_wal_replay_resume()");
  t.equal(await answers(chiHealth, "/replica?lag=64kB", 200), "standby");
  t.equal(await answers(chiHealth, "/replica?lag=100ms", 200), "standby", "idle is not behind");
});

t.test("a login without any privilege sees the role and the lag", async (t) => {
  const plain = await startHealth(t, "127.40.2.3", {
    PG_HEALTH_POSTGRES: `${chi}:5432`,
    PG_HEALTH_USER: "health",
    PG_HEALTH_PASSWORD: "another-password",
  });
  await plain.becomes("standby", 20_000);
  t.equal(await answers(plain, "/replica?lag=64kB", 200), "standby");
  t.match((await streams(plain)).postgres, { timeline: 1, lagBytes: 0, silentMs: 0 });

  await dalPostgres.stop();
  t.equal(await answers(plain, "/replica?lag=500ms", 503), "standby (stale)", "silence is lag");
  t.match((await plain.status()).postgres, { streaming: false, lagBytes: null, lagMs: null });
  const metrics = (await plain.get("/metrics")).text;
  t.notMatch(metrics, /^switchyard_pg_health_lag_bytes/m);
  t.match(metrics, /^switchyard_pg_health_silent_seconds [0-9.]*[1-9]/m);
  t.equal(await plain.word("/replica?lag=64kB"), "standby", "a restart is no reason yet");
  t.equal(await plain.word("/replica"), "standby");
  await dalPostgres.start();
  t.equal(await answers(plain, "/replica?lag=500ms", 200), "standby", "in touch again");
  t.equal(await plain.stop(), 0);
});

t.test(
  "promoted while the old primary ran on: both say so, and stopping one decides",
  async (t) => {
    await chiPostgres.sql("SELECT pg_promote()");
    await chiHealth.becomes("split-brain", 20_000);
    await dalHealth.becomes("split-brain", 20_000);
    t.match((await dalHealth.status()).reason, /timeline 2, promoted while this one ran on/);
    t.match((await chiHealth.status()).postgres, { role: "primary", timeline: 2 });
    t.equal((await dalHealth.get("/")).status, 503);
    await dalPostgres.stop();
    await chiHealth.becomes("primary", 20_000);
  },
);

t.test(
  "pitfall 9: the old primary that comes back as one is fenced, the new one goes on",
  async (t) => {
    await dalPostgres.start();
    await dalHealth.becomes("fenced", 20_000);
    t.match((await dalHealth.status()).reason, /timeline 2, newer than 1 here/);
    await chiHealth.becomes("primary", 20_000);
    t.equal(await chiHealth.stop(), 0);
    await eventually("the peer is gone", soon, async () =>
      (await dalHealth.status()).peers[0]?.state === "unreachable" ? true : undefined,
    );
    t.equal(await dalHealth.word("/"), "fenced", "silence releases nothing");
  },
);

t.test("after a restart of pg-health alone, the data say who was first", async (t) => {
  t.equal(await dalHealth.stop(), 0);
  const both = await Promise.all([
    beside(dal, chi, superuser.user),
    beside(chi, dal, superuser.user),
  ]);
  await both[0].becomes("fenced", 20_000);
  await both[1].becomes("primary", 20_000);
  const [first] = await chiPostgres.sql(
    "SELECT (pg_stat_file('pg_wal/00000002.history')).modification AS at",
  );
  const told = await eventually("the promotion's time is known", soon, async () => {
    const { promotedAt } = (await both[1].status()).postgres ?? {};
    return typeof promotedAt === "string" ? Date.parse(promotedAt) : undefined;
  });
  t.ok(Math.abs(told - Number(first?.["at"])) < 2, "the promotion's time is that of its history");
});
