/**
 * A server that was demoted and keeps its sessions: when a client asks it for its role again, and
 * what becomes of the session, told by a peer that says what it is told to.
 */
import { once } from "node:events";
import { Client as PgClient } from "pg";
import t from "tap";
import type { Test } from "tap";
import type { ClientConfig } from "../../client/client-config.ts";
import { Client } from "../../client/pg-client.ts";
import { createPool } from "../../client/pool/pool.ts";
import { leaveWhenUnfit } from "../../client/session/leaving.ts";
import { targetSessionAttrs } from "../../client/target/attributes.ts";
import type { TargetSessionAttrs } from "../../client/target/attributes.ts";
import { eventually, systemClock } from "../../kit/clock.ts";
import { backend, greeting, say, startFakePostgres } from "../support/fake-postgres.ts";
import type { FakeConnection, FakePostgres } from "../support/fake-postgres.ts";

const soon = { deadlineMs: 10_000, intervalMs: 5 };
const account = { user: "app", password: "s3cret", database: "app" } as const;
const refusal = backend("E", "SERROR\0VERROR\0C25006\0Mread-only transaction\0\0");
const done = (tag: string): Buffer => backend("C", `${tag}\0`);
const ready = (status: string): Buffer => backend("Z", status);

interface Peer extends FakePostgres {
  /** `pg_is_in_recovery()` and `default_transaction_read_only` without the session's own SET. */
  standing: readonly [string, string];
  /** What it was asked, but for the role that a search wants to know; "role" is ours. */
  readonly asked: string[];
  /** It answers the question for its role with the next statement, and not before. */
  isSilent: boolean;
}

/** What a session says at the end of each statement, by the statement; the transaction's state last. */
const outcomes: Readonly<Record<string, (status: string) => readonly [Buffer, string]>> = {
  INSERT: (status) => [refusal, status === "I" ? "I" : "E"],
  BEGIN: () => [done("BEGIN"), "T"],
  ROLLBACK: () => [done("ROLLBACK"), "I"],
};

/** Refuses each INSERT, and says of itself what `standing` has. */
async function peer(t: Test, ...standing: [string, string]): Promise<Peer> {
  const told = { standing, asked: [] as string[], isSilent: false };
  const states = new WeakMap<FakeConnection, { status: string; held: Buffer }>();
  const fake = await startFakePostgres(t, {
    greeting,
    answer: (text, connection) => {
      const isOurs = text.includes("reset_val");
      const isSearch = !isOurs && text.includes("pg_is_in_recovery");
      if (isSearch) return Buffer.concat([say.row("false", "off"), say.ready]);
      told.asked.push(isOurs ? "role" : text);
      const state = states.get(connection) ?? { status: "I", held: Buffer.alloc(0) };
      const row = say.row(...(isOurs ? told.standing : ["1"]));
      const [words, status] = outcomes[text]?.(state.status) ?? [row, state.status];
      const said = Buffer.concat([state.held, words, ready(status)]);
      const isHeld = isOurs && told.isSilent;
      states.set(connection, { status, held: isHeld ? said : Buffer.alloc(0) });
      return isHeld ? undefined : said;
    },
  });
  return Object.assign(told, fake);
}

interface Ending {
  readonly client: Client;
  /** What an app hears of the end of a session. */
  readonly events: string[];
}

async function connected(
  t: Test,
  { host, port }: FakePostgres,
  config: ClientConfig = {},
): Promise<Ending> {
  const client = new Client({
    ...account,
    host,
    port,
    targetSessionAttrs: "read-write",
    ...config,
  });
  const events: string[] = [];
  client.on("error", (error: Error & { code?: string }) => events.push(error.code ?? "error"));
  client.on("end", () => events.push("end"));
  t.teardown(() => client.end());
  await client.connect();
  return { client, events };
}

/** A write that is refused, and that is over: its error may come before that. */
const refused = async (t: Test, client: PgClient): Promise<void> => {
  const isOver = once(client.connection, "readyForQuery");
  await t.rejects(client.query("INSERT"), { code: "25006" });
  await isOver;
};

const ended = async ({ events }: Ending): Promise<void> => {
  await eventually("the session's end", soon, () => events.includes("end") || undefined);
};

t.test("a session whose server is no primary any more ends as one that is lost", async (t) => {
  const roles = [
    { name: "a standby", inRecovery: "true", readOnly: "off" },
    { name: "a primary that is read-only", inRecovery: "false", readOnly: "on" },
  ];
  for (const { name, inRecovery, readOnly } of roles) {
    const one = await peer(t, inRecovery, readOnly);
    const session = await connected(t, one);
    const said: string[] = [];
    session.client.on("error", (error) => said.push(error.message));
    await refused(t, session.client);
    await ended(session);
    t.equal(session.events[0], "25006", name);
    t.match(said[0], `:${one.port} is ${name} now, wanted read-write`);
    t.same(one.asked, ["INSERT", "role"], "one statement, one question");
    await t.rejects(session.client.query("INSERT"), /not queryable/);
    t.same(one.asked, ["INSERT", "role"], "and nothing is run again");
  }
});

t.test("nobody listens: no reason to end the process", async (t) => {
  const { host, port } = await peer(t, "true", "off");
  const client = new Client({ ...account, host, port, targetSessionAttrs: "primary" });
  const end = new Promise<void>((resolve) => client.once("end", () => resolve()));
  await client.connect();
  await refused(t, client);
  await end;
});

