/**
 * fence and unfence on a real cluster with two app hosts: nothing is written after a fence, no
 * restart and no reload brings the member back, and an unfence undoes it unless somebody else writes.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { inCheckout } from "../../../kit/checkout.ts";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import { lookAtCluster } from "../../../router/cluster/observe.ts";
import { masterOf } from "../../support/first-router.ts";
import { reloadThroughMaster } from "../../../router/haproxy/runtime/master.ts";
import { signalOne } from "../../support/kill-process.ts";
import { makePatient, withLab } from "../../support/lab.ts";
import type { TestLab } from "../../support/lab.ts";

const patience = { deadlineMs: 60_000, intervalMs: 50 };
const everyCode = Array.from({ length: 256 }, (_, code) => code);

interface Hands {
  readonly lab: TestLab;
  readonly state: string;
}

async function tool({ lab, state }: Hands, program: string, ...words: string[]) {
  return await runChild(inCheckout(`bin/${program}`), [lab.name, ...words], {
    deadlineMs: 60_000,
    accept: everyCode,
    env: { PATH: process.env["PATH"] ?? "", XDG_STATE_HOME: state },
  });
}

const recovery = (hands: Hands, ...words: string[]) => tool(hands, "recovery", ...words);

/** Over a session that stays open. */
async function askOpen(lab: TestLab, member: string, query: string): Promise<unknown> {
  return (await askOver(lab, member, query)).value;
}

async function ask(lab: TestLab, member: string, query: string): Promise<unknown> {
  const { client, value } = await askOver(lab, member, query);
  await client.end();
  return value;
}

async function askOver(lab: TestLab, member: string, query: string) {
  const address = lab.environment.members.find((one) => one.name === member)?.postgres;
  if (address === undefined) throw new Error(`no member ${member}`);
  const client = await lab.connect(address, { as: "superuser" });
  const { rows } = await client.query<Record<string, unknown>>(query);
  return { client, value: Object.values(rows[0] ?? {})[0] };
}

/** How the three servers of a member stand on a router, as `show servers` has them. */
async function standing(lab: TestLab, router: string, member: string): Promise<string[]> {
  return await eventually(`an answer of ${router}`, patience, async () => {
    const { view } = await lookAtCluster(lab.environment);
    const { runtime } = view.routers.find((one) => one.name === router) ?? {};
    if (runtime?.state !== "known") return undefined;
    return runtime.value.servers
      .filter((one) => [member, `primary.${member}`].includes(one.server))
      .map((one) => `${one.backend}/${one.server} ${one.status.replace(/ .*$/, "")}`);
  });
}

const allMaint = (member: string): string[] => [
  `pg-primary/${member} MAINT`,
  `pg-replica/${member} MAINT`,
  `pg-replica/primary.${member} MAINT`,
];

const untilStanding = (lab: TestLab, router: string, member: string, want: RegExp): Promise<true> =>
  eventually(`${member} on ${router}`, patience, async () =>
    want.test((await standing(lab, router, member)).join(", ")) ? true : undefined,
  );

const routerFile = (lab: TestLab, app: string): Promise<string> =>
  readFile(join(lab.part(`${app}/router`).folder, "haproxy.cfg"), "utf8");

async function untilHealthy(lab: TestLab): Promise<void> {
  let last = "";
  await eventually("a healthy cluster", patience, async () => {
    const { verdict } = await lookAtCluster(lab.environment);
    last = verdict.reasons.join("; ");
    return verdict.level === "healthy" ? true : undefined;
  }).catch((cause: unknown) => {
    throw new Error(last, { cause });
  });
}

/** Inserts through every app host, one after the other, until its end; counts what was acknowledged. */
function writer(lab: TestLab) {
  const acknowledged: number[] = [];
  const state = { ended: false, next: 0 };
  const work = lab.model.apps.map(async ({ write }) => {
    while (!state.ended) {
      const config = { connectionTimeoutMillis: 500, query_timeout: 2000 };
      const client = lab.client(write, { config });
      try {
        await client.connect();
        while (!state.ended) {
          state.next += 1;
          const id = state.next;
          await client.query("INSERT INTO fence_rows VALUES ($1)", [id]);
          acknowledged.push(id);
        }
      } catch {
        // The connection was closed, or none could be had: the next one.
      }
      await client.end().catch(() => undefined);
    }
  });
  return {
    acknowledged,
    end: async () => {
      state.ended = true;
      await Promise.all(work);
    },
  };
}

