/**
 * Pitfalls of the standby: one that is not what it seems is refused, and a rebuild mends it. The
 * numbers are those of pitfalls.ts.
 */
import {
  chmod,
  chown,
  lstat,
  mkdir,
  readdir,
  rename,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import { folderOf, handsOn, other, soon } from "./pitfall-hands.ts";

const hands = await handsOn(t, { archiveCommand: "/bin/true" });
const { lab } = hands;
const [dal, chi] = ["dal-01", "chi-02"] as const;
const flip = ["flip-db", "--yes"] as const;
const isFull = process.env["SWITCHYARD_TEST_FULL"] === "1";
/** The rows of the plan say it in every run. */
const onlyInFull = { skip: isFull ? false : "in bin/test full" };
const rebuild = ["rebuild-standby", "--member", chi, "--yes"] as const;

await hands.sql(dal, "CREATE TABLE noted (what text)");
const note = (what: string) => hands.sql(dal, `INSERT INTO noted VALUES ('${what}')`);

/** Waits until chi-02 has replayed that row. */
const noted = (what: string): Promise<true> =>
  eventually(`${what} on ${chi}`, soon, async () => {
    const rows = await hands.sql(chi, `SELECT 1 FROM noted WHERE what = '${what}'`);
    return rows.length === 1 ? true : undefined;
  });

t.test("pitfall 8: a standby that restores from the archive is not promoted", async (t) => {
  const archive = t.testdir({});
  await chmod(archive, 0o777);
  const [own] = await hands.sql(
    chi,
    "SELECT quote_literal(setting) AS value FROM pg_settings WHERE name = 'primary_conninfo'",
  );
  await hands.set(dal, { archive_command: `'cp %p ${archive}/%f'` });
  await hands.set(chi, {
    primary_conninfo: "'host=127.0.0.1 port=1'",
    restore_command: `'cp ${archive}/%f %p'`,
  });
  await hands.sql(
    chi,
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'walreceiver'",
  );
  await note("archived");
  await hands.sql(dal, "SELECT pg_switch_wal()");
  await noted("archived");
  const refused = await hands.ended(t, 3, ...flip);
  t.match(refused.notes(), /chi-02 does not stream/);
  await hands.set(chi, { primary_conninfo: String(own?.["value"]) });
  await hands.reset(chi, "restore_command");
  await hands.reset(dal, "archive_command");
  await hands.healthy();
  t.equal(await hands.primary(), dal);
});

t.test("pitfall 5 and 6: a standby on a timeline of its own is not promoted", async (t) => {
  await hands.sql(chi, "SELECT pg_promote()");
  const both = await hands.ended(t, 3, ...flip);
  t.match(both.notes(), /dal-01 and chi-02 (take writes|do)/);
  await lab.run("stop", `${chi}/postgres`);
  await writeFile(join(folderOf(hands, chi), "data", "standby.signal"), "");
  await lab.run("start", `${chi}/postgres`);
  const forked = await hands.ended(t, 3, ...flip);
  t.match(
    forked.notes(),
    /chi-02 is on timeline 2, dal-01 on 1: .*rebuild-standby --member chi-02/,
  );
  const unasked = await hands.ended(t, 3, ...rebuild);
  t.match(
    unasked.notes(),
    /--accept-risk=(ahead|divergence)/,
    "what it wrote is not thrown away unasked",
  );
  const risk = /--accept-risk=[a-z]+/.exec(unasked.notes())?.[0] ?? "";
  await hands.ended(t, 0, ...rebuild, risk);
  await hands.healthy();
});

t.test("pitfall 5: a flip right after a flip waits for no timeline of before", async (t) => {
  await hands.ended(t, 0, ...flip);
  const [stale] = await hands.sql(dal, "SELECT (pg_control_checkpoint()).timeline_id AS timeline");
  const [now] = await hands.sql(chi, "SELECT (pg_control_checkpoint()).timeline_id AS timeline");
  t.comment(
    `the control files say timelines ${String(stale?.["timeline"])} and ${String(now?.["timeline"])}`,
  );
  await hands.ended(t, 0, ...flip);
  t.equal(await hands.primary(), dal);
});

t.test(
  "pitfall 6: a standby that is ahead of its primary is neither promoted nor overwritten",
  async (t) => {
    const data = join(folderOf(hands, dal), "data");
    await lab.run("stop", `${dal}/postgres`);
    await runChild("/bin/cp", ["-a", data, `${data}-of-yesterday`], { deadlineMs: 20_000 });
    await lab.run("start", `${dal}/postgres`);
    await eventually("dal-01 takes writes", soon, async () => {
      await note("only here");
      return true;
    });
    await hands.sql(dal, "SELECT pg_switch_wal()");
    await note("and here");
    await noted("and here");
    await lab.run("stop", `${dal}/postgres`);
    await rm(data, { recursive: true });
    await rename(`${data}-of-yesterday`, data);
    await lab.run("start", `${dal}/postgres`);
    await eventually("dal-01 is of yesterday", soon, async () =>
      (await hands.primary()) === dal ? true : undefined,
    );
    const refused = await hands.ended(t, 3, ...flip);
    t.match(refused.notes(), /chi-02 does not stream/);
    const unasked = await hands.ended(t, 3, ...rebuild);
    t.match(unasked.notes(), /chi-02 has WAL that dal-01 never had.*--accept-risk=ahead/);
    t.equal(
      (await hands.sql(chi, "SELECT 1 FROM noted WHERE what = 'and here'")).length,
      1,
      "it keeps what only it has",
    );
    await hands.ended(t, 0, ...rebuild, "--accept-risk=ahead");
    await hands.healthy();
  },
);

t.test("pitfall 24: a slot whose WAL is lost is made anew by a rebuild", async (t) => {
  await hands.set(dal, { max_slot_wal_keep_size: "'1MB'" });
  await lab.run("stop", `${chi}/postgres`);
  for (let segment = 0; segment < 3; segment += 1) {
    await note(`segment ${segment}`);
    await hands.sql(dal, "SELECT pg_switch_wal()");
  }
  const slot = "SELECT wal_status, active FROM pg_replication_slots WHERE slot_name = 'chi_02'";
  await eventually("its WAL is gone", soon, async () => {
    await hands.sql(dal, "CHECKPOINT");
    const [row] = await hands.sql(dal, slot);
    return row?.["wal_status"] === "lost" ? true : undefined;
  });
  await lab.run("start", `${chi}/postgres`);
  const refused = await hands.ended(t, 3, ...flip);
  t.match(refused.notes(), /chi-02 does not stream/);
  await hands.ended(t, 0, ...rebuild);
  // It moves on with what the standby reports, and a rebuild ends with a new segment.
  const [row] = await eventually("the new slot has its WAL", soon, async () => {
    const rows = await hands.sql(dal, slot);
    return rows[0]?.["wal_status"] === "reserved" ? rows : undefined;
  });
  t.strictSame(row, { wal_status: "reserved", active: true });
  await noted("segment 2");
  await hands.reset(dal, "max_slot_wal_keep_size");
  await hands.healthy();
});

t.test(
  "pitfall 26: a pg_wal of its own stays where it is, and tablespaces are not guessed",
  onlyInFull,
  async (t) => {
    const folder = folderOf(hands, chi);
    const link = join(folder, "data", "pg_wal");
    await lab.run("stop", `${chi}/postgres`);
    await mkdir(join(folder, "fast"));
    const { uid, gid } = { uid: lab.place.uid, gid: lab.part(`${chi}/postgres`).gid };
    await rename(link, join(folder, "fast", "wal"));
    await symlink(join(folder, "fast", "wal"), link);
    if (lab.place.privileged) await chown(join(folder, "fast"), uid, gid);
    await lab.run("start", `${chi}/postgres`);
    const copy = await hands.ended(t, 0, ...rebuild, "--method", "basebackup");
    t.notMatch(copy.notes(), /problem/);
    t.ok((await lstat(link)).isSymbolicLink(), "its WAL still lies on the other disk");
    t.equal((await readdir(join(folder, "fast"))).length, 1, "once");
    await hands.healthy();

    const place = "SET allow_in_place_tablespaces = on";
    await hands.sql(dal, `ALTER SYSTEM ${place}`);
    await hands.sql(dal, "SELECT pg_reload_conf()");
    await hands.sql(dal, `CREATE TABLESPACE fast LOCATION ''`);
    const refused = await hands.ended(t, 3, ...rebuild, "--method", "basebackup");
    t.match(refused.notes(), /dal-01 has tablespaces \(.*\): a second copy of them has no place/);
    await hands.sql(dal, "DROP TABLESPACE fast");
    await hands.reset(dal, "allow_in_place_tablespaces");
    await hands.healthy();
    t.equal(await hands.primary(), other(chi));
  },
);
