/**
 * Pitfalls on the way of the clients: routers, poolers and the member that should take no writes.
 * The numbers are those of pitfalls.ts.
 */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { inCheckout } from "../../../kit/checkout.ts";
import { runChild } from "../../../kit/child.ts";
import { eventually, systemClock } from "../../../kit/clock.ts";
import { connectRuntime, showInfo, showServers } from "../../../router/haproxy/runtime/client.ts";
import type { ServerView } from "../../../router/haproxy/runtime/servers.ts";
import type { HealthStatus } from "../../../sidecars/pg-health/contract.ts";
import { folderOf, handsOn, other, provesLossless, provesUnharmed, soon } from "./pitfall-hands.ts";
import { runtimeOf } from "../../support/first-router.ts";
import { pitfalls } from "./pitfalls.ts";

const hands = await handsOn(t);
const { lab } = hands;
const flip = ["flip-db", "--yes", "--json"] as const;

const runtime = connectRuntime(runtimeOf(lab.environment));
const hostOf = (name: string): string =>
  lab.json.members.find((one) => one.name === name)?.postgres.host ?? "";

/** What the router says of a member as the one for writes. */
async function serverOf(member: string): Promise<ServerView> {
  const all = await showServers(runtime);
  const found = all.find((one) => one.backend === "pg-primary" && one.server === member);
  if (found === undefined) throw new TypeError(`no server ${member}`);
  return found;
}

t.test("every pitfall has its tests, and every number is in the list", async (t) => {
  t.strictSame(
    pitfalls.map((one) => one.number),
    Array.from({ length: 29 }, (_, index) => index + 1),
  );
  for (const { number, title, files, limits } of pitfalls) {
    for (const file of files) {
      const text = await readFile(inCheckout(`test/${file}.ts`), "utf8");
      const named = new RegExp(`pitfall [^"\`]*\\b${number}\\b`);
      t.match(text, named, `${number}: ${title}: ${file}`);
    }
    if (limits !== undefined) t.comment(`${number}: ${limits}`);
  }
});

t.test(
  "pitfall 15, 17, 18: a flip leaves no override, and never takes to maint or maxconn",
  async (t) => {
    const before = await showInfo(runtime);
    const app = await hands.app(t);
    const forced = new Set<string>();
    const watch = { ended: false, looks: 0 };
    const watching = (async () => {
      while (!watch.ended) {
        for (const { backend, server, admin } of await showServers(runtime)) {
          for (const flag of admin) forced.add(`${backend}/${server} ${flag}`);
        }
        watch.looks += 1;
        await systemClock.sleep(3);
      }
    })();
    const run = await hands.ended(t, 0, ...flip);
    watch.ended = true;
    await watching;
    t.ok(watch.looks > 20, "it was looked at all the time");
    t.strictSame([...forced], [], "no server was in maint or drain at any look");
    const after = await showInfo(runtime);
    t.equal(after.pid, before.pid, "the worker has lived through it");
    t.match(run.report(), { mode: "seamless" });
    await provesUnharmed(t, app);
    // The one command that can abort an old HAProxy is made in one file alone, which knows since when.
    const users: string[] = [];
    for (const name of await readdir(inCheckout("router"), { recursive: true })) {
      if (!name.endsWith(".ts")) continue;
      const text = await readFile(inCheckout(`router/${name}`), "utf8");
      if (/maxconn frontend|setFrontendMaxConnections/.test(text)) users.push(name);
    }
    t.strictSame(users, ["haproxy/runtime/commands.ts"]);
  },
);

/** A libpq of its own, such as an app's: it follows target_session_attrs over the node poolers. */
async function throughPoolers(t: string, ...names: readonly string[]): Promise<string> {
  const { user, password, database } = lab.json;
  const poolers = names.map((name) => lab.json.members.find((one) => one.name === name)?.pooler);
  const uri = [
    `host=${poolers.map((one) => one?.host).join(",")}`,
    `port=${poolers.map((one) => one?.port).join(",")}`,
    `user=${user} dbname=${database} target_session_attrs=${t} connect_timeout=5`,
  ].join(" ");
  const { stdout } = await runChild("psql", ["-XAtq", uri, "-c", "SELECT pg_is_in_recovery()"], {
    deadlineMs: 15_000,
    env: { PGPASSWORD: password, PATH: process.env["PATH"] ?? "" },
  });
  return stdout.trim();
}

