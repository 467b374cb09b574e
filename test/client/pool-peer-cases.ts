/** A pool beside peers that are told what to say: what leaves a server, and what must not. */
import { once } from "node:events";
import { Client as PgClient } from "pg";
import t from "tap";
import type { Test } from "tap";
import { lookAfter } from "../../client/pool/left-behind.ts";
import { createPool, Pool } from "../../client/pool/pool.ts";
import type { PoolConfig } from "../../client/pool/pool.ts";
import { eventually, nextTurn, systemClock } from "../../kit/clock.ts";
import { backend, greeting, say, startFakePostgres } from "../support/fake-postgres.ts";
import type { FakePostgres } from "../support/fake-postgres.ts";

const soon = { deadlineMs: 10_000, intervalMs: 5 };

interface Peer extends FakePostgres {
  isPrimary: boolean;
}

/** Answers every query with its role, or with `refusal`. */
async function peer(t: Test, isPrimary: boolean, refusal?: Buffer): Promise<Peer> {
  const state = { isPrimary };
  const fake = await startFakePostgres(t, {
    greeting,
    answer: (text) =>
      refusal !== undefined && text.startsWith("INSERT")
        ? Buffer.concat([refusal, say.ready])
        : Buffer.concat([
            say.row(...(state.isPrimary ? ["false", "off"] : ["true", "on"])),
            say.ready,
          ]),
  });
  return Object.assign(state, fake);
}

function poolOf(t: Test, peers: readonly Peer[], config: PoolConfig = {}): Pool {
  const pool = createPool({
    host: peers.map(({ host }) => host),
    port: peers.map(({ port }) => port),
    user: "app",
    password: "s3cret",
    targetSessionAttrs: "read-write",
    probeMs: 0,
    ...config,
  });
  t.teardown(async () => {
    if (!pool.ending) await pool.end();
  });
  return pool;
}

t.test(
  "who keeps a session long before it is handed out does not lead the pool back",
  async (t) => {
    const [old, next] = [await peer(t, true), await peer(t, false)];
    const hooks: (() => void)[] = [];
    // pg's published type leaves out that it waits.
    const waits: object = {
      onConnect: () => new Promise<void>((resolve) => void hooks.push(resolve)),
    };
    const pool = poolOf(t, [old, next], waits);
    const changes: number[] = [];
    pool.on("primary-changed", ({ to }) => changes.push(to.port));
    const early = pool.connect();
    await eventually("the first session", soon, () => hooks[0]);
    t.equal(pool.primary?.port, old.port, "known before it is handed out");
    Object.assign(old, { isPrimary: false });
    Object.assign(next, { isPrimary: true });
    const late = pool.connect();
    const release = await eventually("the second session", soon, () => hooks[1]);
    release();
    const good = await early;
    t.equal(good.address?.port, next.port);
    hooks[0]?.();
    const third = await eventually("another one in place of the first", soon, () => hooks[2]);
    third();
    const given = await late;
    t.equal(given.address?.port, next.port, "a session on the old primary is handed to nobody");
    t.equal(pool.primary?.port, next.port);
    t.same(changes, [next.port]);
    for (const client of [good, given]) client.release();
    t.equal(pool.idleCount, 2, "and the good ones stay");
  },
);

t.test("a statement that failed of another server costs nothing", async (t) => {
  for (const code of ["08001", "08003", "08006", "57P01"]) {
    const refusal = backend("E", `SERROR\0VERROR\0C${code}\0Mno way to the foreign server\0\0`);
    const one = await peer(t, true, refusal);
    const pool = poolOf(t, [one]);
    const held = await pool.connect();
    await t.rejects(pool.query("INSERT"), { code });
    held.release();
    await pool.query("SELECT 1");
    t.same([pool.epoch, one.connections.length], [0, 2], code);
  }
});

t.test("a session that is lost while it is idle costs no other, and opens none", async (t) => {
  const one = await peer(t, true);
  const pool = poolOf(t, [one]);
  const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect()]);
  for (const client of clients) client.release();
  one.connections[0]?.socket.resetAndDestroy();
  await eventually("it is gone", soon, () => pool.totalCount === 2 || undefined);
  one.connections[1]?.socket.resetAndDestroy();
  await eventually(
    "the others are dropped as well",
    soon,
    () => pool.totalCount === 0 || undefined,
  );
  for (let turn = 0; turn < 50; turn += 1) await nextTurn();
  t.same([pool.totalCount, one.connections.length, pool.epoch], [0, 3, 1]);
});

t.test("a pool that is ended tells who waits, and searches no longer", async (t) => {
  const silent = await startFakePostgres(t, {});
  const pool = poolOf(t, [Object.assign(silent, { isPrimary: true })], { max: 1 });
  const waiting = [pool.query("SELECT 1"), pool.query("SELECT 2")];
  await eventually("the login", soon, () => silent.connections[0]);
  const told = waiting.map((one) => t.rejects(one, /ended/));
  await Promise.all([pool.end(), ...told]);
  t.equal(pool.totalCount, 0);
  await t.rejects(pool.end(), /more than once/);
});

t.test(
  "options of a pool make another one, and no class of clients is left out silently",
  async (t) => {
    const words: string[] = [];
    const asking = await startFakePostgres(t, {
      greeting: backend("R", Buffer.from([0, 0, 0, 3])),
      answer: (text) => {
        words.push(text);
        return words.length === 1 ? greeting : Buffer.concat([say.row("false", "off"), say.ready]);
      },
    });
    const first = poolOf(t, [Object.assign(asking, { isPrimary: true })]);
    const again = new Pool(first.options);
    await again.query("SELECT 1");
    t.match(words[0], /^s3cret/);
    await again.end();
    t.throws(() => createPool({ Client: PgClient } as PoolConfig), TypeError);
  },
);

t.test("a process that was held up itself takes no server for silent", async (t) => {
  let looks = 0;
  const looking = lookAfter(
    { host: "a", address: "127.0.0.1", family: 4, port: 1 },
    {
      pauseMs: 1,
      timeoutMs: 50,
      signal: new AbortController().signal,
      isLeft: () => looks < 2,
      answers: async (_address, signal) => {
        looks += 1;
        // Its answer lies there, and is read in a few turns.
        for (let turn = 0; turn < 3; turn += 1) await nextTurn();
        signal.throwIfAborted();
        return true;
      },
      cut: () => t.fail("it lives"),
    },
  );
  const { monotonic } = systemClock;
  for (const end = monotonic() + 150; monotonic() < end;);
  await eventually("it looks again", soon, () => looks === 2 || undefined);
  await looking;
  t.equal(looks, 2, "it found the server well, and ended");
});

t.test(
  "who looks after a server that was left ends when he is told to, and cuts nothing then",
  async (t) => {
    const over = new AbortController();
    let looks = 0;
    const address = { host: "a", address: "127.0.0.1", family: 4, port: 1 } as const;
    const looking = lookAfter(address, {
      pauseMs: 1,
      timeoutMs: 60_000,
      signal: over.signal,
      isLeft: () => true,
      answers: async (_address, signal) => {
        looks += 1;
        if (looks > 2) await once(signal, "abort");
        return looks <= 2;
      },
      cut: () => t.fail("it may be alive"),
    });
    await eventually("it looks again", soon, () => looks > 2 || undefined);
    over.abort();
    await looking;
    t.equal(looks, 3);
  },
);
