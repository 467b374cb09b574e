/**
 * What is in flight on a primary while the pool leaves it for another: a server that has gone silent
 * does not hold it for ever, and one that lives may finish it.
 */
import t from "tap";
import type { Test } from "tap";
import { createPool } from "../../client/index.ts";
import type { Pool } from "../../client/index.ts";
import { eventually } from "../../kit/clock.ts";
import { RealPostgres, superuser } from "../support/real-postgres.ts";
import { demoteInPlace, promote } from "./side-by-side/peers.ts";

t.setTimeout(90_000);

const soon = { deadlineMs: 10_000, intervalMs: 20 };
const whoTakes = "INSERT INTO written VALUES (1) RETURNING host(inet_server_addr()) AS at";
/** Longer than several looks at the server that was left. */
const napS = 3;

function poolOf(t: Test, servers: readonly RealPostgres[], probeMs: number): Pool {
  const pool = createPool({
    ...superuser,
    database: "postgres",
    host: servers.map(({ host }) => host),
    port: servers.map(({ port }) => port),
    target_session_attrs: "read-write",
    connectionTimeoutMillis: 20_000,
    probeMs,
    probeTimeoutMs: 700,
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
  const outcome = pool.query(`SELECT pg_sleep(${seconds})`);
  outcome.catch(() => undefined);
  await eventually("the statement runs", soon, async () => {
    const running = "SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
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
    const pool = poolOf(t, [second, third], 200);
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