t.test("pitfall 20 and 21: no pooler sticks to what was before", async (t) => {
  const from = await hands.primary();
  const to = other(from);
  // Both node poolers have told a client what their Postgres is, and remember it.
  t.equal(await throughPoolers("read-write", from), "f");
  t.equal(await throughPoolers("standby", to), "t");
  const app = await hands.app(t);
  await hands.ended(t, 0, ...flip);
  t.equal(
    await throughPoolers("read-write", from, to),
    "f",
    "the old one does not pass for a primary",
  );
  t.equal(await throughPoolers("primary", from, to), "f");
  t.equal(await throughPoolers("standby", to, from), "t", "nor the new one for a standby");
  const late = await lab.connect(lab.json.edge);
  const { rows } = await late.query<{ host: string }>("SELECT host(inet_server_addr()) AS host");
  t.equal(rows[0]?.host, hostOf(to), "who comes now is at the right place");
  await app.progress(50);
  const { nodes } = app.workload.report();
  const [old, fresh] = [nodes[hostOf(from)], nodes[hostOf(to)]];
  t.ok((old?.lastAt ?? 0) < (fresh?.firstAt ?? 0), "nobody went back");
  await provesUnharmed(t, app);
});

t.test(
  "pitfall 22: a pooler that gives up on held clients stands in the way of a flip",
  async (t) => {
    const [edge] = lab.environment.edgePoolers;
    const console = await lab.connect(lab.json.edge, {
      config: {
        user: edge?.admin?.user ?? "",
        password: edge?.admin?.password.reveal() ?? "",
        database: "pgbouncer",
      },
    });
    await console.query("SET query_wait_timeout = 1");
    const run = await hands.ended(t, 3, "flip-db", "--yes");
    t.match(run.notes(), /query_wait_timeout is 1 s.*--accept-risk=pooler-settings/);
    await console.query("RELOAD");
    await hands.healthy();
  },
);

t.test("pitfall 28: a standby that is slow costs the primary nothing", async (t) => {
  const primary = await hands.primary();
  const app = await hands.app(t);
  const health = lab.json.members.find((one) => one.name === primary)?.health ?? "";
  const answers = new Set<number>();
  await lab.run("freeze", other(primary));
  await eventually("the standby is given up", soon, async () => {
    answers.add((await fetch(health)).status);
    const status = (await (await fetch(`${health}/status`)).json()) as HealthStatus;
    return status.peers.some((one) => one.state === "unreachable") ? true : undefined;
  });
  await app.progress(200);
  const { state, secondsSinceChange } = await serverOf(primary);
  answers.add((await fetch(health)).status);
  t.strictSame([...answers], [200], "pg-health said primary all the time");
  t.equal(state, "up");
  t.comment(`the primary has been up for ${secondsSinceChange} s`);
  await lab.run("thaw", other(primary));
  await provesUnharmed(t, app);
  await hands.healthy();
});

t.test("pitfall 13: a primary that falls silent does not keep its sessions for ever", async (t) => {
  const primary = await hands.primary();
  const client = await lab.connect(lab.json.write);
  await client.query("SELECT 1");
  const { promise: ended, resolve: onEnded } = Promise.withResolvers<void>();
  client.once("end", onEnded);
  await lab.run("cut", primary, "app-01");
  await eventually("the router has given it up", soon, async () =>
    (await serverOf(primary)).state === "down" ? true : undefined,
  );
  await ended;
  t.pass("the session was closed, though no packet came from the primary");
  await lab.run("heal", primary, "app-01");
  await hands.healthy();
  const again = await lab.connect(lab.json.write);
  t.equal((await again.query("SELECT 1")).rowCount, 1);
});

