/** pg-health beside a real Postgres that is slow, frozen, killed, full, read-only. */
import t from "tap";
import { eventually, systemClock } from "../../../kit/clock.ts";
import { startRelay } from "../../support/relay.ts";
import { runHealth, startHealth } from "../../support/health-process.ts";
import type { HealthProcess } from "../../support/health-process.ts";
import { signalEach } from "../../support/kill-process.ts";
import { RealPostgres, superuser } from "../../support/real-postgres.ts";

const slowGraceMs = 4000;
const host = "127.40.1.1";
const plain = { user: "health", password: "another-password" };

const postgres = await RealPostgres.create(t, host, {
  max_connections: "12",
  superuser_reserved_connections: "3",
  shared_preload_libraries: "pg_stat_statements",
  log_statement: "none",
});
await postgres.sql(`CREATE ROLE ${plain.user} LOGIN PASSWORD '${plain.password}'`);
await postgres.sql("CREATE EXTENSION pg_stat_statements");

const variables = {
  PG_HEALTH_POSTGRES: `${host}:5432`,
  PG_HEALTH_MEMBER: "dal-01",
  PG_HEALTH_SLOW_GRACE: `${slowGraceMs}ms`,
  PG_HEALTH_USER: plain.user,
  PG_HEALTH_PASSWORD: plain.password,
};
const asPlain = await startHealth(t, host, variables);
const asSuperuser = await startHealth(t, "127.40.1.2", {
  ...variables,
  PG_HEALTH_USER: superuser.user,
  PG_HEALTH_PASSWORD: superuser.password,
});

async function probesAnswered(health: HealthProcess): Promise<number> {
  const { text } = await health.get("/metrics");
  return Number(/probe_duration_seconds_count (\d+)/.exec(text)?.[1]);
}

/** All answers of GET / while `probes` more probes are answered. */
async function answersDuring(health: HealthProcess, probes: number): Promise<string[]> {
  const answers: string[] = [];
  const begin = await probesAnswered(health);
  const options = { deadlineMs: 20_000, intervalMs: 10 };
  await eventually(`${probes} more probes`, options, async () => {
    answers.push((await health.get("/")).text.trim());
    return (await probesAnswered(health)) >= begin + probes ? true : undefined;
  });
  return answers;
}

/** The answers that are not 200: a busy machine may make some of the others slow. */
const refusals = (answers: readonly string[]): string[] =>
  answers.filter((one) => one !== "primary" && one !== "primary (slow)");

const backendsSql = `SELECT pid FROM pg_stat_activity
  WHERE application_name = 'switchyard-pg-health' AND usename = '${plain.user}'`;

/** Waits until pg-health has one connection: one that a probe was late on may just be ending. */
async function oneBackend(): Promise<number> {
  return await eventually("one connection", { deadlineMs: 20_000, intervalMs: 50 }, async () => {
    const [first, ...more] = await postgres.sql(backendsSql);
    return more.length === 0 && first !== undefined ? Number(first["pid"]) : undefined;
  });
}

