/** A lab that pg_auto_failover runs: what up gives, what its parts do when they break, what down leaves. */
import { access, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../kit/clock.ts";
import { labDown } from "../../lab/down.ts";
import { processesOf, processesUnder } from "../../lab/driver/processes.ts";
import { parseLeftovers } from "../../lab/driver/leftovers.ts";
import type { LabModel } from "../../lab/model.ts";
import { labPlace } from "../../lab/place.ts";
import { readSecrets } from "../../lab/secrets.ts";
import { labFolder, modelOf, readState } from "../../lab/state.ts";
import { upHeldAt } from "../support/held-up.ts";
import { letsIn } from "../support/lab-checks.ts";
import { ask, stateOf } from "../support/lab-faults.ts";
import { withLab } from "../support/lab.ts";
import type { TestLab } from "../support/lab.ts";

const place = await labPlace();
const root = process.getuid?.() === 0;
const soon = { deadlineMs: 90_000, intervalMs: 100 };

/** A connection to the monitor of a lab. */
async function monitorOf(t: Test, lab: TestLab): Promise<Client> {
  const { superuser } = await readSecrets(lab.model.folder);
  const { monitor } = lab.json;
  if (monitor === null) throw new TypeError("the lab has no monitor");
  const login = { user: "postgres", password: superuser.reveal(), database: "pg_auto_failover" };
  const client = new Client({ ...monitor.address, ...login, query_timeout: 10_000 });
  client.on("error", () => undefined);
  t.teardown(() => client.end());
  await client.connect();
  return client;
}

/** Every node as the monitor has it: `dal-01 primary`, or `dal-01 wait_primary -> primary` on its way. */
async function nodesOf(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ node: string }>(
    `SELECT concat(nodename, ' ', reportedstate,
              CASE WHEN goalstate <> reportedstate THEN concat(' -> ', goalstate) END) AS node
       FROM pgautofailover.node ORDER BY nodeid`,
  );
  return rows.map(({ node }) => node);
}

/** Every node that has not told the monitor since `from` that it runs, and does not look well to it. */
async function unheardOf(client: Client, from: Date): Promise<string[]> {
  const { rows } = await client.query<{ nodename: string }>(
    `SELECT nodename FROM pgautofailover.node
      WHERE reporttime <= $1 OR NOT reportedpgisrunning OR health <> 1`,
    [from],
  );
  return rows.map(({ nodename }) => nodename);
}

/**
 * Waits until the nodes are what is wanted, on the way to nothing else, and each has said so after
 * this call: before that the monitor tells what was, not what is.
 */
async function settles(client: Client, want: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ from: Date }>("SELECT clock_timestamp() AS from");
  const from = rows[0]?.from;
  if (from === undefined) throw new TypeError("the monitor told no time");
  await eventually(want.join(", "), soon, async () => {
    const [nodes, unheard] = [await nodesOf(client), await unheardOf(client, from)];
    if (nodes.join() === want.join() && unheard.length === 0) return true;
    throw new Error(`the monitor says ${nodes.join(", ")}; not heard of: ${unheard.join(", ")}`);
  });
}

/** What is left of a lab: processes, files, and what the kernel keeps for killed programs. */
async function remains(name: string, model: LabModel): Promise<string[]> {
  const folder = labFolder(place, name);
  const file = join(place.configFolder, `${name}.yml`);
  const isThere = async (path: string): Promise<string[]> =>
    await access(path).then(
      () => [path],
      () => [],
    );
  const gids = new Set(model.parts.map(({ gid }) => gid));
  const shared = async (kind: string): Promise<string[]> => {
    const rows = parseLeftovers(await readFile(`/proc/sysvipc/${kind}`, "latin1"));
    return rows.filter(({ gid }) => gids.has(gid)).map(({ id }) => `${kind} ${id}`);
  };
  const files = (await readdir("/dev/shm")).map(async (one) => {
    const facts = await stat(join("/dev/shm", one)).catch(() => undefined);
    return facts !== undefined && gids.has(facts.gid) ? [one] : [];
  });
  const running = [...processesOf(model.parts).values(), processesUnder(folder)].flat();
  return [
    ...running.map(({ pid }) => `process ${pid}`),
    ...(await Promise.all([folder, file].map(isThere))).flat(),
    ...(root ? [...(await shared("shm")), ...(await shared("sem"))] : []),
    ...(root ? (await Promise.all(files)).flat() : []),
  ];
}

