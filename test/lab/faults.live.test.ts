/** A lab broken on purpose: parts stopped, killed, frozen, and cut off from each other. */
import { access, cp, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Client } from "pg";
import { inCheckout } from "../../kit/checkout.ts";
import { runChild } from "../../kit/child.ts";
import type { ChildResult } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import { chainName, tableName } from "../../lab/driver/packet-rules.ts";
import { labPlace } from "../../lab/place.ts";
import { processesOf, processesUnder } from "../../lab/driver/processes.ts";
import type { LabSummary } from "../../lab/summary.ts";
import { withLab } from "../support/lab.ts";
import type { TestLab } from "../support/lab.ts";

const soon = { deadlineMs: 20_000, intervalMs: 50 };
const checkout = inCheckout("");
const root = process.getuid?.() === 0;

async function stateOf(lab: TestLab, part: string): Promise<string> {
  return (await lab.status()).find((one) => one.part === part)?.state ?? "no such part";
}

/** What pg-health of a member answers to GET /. */
async function healthOf(lab: TestLab, member: string): Promise<string> {
  const url = lab.json.members.find((one) => one.name === member)?.health ?? "";
  const response = await fetch(url).catch(() => undefined);
  return response === undefined
    ? "nothing"
    : `${response.status} ${(await response.text()).trim()}`;
}

async function ask(client: Client, sql: string): Promise<string> {
  const { rows } = await client.query<{ value: string | null }>(`SELECT (${sql})::text AS value`);
  return rows[0]?.value ?? "null";
}

/** Packets that a cut has swallowed so far, in each of its rules, by the rule's destination. */
async function lost(lab: TestLab, one: string, other: string): Promise<Map<string, number>> {
  const words = ["list", "chain", "ip", tableName(lab.name), chainName(one, other)];
  const { stdout } = await runChild("/usr/sbin/nft", words, { deadlineMs: 5000 });
  const rules = stdout.matchAll(/^\s*(.*) counter packets ([0-9]+)/gm);
  return new Map([...rules].map((match) => [match[1] ?? "", Number(match[2])]));
}

t.test("stop, kill, start, freeze, thaw", async (t) => {
  const lab = await withLab(t);
  const standby = lab.part("chi-02/postgres");
  const count = (part: string): number =>
    processesOf([lab.part(part)]).get(lab.part(part).name)?.length ?? 0;

  await t.test("stop is clean, and start takes the data as it lies", async (t) => {
    const primary = await lab.connect(lab.json.write);
    await primary.query("CREATE TABLE kept AS SELECT 1 AS value");
    await lab.run("stop", "dal-01");
    t.equal(await stateOf(lab, "dal-01/postgres"), "stopped");
    t.equal(count("dal-01/postgres") + count("dal-01/pooler") + count("dal-01/health"), 0);
    await lab.run("stop", "dal-01/postgres");
    await lab.run("start", "dal-01");
    t.equal(await stateOf(lab, "dal-01/postgres"), "running");
    const again = await lab.connect(lab.json.write);
    t.equal(await ask(again, "SELECT value FROM kept"), "1");
    t.equal(await ask(again, "SELECT pg_is_in_recovery()"), "false", "it is still the primary");
  });

  await t.test("kill takes every process at once, and is told from a stop", async (t) => {
    t.ok(count("chi-02/postgres") > 3, "a Postgres is many processes");
    await lab.run("kill", "chi-02/postgres");
    t.equal(count("chi-02/postgres"), 0);
    t.equal(await stateOf(lab, "chi-02/postgres"), "crashed");
    await lab.run("start", "chi-02/postgres");
    await eventually("chi-02 is a standby again", soon, async () =>
      (await healthOf(lab, "chi-02")) === "503 standby" ? true : undefined,
    );
  });

  await t.test(
    "a killed main process counts as crashed, and start clears its leftovers",
    async (t) => {
      const [router] = (await lab.status()).filter((one) => one.part === "app-01/router");
      process.kill(router?.pid ?? 0, "SIGKILL");
      await eventually("crashed", soon, async () =>
        (await stateOf(lab, "app-01/router")) === "crashed" ? true : undefined,
      );
      await lab.run("start", "app-01/router");
      t.equal(await stateOf(lab, "app-01/router"), "running");
      t.equal(await ask(await lab.connect(lab.json.write), "SELECT 1"), "1");
    },
  );

  await t.test("freeze holds every process, thaw lets it go on where it was", async (t) => {
    const client = await lab.connect(lab.json.members[1]?.postgres ?? lab.json.read);
    const backend = await ask(client, "SELECT pg_backend_pid()");
    await lab.run("freeze", "chi-02/postgres");
    t.equal(await stateOf(lab, "chi-02/postgres"), "frozen");
    const seen = processesOf([standby]).get(standby.name) ?? [];
    t.ok(seen.length > 3 && seen.every((one) => one.stopped));
    const answer = ask(client, "SELECT pg_backend_pid()");
    await t.rejects(lab.run("stop", "chi-02/postgres"), { code: "ERR_REFUSED", message: /thaw/ });
    await t.rejects(lab.run("start", "chi-02/postgres"), { code: "ERR_REFUSED", message: /thaw/ });
    await lab.run("thaw", "chi-02/postgres");
    t.equal(await answer, backend, "the question that was asked meanwhile is answered");
    t.equal(await stateOf(lab, "chi-02/postgres"), "running");
  });

  await t.test("a part that the lab does not have", async (t) => {
    await t.rejects(lab.run("stop", "dal-1/postgres"), {
      code: "ERR_LAB_UNKNOWN_PART",
      message: /did you mean dal-01\/postgres\? it has dal-01, chi-02, app-01, /,
    });
    await t.rejects(lab.run("cut", "dal-01", "dal-01/postgres"), {
      code: "ERR_LAB_UNKNOWN_PART",
      message: /never apart from itself/,
    });
  });

  await t.test("a part that cannot start says why", async (t) => {
    await lab.run("stop", "app-01/edge");
    const { folder } = lab.part("app-01/edge");
    await runChild("/bin/sh", ["-c", 'echo "pool_mode = nonsense" >> "$0/pgbouncer.ini"', folder], {
      deadlineMs: 5000,
    });
    await t.rejects(lab.run("start", "app-01/edge"), {
      code: "ERR_LAB_PART",
      message: /^app-01\/edge: ended by itself: .*(FATAL|ERROR).*see .*output\.log/,
    });
    t.equal(await stateOf(lab, "app-01/edge"), "crashed");
  });
});

