/**
 * What is in flight on a primary while the pool leaves it for another: a server that has gone silent
 * does not hold it for ever, and one that lives may finish it. And the sessions of an app that has a
 * pool of its own, on a primary that keeps them and takes no more writes.
 */
import { Pool as PgPool } from "pg";
import type { PoolConfig as PgPoolConfig } from "pg";
import t from "tap";
import type { Test } from "tap";
import { Client, createPool } from "../../client/index.ts";
import type { Pool } from "../../client/index.ts";
import { eventually, systemClock } from "../../kit/clock.ts";
import { RealPostgres, superuser } from "../support/real-postgres.ts";
import { demoteInPlace, promote } from "./side-by-side/peers.ts";

const soon = { deadlineMs: 20_000, intervalMs: 20 };
const whoTakes = "INSERT INTO written VALUES (1) RETURNING host(inet_server_addr()) AS at";
/** Longer than several looks at the server that was left. */
const napS = 3;

function poolOf(
  t: Test,
  servers: readonly RealPostgres[],
  probeMs: number,
  probeTimeoutMs = 700,
): Pool {
  const pool = createPool({
    ...superuser,
    database: "postgres",
    host: servers.map(({ host }) => host),
    port: servers.map(({ port }) => port),
    target_session_attrs: "read-write",
    connectionTimeoutMillis: 20_000,
    probeMs,
    probeTimeoutMs,
  });
  t.teardown(async () => {
    if (!pool.ending) await pool.end();
  });
  return pool;
}

/** Starts a statement, and resolves once `server` runs it. */
async function inFlight(
  pool: Pool,
  server: RealPostgres,
  seconds: number,
): Promise<{ readonly outcome: Promise<unknown> }> {
  const text = `SELECT pg_sleep(${seconds})`;
  const outcome = pool.query(text);
  outcome.catch(() => undefined);
  await eventually("the statement runs", soon, async () => {
    const running = `SELECT FROM pg_stat_activity WHERE query = '${text}' AND state = 'active'`;
    return (await server.sql(running)).length > 0 ? true : undefined;
  });
  return { outcome };
}

t.test("while the pool leaves a primary", async (t) => {
  const first = await RealPostgres.create(t, "127.88.1.1");
  await first.sql("CREATE TABLE written (n int NOT NULL)");
  const second = await RealPostgres.standbyOf(t, first, "127.88.1.2");

  await t.test("what it runs ends when it has gone silent", async (t) => {
    // The watch does not look: it is another client that finds the new primary.
    const pool = poolOf(t, [first, second], 600_000);
    const { outcome } = await inFlight(pool, first, 600);
    await first.signalAll("SIGSTOP");
    await promote(second);
    const { rows } = await pool.query<{ at: string }>(whoTakes);
    t.equal(rows[0]?.at, second.host);
    await t.rejects(outcome, {
      code: "ETIMEDOUT",
      message: `${first.host}:${first.port} does not answer any more, and ${second.host}:${second.port} has its place`,
    });
  });

  await t.test("a pool that is ended meanwhile does not wait for it", async (t) => {
    await first.signalAll("SIGCONT");
    const third = await RealPostgres.standbyOf(t, second, "127.88.1.4");
    const pool = poolOf(t, [second, third], 200);
    const { outcome } = await inFlight(pool, second, 600);
    await second.signalAll("SIGSTOP");
    t.teardown(() => second.signalAll("SIGCONT"));
    const ended = pool.end();
    await promote(third);
    await t.rejects(outcome, { code: "ETIMEDOUT" });
    await ended;
    await second.signalAll("SIGCONT");
  });

  await t.test("what it runs may end well when it lives", async (t) => {
    const third = await RealPostgres.standbyOf(t, second, "127.88.1.3");
    // However busy this machine is, a server that lives is not taken for silent.
    const pool = poolOf(t, [second, third], 200, 20_000);
    const { outcome } = await inFlight(pool, second, napS);
    await demoteInPlace(second, third);
    const takes = await eventually("the third takes writes", soon, async () => {
      const { rows } = await pool.query<{ at: string }>(whoTakes);
      return rows[0]?.at;
    });
    t.equal(takes, third.host);
    t.match(await outcome, { rowCount: 1 });
  });
});

