/** Which session comes of what is asked for, and why none comes. */
import type { Test } from "tap";
import { targetSessionAttrs } from "../../../client/target/attributes.ts";
import type { TargetSessionAttrs } from "../../../client/target/attributes.ts";
import type { ClientConfig } from "../../../client/client-config.ts";
import { ConnectError } from "../../../client/errors.ts";
import { Client } from "../../../client/pg-client.ts";
import { eventually } from "../../../kit/clock.ts";
import { signalEach } from "../../support/real-postgres.ts";
import { accounts } from "./pair.ts";
import type { Pair } from "./pair.ts";

const soon = { deadlineMs: 10_000, intervalMs: 20 };

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
    const client = await pair.connect(t, { targetSessionAttrs: attributes });
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
  const error = await refused({
    ...byName,
    ...pooler,
    targetSessionAttrs: "standby",
    connectionTimeoutMillis: 300,
  });
  t.match(error.attempts, [{ reason: "role", message: "a primary, wanted standby" }]);
}

/** Each refusal is known for what it is. */
export async function refusals(t: Test, pair: Pair): Promise<void> {
  const { byName, primary } = pair;
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
    await refused({ ...byName, ...accounts.full, connectionTimeoutMillis: 300 }),
    { code: "53300", attempts: [{ reason: "full" }, { reason: "full" }] },
    "a full server is tried again until the deadline",
  );
  t.match(
    await refused({ ...byName, ...pair.pooler, ...wrong }),
    { rounds: 0, attempts: [{ reason: "authentication", message: /authentication failed/ }] },
    "a pooler that refuses a password is not asked again",
  );
  t.match(await refused({ ...byName, host: primary.host, port: 1, connectionTimeoutMillis: 200 }), {
    code: "ECONNREFUSED",
    attempts: [{ reason: "refused" }],
  });
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
  await eventually("it shuts down", soon, async () => {
    const error = await refused({ ...byName, host: standby.host, connectionTimeoutMillis: 100 });
    return error.code === "57P03" || undefined;
  });
  t.match(
    await refused({ ...byName, host: standby.host, connectionTimeoutMillis: 100 }),
    { code: "57P03", attempts: [{ reason: "starting" }] },
    "a server that comes or goes",
  );
  await holder.end();
}
