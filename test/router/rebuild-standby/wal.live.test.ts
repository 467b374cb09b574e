/**
 * WAL that a rebuilt member needs: kept by a slot, gone before or after it is started, or not yet
 * written out.
 */
import t from "tap";
import { eventually } from "../../../kit/clock.ts";
import {
  atStep,
  beside,
  diverge,
  freeze,
  proveFollows,
  rebuild,
  reportOf,
  soon,
  sql,
  withPair,
} from "./pair.ts";
import type { Pair } from "./pair.ts";

/** Three segments further on. */
async function goOn(pair: Pair, member: string): Promise<void> {
  for (let id = 0; id < 3; id += 1) {
    await sql(pair, member, `INSERT INTO counted VALUES (${3000 + id})`);
    await sql(pair, member, "SELECT pg_switch_wal()");
  }
}

interface Writer {
  /** How often it has written. */
  readonly count: () => number;
  readonly end: () => Promise<void>;
}

/** Writes to `member` without a pause. */
function write({ lab }: Pair, member: string): Writer {
  const address = lab.json.members.find(({ name }) => name === member)?.postgres;
  if (address === undefined) throw new TypeError(`the lab has no ${member}`);
  const over = new AbortController();
  let count = 0;
  const loop = async (): Promise<void> => {
    const client = await lab.connect(address, { as: "superuser" });
    for (; !over.signal.aborted; count += 1)
      await client.query("INSERT INTO counted VALUES (4000)");
    await client.end();
  };
  const running = loop();
  return {
    count: () => count,
    end: async () => {
      over.abort();
      await running;
    },
  };
}

const drop = (slot: string): string =>
  `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '${slot}'`;

t.test("WAL that a member needs", async (t) => {
  const pair = await withPair(t);
  const { lab } = pair;

  await t.test("a standby that streams is not ahead, however busy its primary is", async (t) => {
    const writer = write(pair, "dal-01");
    await eventually("the first writes", soon, () => (writer.count() > 10 ? true : undefined));
    const before = writer.count();
    const dry = await rebuild(pair, "--dry-run", "--json", "--method", "basebackup");
    t.ok(writer.count() > before, "there were writes all the time");
    await writer.end();
    t.match(JSON.parse(dry.stdout), { method: "basebackup", risks: [], fork: null });
  });

  await t.test("a slot past the fork keeps nothing of use: it is made anew", async (t) => {
    await diverge(pair, "dal-01", 3);
    await sql(pair, "chi-02", drop("dal_01"));
    await sql(pair, "chi-02", "SELECT pg_create_physical_replication_slot('dal_01', true)");
    await goOn(pair, "chi-02");
    const advance = "SELECT pg_replication_slot_advance('dal_01', pg_current_wal_lsn())";
    await sql(pair, "chi-02", advance);
    const words = ["--json", "-y", "--accept-risk=divergence"];
    // Before anything of the source is read, it removes what no slot keeps.
    const run = await atStep(pair, "aside", words, async (child) => {
      child.kill("SIGSTOP");
      await sql(pair, "chi-02", "CHECKPOINT");
      child.kill("SIGCONT");
    });
    t.match(reportOf(run), { result: "done", method: "rewind", problems: [] }, run.stdout);
    await proveFollows(t, pair, "dal-01");
    t.strictSame(await beside(pair, "dal-01"), [], "nothing is left beside the data");
  });

  await t.test("pitfall 24: WAL that goes while it waits ends the waiting, in words", async (t) => {
    const removeWal = async (): Promise<void> => {
      await sql(pair, "chi-02", drop("dal_01"));
      await goOn(pair, "chi-02");
      await sql(pair, "chi-02", "CHECKPOINT");
    };
    await lab.run("stop", "dal-01/postgres");
    if (lab.place.privileged) {
      await lab.run("cut", "dal-01/postgres", "chi-02/postgres");
      t.teardown(() => lab.run("heal", "dal-01/postgres", "chi-02/postgres"));
      const run = await atStep(pair, "stream", ["--json", "-y"], removeWal);
      t.equal(run.code, 1);
      t.match(reportOf(run).problems, [
        { step: "stream", reason: /chi-02 no longer has the WAL that dal-01 needs, from 0\// },
      ]);
      await lab.run("heal", "dal-01/postgres", "chi-02/postgres");
    } else {
      t.comment("cutting takes root");
      await removeWal();
    }
    const asked = await rebuild(pair, "-y", "--method", "start");
    t.equal(asked.code, 3, "and now it is known beforehand");
    t.match(asked.stderr, /chi-02 no longer has the WAL that dal-01 needs, from 0\//);
    const done = { result: "done", method: "basebackup", problems: [] };
    t.match(reportOf(await rebuild(pair, "--json", "-y")), done);
    await proveFollows(t, pair, "dal-01");
  });

  await t.test(
    "a rewound member starts though its source writes out nothing by itself",
    async (t) => {
      await diverge(pair, "chi-02", 2);
      await sql(pair, "dal-01", "CREATE TABLE unread AS SELECT generate_series(1, 20) AS id");
      await sql(pair, "dal-01", "CHECKPOINT");
      const words = ["--json", "-y", "--member", "chi-02", "--accept-risk=divergence"];
      let thaw = (): void => undefined;
      const run = await atStep(pair, "rehearse", words, async () => {
        thaw = await freeze(t, pair, "dal-01", "walwriter", "background writer", "checkpointer");
        // The first reader sets hint bits, whose WAL nobody waits for.
        await sql(pair, "dal-01", "SELECT count(*) FROM unread");
      });
      thaw();
      t.match(reportOf(run), { result: "done", method: "rewind", problems: [] }, run.stdout);
      await proveFollows(t, pair, "chi-02");
    },
  );
});
