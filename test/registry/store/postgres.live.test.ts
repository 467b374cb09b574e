/** Several registries on one real Postgres: generations, wakes, the lead, and a server that goes away. */
import { inspect } from "node:util";
import { Client } from "pg";
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import type { Logger } from "../../../kit/logger.ts";
import { formatHash, hashOf } from "../../../kit/zone-hash.ts";
import type { Endpoint } from "../../../registry/contract.ts";
import { openPostgresStore } from "../../../registry/store/postgres.ts";
import type { RegistryStore, Topic } from "../../../registry/store/store.ts";
import { superuser } from "../../support/real-postgres.ts";
import { startStoreChild } from "./children.ts";
import { address, newDatabase, startPostgres, zone } from "./stores.ts";

const soon = { deadlineMs: 30_000, intervalMs: 10 };
const postgres = await startPostgres(t, "127.53.1.1");

async function stores(
  t: Test,
  count: number,
  logger?: Logger,
): Promise<[RegistryStore, ...RegistryStore[]]> {
  const url = await newDatabase(postgres);
  // All at once: they migrate together, and one of them makes the store.
  const opened = await Promise.all(
    Array.from({ length: count }, () =>
      openPostgresStore(url, { zone, ...(logger === undefined ? {} : { logger }) }),
    ),
  );
  t.teardown(async () => {
    await Promise.all(opened.map((store) => store.close()));
  });
  return opened as [RegistryStore, ...RegistryStore[]];
}

function hearing(store: RegistryStore, topic: Topic): string[] {
  const heard: string[] = [];
  store.subscribe(topic, (payload) => heard.push(payload));
  return heard;
}

const put = (store: RegistryStore, id: number, ttl: number) =>
  store.putEndpoints([
    { owner: { kind: "static", id }, drafts: [address(`s${id}`, "10.0.0.1", { ttl })] },
  ]);

t.test("processes that start together make one store, and write without gaps", async (t) => {
  const all = await stores(t, 4);
  const [reader] = all;
  const epochs = new Set(await Promise.all(all.map(async (store) => (await store.head()).epoch)));
  t.equal(epochs.size, 1, "one store");

  const copy = new Map<number, Endpoint>();
  let since = 0;
  const follow = async (): Promise<void> => {
    const diff = await reader.changesSince(since);
    for (const record of diff?.upserts ?? []) copy.set(record.id, record);
    for (const id of diff?.removedIds ?? []) copy.delete(id);
    since = diff?.head.generation ?? since;
  };
  const rounds = 40;
  const generations: number[] = [];
  const over = new AbortController();
  const writing = all.map(async (store, index) => {
    for (let round = 1; round <= rounds; round += 1) {
      generations.push((await put(store, index, round)).head.generation);
    }
  });
  let torn = 0;
  const following = (async () => {
    while (!over.signal.aborted) {
      await follow();
      const { head, records } = await reader.snapshot();
      if (formatHash(hashOf(records)) !== head.zoneHash) torn += 1;
    }
  })();
  await Promise.all(writing);
  over.abort();
  await following;
  await follow();
  const want = Array.from({ length: all.length * rounds }, (_, at) => at + 1);
  t.same(
    generations.sort((one, other) => one - other),
    want,
    "each generation once",
  );
  t.equal(torn, 0, "every snapshot was of one moment");
  const { records } = await reader.snapshot();
  const byId = (list: Iterable<Endpoint>) => [...list].sort((one, other) => one.id - other.id);
  t.same(byId(copy.values()), byId(records), "whoever read meanwhile has missed nothing");
});

t.test("a change wakes the other process, and its own once", async (t) => {
  const [one, two] = (await stores(t, 2)) as [RegistryStore, RegistryStore];
  const [own, other] = [hearing(one, "generation"), hearing(two, "generation")];
  const payload = `"${"é".repeat(20_000)}"`;
  const [replies, ownReplies] = [hearing(two, "reconciled"), hearing(one, "reconciled")];
  await put(one, 1, 1);
  await one.publish("reconciled", payload);
  await put(one, 1, 2);
  await eventually("the notices", soon, () => other.length === 2 || undefined);
  t.same(
    [own, other],
    [
      ["1", "2"],
      ["1", "2"],
    ],
  );
  t.same([replies, ownReplies], [[payload], [payload]], "a long one arrives whole");
  await t.rejects(one.publish("reconciled", "x".repeat(5_000_000)), { message: /too long/ });
});