t.test("what each path answers on a primary", async (t) => {
  await asPlain.becomes("primary", 20_000);
  const rows = [
    { path: "/", status: 200, text: /^primary/ },
    { path: "/primary", status: 200, text: /^primary/ },
    { path: "/replica", status: 503, text: /^primary/ },
    { path: "/replica?lag=10MB", status: 503, text: /^primary/ },
    { path: "/livez", status: 200, text: "live\n" },
    { path: "/readyz", status: 200, text: "ready\n" },
  ];
  for (const { path, status, text } of rows) {
    t.match(await asPlain.get(path), { status, text }, path);
    t.match(await asPlain.get(path, "HEAD"), { status, text: "" }, `HEAD ${path}`);
  }
  const bad = await asPlain.get("/replica?lag=lots");
  t.equal(bad.status, 400);
  t.match(bad.text, "expected bytes");
  t.equal((await asPlain.get("/leader")).status, 404);
  t.equal((await asPlain.get("/", "POST")).status, 405);
  const status = await asPlain.status();
  t.match(status, { member: "dal-01", answer: "primary", link: "up", peers: [] });
  t.match(status.postgres, { role: "primary", readOnly: false, timeline: 1, replayLsn: null });
  const [control] = await postgres.sql(
    "SELECT system_identifier::text AS id FROM pg_control_system()",
  );
  t.equal(status.postgres?.systemIdentifier, control?.["id"]);
  const metrics = (await asPlain.get("/metrics")).text;
  t.match(metrics, 'switchyard_pg_health_answer{answer="primary"} 1');
  t.match(metrics, 'switchyard_pg_health_answer{answer="standby"} 0');
  t.match(metrics, "switchyard_pg_health_timeline 1");
});

t.test("one connection and one probe, however many ask", async (t) => {
  const callsSql = `SELECT coalesce(sum(calls), 0)::int AS calls FROM pg_stat_statements s
    JOIN pg_roles r ON r.oid = s.userid
    WHERE r.rolname = '${plain.user}' AND query LIKE '%pg_is_in_recovery%'`;
  const calls = async (): Promise<number> => Number((await postgres.sql(callsSql))[0]?.["calls"]);
  const began = systemClock.monotonic();
  const before = await calls();
  const ages: number[] = [];
  // A second at least: a quicker machine would be done before the next probe is due.
  for (let round = 0; round < 20 || systemClock.monotonic() - began < 1000; round += 1) {
    const burst = Array.from({ length: 50 }, () => asPlain.get("/"));
    const answers = await Promise.all(burst);
    t.strictSame(refusals(answers.map((one) => one.text.trim())), []);
    const { slow, probeAgeMs } = await asPlain.status();
    if (!slow) ages.push(probeAgeMs ?? Infinity);
  }
  const made = (await calls()) - before;
  const seconds = (systemClock.monotonic() - began) / 1000;
  // On demand at most one in 200 ms, and the tick twice a second.
  t.ok(made <= seconds * 7 + 2, `${made} probes for so many requests in ${seconds.toFixed(1)} s`);
  t.ok(made >= 1, "and it did probe");
  t.ok(Math.max(...ages) <= 250, `no answer is older than 250 ms: ${Math.max(...ages)}`);
  await oneBackend();
});

t.test("default_transaction_read_only is a 503 of its own", async (t) => {
  await postgres.sql("ALTER SYSTEM SET default_transaction_read_only = on");
  await postgres.sql("SELECT pg_reload_conf()");
  await asPlain.becomes("read-only", 20_000);
  t.equal((await asPlain.get("/")).status, 503);
  const client = await postgres.client();
  await client.query("SET default_transaction_read_only = off");
  await client.query("ALTER SYSTEM RESET default_transaction_read_only");
  await client.query("SELECT pg_reload_conf()");
  await client.end();
  await asPlain.becomes("primary", 20_000);
});