t.test("cut and heal", { skip: root ? false : "only root may drop packets" }, async (t) => {
  const lab = await withLab(t);
  const [dal, chi] = lab.json.members;
  if (dal === undefined || chi === undefined) throw new TypeError("a lab has two members");
  const primary = await lab.connect(dal.postgres, { as: "superuser" });
  const standby = await lab.connect(chi.postgres, { as: "superuser" });

  await t.test("an established connection loses packets both ways, and then goes on", async (t) => {
    const receiver = await ask(standby, "SELECT pid FROM pg_stat_wal_receiver");
    await lab.run("cut", "chi-02/postgres", "dal-01/postgres");
    const before = await ask(standby, "SELECT pg_last_wal_receive_lsn()");
    await primary.query("CREATE TABLE sent AS SELECT 1 AS value");
    const target = await ask(primary, "SELECT pg_current_wal_lsn()");
    const fromPrimary = /^ip saddr 127\.[0-9]+\.0\.1 tcp sport 5432 /;
    const fromStandby =
      /^(ip saddr 127\.0\.0\.1 tcp sport|meta skgid [0-9]+ ip daddr 127\.[0-9]+\.0\.1 tcp dport 5432)/;
    await eventually("packets of both ends are lost", soon, async () => {
      const rules = [...(await lost(lab, "dal-01/postgres", "chi-02/postgres"))];
      const dropped = (pattern: RegExp): boolean =>
        rules.some(([rule, packets]) => pattern.test(rule) && packets > 0);
      return dropped(fromPrimary) && dropped(fromStandby) ? true : undefined;
    });
    t.equal(await ask(standby, "SELECT pg_last_wal_receive_lsn()"), before, "nothing came through");
    t.equal(
      await ask(primary, "SELECT state FROM pg_stat_replication"),
      "streaming",
      "nothing was refused or closed",
    );
    await lab.run("heal", "dal-01/postgres", "chi-02/postgres");
    await eventually("the standby has it", soon, async () =>
      (await ask(standby, `SELECT pg_last_wal_replay_lsn() >= '${target}'`)) === "true"
        ? true
        : undefined,
    );
    t.equal(
      await ask(standby, "SELECT pid FROM pg_stat_wal_receiver"),
      receiver,
      "over the connection that was there before",
    );
  });

  await t.test(
    "a statement on its way is neither answered nor failed until the heal",
    async (t) => {
      const app = await lab.connect(lab.json.write);
      t.equal(await ask(app, "SELECT 1"), "1");
      await lab.run("cut", "app-01/router", "dal-01/pooler");
      let settled = false;
      const answer = ask(app, "SELECT 2").finally(() => (settled = true));
      await eventually("its packet is lost", soon, async () => {
        const rules = [...(await lost(lab, "app-01/router", "dal-01/pooler"))];
        return rules.some(([rule, packets]) => rule.endsWith("dport 6432") && packets > 0)
          ? true
          : undefined;
      });
      t.notOk(settled);
      t.equal(await ask(primary, "SELECT 3"), "3", "others reach the node");
      t.match(await healthOf(lab, "dal-01"), /^200 primary/, "and its parts each other");
      await lab.run("heal", "dal-01/pooler", "app-01/router");
      t.equal(await answer, "2");
    },
  );

  await t.test("no new connection opens, in either direction", async (t) => {
    const peersOf = async (url: string): Promise<string[]> => {
      const status = (await (await fetch(`${url}/status`)).json()) as {
        peers: { state: string }[];
      };
      return status.peers.map((one) => one.state);
    };
    const both = async (): Promise<string> =>
      (await Promise.all([peersOf(dal.health), peersOf(chi.health)])).flat().join(" ");
    await eventually("both see each other", soon, async () =>
      (await both()) === "standby primary" ? true : undefined,
    );
    await lab.run("cut", "dal-01/health", "chi-02/health");
    await eventually("neither sees the other", soon, async () =>
      (await both()) === "unreachable unreachable" ? true : undefined,
    );
    const rules = [...(await lost(lab, "dal-01/health", "chi-02/health"))];
    for (const host of [dal.postgres.host, chi.postgres.host]) {
      const opening = rules.filter(([rule]) => rule.includes(`skgid`) && rule.includes(host));
      t.ok(
        opening.some(([, packets]) => packets > 0),
        `openings to ${host} were lost`,
      );
    }
    await lab.run("heal", "dal-01/health", "chi-02/health");
    await eventually("both see each other again", soon, async () =>
      (await both()) === "standby primary" ? true : undefined,
    );
  });

  await t.test("each heal undoes exactly its own cut", async (t) => {
    await lab.run("cut", "dal-01", "chi-02");
    await lab.run("cut", "app-01/router", "chi-02/health");
    await lab.run("cut", "chi-02", "dal-01");
    // Its own table alone: other labs on this machine have cuts of the same names.
    const table = async (): Promise<ChildResult> =>
      await runChild("/usr/sbin/nft", ["list", "table", "ip", tableName(lab.name)], {
        deadlineMs: 5000,
        accept: [0, 1],
      });
    await lab.run("heal", "chi-02", "dal-01");
    const left = (await table()).stdout;
    t.notMatch(left, chainName("dal-01", "chi-02"));
    t.match(left, chainName("app-01/router", "chi-02/health"));
    await lab.run("heal", "chi-02/health", "app-01/router");
    const gone = await table();
    t.equal(gone.code, 1, "the table goes with the last cut");
    t.match(gone.stderr, /No such file or directory/);
    await lab.run("heal", "chi-02/health", "app-01/router");
  });

  await t.test("a part that starts behind a cut is cut off as well", async (t) => {
    await lab.run("cut", "dal-01", "chi-02");
    await lab.run("kill", "chi-02/health");
    await lab.run("start", "chi-02/health");
    const { gid } = lab.part("chi-02/health");
    const packets = await eventually("its openings are lost", soon, async () => {
      const rules = [...(await lost(lab, "dal-01", "chi-02"))];
      return rules.find(([rule, count]) => rule.includes(`skgid ${gid} `) && count > 0)?.[1];
    });
    t.ok(packets > 0);
    await lab.run("heal", "dal-01", "chi-02");
  });
});

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

