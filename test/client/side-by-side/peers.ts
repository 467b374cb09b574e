/**
 * The servers of the test, each on an address of its own and all on the port of Postgres: a primary
 * and its standby, and what stands in the place of a server that is not well.
 */
import { appendFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import { startBlackHole, startMute } from "../../support/black-hole.ts";
import { RealPostgres, superuser } from "../../support/real-postgres.ts";

export const addresses = {
  nameServer: "127.88.0.53",
  primary: "127.88.0.1",
  standby: "127.88.0.2",
  /** Takes every connection and says nothing on it. */
  mute: "127.88.0.3",
  /** Answers no SYN, ever. */
  blackHole: "127.88.0.4",
  /** Answers no SYN until it is woken; then it is a way to the primary. */
  slow: "127.88.0.5",
  /** Nobody listens there. */
  refusing: "127.88.0.6",
} as const;

const port = 5432;
const soon = { deadlineMs: 15_000, intervalMs: 20 };

export interface Pair {
  readonly first: RealPostgres;
  readonly second: RealPostgres;
}

export interface Peers {
  readonly pair: Pair;
  wakeSlow(): void;
}

/** Starts all; every name in `wrong` is a role whose password nobody is given. */
export async function startPeers(
  t: Pick<Test, "teardown">,
  wrong: readonly string[],
): Promise<Peers> {
  const primary = { host: addresses.primary, port };
  await startMute(t, addresses.mute, port);
  await startBlackHole(t, addresses.blackHole, port);
  const slow = await startBlackHole(t, addresses.slow, port, primary);
  const pair = await startPair(t, wrong);
  return { pair, wakeSlow: () => slow.wake() };
}

async function startPair(t: Pick<Test, "teardown">, wrong: readonly string[]): Promise<Pair> {
  const first = await RealPostgres.create(t, addresses.primary);
  await first.sql("CREATE TABLE written (n int NOT NULL)");
  for (const role of wrong) await first.sql(`CREATE ROLE "${role}" LOGIN PASSWORD 'another'`);
  const second = await RealPostgres.standbyOf(t, first, addresses.standby);
  return { first, second };
}

/** How often a server has refused the password of `role`. */
export function refusals({ pair }: Peers, role: string): number {
  const said = `password authentication failed for user "${role}"`;
  return [pair.first, pair.second].flatMap(({ log }) => log.split(said).slice(1)).length;
}

/**
 * The primary goes down in order and comes back as a standby, and only then the other is promoted.
 * Resolves when the other takes writes.
 */
export async function changeRoles({ first, second }: Pair): Promise<void> {
  await first.stop();
  const { user, password } = superuser;
  const source = `host=${second.host} port=${second.port} user=${user} password=${password}`;
  await appendFile(join(first.data, "postgresql.auto.conf"), `primary_conninfo = '${source}'\n`);
  await writeFile(join(first.data, "standby.signal"), "");
  await first.start();
  await promote(second);
}

/** `from` takes no more writes but keeps its sessions; the other is promoted once it has them all. */
export async function demoteInPlace(from: RealPostgres, to: RealPostgres): Promise<void> {
  await from.sql("ALTER SYSTEM SET default_transaction_read_only = on");
  await from.sql("SELECT pg_reload_conf()");
  // What is asked for with a signal is so a moment later.
  await eventually(`${from.host} takes no more writes`, soon, async () => {
    const [row] = await from.sql("SHOW default_transaction_read_only");
    return row?.["default_transaction_read_only"] === "on" ? true : undefined;
  });
  await promote(to);
}

/** Promotes a standby; resolves when it takes writes. */
export async function promote(server: RealPostgres): Promise<void> {
  await server.sql("SELECT pg_promote(wait => false)");
  await eventually(`${server.host} takes writes`, soon, async () => {
    const [row] = await server.sql("SELECT pg_is_in_recovery() AS standby");
    return row?.["standby"] === false ? true : undefined;
  });
}

/** How often each row stands on the server that has the most of it. */
export async function timesWritten({ pair }: Peers, rows: readonly number[]): Promise<number[]> {
  const counts = new Map<number, number>();
  for (const server of [pair.first, pair.second]) {
    for (const row of await server.sql(
      "SELECT n, count(*)::int AS times FROM written GROUP BY n",
    )) {
      const [n, times] = [Number(row["n"]), Number(row["times"])];
      counts.set(n, Math.max(times, counts.get(n) ?? 0));
    }
  }
  return rows.map((row) => counts.get(row) ?? 0);
}
