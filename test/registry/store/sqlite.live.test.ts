/**
 * The embedded store and the world around it: killed processes, the system calls before an answer, a
 * second owner, a newer schema. Ten kills are drawn (SWITCHYARD_TEST_SEED draws others);
 * SWITCHYARD_TEST_FULL=1 takes a hundred.
 */
import { readFileSync } from "node:fs";
import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import t from "tap";
import { runChild } from "../../../kit/child.ts";
import { formatHash, hashOf } from "../../../kit/zone-hash.ts";
import { openSqliteStore } from "../../../registry/store/sqlite.ts";
import { chanceOf } from "../../sim/random.ts";
import { childProgram, startStoreChild } from "./children.ts";
import { address, newFolder, zone } from "./stores.ts";

const { SWITCHYARD_TEST_FULL: full, SWITCHYARD_TEST_SEED: text } = process.env;
const seed = Number(text ?? 1);

t.test("an acknowledged change survives a kill", async (t) => {
  const chance = chanceOf(seed);
  const folder = join(await newFolder(t), "registry");
  const kills = full === "1" ? 100 : 10;
  let acknowledged = 0;
  for (let kill = 1; kill <= kills; kill += 1) {
    const name = `seed ${seed}, kill ${kill}`;
    const child = startStoreChild(t, ["write", folder, "100000"]);
    await child.said(chance.between(1, 60));
    await child.kill();
    const said = Number(child.lines.at(-1)?.split(" ")[1]);
    t.ok(said > acknowledged, `${name}: it wrote until it was killed`);
    acknowledged = said;

    const store = await openSqliteStore(folder, { zone });
    const { head, records } = await store.snapshot();
    await store.close();
    const there = new Set(records.map(({ fqdn, generation }) => `${fqdn} ${generation}`));
    const missing = Array.from({ length: said }, (_, at) => `w${at + 1}.${zone} ${at + 1}`).filter(
      (one) => !there.has(one),
    );
    t.same(missing, [], `${name}: all of ${said} are there`);
    // The one that was under way may be there too, and no more.
    t.ok(head.generation <= said + 1, `${name}: ${head.generation} after ${said}`);
    t.equal(head.recordCount, records.length, `${name}: the count`);
    t.equal(head.zoneHash, formatHash(hashOf(records)), `${name}: the hash`);
  }
});

/** Why strace cannot be used here; false when it can. */
async function noStrace(): Promise<string | false> {
  try {
    await runChild("strace", ["-o", "/dev/null", "true"], { deadlineMs: 5000 });
    return false;
  } catch (error) {
    return `strace does not run here: ${error instanceof Error ? error.message : ""}`;
  }
}