t.test("pitfall 9 and 10: an old primary that comes back is no primary for anybody", async (t) => {
  const from = await hands.primary();
  const to = other(from);
  const signal = join(folderOf(hands, from), "data", "standby.signal");
  const isStandby = async (): Promise<unknown> =>
    (await hands.sql(from, "SELECT pg_is_in_recovery() AS standby"))[0]?.["standby"];
  await lab.run("kill", `${from}/postgres`);
  await hands.ended(t, 0, "failover", "--yes", `--dead=${from}`);
  const app = await hands.app(t);
  await lab.run("start", `${from}/postgres`);
  t.equal(await isStandby(), true, "its supervisor gets a standby");
  await lab.run("kill", `${from}/postgres`);
  // Somebody is sure to know better.
  await rm(signal);
  await lab.run("start", `${from}/postgres`);
  await eventually("it is a primary once more", soon, async () =>
    (await isStandby()) === false ? true : undefined,
  );
  await hands.sql(from, "CREATE TABLE written_by_a_stale_one ()");
  const health = lab.json.members.find((one) => one.name === from)?.health ?? "";
  await eventually("pg-health has fenced it", soon, async () =>
    (await (await fetch(health)).text()).startsWith("fenced") ? true : undefined,
  );
  t.equal((await serverOf(from)).state, "down");
  await app.progress(100);
  t.strictSame(Object.keys(app.workload.report().nodes), [hostOf(to)], "writes went on elsewhere");
  const refused = await hands.ended(t, 3, "flip-db", "--yes", "--to", from);
  t.match(refused.notes(), /one member must take writes.*fence/);
  t.equal(await hands.recovery("topology").end(), 2, "two that write are unsafe");
  await lab.run("stop", `${from}/postgres`);
  t.strictSame(app.workload.report().failedIds, [], "no client has noticed");
  // It may have followed the new primary for a moment: then it wrote on that one's own timeline.
  const risks = ["divergence", "ahead"].map((one) => `--accept-risk=${one}`);
  await hands.ended(t, 0, "rebuild-standby", "--member", from, "--yes", ...risks);
  await provesLossless(t, app);
  await hands.healthy();
});

t.test("pitfall 11: an isolated primary is not failed over on a guess", async (t) => {
  const [from, to] = [await hands.primary(), other(await hands.primary())];
  for (const name of [from, to]) await hands.set(name, { wal_sender_timeout: "'2s'" });
  await lab.run("cut", from, to);
  await lab.run("cut", from, "app-01");
  await hands.sql(from, "CREATE TABLE alone AS SELECT 1 AS row");
  const early = await hands.ended(t, 3, "failover", "--yes");
  t.match(early.notes(), new RegExp(`${from} takes writes`));
  const blind = await hands.ended(t, 3, "flip-db", "--yes");
  t.match(blind.notes(), /refused|does not stream|H[0-9]+/);
  await lab.run("freeze", `${from}/postgres`);
  const unproven = await hands.ended(t, 3, "failover", "--yes");
  t.match(unproven.notes(), new RegExp(`Postgres on ${from} runs: .*fence ${from}`));
  await hands.ended(t, 3, "failover", "--yes", `--dead=${from}`);
  await lab.run("thaw", `${from}/postgres`);
  await hands.ended(t, 0, "fence", from, "--confirm", from, "--yes", "--reason", "it is cut off");
  const done = await hands.ended(t, 0, "failover", "--yes", "--json");
  t.match(done.report(), { kind: "failover", result: "done", to });
  t.match(done.report().loss, /^likely: .* bytes of WAL are lost$/, "what only it has is told");
  await lab.run("heal", from, to);
  await lab.run("heal", from, "app-01");
  await lab.run("start", `${from}/postgres`);
  const [row] = await hands.sql(from, "SELECT pg_is_in_recovery() AS standby");
  t.equal(row?.["standby"], true, "whoever starts it gets no second primary");
  const app = await hands.app(t);
  t.strictSame(Object.keys(app.workload.report().nodes), [hostOf(to)]);
  await app.workload.stop();
});
