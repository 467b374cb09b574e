/**
 * Pitfalls of the stop and the promotion: what a shutdown waits for, what is promoted too early,
 * and who is left without a primary. The numbers are those of pitfalls.ts.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFile, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import { verifyWorkload, Workload } from "../../../lab/workload.ts";
import type { FlipEvent } from "../../../router/flip-db/events.ts";
import type { RecoveryProcess } from "../../support/recovery-process.ts";
import { folderOf, handsOn, other, provesLossless, provesUnharmed, soon } from "./pitfall-hands.ts";

const hands = await handsOn(t, { archiveCommand: "/bin/true" });
const { lab } = hands;
const flip = ["flip-db", "--yes", "--json"] as const;
const isFull = process.env["SWITCHYARD_TEST_FULL"] === "1";

const place = (step: string, phase: string) => (one: FlipEvent) =>
  one.event === "step" && one.step === step && one.phase === phase;

t.test("pitfall 1: what is written past every pooler until the stop is not lost", async (t) => {
  const from = await hands.primary();
  const app = await hands.app(t);
  const { user, password, database } = lab.json;
  const login = { user, password, database };
  const address = lab.json.members.find((one) => one.name === from)?.postgres;
  if (address === undefined) throw new TypeError(`no address of ${from}`);
  const side = await Workload.start({ address, login, table: "cron", connections: 2, rate: 200 });
  t.teardown(() => side.abandon());
  const run = await hands.ended(t, 0, ...flip);
  const steps = run.events().filter((one) => one.event === "step");
  const stop = steps.findIndex(place("stop", "done"));
  const proof = steps.findIndex(place("prove", "done"));
  const sent = steps.findIndex(place("promote", "start"));
  t.ok(stop >= 0 && stop < proof && proof < sent, "stopped, proven, promoted");
  const report = await side.stop();
  t.ok(report.acknowledgedIds.length > 20, "the side door was in use");
  for (const { name, postgres } of lab.json.members) {
    const found = await eventually(`${name} has caught up`, soon, async () => {
      const now = await verifyWorkload(postgres, login, "cron", report);
      return now.missing.length === 0 ? now : undefined;
    });
    t.equal(found.found, report.acknowledgedIds.length, name);
  }
  await app.progress(30);
  await provesUnharmed(t, app);
});

/** The clients are on the new primary, and the old one still cannot end. */
async function goesOnWithout(t: Test, run: RecoveryProcess, holdUp: RegExp): Promise<void> {
  await run.step("release", "done");
  await run.says(holdUp);
  t.equal(run.child.exitCode, null, "the command has not ended");
  const failed = run.events().filter((one) => one.event === "step" && one.phase === "failed");
  t.strictSame(failed, [], "and calls nothing failed that still goes on");
}

t.test("pitfall 2 and 3: an archive_command that hangs does not hold the flip up", async (t) => {
  const from = await hands.primary();
  const gate = join(folderOf(hands, from), "hang");
  await writeFile(gate, "");
  t.teardown(() => rm(gate, { force: true }));
  await hands.set(from, { archive_command: `'while test -e ${gate}; do sleep 0.05; done'` });
  const app = await hands.app(t);
  const run = hands.recovery(...flip);
  await goesOnWithout(t, run, /still ends: .*archiver/);
  await app.progress(30);
  await rm(gate);
  t.equal(await run.end(), 0, "and when it has ended, the old primary follows");
  t.match(run.report(), { result: "done", rejoined: true, problems: [] });
  await hands.reset(from, "archive_command");
  await provesUnharmed(t, app);
});

t.test("pitfall 2: an archive_command that fails does not hold the flip up", async (t) => {
  const from = await hands.primary();
  await hands.set(from, { archive_command: "'/bin/false'" });
  const app = await hands.app(t);
  const run = await hands.ended(t, 0, ...flip, "--accept-risk=archiver");
  t.match(run.report(), { result: "done", rejoined: true });
  await hands.reset(from, "archive_command");
  await provesUnharmed(t, app);
});

