/** Two registry processes on one PostgreSQL: they wake each other, and one of them looks at the roles. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { eventually, systemClock } from "../../kit/clock.ts";
import { formatHash, hashOf } from "../../kit/zone-hash.ts";
import { createCluster, putRecords, revokeNode } from "../../registry/admin.ts";
import {
  acknowledge,
  fetchChanges,
  fetchCluster,
  fetchNodes,
  fetchStatus,
  reconcile,
} from "../../registry/client.ts";
import type { RegistryTarget } from "../../registry/client.ts";
import { ask } from "../support/health-process.ts";
import { RealPostgres, superuser } from "../support/real-postgres.ts";
import {
  initRegistry,
  launchRegistry,
  nodeOf,
  runRegistry,
  startRegistryProcess,
  temporaryFolder,
} from "../support/registry.ts";

const soon = { deadlineMs: 30_000, intervalMs: 20 };
const postgres = await RealPostgres.create(t, "127.83.1.1");
const folder = await temporaryFolder(t);
const { user, password } = superuser;
const variables = { DATABASE_URL: `postgres://${user}:${password}@127.83.1.1:5432/postgres` };

const token = await initRegistry(folder, variables);
const hosts = ["127.83.1.2", "127.83.1.3"] as const;
const [one, other] = await Promise.all(
  hosts.map((host) => startRegistryProcess(t, host, variables)),
);
if (one === undefined || other === undefined) throw new Error("two were started");
const admins: readonly RegistryTarget[] = [one, other].map(({ url }) => ({
  url,
  token: () => token,
}));
const [here, there] = admins as [RegistryTarget, RegistryTarget];
const owner = { kind: "static", id: 1 } as const;
const record = (name: string) => ({
  fqdn: `${name}.temps.local`,
  record_type: "A" as const,
  target_ip: "10.0.0.1",
});

await t.test("a database that is named wrongly, or together with a folder", async (t) => {
  const both = await runRegistry(["start", "--data", `${folder}/x`], variables);
  t.equal(both.code, 78);
  t.match(both.notes, /name one of them/);
  const url = `postgres://nobody:a-secret@127.83.1.1:5432/postgres`;
  const wrong = await runRegistry(["start"], {
    DATABASE_URL: url,
    REGISTRY_LISTEN: "127.83.1.9:8053",
  });
  t.equal(wrong.code, 69, wrong.notes);
  t.notMatch(wrong.notes + wrong.out, /a-secret/);
});

await t.test("what is changed through one is told by the other", async (t) => {
  const { id, target } = await nodeOf(here, "app-01");
  const atOther = { url: there.url, token: target.token };
  const { generation, epoch } = await fetchChanges(atOther, id, { since: 0 });
  const poll = fetchChanges(atOther, id, { since: generation, epoch, waitS: 50 });
  await eventually("the poll is held", soon, async () => {
    const { text } = await ask(other.address, "/metrics");
    return text.includes("switchyard_registry_polls_held 1") ? true : undefined;
  });
  const putAt = systemClock.monotonic();
  await putRecords(here, owner, [record("a")]);
  const told = await poll;
  t.match(told, { generation: generation + 1, records: [{ fqdn: "a.temps.local" }] });
  t.comment(`woken across processes in ${Math.round(systemClock.monotonic() - putAt)} ms`);

  // Only a node that was heard of is waited for.
  await acknowledge(atOther, id, { applied_generation: generation });
  const waiting = fetchNodes(here, { generation: told.generation, waitS: 40 });
  await acknowledge(atOther, id, { applied_generation: told.generation });
  t.match((await waiting).nodes, [{ applied_generation: told.generation }]);

  const last = fetchChanges(atOther, id, { since: told.generation, epoch, waitS: 50 });
  const ended = t.rejects(last, { code: "ERR_REGISTRY_DENIED" });
  await revokeNode(here, id);
  await ended;
});

await t.test("an agent that follows one has all that both write", async (t) => {
  const { id, target } = await nodeOf(here, "app-02");
  const atOther = { url: there.url, token: target.token };
  let had = await fetchChanges(atOther, id, { since: 0 });
  const zone = new Map(had.records.map((one) => [one.id, one]));
  const writesEach = 20;
  const last = had.generation + 2 * writesEach;
  const write = async (by: RegistryTarget, kind: "static" | "deployment"): Promise<void> => {
    for (let round = 1; round <= writesEach; round += 1) {
      const names = [`${kind}-${round}`, `${kind}-${round % 3}`, `${kind}-stays`];
      const put = await putRecords(by, { kind, id: 7 }, [...new Set(names)].map(record));
      if (round % 5 > 0) continue;
      // However slow the agent is, it follows in several steps.
      await eventually("it has followed", soon, () =>
        had.generation >= put.generation ? true : undefined,
      );
    }
  };
  const writing = Promise.all([write(here, "static"), write(there, "deployment")]);
  let steps = 0;
  while (had.generation < last) {
    const { generation: since, epoch } = had;
    had = await fetchChanges(atOther, id, { since, epoch, hash: had.zone_hash, waitS: 20 });
    if (had.full_snapshot) zone.clear();
    for (const one of had.records) zone.set(one.id, one);
    for (const gone of had.removed_ids) zone.delete(gone);
    steps += 1;
    t.equal(had.zone_hash, formatHash(hashOf(zone.values())), `at generation ${had.generation}`);
  }
  await writing;
  t.ok(steps >= writesEach / 5, `in ${steps} steps`);
  t.equal((await fetchStatus(here)).zone_hash, had.zone_hash);
});

await t.test("the primary is removed only when that is meant", async (t) => {
  const password_file = join(folder, "probe.pw");
  await writeFile(password_file, password, { mode: 0o600 });
  const source = {
    ...({ kind: "probe", user, password_file, interval_ms: 1000 } as const),
    ...({ database: "postgres", tls: "disable" } as const),
  };
  const members = [{ name: "dal-01", ordinal: 1, address: "127.83.1.1" }];
  await createCluster(here, { name: "real", source, members });
  const { primary } = await eventually("a look that finds it", soon, async () => {
    const { roles } = await reconcile(here, "real");
    if (roles.outcome === "published") return roles;
    throw new Error(`it came to ${JSON.stringify(roles)}`);
  });
  t.equal(primary, "dal-01");
  const tokenFile = join(folder, "admin.token");
  const env = { REGISTRY_URL: one.url, REGISTRY_TOKEN_FILE: tokenFile };
  const remove = ["member", "remove", "real", "dal-01"];
  const unsure = await runRegistry(remove, env);
  t.match(unsure, { code: 3, notes: /dal-01 is the primary of real; --yes/ });
  t.match(await fetchCluster(here, "real"), { members: [{ name: "dal-01" }] });
  t.match(await runRegistry([...remove, "--yes"], env), { code: 0, out: /is gone/ });
  // A look takes its role's names away, so that nothing is left to change behind the next test.
  t.match((await reconcile(here, "real")).roles, { primary: null });
});

await t.test("one looks at the roles; when it is killed, the other does", async (t) => {
  const source = { kind: "none" } as const;
  const members = [{ name: "dal-01", ordinal: 1, address: "10.1.0.1" }];
  await createCluster(here, { name: "mydb", source, members });
  // Whichever looks, both are answered.
  for (const target of admins) {
    const reply = await reconcile(target, "mydb");
    t.equal(reply.generation, (await fetchStatus(target)).generation);
  }
  const { records } = await fetchCluster(there, "mydb");
  t.match(records[0], { fqdn: "mydb-1.mydb.temps.local", target_ip: "10.1.0.1" });
  const leads = await eventually("one has the lead", soon, async () => {
    const both = admins.map(async (target) => (await fetchStatus(target)).reconciles);
    const seen = await Promise.all(both);
    if (seen.includes(true)) return seen;
    throw new Error("none has");
  });
  t.same(leads.toSorted(), [false, true]);
  const [leader, left] = leads[0] === true ? [one, there] : [other, here];
  const killedAt = systemClock.monotonic();
  await leader.kill();
  t.match(await reconcile(left, "mydb"), { changed: false }, "also who asks while nobody looks");
  t.comment(`the work moved in ${Math.round(systemClock.monotonic() - killedAt)} ms`);
  t.equal((await fetchStatus(left)).reconciles, true);
});

await t.test("it waits for a database that is away, and is not ready meanwhile", async (t) => {
  await postgres.stop();
  const waiting = launchRegistry(t, "127.83.1.4", variables);
  await eventually("it lives", soon, async () =>
    (await ask(waiting.address, "/livez")).status === 200 ? true : undefined,
  );
  t.equal((await ask(waiting.address, "/readyz")).status, 503);
  t.equal((await ask(waiting.address, "/api/status")).status, 503);
  await postgres.start();
  await eventually("it is ready", soon, async () =>
    (await ask(waiting.address, "/readyz")).status === 200 ? true : undefined,
  );
  t.equal((await fetchStatus({ url: waiting.url, token: () => token })).store, "postgres");
  t.equal(await waiting.stop(), 0);
});
