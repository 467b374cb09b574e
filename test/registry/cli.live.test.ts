/** bin/registry as an operator uses it: from init to a cluster with its names, and what it says no to. */
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { acknowledge, fetchChanges, fetchCluster, fetchStatus } from "../../registry/client.ts";
import { runRegistry, startRegistryProcess, temporaryFolder } from "../support/registry.ts";
import type { Ended } from "../support/registry.ts";

const folder = await temporaryFolder(t);
const tokenFile = join(folder, "admin.token");
const data = join(folder, "store");
const store = { REGISTRY_DATA: data };

const made = await runRegistry(["init", "--data", data, "--token-file", tokenFile]);
const init = { made, tokenIs: await readFile(tokenFile, "utf8") };
const running = await startRegistryProcess(t, "127.83.2.1", store);
const admin = { REGISTRY_URL: running.url, REGISTRY_TOKEN_FILE: tokenFile };
const verb = async (words: string): Promise<Ended> => await runRegistry(words.split(" "), admin);
const json = async (words: string): Promise<Record<string, unknown>> => {
  const ended = await verb(`${words} --json`);
  return JSON.parse(ended.out) as Record<string, unknown>;
};

/** The cluster as the registry has it, without another process. */
const view = async () =>
  await fetchCluster({ url: running.url, token: () => init.tokenIs.trim() }, "mydb");

await t.test("init writes the first token once", async (t) => {
  const { made, tokenIs: token } = init;
  t.equal(made.code, 0, made.notes);
  t.equal((await stat(tokenFile)).mode & 0o777, 0o600);
  t.match(token, /^swy-admin-[\w-]{43}\n$/);
  t.notMatch(made.out + made.notes, token.trim());
  const other = join(folder, "other");
  const again = join(folder, "again.token");
  t.equal((await runRegistry(["init", "--data", other, "--token-file", again])).code, 0);
  const first = await readFile(again, "utf8");
  const cases = [
    {
      name: "again",
      words: ["--data", other, "--token-file", `${tokenFile}.2`],
      code: 3,
      says: /has an admin token already/,
    },
    {
      name: "over the file",
      words: ["--data", other, "--another-token", "--token-file", again],
      code: 3,
      says: /not overwritten/,
    },
    {
      name: "while it runs",
      words: ["--data", data, "--token-file", `${tokenFile}.2`],
      code: 75,
      says: /owned by process/,
    },
    { name: "without a file", words: ["--data", data], code: 64, says: /--token-file/ },
    {
      name: "without a store",
      words: ["--token-file", `${tokenFile}.2`],
      code: 78,
      says: /which store/,
    },
  ];
  for (const { name, words, code, says } of cases) {
    const ended = await runRegistry(["init", ...words]);
    t.equal(ended.code, code, `${name}: ${ended.notes}`);
    t.match(ended.notes, says, name);
  }
  t.equal(await readFile(again, "utf8"), first);
  await t.rejects(stat(`${tokenFile}.2`), { code: "ENOENT" }, "no file is left behind");
});

await t.test("a store has one owner", async (t) => {
  const second = await runRegistry(["start"], { ...store, REGISTRY_LISTEN: "127.83.2.2:8053" });
  t.equal(second.code, 75);
  t.match(second.notes, `process ${running.child.pid}`);
  const port = await runRegistry(["start", "--data", join(folder, "b")], {
    REGISTRY_LISTEN: "127.83.2.1:8053",
  });
  t.equal(port.code, 69);
  t.match(port.notes, /taken by another process/);
});

await t.test("clusters and members", async (t) => {
  const none = "cluster create mydb --source none";
  const made = await verb(`${none} --member dal-01=10.0.0.1 --member chi-02=[fd00::2]:6432`);
  t.equal(made.code, 0, made.notes);
  t.match(await json("reconcile mydb"), { cluster: "mydb", changed: Boolean });
  const shown = await json("cluster show mydb");
  t.match(shown, {
    members: [
      { name: "dal-01", ordinal: 1, address: "10.0.0.1", port: 5432 },
      { name: "chi-02", ordinal: 2, address: "fd00::2", port: 6432 },
    ],
  });
  const names = (shown["records"] as { fqdn: string; record_type: string }[]).map(
    (one) => `${one.fqdn} ${one.record_type}`,
  );
  t.ok(names.includes("mydb-1.mydb.temps.local A"));
  t.ok(names.includes("mydb-2.mydb.temps.local AAAA"));
  const screen = await verb("cluster show mydb");
  t.match(screen.out, /mydb-2\.mydb\.temps\.local/);

  t.equal((await verb("member add mydb nyc-03 --ordinal 3 --address 10.0.0.3")).code, 0);
  t.equal((await verb("member update mydb nyc-03 --port 6000")).code, 0);
  t.match(await view(), { members: { 2: { address: "10.0.0.3", port: 6000 } } });
  t.equal((await verb("member update mydb nyc-03 --address none --node app-09")).code, 0);
  t.match(await view(), { members: { 2: { address: null, node: "app-09" } } });
  t.equal((await verb("member remove mydb nyc-03")).code, 0);
  const probe = "cluster update mydb --source probe --user u --password-file /run/none --lag 1MB";
  t.equal((await verb(probe)).code, 0);
  t.equal((await verb("cluster update mydb --interval 2s")).code, 0);
  t.match(await view(), {
    source: { kind: "probe", user: "u", interval_ms: 2000 },
    lag_bytes: 1024 ** 2,
    members: { length: 2 },
  });
  t.match((await json("cluster list"))["clusters"], [{ name: "mydb" }]);
});