/** A receiver of WAL that is no member; it is ended with the test. */
async function receiver(t: Test, from: string, words: readonly string[]): Promise<ChildProcess> {
  const { programs = "" } =
    lab.environment.members.find(({ name }) => name === from)?.control ?? {};
  const { host = "", port = 0 } = lab.json.members.find((one) => one.name === from)?.postgres ?? {};
  const [program = "", ...rest] = words;
  const { user, password } = lab.json.superuser;
  const child = spawn(join(programs, program), ["-h", host, "-p", String(port), ...rest], {
    env: { PGUSER: user, PGPASSWORD: password },
    stdio: "ignore",
  });
  const ended = once(child, "close");
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  await eventually(`${program} streams`, soon, async () => {
    const streaming = `SELECT 1 FROM pg_stat_replication
      WHERE application_name = '${program}' AND state = 'streaming'`;
    return (await hands.sql(from, streaming)).length === 1 ? true : undefined;
  });
  return child;
}

t.test("pitfall 2 and 29: a receiver that is frozen does not hold the flip up", async (t) => {
  const from = await hands.primary();
  const folder = t.testdir({});
  const frozen = await receiver(t, from, ["pg_receivewal", "--directory", folder]);
  frozen.kill("SIGSTOP");
  const app = await hands.app(t);
  const run = hands.recovery(...flip);
  await goesOnWithout(t, run, /still ends: .*walsender .*streaming/);
  await app.progress(30);
  frozen.kill("SIGKILL");
  t.equal(await run.end(), 0, "once it is gone, the old primary follows");
  t.match(run.report(), { result: "done", rejoined: true });
  await provesUnharmed(t, app);
});

t.test("pitfall 3: no success where the old primary does not follow", async (t) => {
  const from = await hands.primary();
  const file = join(folderOf(hands, from), "data", "pg_hba.conf");
  const before = await readFile(file, "utf8");
  // It is read at a start: the running Postgres goes on with what it has.
  await appendFile(file, "host everybody\n");
  const app = await hands.app(t);
  const run = await hands.ended(t, 1, ...flip);
  const report = run.report();
  t.match(report, { result: "done", rejoined: false, to: other(from) });
  const reason = /Postgres has ended right after|look for a process after/;
  t.match(report.problems[0], { step: "rejoin", reason }, "what failed is told");
  t.match(report.loss, /^none, proven by/);
  t.match(report.next, new RegExp(`rebuild-standby --member ${from}$`));
  await app.progress(30);
  await writeFile(file, before);
  await hands.ended(t, 0, "rebuild-standby", "--member", from, "--yes");
  await provesUnharmed(t, app);
});

/** Begins a flip, and lets it go on only when `meanwhile` is done, while the clients are held. */
async function flipAfter(meanwhile: () => Promise<void>): Promise<RecoveryProcess> {
  const client = await lab.connect(lab.json.edge);
  await client.query("BEGIN");
  await client.query("SELECT 1");
  const run = hands.recovery(...flip, "--accept-risk=long-transactions");
  await run.step("hold", "start");
  await meanwhile();
  await client.query("COMMIT");
  await client.end();
  return run;
}

t.test("pitfall 4: the standby gets stuck: the old primary takes writes again", async (t) => {
  const from = await hands.primary();
  const to = other(from);
  for (const then of isFull ? ["nothing more", "it crashes"] : ["it crashes"]) {
    const app = await hands.app(t);
    const run = await flipAfter(async () => {
      await hands.sql(to, "SELECT pg_wal_replay_pause()");
    });
    await run.step("prove", "start");
    if (then === "it crashes") await lab.run("kill", `${to}/postgres`);
    t.equal(await run.end(), 1, then);
    const report = run.report();
    t.match(report, { result: "undone", timelines: { before: Number, after: null } });
    t.match(report.loss, new RegExp(`^none: ${from} keeps every row`));
    t.notOk(run.events().some(place("promote", "start")), "nobody was promoted");
    t.equal(await hands.primary(), from);
    await app.progress(30);
    await provesLossless(t, app);
  }
  await hands.healthy();
});
