/** Our Client in the place of pg's: what apps do with one. */
import { once } from "node:events";
import { Client as PgClient, Pool as PgPool, Query } from "pg";
import type { Connection, PoolConfig as PgPoolConfig, Submittable } from "pg";
import type { Test } from "tap";
import { Client } from "../../../client/pg-client.ts";
import { eventually } from "../../../kit/clock.ts";
import type { Pair } from "./pair.ts";

const soon = { deadlineMs: 10_000, intervalMs: 5 };

/** Queries, types, notices, notifications, prepared statements, callbacks, cancelling, the end. */
export async function queries(t: Test, pair: Pair): Promise<void> {
  const client = await pair.connect(t, {
    targetSessionAttrs: "read-write",
    application_name: "us",
  });
  const { rows } = await client.query(
    "SELECT $1::int AS n, now() AS at, '{1,2}'::int[] AS list",
    [7],
  );
  t.match(rows, [{ n: 7, at: Date, list: [1, 2] }]);
  const named = { name: "twice", text: "SELECT $1::text AS word" };
  for (const word of ["one", "two"]) {
    t.same((await client.query({ ...named, values: [word] })).rows, [{ word }]);
  }
  t.match(await client.query("SHOW application_name"), { rows: [{ application_name: "us" }] });
  await t.rejects(client.query("SELECT nonsense"), { code: "42703" });

  const piped = await pair.connect(t, { pipeline: true, statement_timeout: 54_321 });
  const all = await Promise.all([1, 2, 3].map((n) => piped.query("SELECT $1::int AS n", [n])));
  t.same(
    all.map(({ rows: [row] }) => row as unknown),
    [{ n: 1 }, { n: 2 }, { n: 3 }],
    "several at once",
  );
  t.match((await piped.query("SHOW statement_timeout")).rows, [{ statement_timeout: "54321ms" }]);

  const notice = once(client, "notice");
  await client.query("DO $$ BEGIN RAISE NOTICE 'hello'; END $$");
  t.match(await notice, [{ message: "hello" }]);
  await client.query("LISTEN news");
  const news = once(client, "notification");
  await client.query("NOTIFY news, 'payload'");
  t.match(await news, [{ channel: "news", payload: "payload" }]);

  const { promise, resolve } = Promise.withResolvers<unknown>();
  client.query("SELECT 1 AS one", (error: unknown, result: unknown) => resolve(error ?? result));
  t.match(await promise, { rows: [{ one: 1 }] }, "callbacks");
  const inCallback = Promise.withResolvers<unknown>();
  const other = new Client({ ...pair.byName, targetSessionAttrs: "standby" });
  other.connect((error: unknown) => inCallback.resolve(error ?? undefined));
  t.equal(await inCallback.promise, undefined, "connect with a callback");
  const ended = once(other, "end");
  await other.end();
  await ended;
  await t.rejects(other.query("SELECT 1"), /closed/);
  await t.rejects(client.connect(), /already been connected/);
  t.same(await new Client(pair.byName).end(), undefined, "one that never connected ends at once");
}

/** Sessions of replication, which speak another language. */
export async function replication(t: Test, pair: Pair): Promise<void> {
  for (const words of ["database", "true"]) {
    const given = { replication: words, targetSessionAttrs: "primary" } as const;
    const client = await pair.connect(t, given);
    t.equal(client.address?.address, pair.primary.host);
    t.match((await client.query("IDENTIFY_SYSTEM")).rows, [{ timeline: 1 }], words);
  }
}

/** A cancel request reaches the very server, by TLS where the session has it. */
export async function cancelling(t: Test, pair: Pair): Promise<void> {
  for (const ssl of [false, { rejectUnauthorized: false }]) {
    const client = await pair.connect(t, { targetSessionAttrs: "primary", ssl });
    const failed = Promise.withResolvers<unknown>();
    const query = new Query("SELECT pg_sleep(60)", (error) => failed.resolve(error));
    client.query(query);
    await eventually("it runs", soon, async () => {
      const found = await pair.primary.sql(
        "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'",
      );
      return found.length > 0 || undefined;
    });
    // A client for everything: it must go where the query runs, not to the first that answers.
    const canceller = new Client({ ...pair.byName, ssl });
    canceller.cancel(client, query);
    t.match(await failed.promise, { code: "57014" }, "the query is cancelled");
    t.same((await client.query("SELECT 1 AS one")).rows, [{ one: 1 }], "and the session lives");
  }
}

/** COPY as pg-copy-streams does it: a submittable that speaks through the connection. */
class Copy implements Submittable {
  readonly done = Promise.withResolvers<void>();
  bytes = 0;
  readonly #text: string;
  readonly #source: Iterator<Buffer> | undefined;
  #connection:
    | (Connection & { sendCopyFromChunk(chunk: Buffer): void; endCopyFrom(): void })
    | undefined;

