/**
 * pg-health and its neighbours: a real PgBouncer that is paused, full, frozen, killed; and peers.
 * The peers are real servers that say what the test wants, because a member that promotes and
 * vanishes at a chosen moment cannot be had otherwise. The pair test has the real ones.
 */
import { spawn } from "node:child_process";
import { chmod, chown, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import t from "tap";
import { eventually, systemClock } from "../../../kit/clock.ts";
import type { HealthStatus } from "../../../sidecars/pg-health/contract.ts";
import { PoolerWatch } from "../../../sidecars/pg-health/pooler.ts";
import { fakePeer, startHealth } from "../../support/health-process.ts";
import { RealPostgres, superuser } from "../../support/real-postgres.ts";

const host = "127.40.3.1";
const admin = { user: "pooler_admin", password: "pooler-password" };
const app = { user: "app", password: "app-password" };
const postgres = await RealPostgres.create(t, host);
const variables = {
  PG_HEALTH_POSTGRES: `${host}:5432`,
  PG_HEALTH_USER: superuser.user,
  PG_HEALTH_PASSWORD: superuser.password,
};

const folder = await mkdtemp(join(tmpdir(), "pg-health-pooler-"));
t.teardown(() => rm(folder, { recursive: true, force: true }));

async function postgresUser(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const line = (await readFile("/etc/passwd", "utf8"))
    .split("\n")
    .find((one) => one.startsWith("postgres:"));
  const [, , uid, gid] = line?.split(":") ?? [];
  return { uid: Number(uid), gid: Number(gid) };
}

async function startPooler(): Promise<{ kill: (signal: NodeJS.Signals) => Promise<void> }> {
  const ini = join(folder, "pgbouncer.ini");
  const users = join(folder, "users.txt");
  const lines = [admin, app].map((one) => `"${one.user}" "${one.password}"\n`);
  await writeFile(users, lines.join(""));
  const settings = [
    `[databases]`,
    `postgres = host=${host} port=5432`,
    `[pgbouncer]`,
    `listen_addr = ${host}`,
    `listen_port = 6432`,
    `auth_type = scram-sha-256`,
    `auth_file = ${users}`,
    `admin_users = ${admin.user}`,
    `max_client_conn = 3`,
    `unix_socket_dir =`,
  ];
  await writeFile(ini, `${settings.join("\n")}\n`);
  const as = await postgresUser();
  if (as !== undefined) {
    for (const path of [folder, ini, users]) await chown(path, as.uid, as.gid);
  }
  await chmod(folder, 0o755);
  const child = spawn("/usr/sbin/pgbouncer", [ini], { stdio: "ignore", cwd: "/", ...as });
  const { promise: exited, resolve } = Promise.withResolvers<void>();
  child.on("exit", () => resolve());
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    if (signal === "SIGKILL") await exited;
  };
  t.teardown(() => kill("SIGKILL"));
  const options = { deadlineMs: 20_000, intervalMs: 50 };
  await eventually("PgBouncer", options, async () => {
    await (await consoleClient()).end();
    return true;
  });
  return { kill };
}