/** Writes one row as pg's manual shows it for transactions; where it was written, if it was. */
async function writeOne(pool: PgPool, n: number): Promise<string | undefined> {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    const { rows } = await client.query<{ at: string }>(
      "INSERT INTO written VALUES ($1) RETURNING host(inet_server_addr()) AS at",
      [n],
    );
    await client.query("COMMIT");
    return rows[0]?.at;
  } catch {
    await client.query("ROLLBACK").catch(() => undefined);
    return undefined;
  } finally {
    client.release();
  }
}

t.test("an app with a pool of its own, and our Client", async (t) => {
  const first = await RealPostgres.create(t, "127.88.2.1");
  await first.sql("CREATE TABLE written (n int NOT NULL)");
  const second = await RealPostgres.standbyOf(t, first, "127.88.2.2");
  const hosts = [first.host, second.host];
  const read = { ...superuser, database: "postgres", target_session_attrs: "read-write" } as const;

  await t.test("keeps what it has set to READ ONLY itself", async (t) => {
    const client = new Client({ ...read, host: hosts, port: first.port });
    const events: string[] = [];
    for (const event of ["error", "end"] as const) client.on(event, () => events.push(event));
    t.teardown(() => client.end());
    await client.connect();
    const refused = (): Promise<unknown> =>
      t.rejects(client.query("INSERT INTO written VALUES (0)"), { code: "25006" });
    await client.query("BEGIN READ ONLY");
    await refused();
    await client.query("ROLLBACK");
    for (const set of [
      "SET default_transaction_read_only = on",
      "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    ]) {
      await client.query(set);
      await refused();
      await client.query("RESET default_transaction_read_only");
    }
    await client.query("BEGIN READ ONLY");
    await refused();
    await client.query("ROLLBACK");
    // This process is held up for longer than an answer may take: it is there, and unread.
    for (const end = systemClock.monotonic() + 1700; systemClock.monotonic() < end;);
    await client.query("INSERT INTO written VALUES (0)");
    t.same(events, []);
  });

  await t.test("writes on the new primary, and no row twice", async (t) => {
    const config = { ...read, host: hosts, port: first.port, max: 4, idleTimeoutMillis: 0, Client };
    const pool = new PgPool(config as unknown as PgPoolConfig);
    pool.on("error", () => undefined);
    t.teardown(() => pool.end());
    const written = new Map<number, string>();
    const failed: number[] = [];
    let n = 0;
    const stop = new AbortController();
    const writer = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        const row = (n += 1);
        const at = await writeOne(pool, row);
        if (at === undefined) failed.push(row);
        else written.set(row, at);
      }
    };
    const countAt = ({ host }: RealPostgres): number =>
      [...written.values()].filter((at) => at === host).length;
    const writers = Promise.all([1, 2, 3, 4].map(() => writer()));
    try {
      await eventually("rows on the first", soon, () => countAt(first) > 20 || undefined);
      await demoteInPlace(first, second);
      await eventually("rows on the second", soon, () => countAt(second) > 20 || undefined);
    } finally {
      stop.abort();
      await writers;
    }
    t.ok(failed.length > 0, "the first refused them");
    const rows = await Promise.all(
      [first, second].map((server) =>
        server.sql("SELECT n, count(*)::int AS times FROM written GROUP BY n"),
      ),
    );
    const on = (server: number, row: number): unknown =>
      rows[server]?.find((one) => one["n"] === row)?.["times"];
    const wrong = [...written].filter(([row, at]) => on(hosts.indexOf(at), row) !== 1);
    t.same(wrong, [], "what was acknowledged is there once");
    t.same(
      rows.flat().filter(({ times }) => times !== 1),
      [],
      "and nothing twice",
    );
  });
});