t.test("fence and unfence", async (t) => {
  const lab = await withLab(t, { appHosts: 2 });
  await makePatient(lab);
  const state = await mkdtemp(join(tmpdir(), "switchyard-fence-"));
  t.teardown(() => rm(state, { recursive: true, force: true }));
  const hands: Hands = { lab, state };
  const acknowledged: number[] = [];
  const file = join(lab.configFolder, `${lab.name}.yml`);
  const database = await lab.connect(lab.environment.members[0]?.postgres ?? { host: "", port: 0 });
  await database.query("CREATE TABLE fence_rows (id bigint PRIMARY KEY)");
  await database.end();

  await t.test("the primary under load: nothing is acknowledged after the fence", async (t) => {
    const load = writer(lab);
    await eventually("rows", patience, () => (load.acknowledged.length > 20 ? true : undefined));
    const unasked = await recovery(hands, "fence", "dal-01", "--yes");
    t.equal(unasked.code, 3, "to end all writes it wants the name");
    t.match(
      unasked.stderr,
      /dal-01 is the primary; fencing it ends all writes until another member is promoted: --confirm/,
    );
    const fenced = await recovery(
      hands,
      "fence",
      "dal-01",
      "--confirm",
      "dal-01",
      "--reason",
      "a test",
      "--json",
    );
    t.equal(fenced.code, 0, fenced.stderr);
    const last = load.acknowledged.length;
    const lines = fenced.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    t.match(lines.at(-1), {
      event: "report",
      command: "fence",
      result: "done",
      proven: true,
      control: { state: "shut down", timeline: 1 },
      problems: [],
      next: null,
    });
    for (const app of ["app-01", "app-02"]) {
      t.same(await standing(lab, app, "dal-01"), allMaint("dal-01"));
      t.match(
        await routerFile(lab, app),
        /# fenced: dal-01 at \S+ by \S+: a test\n {2}server dal-01 .* disabled\n/,
      );
    }
    await load.end();
    t.equal(load.acknowledged.length, last, "no write after");
    const again = await recovery(hands, "fence", "dal-01", "--yes", "--json");
    t.match(JSON.parse(again.stdout.trim().split("\n").at(-1) ?? ""), {
      result: "nothing",
      proven: true,
    });
    const { findings } = await lookAtCluster(lab.environment);
    const codes = findings.map((one) => one.code);
    t.ok(codes.includes("member-fenced"));
    t.notOk(codes.includes("router-config-drift") || codes.includes("server-forced"));
    acknowledged.push(...load.acknowledged);
  });

  await t.test("pitfall 10: no restart and no reload brings it back; apply keeps it", async (t) => {
    await lab.run("start", "dal-01/postgres");
    t.equal(await ask(lab, "dal-01", "SELECT pg_is_in_recovery()"), true, "it came up read-only");
    const { view } = await lookAtCluster(lab.environment);
    const seen = view.members.find((one) => one.name === "dal-01")?.postgres;
    t.match(seen, { state: "known", value: { role: "standby", signature: "fence" } });
    const reloaded = await reloadThroughMaster(masterOf(lab.environment), { deadlineMs: 20_000 });
    t.ok(reloaded.ok, reloaded.log);
    await untilStanding(
      lab,
      "app-01",
      "dal-01",
      /^pg-primary\/dal-01 MAINT.*, pg-replica\/dal-01 MAINT.*, .* MAINT/,
    );
    await lab.run("stop", "app-02/router");
    await lab.run("start", "app-02/router");
    await untilStanding(
      lab,
      "app-02",
      "dal-01",
      /^pg-primary\/dal-01 MAINT.*, pg-replica\/dal-01 MAINT.*, .* MAINT/,
    );
    const before = await readFile(file, "utf8");
    await writeFile(file, before.replace("haproxy:\n", "haproxy:\n  hardStopAfter: 29m\n"));
    const applied = await tool(hands, "router", "apply", "--yes");
    t.equal(applied.code, 0, applied.stderr);
    for (const app of ["app-01", "app-02"]) {
      const text = await routerFile(lab, app);
      t.match(text, /hard-stop-after 1740000ms/);
      t.match(text, /# fenced: dal-01 .*\n {2}server dal-01 .* disabled\n/);
      await untilStanding(
        lab,
        app,
        "dal-01",
        /^pg-primary\/dal-01 MAINT.*, pg-replica\/dal-01 MAINT.*, .* MAINT/,
      );
    }
    t.equal((await tool(hands, "router", "diff")).code, 0);
    t.match(
      (await tool(hands, "router", "render", "--router", "app-01")).stdout,
      /# fenced: dal-01/,
    );
    await writeFile(file, before);
    t.equal((await tool(hands, "router", "apply", "--yes")).code, 0);
  });

  await t.test("unfence: the primary is back, with every row", async (t) => {
    const back = await recovery(hands, "unfence", "dal-01", "--yes");
    t.equal(back.code, 0, back.stderr);
    await untilHealthy(lab);
    t.notMatch(await routerFile(lab, "app-01"), /fenced|disabled/);
    t.equal((await tool(hands, "router", "diff")).code, 0, "nothing of it is left");
    const client = await lab.connect(lab.json.write);
    const found = await client.query("SELECT count(*) FROM fence_rows WHERE id = ANY ($1)", [
      acknowledged,
    ]);
    t.equal(Number(found.rows[0].count), acknowledged.length, "no acknowledged row is lost");
    await client.query("INSERT INTO fence_rows VALUES (-1)");
  });

  await t.test("killed on the way, it is run again", async (t) => {
    // A session that cannot end: the fence is not over before it was killed, however late that is.
    const backend = Number(await askOpen(lab, "dal-01", "SELECT pg_backend_pid()"));
    signalOne(backend, "SIGSTOP");
    const args = [lab.name, "fence", "dal-01", "--confirm", "dal-01", "--json"];
    const env = { PATH: process.env["PATH"] ?? "", XDG_STATE_HOME: state };
    const child = spawn(inCheckout("bin/recovery"), args, {
      env,
      stdio: ["ignore", "pipe", "ignore"],
    });
    for await (const line of createInterface({ input: child.stdout })) {
      const { step, phase } = JSON.parse(line) as { step?: string; phase?: string };
      if (step === "take-down" && phase === "start") child.kill("SIGKILL");
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    t.equal(child.signalCode, "SIGKILL");
    signalOne(backend, "SIGCONT");
    t.equal((await recovery(hands, "fence", "dal-01", "--confirm", "dal-01")).code, 0);
    t.same(await standing(lab, "app-02", "dal-01"), allMaint("dal-01"));
    t.equal((await recovery(hands, "unfence", "dal-01", "--yes")).code, 0);
    await untilHealthy(lab);
  });

  await t.test(
    "a standby; a router that is away and a host that does not answer are said",
    async (t) => {
      await lab.run("stop", "app-02/router");
      const text = await readFile(file, "utf8");
      const mute = text.replace(
        /(name: chi-02\n(?:.*\n)*?)( {4}control:\n)/,
        "$1$2      shell: [/bin/false]\n",
      );
      t.not(mute, text);
      await writeFile(file, mute);
      const half = await recovery(hands, "fence", "chi-02", "--yes");
      t.equal(half.code, 1);
      t.match(half.stdout, /chi-02 is NOT fenced in every part:/);
      t.match(half.stdout, /arm: .*chi-02/);
      t.match(half.stdout, /take-down: .*app-02/);
      t.match(half.stdout, /prove: nothing is known of the host of chi-02/);
      t.same(
        await standing(lab, "app-01", "chi-02"),
        allMaint("chi-02"),
        "routers are told all the same",
      );
      await writeFile(file, text);
      await lab.run("start", "app-02/router");
      await untilStanding(lab, "app-02", "chi-02", /MAINT/);
      const whole = await recovery(hands, "fence", "chi-02", "--yes");
      t.equal(whole.code, 0, whole.stdout);
      t.same(await standing(lab, "app-02", "chi-02"), allMaint("chi-02"));
      t.equal(
        await ask(lab, "dal-01", "SELECT pg_is_in_recovery()"),
        false,
        "the primary serves on",
      );
      const back = await recovery(hands, "unfence", "chi-02", "--yes");
      t.equal(back.code, 0, back.stdout);
      await untilHealthy(lab);
      t.equal(await ask(lab, "chi-02", "SELECT pg_is_in_recovery()"), true, "a standby again");
    },
  );

  await t.test(
    "two primaries: one is fenced, writes flow to the other, unfence refuses",
    async (t) => {
      await ask(lab, "chi-02", "SELECT pg_promote(true)");
      const fenced = await recovery(hands, "fence", "dal-01", "--yes");
      t.equal(fenced.code, 0, "another takes writes, so --yes is enough");
      const { host } = lab.environment.members[1]?.postgres ?? { host: "" };
      for (const [index, { write }] of lab.model.apps.entries()) {
        const client = await lab.connect(write);
        const { rows } = await client.query(
          "INSERT INTO fence_rows VALUES ($1) RETURNING host(inet_server_addr()) AS host",
          [-10 - index],
        );
        t.equal(rows[0].host, host, "writes flow to the other");
      }
      const refused = await recovery(hands, "unfence", "dal-01", "--yes");
      t.equal(refused.code, 3);
      t.match(refused.stderr, /chi-02 is a primary.*rebuild-standby --member dal-01/);
      await lab.run("start", "dal-01/postgres");
      t.equal(await ask(lab, "dal-01", "SELECT pg_is_in_recovery()"), true);
      t.equal(
        (await recovery(hands, "unfence", "dal-01", "--yes")).code,
        3,
        "running read-only, too",
      );
      t.same(await standing(lab, "app-01", "dal-01"), allMaint("dal-01"));
    },
  );
});