t.test("the log is synced before a change is answered", { skip: await noStrace() }, async (t) => {
  const folder = join(await newFolder(t), "registry");
  const trace = `${folder}.trace`;
  const calls = "trace=fsync,fdatasync,write,pwrite64";
  const words = ["write", folder, "30"];
  await runChild(
    "strace",
    ["-f", "-y", "-e", calls, "-o", trace, process.execPath, childProgram, ...words],
    { deadlineMs: 60_000 },
  );
  const lines = readFileSync(trace, "utf8").split("\n");
  const writer =
    lines.find((line) => line.includes('"acknowledged 1\\n"'))?.split(" ")[0] ?? "none";
  let written = 0;
  let isSynced = false;
  let answers = 0;
  for (const line of lines.filter((one) => one.startsWith(`${writer} `))) {
    if (/ p?write(64)?\(\d+<[^>]*registry\.db-wal>/.test(line)) {
      written += 1;
      isSynced = false;
    } else if (/ f(data)?sync\(\d+<[^>]*registry\.db-wal>/.test(line)) {
      isSynced = true;
    } else if (line.includes('"acknowledged ')) {
      answers += 1;
      if (written === 0 || !isSynced) t.fail(`answer ${answers}: ${written} writes, not synced`);
      written = 0;
    }
  }
  t.equal(answers, 30, "every answer is seen, and each after a sync of what it answers for");
});

t.test("one process owns a folder, from its start to its end", async (t) => {
  const folder = join(await newFolder(t), "registry");
  const child = startStoreChild(t, ["hold", folder]);
  await child.said(1);
  const refused = {
    code: "ERR_LOCKED",
    message: new RegExp(`${folder}: owned by process ${child.process.pid} on `),
  };
  await t.rejects(openSqliteStore(folder, { zone }), refused);
  await t.rejects(openSqliteStore(folder, { zone }), refused, "a refusal takes nothing away");
  await child.kill();
  const store = await openSqliteStore(folder, { zone });
  await t.rejects(openSqliteStore(folder, { zone }), { code: "ERR_LOCKED" }, "of this process too");
  await store.putEndpoints([
    { owner: { kind: "static", id: 1 }, drafts: [address("x", "10.0.0.1")] },
  ]);
  await store.close();
  await store.close();
  await (await openSqliteStore(folder, { zone })).close();
});

t.test("nobody else can read it", async (t) => {
  const folder = join(await newFolder(t), "registry");
  const store = await openSqliteStore(folder, { zone });
  await store.addAdminToken("hash");
  const modes: Record<string, string> = {};
  for (const name of [".", ...(await readdir(folder))].filter((one) => !/lock|owner/.test(one))) {
    modes[name] = ((await stat(join(folder, name))).mode & 0o777).toString(8);
  }
  await store.close();
  const own = { "registry.db": "600", "registry.db-shm": "600", "registry.db-wal": "600" };
  t.same(modes, { ".": "700", ...own });
});

t.test("what is not a store of this program is left alone", async (t) => {
  const folder = join(await newFolder(t), "registry");
  await (await openSqliteStore(folder, { zone })).close();
  const file = new DatabaseSync(join(folder, "registry.db"));
  const steps = file.prepare("SELECT number, name FROM registry_migrations").all();
  const want = [
    { number: 1, name: "zone, nodes, clusters, tokens" },
    { number: 2, name: "the term of the lead" },
  ];
  t.match(steps, want, "steps are recorded");
  file.exec("INSERT INTO registry_migrations VALUES (999, 'of tomorrow', '2030-01-01')");
  file.close();
  await t.rejects(openSqliteStore(folder, { zone }), {
    code: "ERR_REGISTRY_SCHEMA",
    message: /its schema is at step 999, and this program knows 2/,
  });

  const other = join(await newFolder(t), "other");
  await mkdir(other);
  await writeFile(join(other, "registry.db"), "this is no database, and it is long enough for one");
  await t.rejects(openSqliteStore(other, { zone }), { code: "ERR_REGISTRY_STORE", reason: "26" });
  t.match(readFileSync(join(other, "registry.db"), "utf8"), /^this is no database/);
  await t.rejects(openSqliteStore(join(other, "registry.db", "below"), { zone }), {
    code: "ERR_REGISTRY_STORE",
    message: /registry\.db\/below: take the folder: .*ENOTDIR/,
  });
});

t.test("a change that fails in the database changes nothing, and the next one works", async (t) => {
  const folder = join(await newFolder(t), "registry");
  const store = await openSqliteStore(folder, { zone });
  t.teardown(() => store.close());
  const put = (name: string) =>
    store.putEndpoints([{ owner: { kind: "static", id: 1 }, drafts: [address(name, "10.0.0.1")] }]);
  const { head } = await put("a");
  const heard: string[] = [];
  store.subscribe("generation", (payload) => heard.push(payload));
  // Another program that keeps the database to itself, such as a backup gone wrong.
  const intruder = new DatabaseSync(join(folder, "registry.db"));
  intruder.exec(
    "CREATE TRIGGER no BEFORE UPDATE ON dns_generation BEGIN SELECT RAISE(ABORT, 'no'); END",
  );
  await t.rejects(put("b"), { code: "ERR_REGISTRY_STORE", message: /change the zone: no/ });
  t.same([await store.head(), heard], [head, []]);
  intruder.exec("DROP TRIGGER no");
  intruder.close();
  t.match(await put("b"), { changed: true, head: { generation: 2 } });
  t.same(heard, ["2"]);
});
