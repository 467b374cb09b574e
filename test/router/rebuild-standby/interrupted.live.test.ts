/** Rebuilds that are killed, ended by the operator or out of disk: the next run comes to the end. */
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import {
  atStep,
  beside,
  diverge,
  freeze,
  interrupt,
  proveFollows,
  rebuild,
  reportOf,
  soon,
  sql,
  withPair,
} from "./pair.ts";
import type { Pair } from "./pair.ts";

const isFull = process.env["SWITCHYARD_TEST_FULL"] === "1";

/** What a kill in the middle of `step` leaves must not keep the next run from its end. */
async function killAndRepeat(
  t: Test,
  pair: Pair,
  member: string,
  step: string,
  given: readonly string[],
): Promise<void> {
  await interrupt(pair, "SIGKILL", step, "--member", member, ...given);
  const again = await rebuild(pair, "--json", "-y", "--member", member, "--accept-risk=divergence");
  t.match(reportOf(again), { result: "done", problems: [] }, `after a kill in ${step}`);
  await proveFollows(t, pair, member);
  t.strictSame(await beside(pair, member), [], "nothing is left beside the data");
}

t.test("pitfall 25: killed anywhere, the next run comes to the end", async (t) => {
  const pair = await withPair(t);
  const copying = ["stop", "copy", "verify", "prepare", "swap", "start", "stream", "clean"];
  for (const step of isFull ? copying : ["copy", "swap"]) {
    await killAndRepeat(t, pair, "chi-02", step, ["--method", "basebackup"]);
  }
  const rewinding = ["arm", "aside", "recover", "rehearse", "rewind", "swap", "start"];
  let member = "dal-01";
  for (const step of isFull ? rewinding : ["recover", "rewind"]) {
    const source = await diverge(pair, member, 2);
    await killAndRepeat(t, pair, member, step, ["--accept-risk=divergence"]);
    member = source;
  }
});

t.test("Ctrl-C in the middle of a copy takes it back", async (t) => {
  const pair = await withPair(t);
  const code = await interrupt(pair, "SIGINT", "copy", "--method", "basebackup");
  t.equal(code, 4);
  t.strictSame(await beside(pair, "chi-02"), []);
  await eventually("the old data runs again", soon, async () => {
    const [row] = await sql(pair, "chi-02", "SELECT status FROM pg_stat_wal_receiver");
    return row?.["status"] === "streaming" ? true : undefined;
  });
  await proveFollows(t, pair, "chi-02");
});

t.test("a small disk: refused in numbers, and done once there is room", async (t) => {
  const pair = await withPair(t);
  const { lab } = pair;
  if (!lab.place.privileged) {
    t.comment("mounting a small disk takes root");
    return;
  }
  const { folder, gid } = lab.part("chi-02/postgres");
  const kept = `${folder}.kept`;
  const tell = (program: string, ...words: string[]) => runChild(program, words, soon);
  await lab.run("stop", "chi-02/postgres");
  await tell("cp", "-a", folder, kept);
  await tell("mount", "-t", "tmpfs", "-o", `size=400m,mode=700,gid=${gid}`, "tmpfs", folder);
  t.teardown(async () => {
    await lab.run("kill", "chi-02/postgres");
    await tell("umount", "-l", folder);
    await tell("rm", "-r", kept);
  });
  await tell("cp", "-a", `${kept}/.`, folder);
  await lab.run("start", "chi-02/postgres");
  const { bavail, bsize } = await statfs(folder);
  const ballast = join(folder, "ballast");
  await tell("fallocate", "-l", String(bavail * bsize - 60 * 1024 ** 2), ballast);
  const words = ["-y", "--json", "--method", "basebackup"];
  const full = await rebuild(pair, ...words);
  t.equal(full.code, 3);
  t.match(full.stderr, /a second copy needs 0\.[0-9]+ GB, and 0\.06 GB are free/);
  t.strictSame(await beside(pair, "chi-02"), [], "nothing was begun");
  await tell("rm", ballast);

  // A copy begins with a checkpoint: until the disk is as small as it is to be, nothing is copied.
  const thaw = await freeze(t, pair, "dal-01", "checkpointer");
  const { code } = await atStep(pair, "copy", words, async () => {
    await tell("fallocate", "-l", String(bavail * bsize - 20 * 1024 ** 2), ballast);
    thaw();
  });
  t.equal(code, 1, "full in the middle of the copy");
  t.strictSame(await beside(pair, "chi-02"), [], "the copy is taken back");
  await tell("rm", ballast);
  await proveFollows(t, pair, "chi-02");
  t.match(reportOf(await rebuild(pair, ...words)), { result: "done", problems: [] });
  await proveFollows(t, pair, "chi-02");
});
