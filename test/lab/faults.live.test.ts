/** A lab broken on purpose: parts stopped, killed, frozen, and cut off from each other. */
import { access, cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import t from "tap";
import { inCheckout } from "../../kit/checkout.ts";
import { runChild } from "../../kit/child.ts";
import type { ChildResult } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import { tableName } from "../../lab/driver/packet-rules.ts";
import { labPlace } from "../../lab/place.ts";
import { processesUnder } from "../../lab/driver/processes.ts";
import type { LabSummary } from "../../lab/summary.ts";
import { signalOne } from "../support/kill-process.ts";
import { withLab } from "../support/lab.ts";
import { ask, breaksParts, cutsParts, stateOf } from "../support/lab-faults.ts";

const soon = { deadlineMs: 60_000, intervalMs: 50 };
const checkout = inCheckout("");
const root = process.getuid?.() === 0;

t.test("stop, kill, start, freeze, thaw", async (t) => {
  const lab = await withLab(t);
  await breaksParts(t, lab);

  await t.test(
    "a killed main process counts as crashed, and start clears its leftovers",
    async (t) => {
      const [router] = (await lab.status()).filter((one) => one.part === "app-01/router");
      signalOne(router?.pid, "SIGKILL");
      await eventually("crashed", soon, async () =>
        (await stateOf(lab, "app-01/router")) === "crashed" ? true : undefined,
      );
      await lab.run("start", "app-01/router");
      t.equal(await stateOf(lab, "app-01/router"), "running");
      // It turns away who comes before its first checks have told the members apart.
      const answer = await eventually("the router lets in", soon, async () =>
        ask(await lab.connect(lab.json.write), "SELECT 1"),
      );
      t.equal(answer, "1");
    },
  );

  await t.test("a part that cannot start says why", async (t) => {
    await lab.run("stop", "app-01/edge");
    const { folder } = lab.part("app-01/edge");
    await runChild("/bin/sh", ["-c", 'echo "pool_mode = nonsense" >> "$0/pgbouncer.ini"', folder], {
      deadlineMs: 30_000,
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
  await cutsParts(t, lab);
  const table = ["list", "table", "ip", tableName(lab.name)];
  const gone = await runChild("/usr/sbin/nft", table, { deadlineMs: 30_000, accept: [0, 1] });
  t.equal(gone.code, 1, "the table goes with the last cut");
  t.match(gone.stderr, /No such file or directory/);
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
  const rooms = ["bin", "kit", "config", "lab", "registry", "router", "sidecars", "templates"];
  // Environments of other labs come and go while we copy.
  const isOurs = (path: string): boolean =>
    dirname(path) !== join(checkout, "config") || /\.(ts|example\.yml)$/.test(path);
  for (const entry of rooms) {
    await cp(join(checkout, entry), join(home, entry), { recursive: true, filter: isOurs });
  }
  await cp(join(checkout, "package.json"), join(home, "package.json"));
  await runChild("/bin/chown", ["-R", "-h", `${uid}:65534`, home], { deadlineMs: 60_000 });
  // No symbolic links: a checkout in root's home cannot be reached by a plain user.
  // Nor what Node keeps of compiled files, which every process of ours writes.
  for (const entry of [".runtime/node_modules", "node_modules"]) {
    const to = join(home, entry);
    const copy = (how: string): Promise<ChildResult> =>
      runChild("/bin/cp", [how, join(checkout, entry), to], { deadlineMs: 60_000 });
    if (!(await exists(join(checkout, entry)))) continue;
    await mkdir(dirname(to), { recursive: true });
    await copy("-rl").catch(async () => {
      await rm(to, { recursive: true, force: true });
      await copy("-rf");
    });
  }
  const variables = [`HOME=${home}`, `PATH=${process.env["PATH"] ?? ""}`];
  const lab = async (...words: string[]): Promise<ChildResult> =>
    // env -i: what tap puts into the environment of children is for this user's own.
    await runChild("/usr/bin/env", ["-i", ...variables, join(home, "bin/lab"), ...words], {
      deadlineMs: 120_000,
      accept: [0, 1, 3, 64, 69],
      uid,
      gid: 65_534,
    });
  t.teardown(() => lab("down"));

  const up = await lab("up", "--json", "--names");
  t.equal(up.code, 0, up.stderr);
  const { members, resolvers } = JSON.parse(up.stdout) as LabSummary;
  t.equal(members.length, 2);
  t.strictSame(
    resolvers.map(({ name, dns }) => `${name} ${dns.port}`),
    ["dal-01 5353", "chi-02 5353", "app-01 5353"],
    "port 53 is root's",
  );
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