t.test("pitfall 27: every slot taken never looks like a failover", async (t) => {
  const admin = await postgres.client();
  t.teardown(() => admin.end());
  await admin.query("CREATE ROLE app LOGIN PASSWORD 'app'");
  const taken = [];
  const { Client } = await import("pg");
  const config = { host, port: 5432, user: "app", password: "app", database: "postgres" };
  for (;;) {
    const client = new Client(config);
    client.on("error", () => undefined);
    try {
      await client.connect();
      taken.push(client);
    } catch (error) {
      t.match(error, { code: "53300" }, `no slot is free after ${taken.length}`);
      break;
    }
  }
  t.strictSame(refusals(await answersDuring(asPlain, 5)), [], "the slot is kept");
  const cut =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'switchyard-pg-health' AND usename = $1";
  await admin.query(cut, [superuser.user]);
  const answers = await answersDuring(asSuperuser, 3);
  t.strictSame(refusals(answers), [], "a superuser's slots are kept for such a case");
  for (const client of taken) await client.end();

  // Refused with 53300 for certain, whoever else is quicker.
  await admin.query(`ALTER ROLE ${plain.user} CONNECTION LIMIT 0`);
  await admin.query(cut, [plain.user]);
  const kept = await eventually("it says why", { deadlineMs: 20_000, intervalMs: 5 }, async () => {
    const status = await asPlain.status();
    return status.reason.includes("too many connections") ? status : undefined;
  });
  t.match(kept, { answer: "primary", slow: true }, "the last role is kept");
  await asPlain.becomes("unreachable", 20_000);
  const { probeAgeMs, reason } = await asPlain.status();
  t.ok((probeAgeMs ?? 0) >= slowGraceMs, `for the grace: ${probeAgeMs} ms`);
  t.match(reason, "too many connections");
  await admin.query(`ALTER ROLE ${plain.user} CONNECTION LIMIT -1`);
  await asPlain.becomes("primary", 20_000);
});

t.test("a connection that is cut is not a Postgres that is gone", async (t) => {
  const before = await oneBackend();
  await postgres.sql(`SELECT pg_terminate_backend(${before})`);
  t.strictSame(refusals(await answersDuring(asPlain, 3)), []);
  const after = await oneBackend();
  t.not(after, before, "it is another connection");

  await asPlain.becomes("primary", 20_000);
  const told = asPlain.output().length;
  // The next one is not answered for as long as the test likes.
  signalEach([postgres.pid], "SIGSTOP");
  signalEach([after], "SIGTERM");
  const trying = "the connection was lost, and another is being tried";
  const options = { deadlineMs: 20_000, intervalMs: 5 };
  const before503 = await eventually("the last word is kept", options, async () => {
    const { reason } = await asPlain.status();
    const [said = "", ...rest] = asPlain.output().slice(told).split(trying);
    return rest.length > 0 || reason.includes(trying) ? said : undefined;
  });
  signalEach([postgres.pid], "SIGCONT");
  t.notMatch(before503, "answers unreachable", "before it is known that Postgres is gone");
  await asPlain.becomes("primary", 20_000);
});

t.test("a connection that dies without a word is replaced within the grace", async (t) => {
  const relay = await startRelay(t, "127.40.1.3", { host, port: 5432 });
  const health = await startHealth(t, "127.40.1.3", {
    ...variables,
    PG_HEALTH_POSTGRES: "127.40.1.3:5432",
    // Half of it is waited, and so much more as a machine that stands still then takes.
    PG_HEALTH_SLOW_GRACE: "10s",
  });
  await health.becomes("primary", 20_000);
  relay.stall();
  await health.becomes("primary (slow)", 20_000);
  t.strictSame(refusals(await answersDuring(health, 2)), []);
  await health.becomes("primary", 20_000);
  t.equal(await health.stop(), 0);
});

for (const [what, pids] of [
  ["every process", () => postgres.pids()],
  ["the postmaster alone", async () => [postgres.pid]],
] as const) {
  t.test(`frozen, ${what}`, async (t) => {
    await asPlain.becomes("primary", 20_000);
    const frozen = await pids();
    signalEach(frozen, "SIGSTOP");
    const seen: string[] = [];
    const took: number[] = [];
    await eventually("503", { deadlineMs: 20_000, intervalMs: 10 }, async () => {
      const answer = await asPlain.get("/");
      const text = answer.text.trim();
      if (seen.at(-1) !== text) seen.push(text);
      took.push(answer.ms);
      return answer.status === 503 ? true : undefined;
    });
    const { reason } = await asPlain.status();
    t.match(reason, `for more than ${slowGraceMs} ms`);
    t.equal(seen.at(-1), "unreachable");
    if (frozen.length > 1) t.ok(seen.includes("primary (slow)"), seen.join(", "));
    const median = took.toSorted((one, other) => one - other)[Math.floor(took.length / 2)];
    t.ok((median ?? Infinity) < slowGraceMs / 2, `no request waits for Postgres: ${median} ms`);
    t.equal((await asPlain.get("/readyz")).status, 503);
    t.equal((await asPlain.get("/livez")).status, 200);
    signalEach(frozen, "SIGCONT");
    await asPlain.becomes("primary", 20_000);
    await oneBackend();
  });
}