t.test("a monitor and its nodes, for real", async (t) => {
  const lab = await withLab(t, { cluster: "pg_auto_failover", sharedBuffers: "48MB" });
  const monitor = await monitorOf(t, lab);
  await settles(monitor, ["dal-01 primary", "chi-02 secondary"]);
  await letsIn(t, lab.json);

  await t.test("nothing is made fast by being unsafe, and nobody gets in by trust", async (t) => {
    const want = "on on on on 16MB 48MB scram-sha-256";
    const names = "fsync full_page_writes synchronous_commit data_checksums wal_segment_size";
    const settings = `${names} shared_buffers password_encryption`.split(" ");
    const words = settings.map((one) => `current_setting('${one}')`).join(" || ' ' || ");
    for (const { postgres } of lab.json.members) {
      const client = await lab.connect(postgres, { as: "superuser", database: "postgres" });
      t.equal(await ask(client, `SELECT ${words}`), want);
      const methods = "SELECT string_agg(DISTINCT auth_method, ' ') FROM pg_hba_file_rules";
      t.equal(await ask(client, methods), "scram-sha-256");
    }
    const methods = "SELECT string_agg(DISTINCT auth_method, ' ') FROM pg_hba_file_rules";
    t.equal(await ask(monitor, methods), "scram-sha-256", "the monitor's too");
    t.equal(await ask(monitor, "SELECT current_setting('ssl')"), "on");
  });

  await t.test("programs run as the lab's user, and no word of theirs is a password", async (t) => {
    const kinds = ["postgres", "monitor"];
    const parts = lab.model.parts.filter(({ kind }) => kinds.includes(kind));
    const secrets = Object.values(await readSecrets(lab.model.folder)).map((one) => one.reveal());
    for (const { pid } of [...processesOf(parts).values()].flat()) {
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
      t.notMatch(status, /^Uid:\s+0\b/m);
      const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
      t.notOk(secrets.some((one) => words.includes(one)));
    }
  });

  await t.test("stop takes keeper and Postgres together, and start brings both back", async (t) => {
    await lab.run("stop", "chi-02/postgres");
    t.equal(await stateOf(lab, "chi-02/postgres"), "stopped");
    t.equal(processesOf([lab.part("chi-02/postgres")]).get("chi-02/postgres")?.length, 0);
    await lab.run("start", "chi-02/postgres");
    t.equal(await stateOf(lab, "chi-02/postgres"), "running");
    await settles(monitor, ["dal-01 primary", "chi-02 secondary"]);
  });

  await t.test(
    "after a kill of the primary the monitor moves on, and the old one follows",
    async (t) => {
      // Its own patience is half a minute and more; what is shown here is who does what. With much less
      // it counts the one that is to move up as lost, too, on a busy machine.
      for (const [name, value] of [
        ["health_check_period", "500ms"],
        ["health_check_max_retries", "2"],
        ["node_considered_unhealthy_timeout", "5s"],
        ["startup_grace_period", "1s"],
        ["primary_demote_timeout", "2s"],
      ] as const) {
        await monitor.query(`ALTER SYSTEM SET pgautofailover.${name} = '${value}'`);
      }
      await monitor.query("SELECT pg_reload_conf()");
      await settles(monitor, ["dal-01 primary", "chi-02 secondary"]);
      await lab.run("kill", "dal-01/postgres");
      t.equal(await stateOf(lab, "dal-01/postgres"), "crashed");
      await eventually("chi-02 takes writes", soon, async () => {
        const nodes = await nodesOf(monitor);
        if (nodes.some((node) => node.startsWith("chi-02 wait_primary"))) return true;
        throw new Error(`the monitor says ${nodes.join(", ")}`);
      });
      await lab.run("start", "dal-01/postgres");
      await settles(monitor, ["dal-01 secondary", "chi-02 primary"]);
      const client = await lab.connect(lab.json.edge);
      t.equal(await ask(client, "SELECT current_setting('cluster_name')"), "chi-02");
    },
  );

  await t.test("down leaves nothing", async (t) => {
    const { name, model } = lab;
    await lab.run("kill", "mon-01/monitor");
    await labDown(place, name);
    t.strictSame(await remains(name, model), []);
  });
});

t.test("an up that is killed while the monitor is made leaves nothing after down", async (t) => {
  const name = `t${process.pid}-990`;
  t.teardown(() => labDown(place, name));
  const up = await upHeldAt(t, "primary runs", ["--name", name, "--cluster", "pg_auto_failover"]);
  await up.end("SIGKILL");
  const state = await readState(place, name);
  if (state === undefined) throw new TypeError("the lab wrote no state");
  const model = modelOf(place, state);
  t.not((await remains(name, model)).length, 0);
  await labDown(place, name);
  t.strictSame(await remains(name, model), []);
});
