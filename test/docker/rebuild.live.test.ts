/** A member in a container, broken and rebuilt, in its own image and volume: by start, rewind and copy. */
import t from "tap";
import type { Test } from "tap";
import { withDeadline } from "../../kit/clock.ts";
import type { DockerEngine } from "../../kit/docker-engine.ts";
import { containerName } from "../../lab/driver/docker-names.ts";
import {
  diverge,
  promote,
  proveFollows,
  rebuild,
  reportOf,
  sql,
  withPair,
} from "../router/rebuild-standby/pair.ts";
import type { Pair } from "../router/rebuild-standby/pair.ts";
import { engineHere } from "../support/containers.ts";

const engine = await engineHere();
const skip = typeof engine === "string" ? engine : false;

/** Runs a shell script on the volume of a member's Postgres, whether that runs or not. */
async function inVolume(
  engine: DockerEngine,
  { lab }: Pair,
  member: string,
  script: string,
): Promise<string> {
  const container = containerName(lab.model, lab.part(`${member}/postgres`));
  const image = (await engine.inspect(container))?.image ?? "";
  return await withDeadline(script, 20_000, async (signal) => {
    const entrypoint = ["sh", "-c", script];
    const spec = { image, entrypoint, user: "root", volumesFrom: [container], networks: [] };
    const stream = await engine.openContainer(spec, signal);
    const letGo = (): void => stream.destroy();
    signal.addEventListener("abort", letGo, { once: true });
    try {
      const chunks: Buffer[] = [];
      stream.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
      const { code, words } = await stream.ended;
      if (code !== 0) throw new Error(`${script}: ${words}`);
      return Buffer.concat(chunks).toString("utf8").trim();
    } finally {
      signal.removeEventListener("abort", letGo);
      letGo();
    }
  });
}

t.test("from a clean demotion to no data at all", { skip }, async (t) => {
  if (typeof engine === "string") throw new TypeError(engine);
  t.teardown(() => engine.close());
  const pair = await withPair(t, "docker");
  const { lab } = pair;
  const beside = async (member: string): Promise<string> =>
    await inVolume(
      engine,
      pair,
      member,
      "cd /var/lib/postgresql && find . -maxdepth 1 -name 'data.*'",
    );

  await t.test("nothing to do, and a primary is left alone", async (t) => {
    t.match(reportOf(await rebuild(pair, "--json", "-y")), { method: "nothing" });
    const primary = await rebuild(pair, "--member", "dal-01", "-y");
    t.equal(primary.code, 3);
    t.match(primary.stderr, /is the primary/);
  });

  await t.test("clean demotion: a plain start", async (t) => {
    await lab.run("stop", "dal-01/postgres");
    await promote(pair, "chi-02");
    await done(t, pair, "start", "dal-01");
  });

  await t.test("a primary that wrote on is told, exported, and rewound", async (t) => {
    t.equal(await diverge(pair, "chi-02", 5), "dal-01");
    const held = "cd /var/lib/postgresql && ls -A . data && cksum < data/global/pg_control";
    const before = await inVolume(engine, pair, "chi-02", held);
    const refusals = [
      ["-y", "/tmp/thrown-away", /not in a volume of container .* choose a folder in \/var\/lib/],
      ["--dry-run", "/var/lib/postgresql/data/x", /which a rebuild throws away/],
    ] as const;
    for (const [how, folder, why] of refusals) {
      const run = await rebuild(pair, how, "--export", folder);
      t.equal(run.code, 3, folder);
      t.match(run.stderr, why);
    }
    t.equal(await inVolume(engine, pair, "chi-02", held), before, "nothing changed");
    const bare = await rebuild(pair, "-y");
    t.equal(bare.code, 3);
    t.match(bare.stderr, /5 transactions on chi-02 are thrown away/);
    const kept = "/var/lib/postgresql/thrown-away";
    await done(t, pair, "rewind", "chi-02", "--export", kept);
    const commits = `grep -c 'rmgr: Transaction .* desc: COMMIT' ${kept}/wal.txt && ls ${kept}`;
    const exported = await inVolume(engine, pair, "chi-02", commits);
    t.match(exported, /^5\n[0-9A-F]{24}\n/, "the WAL is there when the command has ended");
    t.equal(await beside("chi-02"), "", "nothing is left beside the data");
  });

  await t.test("no data at all: a copy", async (t) => {
    await lab.run("stop", "chi-02/postgres");
    await inVolume(engine, pair, "chi-02", "rm -r /var/lib/postgresql/data");
    await done(t, pair, "basebackup", "chi-02");
    const [row] = await sql(pair, "chi-02", "SELECT current_setting('cluster_name') AS name");
    t.equal(row?.["name"], "chi-02", "it is who it was");
  });
});

async function done(
  t: Test,
  pair: Pair,
  method: string,
  member: string,
  ...words: readonly string[]
): Promise<void> {
  const run = await rebuild(pair, "--json", "-y", ...words);
  t.match(reportOf(run), { result: "done", method, problems: [] });
  await proveFollows(t, pair, member);
}