  constructor(text: string, source?: Iterable<Buffer>) {
    this.#text = text;
    this.#source = source?.[Symbol.iterator]();
  }

  submit(connection: Connection): void {
    this.#connection = connection as Connection & {
      sendCopyFromChunk(chunk: Buffer): void;
      endCopyFrom(): void;
    };
    connection.query(this.#text);
  }

  handleCopyInResponse(): void {
    const connection = this.#connection;
    if (connection === undefined || this.#source === undefined) return;
    for (;;) {
      const next = this.#source.next();
      if (next.done === true) {
        connection.endCopyFrom();
        return;
      }
      connection.sendCopyFromChunk(next.value);
      if (!connection.stream.writableNeedDrain) continue;
      connection.stream.once("drain", () => this.handleCopyInResponse());
      return;
    }
  }

  handleCopyData({ chunk }: { chunk: Buffer }): void {
    this.bytes += chunk.length;
  }

  handleError(error: Error): void {
    this.done.reject(error);
  }

  handleReadyForQuery(): void {
    this.done.resolve();
  }

  handleCommandComplete(): void {
    // ReadyForQuery follows.
  }
}

/** Results and COPY of many megabytes, and a reader that stops for a while. */
export async function bulk(t: Test, pair: Pair): Promise<void> {
  const client = await pair.connect(t, { targetSessionAttrs: "read-write" });
  const text = "SELECT repeat(md5(i::text), 100) AS word FROM generate_series(1, 5000) AS i";
  const result = client.query<{ word: string }>(text);
  const { stream } = client.connection;
  await once(stream, "data");
  stream.pause();
  await eventually("it is full", soon, () => stream.readableLength > 0 || undefined);
  t.ok(stream.readableLength < 2 ** 20, "and takes no more than it can hold");
  stream.resume();
  const { rows } = await result;
  t.equal(
    rows.reduce((sum, { word }) => sum + word.length, 0),
    5000 * 3200,
  );

  await client.query("CREATE TEMP TABLE big (line text)");
  const line = Buffer.from(`${"x".repeat(8191)}\n`);
  const lines = 3000;
  const write = new Copy(
    "COPY big FROM STDIN",
    Array.from({ length: lines }, () => line),
  );
  client.query(write);
  await write.done.promise;
  t.match((await client.query("SELECT count(*)::int AS n FROM big")).rows, [{ n: lines }]);
  const read = new Copy("COPY big TO STDOUT");
  client.query(read);
  await read.done.promise;
  t.equal(read.bytes, lines * line.length);
}

/** What goes wrong later comes as it does with pg. */
export async function losses(t: Test, pair: Pair): Promise<void> {
  const kill = async (client: Client): Promise<void> => {
    const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    await pair.primary.sql(`SELECT pg_terminate_backend(${rows[0]?.pid})`);
  };
  const seen: Record<string, unknown[]> = {};
  for (const make of [Client, PgClient]) {
    const events: unknown[] = (seen[make === Client ? "ours" : "pg"] = []);
    const { host, port } = pair.primary;
    const { user, password, database } = pair.byName as {
      user: string;
      password: string;
      database: string;
    };
    const client = new make({ host, port, user, password, database });
    client.on("error", (error: Error & { code?: string }) =>
      events.push(error.code ?? error.message),
    );
    client.on("end", () => events.push("end"));
    await client.connect();
    await kill(client as Client);
    await eventually("the end", soon, () => events.includes("end") || undefined);
    await client.query("SELECT 1").catch((error: Error) => events.push(error.message));
    await client.end();
  }
  t.same(seen["ours"], seen["pg"], "the same events in the same order");
  t.equal(seen["ours"]?.[0], "57P01");
}

/** In a plain pg.Pool: what it does to its clients. */
export async function inPlainPool(t: Test, pair: Pair): Promise<void> {
  const config = { ...pair.byName, targetSessionAttrs: "read-write", Client, max: 2 };
  const pool = new PgPool({ ...config, allowExitOnIdle: true } as unknown as PgPoolConfig);
  const answers = await Promise.all(
    [1, 2, 3, 4].map((n) => pool.query("SELECT $1::int AS n", [n])),
  );
  t.same(
    answers.map(({ rows }) => rows),
    [1, 2, 3, 4].map((n) => [{ n }]),
  );
  t.equal(pool.totalCount, 2);
  await pool.end();
  const nobody = new PgPool({
    ...config,
    targetSessionAttrs: "standby",
    host: pair.primary.host,
    connectionTimeoutMillis: 2000,
  } as unknown as PgPoolConfig);
  await t.rejects(nobody.query("SELECT 1"), {
    name: "ConnectError",
    attempts: [{ reason: "role" }],
  });
  t.equal(nobody.totalCount, 0);
  await nobody.end();
}