t.test("a Postgres that restarts under it is found again", async (t) => {
  const lines: string[] = [];
  const log = ({ step }: { step: string }, words: string) => lines.push(`${step}: ${words}`);
  const logger = { debug: log, info: log, warn: log, error: log } as unknown as Logger;
  const [one, two] = (await stores(t, 2, logger)) as [RegistryStore, RegistryStore];
  const lead = await one.lead(new AbortController().signal);
  const { id } = await one.addNode({ name: "n", address: null }, "hash");
  await one.revokeNode(id);
  await put(one, 1, 1);
  const heard = hearing(two, "generation");
  const missed = [hearing(two, "clusters"), hearing(two, "acks")];
  const revoked = hearing(two, "nodes");
  await postgres.stop();
  await eventually("the lead to be lost", soon, () => lead.lost.aborted || undefined);
  const away = await one.head().catch((error: unknown) => error);
  t.match(away, { code: "ERR_REGISTRY_STORE", message: /connection refused/ });
  t.notMatch(inspect(away, { depth: 9 }), new RegExp(superuser.password), "no secret is told");
  const waiting = two.lead(new AbortController().signal);
  const refusals = (step: string): number =>
    lines.filter((line) => line.startsWith(step) && line.includes("connection refused")).length;
  await eventually("both to be told of", soon, () =>
    refusals("lead: ") === 1 && refusals("listen: ") === 2 ? true : undefined,
  );
  await postgres.start();
  t.match(await put(one, 1, 2), { head: { generation: 2 } }, "at once when it is back");
  await eventually("the bus", soon, () => heard.includes("2") || undefined);
  await eventually("the rest", soon, () => missed.every((list) => list.includes("")) || undefined);
  t.ok(revoked.includes(String(id)), "a revocation that was missed is told");
  await put(one, 1, 3);
  await eventually("a notice as before", soon, () => heard.includes("3") || undefined);
  await (await waiting).release();
  t.ok(refusals("lead: ") === 1 && refusals("listen: ") === 2, "once, however often it is tried");
  // Each process tries again at moments of its own.
  const back = (): number =>
    lines.filter((line) => line.endsWith("hears of the others again")).length;
  await eventually("both to hear again", soon, () => back() === 2 || undefined);
  t.notMatch(lines.join("\n"), new RegExp(superuser.password));
});

t.test("connections that were ended while idle cost nobody anything", async (t) => {
  const [store] = await stores(t, 1);
  await Promise.all(Array.from({ length: 20 }, () => store.head()));
  for (let round = 1; round <= 5; round += 1) {
    await postgres.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'switchyard-registry'`,
    );
    t.match(await put(store, 1, round), { changed: true }, `round ${round}`);
  }
});

t.test("killing or freezing the process that has the lead moves it", async (t) => {
  const url = await newDatabase(postgres);
  const store = await openPostgresStore(url, { zone });
  t.teardown(() => store.close());
  for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
    const child = startStoreChild(t, ["lead", url]);
    await child.said(1);
    const waiting = store.lead(new AbortController().signal);
    await store.head();
    child.process.kill(signal);
    const lead = await waiting;
    t.notOk(lead.lost.aborted, `${signal}: the next one has it`);
    child.process.kill("SIGCONT");
    if (signal === "SIGSTOP") await child.said(2);
    t.equal(child.lines[1], signal === "SIGSTOP" ? "lost" : undefined, "the first one knows");
    await lead.release();
    await child.kill();
  }
});

t.test("what cannot be opened is said without the password", async (t) => {
  const url = await newDatabase(postgres);
  const store = await openPostgresStore(url, { zone });
  await store.close();
  const wrong: [string, string, object][] = [
    ["a wrong password", url.replace(superuser.password, "guess-s3cret"), { reason: "28P01" }],
    ["no such database", `${url}x-s3cret`, { reason: "3D000" }],
    ["nobody there", url.replace("127.53.1.1", "127.53.1.9"), { message: /connection refused/ }],
  ];
  for (const [what, at, want] of wrong) {
    const error = await openPostgresStore(at, { zone }).catch((one: unknown) => one);
    t.match(error, { code: "ERR_REGISTRY_STORE", ...want }, what);
    const told = inspect(error, { depth: 9 });
    t.notMatch(told, new RegExp(`${superuser.password}|guess-s3cret`), `${what}: no secret`);
  }
});

t.test("a newer schema is left alone", async (t) => {
  const url = await newDatabase(postgres);
  await (await openPostgresStore(url, { zone })).close();
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query("INSERT INTO registry_migrations VALUES (999, 'of tomorrow', '2030-01-01')");
  await t.rejects(openPostgresStore(url, { zone }), {
    code: "ERR_REGISTRY_SCHEMA",
    message: /its schema is at step 999, and this program knows 2/,
  });
  await client.end();
});