t.test("pitfall 27: frozen for less than the grace is never a 503", async (t) => {
  const frozen = await postgres.pids();
  signalEach(frozen, "SIGSTOP");
  await asPlain.becomes("primary (slow)", 20_000);
  t.equal((await asPlain.get("/")).status, 200);
  signalEach(frozen, "SIGCONT");
  t.strictSame(refusals(await answersDuring(asPlain, 2)), []);
  await asPlain.becomes("primary", 20_000);
});

t.test("killed and stopped are a 503 at once, and a start is seen without a restart", async (t) => {
  for (const end of ["kill", "stop"] as const) {
    await asPlain.becomes("primary", 20_000);
    await postgres[end]();
    await asPlain.becomes("unreachable", 20_000);
    t.match(await asPlain.status(), { link: "down", answer: "unreachable" }, end);
    await postgres.start();
    await asPlain.becomes("primary", 20_000);
  }
  t.notMatch(asPlain.output(), plain.password, "no secret in the log");
  t.notMatch(postgres.log, "SSL", "the knocks leave nothing in Postgres's log");
});

t.test("what is refused, in one line and with its exit code", async (t) => {
  const folder = t.testdir({ "broken.yml": "members: [\n", password: "x" });
  const taken = { ...variables, PG_HEALTH_LISTEN: `${host}:8008` };
  const rows = [
    { words: ["--bogus"], code: 64, says: /Unknown option '--bogus'/ },
    { words: ["extra"], code: 64, says: /extra/ },
    { words: ["--member", "dal-01"], code: 64, says: /--member needs --env/ },
    { words: ["--env", "lab"], code: 64, says: /--env needs --member/ },
    { words: [], code: 78, says: /PG_HEALTH_USER: not set/ },
    { words: [], given: { PG_HEALTH_USER: "a" }, code: 78, says: /PG_HEALTH_PASSWORD/ },
    {
      words: [],
      given: { ...variables, PG_HEALTH_LISTEN: "x" },
      code: 78,
      says: /PG_HEALTH_LISTEN/,
    },
    { words: ["--env", "no", "--member", "a", "--config-folder", folder], code: 78, says: /"no"/ },
    {
      words: ["--env", "broken", "--member", "a", "--config-folder", folder],
      code: 78,
      says: /broken\.yml/,
    },
    { words: [], given: taken, code: 69, says: /127\.40\.1\.1:8008: the port is taken/ },
  ];
  const results = await Promise.all(rows.map((row) => runHealth(row.words, row.given)));
  for (const [index, row] of rows.entries()) {
    const result = results[index];
    const name = row.words.join(" ") || Object.keys(row.given ?? {}).join(" ") || "nothing set";
    t.equal(result?.code, row.code, `${name}: exit code`);
    t.match(result?.stderr, row.says, name);
    t.match(result?.stderr, /^pg-health: .*\n$/, `${name}: one line`);
  }
  const help = await runHealth(["--help"]);
  t.equal(help.code, 0);
  for (const name of ["PG_HEALTH_LISTEN", "PG_HEALTH_SLOW_GRACE", "--env", "/replica"]) {
    t.match(help.stdout, name);
  }
});

t.test("it stops when it is asked to", async (t) => {
  t.equal(await asSuperuser.stop(), 0);
  t.match(asSuperuser.output(), "pg-health stops: SIGTERM");
});