async function consoleClient(): Promise<Client> {
  const client = new Client({ host, port: 6432, database: "pgbouncer", ...admin });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

t.test("one failure of a pooler is none, two are none, three are", async (t) => {
  // Nothing listens there, and the watch looks again only when the test lets it.
  const turns: (() => void)[] = [];
  const seen: string[] = [];
  const sleep = (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    turns.push(resolve);
    return promise;
  };
  const watch = new PoolerWatch({
    address: { host: "127.40.3.9", port: 6432 },
    admin: undefined,
    intervalMs: 1000,
    deadlineMs: 1000,
    clock: { ...systemClock, sleep },
    onChange: () => void seen.push(watch.state.state),
  });
  const running = watch.start();
  for (let look = 1; look <= 3; look += 1) {
    const options = { deadlineMs: 20_000, intervalMs: 1 };
    await eventually(`look ${look}`, options, () => (turns.length === look ? true : undefined));
    if (look < 3) turns.at(-1)?.();
  }
  watch.stop();
  turns.at(-1)?.();
  await running;
  t.strictSame(seen, ["unknown", "unknown", "dead"]);
});

t.test("the node pooler", async (t) => {
  let pooler = await startPooler();
  const address = { ...variables, PG_HEALTH_POOLER: `${host}:6432` };
  const health = await startHealth(t, host, {
    ...address,
    PG_HEALTH_POOLER_USER: admin.user,
    PG_HEALTH_POOLER_PASSWORD: admin.password,
  });
  const stateIs = async (state: HealthStatus["pooler"]["state"]): Promise<HealthStatus> =>
    await eventually(`the pooler is ${state}`, { deadlineMs: 20_000, intervalMs: 20 }, async () => {
      const status = await health.status();
      if (status.pooler.state === state) return status;
      throw new Error(`it is ${status.pooler.state}: ${status.pooler.detail}`);
    });
  await stateIs("ok");
  await health.becomes("primary", 20_000);

  const console = await consoleClient();
  await console.query("PAUSE postgres");
  t.match(await stateIs("paused"), { answer: "primary" }, "paused is no 503");
  await console.query("RESUME postgres");
  await stateIs("ok");

  await console.end();

  await postgres.sql(`CREATE ROLE ${app.user} LOGIN PASSWORD '${app.password}'`);
  const through = () => new Client({ host, port: 6432, database: "postgres", ...app });
  const apps = [through(), through()];
  for (const one of apps) await one.connect();
  await t.rejects(through().connect(), /no more connections allowed/, "every slot is taken");
  t.match(await stateIs("full"), { answer: "primary" }, "full is no 503");
  for (const one of apps) await one.end();
  await stateIs("ok");

  await pooler.kill("SIGSTOP");
  t.match(await stateIs("dead"), { answer: "unreachable", link: "up" }, "frozen");
  t.match((await health.status()).reason, /the node pooler is dead: .*no answer/);
  await pooler.kill("SIGCONT");
  t.match(await stateIs("ok"), { answer: "primary" }, "thawed");

  await pooler.kill("SIGKILL");
  t.match(await stateIs("dead"), { answer: "unreachable" }, "killed");
  t.equal((await health.get("/")).status, 503);
  pooler = await startPooler();
  t.match(await stateIs("ok"), { answer: "primary" }, "started again");
  t.equal(await health.stop(), 0);

  const wrong = await startHealth(t, "127.40.3.3", {
    ...address,
    PG_HEALTH_POOLER_USER: admin.user,
    PG_HEALTH_POOLER_PASSWORD: "wrong",
  });
  // Its Postgres may be the slower one to answer.
  await wrong.becomes("primary", 20_000);
  await eventually("the login is refused", { deadlineMs: 20_000, intervalMs: 20 }, async () =>
    /authentication/.test((await wrong.status()).pooler.detail) ? true : undefined,
  );
  t.match(await wrong.status(), { answer: "primary", pooler: { state: "unknown" } });
  t.notMatch(wrong.output(), "wrong", "no secret in the log");
  t.equal(await wrong.stop(), 0);

  const without = await startHealth(t, "127.40.3.4", address);
  const plainState = async (state: string): Promise<void> => {
    const options = { deadlineMs: 20_000, intervalMs: 20 };
    await eventually(`by its port, the pooler is ${state}`, options, async () =>
      (await without.status()).pooler.state === state ? true : undefined,
    );
  };
  await plainState("ok");
  await pooler.kill("SIGKILL");
  await plainState("dead");
  t.equal(await without.word("/"), "unreachable");
});

t.test("peers", async (t) => {
  const peer = await fakePeer(t, "127.40.4.2");
  const other = await fakePeer(t, "127.40.4.3");
  const start = () =>
    startHealth(t, "127.40.4.1", {
      ...variables,
      PG_HEALTH_PEERS: `${peer.url},${other.url}`,
      PG_HEALTH_PEER_DEADLINE: "8s",
    });
  let health = await start();
  t.equal(await health.word("/"), "unreachable", "it waits for its peers");
  // Its own Postgres may not have answered yet.
  await eventually("it says so", { deadlineMs: 20_000, intervalMs: 10 }, async () => {
    const { reason } = await health.status();
    return /waiting for peers: http:\/\/127\.40\.4\.[23]:8008/.test(reason) ? true : undefined;
  });
  t.equal((await health.get("/readyz")).status, 200, "Postgres itself is there");
  await health.becomes("primary", 20_000);
  t.pass("and goes on when the deadline is over");

  const { postgres: own } = await health.status();
  if (own === null) throw new Error("no sample");
  const says = (change: Partial<NonNullable<HealthStatus["postgres"]>>): HealthStatus => ({
    member: "other",
    answer: change.role ?? own.role,
    slow: false,
    since: new Date(0).toISOString(),
    reason: "",
    postgres: { ...own, ...change },
    link: "up",
    probeAgeMs: 0,
    pooler: { state: "none", detail: "" },
    peers: [],
  });
  const before = new Date(Date.parse(own.startedAt) - 60_000).toISOString();
  const standby = says({ role: "standby", writeLsn: null });
  await peer.say(says({ role: "primary", timeline: 2, systemIdentifier: "1" }));
  await other.say(standby);
  await eventually("a foreign peer is seen", { deadlineMs: 20_000, intervalMs: 20 }, async () =>
    (await health.status()).peers[0]?.state === "foreign" ? true : undefined,
  );
  t.equal(await health.word("/"), "primary", "another system's primary does not count");
  await peer.say(says({ timeline: 2, promotedAt: before }));
  await health.becomes("fenced", 20_000);
  await peer.say(undefined);
  await eventually("the peer is silent", { deadlineMs: 20_000, intervalMs: 20 }, async () =>
    (await health.status()).peers[0]?.state === "unreachable" ? true : undefined,
  );
  t.equal(await health.word("/"), "fenced", "silence releases nothing");
  await peer.say(standby);
  await health.becomes("primary", 20_000);
  await peer.say(says({}));
  await health.becomes("split-brain", 20_000);
  await peer.say({ ...says({}), answer: "unreachable", link: "down" });
  await health.becomes("primary", 20_000);
  await peer.say({ ...standby, answer: "nonsense" as "standby" });
  await eventually("nonsense is no answer", { deadlineMs: 20_000, intervalMs: 20 }, async () =>
    (await health.status()).peers[0]?.state === "unreachable" ? true : undefined,
  );
  t.equal(await health.stop(), 0);

  await peer.say(standby);
  health = await start();
  await health.becomes("primary", 20_000);
  t.notMatch(health.output(), /answers primary.*\n.*waiting/, "no wait after the answer");
  await peer.say(undefined);
  await postgres.stop();
  await health.becomes("unreachable", 20_000);
  await postgres.start();
  await eventually(
    "a restarted Postgres waits again",
    { deadlineMs: 20_000, intervalMs: 5 },
    async () =>
      /waiting for peers: .*4\.2/.test((await health.status()).reason) ? true : undefined,
  );
  await peer.say(standby);
  await health.becomes("primary", 20_000);
  t.equal(await health.stop(), 0);
});
