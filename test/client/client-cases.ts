/** Our Client beside pg's, against the same peer: what an app sees has to be the same, or better. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import type { Duplex } from "node:stream";
import { inspect } from "node:util";
import { Client as PgClient } from "pg";
import t from "tap";
import type { Test } from "tap";
import { ConnectError } from "../../client/errors.ts";
import { Client } from "../../client/pg-client.ts";
import { eventually, nextTurn } from "../../kit/clock.ts";
import { backend, greeting, say, startFakePostgres } from "../support/fake-postgres.ts";
import type { FakePostgres, FakeScript } from "../support/fake-postgres.ts";

const soon = { deadlineMs: 10_000, intervalMs: 5 };
const account = { user: "app", database: "app", password: "s3cret" } as const;
const cleartext = backend("R", Buffer.from([0, 0, 0, 3]));

const both = { ours: Client, pg: PgClient } as const;

async function peer(t: Test, script: FakeScript = {}): Promise<FakePostgres> {
  return await startFakePostgres(t, { greeting, ...script });
}

t.test("pg's client hears the same of a startup, and of what comes later", async (t) => {
  const long = Buffer.concat([
    say.ok,
    say.parameter("server_version", "15.4"),
    say.parameter("in_hot_standby", "off"),
    say.notice("a collation has another version"),
    say.key(-5, -7),
    say.ready,
    say.parameter("in_hot_standby", "on"),
    say.notification("news", "payload"),
  ]);
  const heard: Record<string, unknown[]> = {};
  for (const [name, make] of Object.entries(both)) {
    const { port } = await peer(t, { greeting: long });
    const client = new make({ ...account, host: "127.0.0.1", port });
    const seen: unknown[] = (heard[name] = []);
    for (const event of ["notice", "notification", "connect"] as const) {
      client.on(event, () => seen.push(event));
    }
    client.connection.on("message", (message: object) => seen.push({ ...message }));
    await client.connect();
    await eventually("the news", soon, () => seen.includes("notification") || undefined);
    seen.push(inspect(client).match(/processID: \S+\s+secretKey: \S+/)?.[0]);
    await client.end();
  }
  t.same(heard["ours"], heard["pg"]);
  t.equal(heard["ours"]?.length, 12);
});

t.test("a session that is reset, or ends, is lost as with pg", async (t) => {
  for (const how of ["resetAndDestroy", "end"] as const) {
    const seen: Record<string, unknown[]> = {};
    for (const [name, make] of Object.entries(both)) {
      const { port, connections } = await peer(t);
      const client = new make({ ...account, host: "127.0.0.1", port });
      const events: unknown[] = (seen[name] = []);
      client.on("error", (error: NodeJS.ErrnoException) => {
        events.push(error.code ?? error.message);
      });
      client.on("end", () => events.push("end"));
      await client.connect();
      const asked = client.query("SELECT 1").catch((error: NodeJS.ErrnoException) => {
        events.push(["query", error.code ?? error.message]);
      });
      await eventually("the query", soon, () => connections[0]?.bytes().length || undefined);
      connections[0]?.socket[how]();
      await asked;
      await eventually("the end", soon, () => events.includes("end") || undefined);
    }
    t.same(seen["ours"], seen["pg"], `${how}: in the same order, and each as often`);
  }
});

t.test("whoever connects is told when the client is ended meanwhile", async (t) => {
  const { port, connections } = await peer(t, { greeting: undefined });
  const client = new Client({ ...account, host: "127.0.0.1", port });
  const connected = client.connect();
  const failed = t.rejects(connected, /while it was connecting/);
  await eventually("the startup", soon, () => connections[0]?.socket.bytesRead || undefined);
  await client.end();
  await failed;
  await eventually("it is left", soon, () => connections[0]?.hasEnded() || undefined);
});

t.test("whoever cuts the stream, as pg-pool does, gets an error and no client", async (t) => {
  const { port } = await peer(t, { greeting: undefined });
  const client = new Client({ ...account, host: "127.0.0.1", port });
  const failed = t.rejects(client.connect(), /while it was connecting/);
  client.connection.stream.destroy();
  await failed;
  const early = new Client({ ...account, host: "127.0.0.1", port });
  early.connection.stream.destroy();
  await t.rejects(early.connect(), /terminated/, "also before it connects");
});

t.test("whenever it is stopped, connect ends once, and the server is left", async (t) => {
  const { port, connections } = await peer(t, {
    answer: () => Buffer.concat([say.row("false", "off"), say.ready]),
  });
  const outcomes = new Set<string>();
  // Until both come too late: every turn of the event loop before that has been tried.
  for (let at = 0; outcomes.size < 4 && at < 1000; at += 1) {
    for (const how of ["destroy", "end"] as const) {
      const config = {
        ...account,
        host: "127.0.0.1",
        port,
        targetSessionAttrs: "primary",
      } as const;
      const client = new Client(config);
      client.on("error", () => undefined);
      const closed = new Promise((resolve) => client.once("end", resolve));
      const connected = client.connect().then(
        () => "connected",
        () => "failed",
      );
      for (let turn = 0; turn < at; turn += 1) await nextTurn();
      if (how === "destroy") client.connection.stream.destroy();
      else await client.end();
      outcomes.add(`${how}: ${await connected}`);
      await closed;
    }
  }
  t.equal(outcomes.size, 4, [...outcomes].join(", "));
  await eventually(
    "all are left",
    soon,
    () => connections.every((one) => one.hasEnded()) || undefined,
  );
});

t.test("one deadline, one error that names each address", async (t) => {
  const { port } = await peer(t, { greeting: say.error("57P03", "starting up") });
  const client = new Client({ ...account, host: "127.0.0.1", port, connectionTimeoutMillis: 1000 });
  const ended = once(client, "end");
  const error: unknown = await client.connect().catch((thrown: unknown) => thrown);
  t.type(error, ConnectError);
  t.match(error, { code: "57P03", attempts: [{ reason: "starting", port, host: "127.0.0.1" }] });
  t.notMatch(inspect(error), /s3cret/);
  await ended;
  await client.end();
});

t.test("passwords come as they come to pg", async (t) => {
  const words: string[] = [];
  const { port } = await peer(t, {
    greeting: cleartext,
    answer: (text) => {
      words.push(text);
      return greeting;
    },
  });
  const folder = t.testdir({});
  const file = join(folder, "pgpass");
  await writeFile(file, `127.0.0.1:${port}:app:app:from-a-file\n`, { mode: 0o600 });
  const { PGPASSFILE: before, PGPASSWORD: word } = process.env;
  t.teardown(() => {
    if (before === undefined) delete process.env["PGPASSFILE"];
    else process.env["PGPASSFILE"] = before;
    if (word !== undefined) process.env["PGPASSWORD"] = word;
  });
  delete process.env["PGPASSWORD"];
  process.env["PGPASSFILE"] = file;
  const table = [
    { name: "a string", given: { password: "plain" }, want: "plain" },
    { name: "a function", given: { password: () => Promise.resolve("called") }, want: "called" },
    { name: "a file", given: {}, want: "from-a-file" },
  ];
  for (const { name, given, want } of table) {
    const client = new Client({ user: "app", database: "app", host: "127.0.0.1", port, ...given });
    await client.connect();
    t.equal(words.pop(), want, name);
    await client.end();
  }
  t.same(words, [], "each asked once");
  const client = new Client({ ...account, host: "127.0.0.1", port });
  t.notMatch(inspect(client, { depth: 9 }), /s3cret/, "nobody prints it by accident");
  await client.end();
});

t.test("what nobody can mean is said at once", (t) => {
  const given = { targetSessionAttrs: "primry" } as unknown as { targetSessionAttrs: "primary" };
  t.throws(() => new Client(given), TypeError);
  t.throws(() => new Client("postgresql://h/d?target_session_attrs=primry"), /prefer-standby/);
  t.end();
});

t.test("a client that is not ours, and a server that is away, when it is to cancel", async (t) => {
  const { port, connections } = await peer(t, { answer: () => undefined });
  const theirs = new PgClient({ ...account, host: "127.0.0.1", port });
  await theirs.connect();
  const query = theirs.query("SELECT pg_sleep(1)").catch((error: unknown) => error);
  const running = (
    theirs as unknown as { _getActiveQuery(): { submit(): void } }
  )._getActiveQuery();
  new Client({ ...account, host: "127.0.0.1", port }).cancel(theirs, running);
  await eventually("the request", soon, () => connections.length === 2 || undefined);
  const away = new Client({ ...account, host: "127.0.0.1", port: 1, connectionTimeoutMillis: 50 });
  const gone = new Promise((resolve) => away.connection.once("end", resolve));
  away.cancel(theirs, running);
  await gone;
  await theirs.end();
  t.match(await query, { message: /terminated/ }, "nothing but the end of the session ends it");
});

t.test("a cancel request to an address that says nothing ends with its attempt", async (t) => {
  const { port } = await peer(t, { answer: () => undefined });
  let sockets = 0;
  const hole = (): Duplex => {
    sockets += 1;
    const silent = new PassThrough();
    return Object.assign(silent, { connect: () => silent });
  };
  const running = new Client({ ...account, host: "127.0.0.1", port });
  await running.connect();
  const query = running.query("SELECT pg_sleep(1)").catch(() => undefined);
  const active = (
    running as unknown as { _getActiveQuery(): { submit(): void } }
  )._getActiveQuery();
  const config = { ...account, host: "127.0.0.1", port, stream: hole, attemptTimeoutMs: 50 };
  const canceller = new Client(config);
  const ended = new Promise((resolve) => canceller.connection.once("end", resolve));
  canceller.cancel(running, active);
  await ended;
  t.equal(sockets, 1);
  await running.end();
  await query;
});

t.test("a client that shall not keep Node running does not while it searches", async (t) => {
  const silent = await startFakePostgres(t, {});
  const script = `
    import { Client } from ${JSON.stringify(new URL("../../client/index.ts", import.meta.url).href)};
    const ports = [${silent.port}, 1];
    const target = { host: ["127.0.0.1", "127.0.0.1"], port: ports, targetSessionAttrs: "primary" };
    const client = new Client({ ...target, user: "app", password: "x", connectionTimeoutMillis: 0 });
    client.unref();
    client.connect();
    // Whatever keeps a process running once its search has begun keeps this one for ever.
    setTimeout(() => undefined, 300);
  `;
  const words = ["--input-type=module", "-e", script];
  const env = { PATH: process.env["PATH"] ?? "" };
  const child = spawn(process.execPath, words, { env, stdio: ["ignore", "ignore", "inherit"] });
  t.teardown(() => child.kill("SIGKILL"));
  const [code] = (await once(child, "exit")) as [number | null];
  // 13: it had nothing left to do, and something still to be awaited.
  t.ok(code === 0 || code === 13, String(code));
  t.ok(silent.connections.length > 0, "it searched");
});
