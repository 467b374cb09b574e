/** The lock of a cluster and the cluster's journal, on two real members. */
import t from "tap";
import type { Test } from "tap";
import { DeadlineError, eventually, withDeadline } from "../../../kit/clock.ts";
import {
  appendRecord,
  ClusterJournalError,
  ensureJournal,
  hasJournal,
  readRecords,
} from "../../../router/postgres/journal.ts";
import { acquireClusterLock, findLockHolder } from "../../../router/postgres/lock.ts";
import type { ClusterHold } from "../../../router/postgres/lock.ts";
import { askOf, MemberSession } from "../../../router/postgres/session.ts";
import { greeting, say, startFakePostgres } from "../../support/fake-postgres.ts";
import type { FakeScript } from "../../support/fake-postgres.ts";
import { withLab } from "../../support/lab.ts";
import type { TestLab } from "../../support/lab.ts";

const soon = { deadlineMs: 20_000, intervalMs: 20 };
const patient = { deadlineMs: 20_000 };
const order = ["chi-02", "dal-01"];
const purpose = { holder: "ann on ops-1", why: "flip 4f1c" };

async function take(t: Test, lab: TestLab, members: readonly string[]): Promise<ClusterHold> {
  const hold = await acquireClusterLock(lab.environment, members, purpose, patient);
  t.teardown(() => hold.release());
  return hold;
}

async function open(t: Test, lab: TestLab, name: string): Promise<MemberSession> {
  const member = lab.environment.members.find((one) => one.name === name);
  if (member === undefined) throw new TypeError(`the lab has no ${name}`);
  const session = await MemberSession.open(lab.environment, member, {
    applicationName: "a test",
    deadlineMs: 5000,
  });
  t.teardown(() => session.cut());
  return session;
}

t.test("the lock and the journal", async (t) => {
  const lab = await withLab(t);
  const primary = await open(t, lab, "dal-01");
  const standby = await open(t, lab, "chi-02");
  const isFree = (session: MemberSession): Promise<true> =>
    eventually(`the lock on ${session.member}`, soon, async () =>
      (await findLockHolder(askOf(session))) === undefined ? true : undefined,
    );

  await t.test("one holder, and whoever comes next is told who", async (t) => {
    const hold = await take(t, lab, order);
    t.equal(hold.session, hold.sessions[0]?.id);
    t.strictSame(
      hold.sessions.map((one) => one.member),
      order,
    );
    t.equal(await hold.stillHeld(new AbortController().signal), true);
    const rival = acquireClusterLock(lab.environment, order, purpose, patient);
    const { message } = (await rival.then(
      () => t.fail("two hold it"),
      (error: unknown) => error as Error,
    )) as Error;
    t.match(message, /lock on chi-02: held by ann_on_ops-1 since \d{4}-\S+Z for flip 4f1c/);
    await hold.release();
    await isFree(primary);
    await isFree(standby);
    t.equal(await hold.stillHeld(new AbortController().signal), false);
  });

  await t.test("held on one member alone: nothing is kept on the other", async (t) => {
    const hold = await take(t, lab, ["dal-01"]);
    await t.rejects(acquireClusterLock(lab.environment, order, purpose, patient), {
      code: "ERR_LOCKED",
    });
    await isFree(standby);
    await hold.release();
  });

  await t.test("a long name is cut, and still says who", async (t) => {
    const long = { holder: "somebody-with-a-name@a-host", why: `flip ${"x".repeat(80)}` };
    const hold = await acquireClusterLock(lab.environment, order, long, patient);
    t.teardown(() => hold.release());
    const holder = await findLockHolder(askOf(standby));
    t.match(holder, { why: /^flip x+$/, holder: /^somebody-with-a-name/ });
    await hold.release();
  });

  await t.test("a session that is gone has given it back", async (t) => {
    const hold = await take(t, lab, order);
    await standby.ask(
      "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted",
    );
    await isFree(standby);
    t.equal(await hold.stillHeld(new AbortController().signal), false);
    t.equal(hold.ask("chi-02"), undefined);
    t.type(hold.ask("dal-01"), "function");
    await hold.release();
  });

  await t.test("a member that is down is left out, and then nothing counts", async (t) => {
    await lab.run("stop", "chi-02/postgres");
    const hold = await take(t, lab, order);
    t.equal(hold.session, null);
    t.strictSame(
      hold.sessions.map((one) => one.member),
      ["dal-01"],
    );
    await hold.release();
    await lab.run("start", "chi-02/postgres");
  });

  await t.test("so is one that goes down while the lock is taken", async (t) => {
    const script: FakeScript = { greeting };
    const goesDown = await startFakePostgres(t, script);
    script.answer = (text, connection) => {
      if (!text.includes("pg_try_advisory_lock")) return Buffer.concat([say.row("on"), say.ready]);
      script.greeting = say.error("57P03", "the database system is shutting down");
      connection.socket.end(say.error("57P01", "terminating connection"));
      return undefined;
    };
    const { login, members } = lab.environment;
    const { host, port } = goesDown;
    const environment = {
      ...lab.environment,
      login: { ...login, tls: "disable" as const },
      members: members.map((one) =>
        one.name === "dal-01" ? { ...one, postgres: { host, port } } : one,
      ),
    };
    const hold = await acquireClusterLock(environment, order, purpose, patient);
    t.teardown(() => hold.release());
    t.strictSame(
      hold.sessions.map((one) => one.member),
      ["chi-02"],
    );
    t.equal(await hold.stillHeld(new AbortController().signal), true);
    t.equal(goesDown.connections.length, 2, "it was asked anew");
    await hold.release();
  });

  await t.test("what was given up before it was sent is never sent", async (t) => {
    const other = await open(t, lab, "dal-01");
    await other.ask("SELECT pg_advisory_lock(1, 2)");
    const slow = primary.ask("SELECT pg_advisory_lock(1, 2)");
    const unsent = withDeadline("create", 50, (signal) =>
      primary.ask("CREATE TABLE unsent ()", signal),
    );
    await t.rejects(unsent, DeadlineError);
    other.cut();
    await slow;
    const [row] = await primary.ask("SELECT to_regclass('unsent') AS there");
    t.equal(row?.["there"], null);
  });

  await t.test("the journal reaches the standby, and reads back in order", async (t) => {
    const [ask, there] = [askOf(primary), askOf(await open(t, lab, "chi-02"))];
    t.equal(await hasJournal(ask), false);
    t.strictSame(await readRecords(ask), []);
    await ensureJournal(ask);
    await ensureJournal(ask);
    const written = Array.from({ length: 60 }, (_, index) => ({
      operationId: `op-${index}`,
      step: "",
      phase: "intent" as const,
      at: 1_800_000_000_000 + index,
      facts: { from: "dal-01", quote: "it's", count: index, yes: true },
    }));
    for (const one of written) await appendRecord(ask, one);
    const newest = written.slice(-50);
    t.strictSame(await readRecords(ask), newest);
    const replicated = await eventually("records on the standby", soon, async () => {
      const records = await readRecords(there);
      // As many are read back before the last ones have come.
      return records.at(-1)?.operationId === "op-59" ? records : undefined;
    });
    t.strictSame(replicated, newest);
    await ask("UPDATE switchyard.operation_record SET phase = 'odd' WHERE operation_id = 'op-59'");
    await t.rejects(readRecords(ask), ClusterJournalError);
  });
});
