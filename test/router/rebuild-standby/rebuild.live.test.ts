/** Members of a real lab, broken in every way that a rebuild mends, and rebuilt. */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { runChild } from "../../../kit/child.ts";
import {
  beside,
  dataOf,
  diverge,
  freeze,
  promote,
  proveFollows,
  rebuild,
  reportOf,
  sql,
  withPair,
} from "./pair.ts";
import type { Pair } from "./pair.ts";

/** Everything that a dry run could have changed on a stopped member. */
async function traces(pair: Pair, member: string): Promise<unknown> {
  const folder = dataOf(pair, member);
  const control = await readFile(join(folder, "global/pg_control"));
  return [await readdir(folder), await beside(pair, member), control.toString("base64")];
}

t.test("from a clean demotion to foreign data", async (t) => {
  const pair = await withPair(t);
  const { lab } = pair;
  const outer = t;

  await t.test("nothing to do, and a primary is left alone", async (t) => {
    const idle = await rebuild(pair, "--json", "-y");
    t.match(reportOf(idle), { result: "done", method: "nothing" });
    t.equal(idle.code, 0);
    const primary = await rebuild(pair, "--member", "dal-01", "-y");
    t.equal(primary.code, 3);
    t.match(primary.stderr, /is the primary/);
  });

  await t.test("clean demotion: a plain start", async (t) => {
    // The next test kills chi-02 before its first checkpoint as a primary; its new timeline begins in
    // a later segment than its last one.
    await sql(pair, "dal-01", "SELECT pg_switch_wal()");
    await lab.run("stop", "dal-01/postgres");
    await freeze(outer, pair, "chi-02", "checkpointer");
    await promote(pair, "chi-02");
    const before = await traces(pair, "dal-01");
    const dry = await rebuild(pair, "--dry-run", "--json");
    t.equal(dry.code, 0);
    t.match(JSON.parse(dry.stdout), { event: "plan", method: "start", member: "dal-01" });
    t.strictSame(await traces(pair, "dal-01"), before, "a dry run changes nothing");
    t.match(reportOf(await rebuild(pair, "--json", "-y")), {
      result: "done",
      method: "start",
      problems: [],
    });
    await proveFollows(t, pair, "dal-01");
  });

  await t.test("pitfall 25: a primary that wrote on: told, exported, rewound", async (t) => {
    const source = await diverge(pair, "chi-02", 5);
    const dry = await rebuild(pair, "--dry-run", "--json", "--member", "chi-02");
    t.match(JSON.parse(dry.stdout), { method: "rewind", thrownAway: { transactions: 5 } });
    const bare = await rebuild(pair, "-y");
    t.equal(bare.code, 3);
    t.match(bare.stderr, /5 transactions on chi-02 are thrown away/);
    const exported = join(lab.part("chi-02/postgres").folder, "export");
    const done = reportOf(await rebuild(pair, "--json", "-y", "--export", exported));
    t.match(done, { result: "done", method: "rewind", problems: [] });
    t.match(done.thrownAway, { transactions: 5 });
    const text = await readFile(join(exported, "wal.txt"), "utf8");
    t.equal(text.match(/desc: COMMIT/g)?.length, 5, "the text has every commit");
    t.ok(
      (await readdir(exported)).some((name) => /^[0-9A-F]{24}$/.test(name)),
      "and the WAL is kept",
    );
    await proveFollows(t, pair, "chi-02");
    t.strictSame(await beside(pair, "chi-02"), [], "nothing is left beside the data");
    const own = await readFile(join(dataOf(pair, "chi-02"), "postgresql.auto.conf"), "utf8");
    t.match(own, /application_name=chi-02/, "it kept its own configuration");
    t.equal(source, "dal-01");
  });

  await t.test("pitfall 6: two that wrote: the one that is ahead needs a word", async (t) => {
    await promote(pair, "chi-02");
    const both = await rebuild(pair, "-y", "--member", "chi-02");
    t.match(both.stderr, /dal-01 and chi-02 take writes/);
    t.equal(both.code, 3);
    await lab.run("stop", "chi-02/postgres");
    const before = await traces(pair, "chi-02");
    const refused = await rebuild(pair, "-y");
    t.equal(refused.code, 3);
    t.match(refused.stderr, /has WAL that dal-01 never had.*--accept-risk=ahead/);
    t.strictSame(await traces(pair, "chi-02"), before, "a refusal changes nothing");
    const done = reportOf(await rebuild(pair, "--json", "-y", "--accept-risk=ahead", "--keep-old"));
    t.match(done, { result: "done", method: "basebackup", problems: [] });
    await proveFollows(t, pair, "chi-02");
    t.match(await beside(pair, "chi-02"), [/^data\.kept-/]);
  });

  await t.test("no data at all, then another cluster's", async (t) => {
    const data = dataOf(pair, "chi-02");
    await lab.run("stop", "chi-02/postgres");
    await rm(data, { recursive: true });
    t.match(reportOf(await rebuild(pair, "--json", "-y")), {
      result: "done",
      method: "basebackup",
    });
    await proveFollows(t, pair, "chi-02");

    await lab.run("stop", "chi-02/postgres");
    await rm(data, { recursive: true });
    const { gid } = lab.part("chi-02/postgres");
    const { programs = "" } =
      lab.environment.members.find(({ name }) => name === "chi-02")?.control ?? {};
    const owner = lab.place.privileged ? { uid: lab.place.uid, gid } : {};
    const env = { LC_ALL: "C", PATH: "/usr/bin:/bin" };
    await runChild(join(programs, "initdb"), ["-D", data, "--no-sync"], {
      deadlineMs: 30_000,
      cwd: "/",
      env,
      ...owner,
    });
    const foreign = await rebuild(pair, "-y");
    t.equal(foreign.code, 3);
    t.match(foreign.stderr, /not of this cluster/);
    t.match(reportOf(await rebuild(pair, "--json", "-y", "--accept-risk=foreign")), {
      result: "done",
    });
    await proveFollows(t, pair, "chi-02");
    t.equal((await beside(pair, "chi-02")).length, 2, "foreign data is kept");
  });
});