t.test("a transaction that is open is the app's, and so is what it has set", async (t) => {
  const one = await peer(t, "false", "off");
  const { client, events } = await connected(t, one);
  await client.query("BEGIN");
  await refused(t, client);
  t.same(one.asked, ["BEGIN", "INSERT"], "nothing is asked in it");
  await client.query("ROLLBACK");
  // The question was sent when the transaction was over; this one waits for its answer.
  await client.query("SELECT 1");
  t.same(one.asked, ["BEGIN", "INSERT", "ROLLBACK", "role", "SELECT 1"]);
  t.same(events, [], "the server is what it was");
  Object.assign(one, { standing: ["true", "off"] });
  await client.query("SELECT 2");
  t.equal(one.asked.at(-1), "SELECT 2", "it is not asked without need");
  await refused(t, client);
  await ended({ client, events });
  t.same(one.asked.slice(-2), ["INSERT", "role"], "each refused write asks again");
});

t.test("what the app has already sent, or sends meanwhile, runs once and first", async (t) => {
  for (const pipeline of [false, true]) {
    const one = await peer(t, "true", "off");
    const session = await connected(t, one, { pipeline });
    const write = refused(t, session.client);
    const read = session.client.query("SELECT 1");
    await Promise.all([write, read]);
    await ended(session);
    t.same(one.asked, ["INSERT", "SELECT 1", "role"], `pipeline: ${pipeline}`);

    const other = await peer(t, "true", "off");
    const next = await connected(t, other, { pipeline });
    await refused(t, next.client);
    await next.client.query("SELECT 2");
    await ended(next);
    t.same(other.asked, ["INSERT", "role", "SELECT 2"], "it waits behind the question");
  }
});

t.test("who ends it meanwhile hears of nothing else", async (t) => {
  const one = await peer(t, "true", "off");
  const session = await connected(t, one);
  const { client } = session;
  await refused(t, client);
  const { promise, resolve } = Promise.withResolvers<void>();
  // It waits behind the question; when it has its answer, the role is known.
  client.query("SELECT 1", () => resolve(client.end()));
  await promise;
  await ended(session);
  t.same([session.events, one.asked], [["end"], ["INSERT", "role", "SELECT 1"]]);
});

t.test("only where one server fits is a refused write worth a question", async (t) => {
  const rows: Readonly<Partial<Record<TargetSessionAttrs, string[]>>> = {
    any: ["INSERT"],
    "prefer-standby": ["INSERT"],
    // As with libpq, a primary is one, read-only or not.
    primary: ["INSERT", "role"],
  };
  for (const [attributes, want] of Object.entries(rows)) {
    const one = await peer(t, "false", "on");
    const config = { targetSessionAttrs: attributes as TargetSessionAttrs };
    const { client, events } = await connected(t, one, config);
    await refused(t, client);
    await client.query("SELECT 1");
    t.same([one.asked, events], [[...want, "SELECT 1"], []], attributes);
  }
});

t.test("what one session has learned, the others on that server look into", async (t) => {
  const [one, elsewhere] = [await peer(t, "true", "off"), await peer(t, "true", "off")];
  const writer = await connected(t, one);
  const idle = await connected(t, one, { targetSessionAttrs: "primary" });
  const busy = await connected(t, one);
  const away = await connected(t, elsewhere);
  await busy.client.query("BEGIN");
  await refused(t, writer.client);
  await Promise.all([ended(writer), ended(idle)]);
  t.same(busy.events, [], "not while its transaction is open");
  await busy.client.query("ROLLBACK");
  await ended(busy);
  t.same([away.events, elsewhere.asked], [[], []]);
  t.equal(one.asked.filter((word) => word === "INSERT").length, 1);
});

t.test("a server that does not say what it is holds nobody up", async (t) => {
  const one = await peer(t, "true", "off");
  const { host, port } = one;
  one.isSilent = true;
  for (const pipeline of [false, true]) {
    one.asked.length = 0;
    const client = new PgClient({ ...account, host, port, pipeline });
    let hasLeft = 0;
    client.connection.once("connect", () => {
      const address = { host, address: host, family: 4, port } as const;
      const [pass] = targetSessionAttrs["read-write"].passes;
      if (pass === undefined) throw new TypeError("a primary has a pass");
      leaveWhenUnfit(client, { address, pass, answerMs: 5, onLeave: () => void (hasLeft += 1) });
    });
    await client.connect();
    await refused(t, client);
    if (pipeline) {
      // A timer that was set later, for longer, comes later.
      await systemClock.sleep(20);
      t.equal(hasLeft, 0, "what an app may have sent there is not cut short");
      await client.query("SELECT 1");
      await eventually("it leaves for its role", soon, () => hasLeft === 1 || undefined);
    } else {
      await t.rejects(client.query("INSERT"), { code: "ETIMEDOUT" });
      t.same([one.asked, hasLeft], [["INSERT", "role"], 1], "what waited behind it was not sent");
    }
  }
});

t.test("a client of our pool leaves that to the pool", async (t) => {
  const one = await peer(t, "true", "off");
  const { host, port } = one;
  const pool = createPool({
    ...account,
    host,
    port,
    targetSessionAttrs: "read-write",
    probeMs: 0,
  });
  const client = await pool.connect();
  await refused(t, client);
  await client.query("SELECT 1");
  t.same(one.asked, ["INSERT", "SELECT 1"]);
  client.release();
  await pool.end();
});