t.test("a plain user's lab", { skip: root ? false : "this is one already" }, async (t) => {
  const uid = (await labPlace()).uid;
  const home = await mkdtemp("/var/tmp/switchyard-");
  t.teardown(() => rm(home, { recursive: true, force: true }));
  for (const entry of ["bin", "kit", "config", "lab", "router", "sidecars", "templates"]) {
    await cp(join(checkout, entry), join(home, entry), { recursive: true });
  }
  await cp(join(checkout, "package.json"), join(home, "package.json"));
  await runChild("/bin/chown", ["-R", "-h", `${uid}:65534`, home], { deadlineMs: 20_000 });
  // No symbolic links: a checkout in root's home cannot be reached by a plain user.
  for (const entry of [".runtime", "node_modules"]) {
    const copy = (how: string): Promise<ChildResult> =>
      runChild("/bin/cp", [how, join(checkout, entry), home], { deadlineMs: 60_000 });
    if (await exists(join(checkout, entry))) await copy("-rl").catch(() => copy("-rf"));
  }
  const variables = [`HOME=${home}`, `PATH=${process.env["PATH"] ?? ""}`];
  const lab = async (...words: string[]): Promise<ChildResult> =>
    // env -i: what tap puts into the environment of children is for this user's own.
    await runChild("/usr/bin/env", ["-i", ...variables, join(home, "bin/lab"), ...words], {
      deadlineMs: 60_000,
      accept: [0, 1, 3, 64, 69],
      uid,
      gid: 65_534,
    });
  t.teardown(() => lab("down"));

  const up = await lab("up", "--json");
  t.equal(up.code, 0, up.stderr);
  const { members } = JSON.parse(up.stdout) as LabSummary;
  t.equal(members.length, 2);
  const cut = await lab("cut", "dal-01", "chi-02");
  t.equal(cut.code, 69);
  t.match(cut.stderr, /only root may drop packets/);
  t.equal((await lab("kill", "chi-02/postgres")).code, 0);
  t.match((await lab("status")).stdout, /chi-02\/postgres +crashed/);
  const start = await lab("start", "chi-02/postgres");
  t.equal(start.code, 0, start.stderr);
  t.match((await lab("status")).stdout, /chi-02\/postgres +running/);
  t.equal((await lab("down")).code, 0);
  t.strictSame(processesUnder(join(home, ".local/state/switchyard/lab/lab")), []);
  await t.rejects(access(join(home, "config/lab.yml")), { code: "ENOENT" });
  await t.rejects(access(join(home, ".local/state/switchyard/lab/lab")), { code: "ENOENT" });
});