await t.test("nodes and the status", async (t) => {
  const file = join(folder, "app-01.token");
  const added = await verb(`node add app-01 --address 10.9.0.1 --token-file ${file}`);
  t.equal(added.code, 0, added.notes);
  t.equal((await stat(file)).mode & 0o777, 0o600);
  const token = (await readFile(file, "utf8")).trim();
  t.notMatch(added.out, token);
  const again = await verb(`node add app-01 --token-file ${file}.2`);
  t.equal(again.code, 3, again.notes);
  await t.rejects(stat(`${file}.2`), { code: "ENOENT" });

  const listed = (await json("node list"))["nodes"] as { id: number }[];
  t.match(listed, [{ name: "app-01", address: "10.9.0.1", health: "unknown" }]);
  const ill = await verb("status");
  t.equal(ill.code, 1, "a node that was never heard of is not well");
  t.match(ill.out, /app-01 is unknown/);
  const id = listed[0]?.id ?? 0;
  const target = { url: running.url, token: () => token };
  const { generation } = await fetchChanges(target, id, { since: 0 });
  await acknowledge(target, id, { applied_generation: generation });
  const unsure = await verb("cluster update mydb --source none");
  t.match(unsure, { code: 3, notes: /nobody finds the primary of mydb; --yes/ });
  t.match(await view(), { source: { kind: "probe" } });
  t.equal((await verb("cluster update mydb --source none --yes")).code, 0);
  await verb("reconcile mydb");
  t.match(
    await json("status"),
    {
      ...{ zone: "temps.local", store: "sqlite", reconciles: true, well: false },
      complaints: [/^mydb: no role source is set/],
    },
    "members that no role name leads to are not well",
  );
  t.match(await verb("node revoke app-01"), { code: 3, notes: /app-01 lives; --yes/ });
  const revoked = await verb("node revoke app-01 --yes");
  t.match(revoked, { code: 0, out: /is revoked/ });
  await t.rejects(fetchChanges(target, id, { since: 0 }), { code: "ERR_REGISTRY_DENIED" });
});

await t.test("what it says no to", async (t) => {
  const wrong = join(folder, "wrong.token");
  await writeFile(wrong, "swy-admin-none\n", { mode: 0o600 });
  const nowhere = { ...admin, REGISTRY_URL: "http://127.83.2.9:8053" };
  const cases = [
    {
      name: "a wrong token",
      words: "status",
      env: { ...admin, REGISTRY_TOKEN_FILE: wrong },
      code: 78,
      says: /admin token.*--token-file/,
    },
    {
      name: "no token",
      words: "status",
      env: { REGISTRY_URL: running.url },
      code: 78,
      says: /which admin token/,
    },
    { name: "no registry", words: "status", env: nowhere, code: 69, says: /127\.83\.2\.9:8053/ },
    {
      name: "a wrong URL",
      words: "status --url localhost:8053",
      env: admin,
      code: 64,
      says: /--url takes/,
    },
    {
      name: "an unknown variable",
      words: "status",
      env: { ...admin, REGISTRY_TOKN_FILE: "x" },
      code: 78,
      says: /REGISTRY_TOKEN_FILE/,
    },
    {
      name: "an unknown cluster",
      words: "cluster show mydc",
      env: admin,
      code: 64,
      says: /did you mean mydb/,
    },
    {
      name: "an unknown member",
      words: "member update mydb dal-1 --port 1",
      env: admin,
      code: 64,
      says: /did you mean dal-01/,
    },
    {
      name: "an unknown node",
      words: "node revoke app-1",
      env: admin,
      code: 64,
      says: /did you mean app-01/,
    },
    {
      name: "a taken name",
      words: "cluster create mydb --source none",
      env: admin,
      code: 3,
      says: /mydb/,
    },
    {
      name: "a bad address",
      words: "member add mydb x --ordinal 7 --address 1.2.3",
      env: admin,
      code: 64,
      says: /address: expected an IP/,
    },
    { name: "no yes", words: "cluster delete mydb", env: admin, code: 3, says: /--yes/ },
    {
      name: "half a verb",
      words: "node",
      env: admin,
      code: 64,
      says: /node add, node list, node revoke/,
    },
  ];
  // Side by side, since each is a process.
  const all = await Promise.all(cases.map(({ words, env }) => runRegistry(words.split(" "), env)));
  for (const [index, { name, code, says }] of cases.entries()) {
    const ended = all[index] ?? { code: null, notes: "" };
    t.equal(ended.code, code, `${name}: ${ended.notes}`);
    t.match(ended.notes.replaceAll("\n", " "), says, name);
  }
  const target = { url: running.url, token: () => "" };
  await t.rejects(fetchStatus(target), { code: "ERR_REGISTRY_DENIED" });
  t.equal((await verb("cluster delete mydb --yes")).code, 0);
  t.same((await json("cluster list"))["clusters"], []);
  t.match(await runRegistry(["--help"]), { code: 0, out: /node add/ });
});
