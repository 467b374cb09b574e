/** Which session comes of what is asked for, and why none comes. */
import { once } from "node:events";
import type { Test } from "tap";
import { targetSessionAttrs } from "../../../client/target/attributes.ts";
import type { TargetSessionAttrs } from "../../../client/target/attributes.ts";
import type { ClientConfig } from "../../../client/client-config.ts";
import { ConnectError } from "../../../client/errors.ts";
import { Client } from "../../../client/pg-client.ts";
import { eventually } from "../../../kit/clock.ts";
import { signalEach } from "../../support/kill-process.ts";
import { accounts } from "./pair.ts";
import type { Pair } from "./pair.ts";

const soon = { deadlineMs: 20_000, intervalMs: 20 };

/** Why no session came. */
async function refused(config: ClientConfig): Promise<ConnectError> {
  const client = new Client(config);
  try {
    await client.connect();
  } catch (error) {
    if (error instanceof ConnectError) return error;
    throw error;
  }
  await client.end();
  throw new Error("it connected");
}

/**
 * Why no session came within a short deadline. Where an address had no time to answer, this machine
 * was busy, and that says nothing: then within a longer one.
 */
export async function refusedSoon(config: ClientConfig): Promise<ConnectError> {
  for (let deadlineMs = 300; ; deadlineMs *= 4) {
    const error = await refused({ ...config, connectionTimeoutMillis: deadlineMs });
    const isAnswered = error.attempts.every(({ code }) => code !== "ETIMEDOUT");
    if ((isAnswered && error.attempts.length > 0) || deadlineMs > 10_000) return error;
  }
}

/** A busy machine must not make an address look slow: the next one is not tried beside it. */
const oneByOne = { staggerMs: 5000 } as const;

/** The six values, by a name that lists the standby first, and through a pooler. */
export async function byAttributes(t: Test, pair: Pair): Promise<void> {
  const { primary, standby, byName, pooler } = pair;
  const want: Readonly<Record<TargetSessionAttrs, string>> = {
    any: standby.host,
    "read-write": primary.host,
    "read-only": standby.host,
    primary: primary.host,
    standby: standby.host,
    "prefer-standby": standby.host,
  };
  for (const attributes of Object.keys(targetSessionAttrs) as TargetSessionAttrs[]) {
    const client = await pair.connect(t, { ...oneByOne, targetSessionAttrs: attributes });
    t.equal(client.address?.address, want[attributes], attributes);
    t.equal(client.address?.host, "db.test", "the name stays");
    const { rows } = await client.query<{ it: boolean }>("SELECT pg_is_in_recovery() AS it");
    t.equal(rows[0]?.it, want[attributes] === standby.host, "and it is what it says");
    if (attributes !== "any") t.equal(client.role?.inRecovery, rows[0]?.it);
  }
  const { rows } = await (
    await pair.connect(t, { ...pooler, targetSessionAttrs: "read-write" })
  ).query("SELECT 1 AS one");
  t.same(rows, [{ one: 1 }], "through a pooler");
  const error = await refusedSoon({ ...byName, ...pooler, targetSessionAttrs: "standby" });
  t.match(error.attempts, [{ reason: "role", message: "a primary, wanted standby" }]);
}

/** Each refusal is known for what it is. */
export async function refusals(t: Test, pair: Pair): Promise<void> {
  const { primary } = pair;
  const byName = { ...pair.byName, ...oneByOne };
  const wrong = { ...accounts.scram, password: "wr0ng" };
  const error = await refused({ ...byName, ...wrong });
  t.match(error, {
    name: "ConnectError",
    code: "28P01",
    cause: { code: "28P01", severity: "FATAL" },
  });
  t.match(error.attempts.at(-1), { reason: "authentication", host: "db.test" });
  t.notMatch(error.message, /wr0ng|scram-secret/);
  const tries = primary.log.match(/password authentication failed/g)?.length ?? 0;
  t.ok(tries <= 1, "and no other server is asked");
  t.match(
    await refused({ ...byName, ...accounts.md5, password: "wr0ng" }),
    { code: "28P01" },
    "md5",
  );
  t.match(await refused({ ...byName, database: "nowhere" }), { code: "3D000" });
  t.match(
    await refusedSoon({ ...byName, ...accounts.full }),
    { code: "53300", attempts: [{ reason: "full" }, { reason: "full" }] },
    "a full server is tried again until the deadline",
  );
  t.match(
    await refused({ ...byName, ...pair.pooler, ...wrong }),
    { rounds: 0, attempts: [{ reason: "authentication", message: /authentication failed/ }] },
    "a pooler that refuses a password is not asked again",
  );
  t.match(await refusedSoon({ ...byName, host: primary.host, port: 1 }), {
    code: "ECONNREFUSED",
    attempts: [{ reason: "refused" }],
  });
}

/** A pooler before a primary is pointed at a standby: sessions that it keeps are left. */
export async function turnedPooler(t: Test, pair: Pair): Promise<void> {
  const { primary, standby, pooler } = pair;
  const client = await pair.connect(t, { ...pooler, targetSessionAttrs: "read-write" });
  const lost = once(client, "error");
  const end = new Promise<void>((resolve) => client.once("end", () => resolve()));
  const write = (id: number) => client.query("INSERT INTO kept VALUES ($1)", [id]);
  await write(1);
  await pair.turnPooler(standby);
  await eventually("the pooler has turned", soon, async () => {
    const { rows } = await client.query<{ it: boolean }>("SELECT pg_is_in_recovery() AS it");
    return rows[0]?.it || undefined;
  });
  await t.rejects(write(2), { code: "25006" });
  await end;
  t.match(await lost, [{ message: /is a standby now, wanted read-write/, code: "25006" }]);
  await t.rejects(write(3), /not queryable/);
  t.same(await primary.sql("SELECT id FROM kept"), [{ id: 1 }], "nothing ran twice, or elsewhere");
}

/** Servers in a state in which they answer late, or not at all. */
export async function badDays(t: Test, pair: Pair): Promise<void> {
  const { primary, standby, byName } = pair;
  const frozen = await standby.pids();
  signalEach(frozen, "SIGSTOP");
  try {
    const client = await pair.connect(t, { targetSessionAttrs: "read-write" });
    t.equal(client.address?.address, primary.host, "a frozen server holds nobody up");
    const error = await refused({
      ...byName,
      host: standby.host,
      attemptTimeoutMs: 200,
      connectionTimeoutMillis: 500,
    });
    t.match(error.attempts, [{ reason: "timeout", address: standby.host }]);
  } finally {
    signalEach(frozen, "SIGCONT");
  }
  const holder = await pair.connect(t, { host: standby.host });
  process.kill(standby.pid, "SIGTERM");
  const error = await eventually("it shuts down", soon, async () => {
    const one = await refusedSoon({ ...byName, host: standby.host });
    return one.code === "57P03" ? one : undefined;
  });
  t.match(error.attempts, [{ reason: "starting" }], "a server that comes or goes");
  await holder.end();
}
