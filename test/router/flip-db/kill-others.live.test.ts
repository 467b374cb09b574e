/**
 * What else may die or come back in the middle of a flip: its watcher and its terminal, the old
 * primary by somebody's hand, and an abort while a promotion is pending. SWITCHYARD_TEST_FULL=1
 * restarts the old primary at every point.
 */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import { Gates } from "../../../router/flip-db/acts/gates.ts";
import { chanceOf } from "../../sim/random.ts";
import { endFlip, isWhole, killedFlip } from "./kill-stage.ts";
import { startProber } from "./kill-prober.ts";
import { flipStruck } from "./kill-strike.ts";
import { folderOf, handsOn, other, provesLossless } from "./pitfall-hands.ts";
import type { RecoveryProcess } from "../../support/recovery-process.ts";

const { SWITCHYARD_TEST_FULL: full, SWITCHYARD_TEST_SEED: text } = process.env;
const seed = Number(text ?? 1);
const chance = chanceOf(seed);
const soon = { deadlineMs: 30_000, intervalMs: 50 };

const hands = await handsOn(t);
const { lab, sql, recovery, primary } = hands;
const prober = await startProber(t, lab);
const here = { ending: "resume", elsewhere: false } as const;

/** A transaction behind the edge pooler: the hold waits for it, so the flip stands before the stop. */
async function openTransaction(): Promise<() => Promise<void>> {
  const client = await lab.connect(lab.json.edge);
  await client.query("BEGIN");
  await client.query("SELECT 1");
  return async () => {
    await client.query("COMMIT");
    await client.end();
  };
}

/** From now on a promotion of `member` takes some seconds. */
async function slowPromotion(member: string): Promise<void> {
  await hands.set(member, { restore_command: "'sleep 1.5; exit 1'" });
}

/**
 * From now on `member`, once it is restarted as a standby, does not come up: a flip from it has not
 * ended before a test is done with those who carry it out, however slow that test is.
 * @returns lets it come up
 */
async function heldRejoin(t: Test, member: string): Promise<() => Promise<void>> {
  const gate = join(folderOf(hands, member), "held");
  const open = (): Promise<void> => rm(gate, { force: true });
  await writeFile(gate, "");
  t.teardown(open);
  const command = `'while test -e ${gate}; do sleep 0.05; done; exit 1'`;
  await hands.set(member, { restore_command: command });
  return open;
}

/** Ends `who` of the flip, as kill -9 does. */
async function kill(
  flip: RecoveryProcess,
  who: "watcher" | "terminal",
  pids: { watcher: number | null },
): Promise<void> {
  if (who === "terminal") flip.child.kill("SIGKILL");
  else if (pids.watcher !== null) process.kill(pids.watcher, "SIGKILL");
  if (who === "terminal") await flip.end();
}

async function flipped(to: string): Promise<void> {
  await eventually(`${to} takes writes`, soon, async () =>
    (await primary().catch(() => "")) === to ? true : undefined,
  );
}

/** One of a table by default, all of it in full. */
function drawn<T>(rows: readonly T[]): readonly T[] {
  const at = chance.between(0, rows.length - 1);
  return full === "1" ? rows : rows.slice(at, at + 1);
}

const deaths = [
  { who: "watcher", when: "before" },
  { who: "watcher", when: "after" },
  { who: "terminal", when: "before" },
  { who: "terminal", when: "after" },
] as const;

for (const { who, when } of drawn(deaths)) {
  t.test(`the ${who} is killed ${when} the stop: the flip goes on`, async (t) => {
    prober.begin();
    const app = await hands.app(t);
    const from = await primary();
    const to = other(from);
    const commit = when === "before" ? await openTransaction() : undefined;
    const rejoins = when === "after" ? await heldRejoin(t, from) : undefined;
    if (when === "after") await slowPromotion(to);
    const flip = recovery("flip-db", "--yes", "--json", "--accept-risk=long-transactions");
    const { pids } = await flip.step(when === "before" ? "hold" : "promote", "start");
    await kill(flip, who, pids);
    await commit?.();
    await rejoins?.();
    if (who === "watcher") t.equal(await flip.end(), 0, flip.out() + flip.notes());
    await flipped(to);
    if (when === "after") await hands.reset(to, "restore_command");
    await isWhole(hands, [app]);
    if (when === "after") await hands.reset(from, "restore_command");
    await hands.healthy();
    await provesLossless(t, app);
    await prober.proves(t);
  });
}

t.test("the executor is killed as the stop begins: the watcher goes on", async (t) => {
  prober.begin();
  const app = await hands.app(t);
  const from = await primary();
  const rejoins = await heldRejoin(t, from);
  const flip = recovery("flip-db", "--yes", "--json");
  const { pids } = await flip.step("stop", "start");
  process.kill(pids.executor, "SIGKILL");
  await rejoins();
  t.equal(await flip.end(), 0, flip.out() + flip.notes());
  t.equal(await primary(), other(from));
  await hands.reset(from, "restore_command");
  await isWhole(hands, [app]);
  await provesLossless(t, app);
  await prober.proves(t);
});

t.test("who goes on in a run whose lease has ended holds the clients again", async (t) => {
  const app = await hands.app(t);
  const never = new AbortController().signal;
  const dead = new Gates(lab.environment);
  const heir = new Gates(lab.environment);
  const holders = async (): Promise<(string | null)[]> =>
    (await heir.look(never)).map(({ pausedBy }) => pausedBy);
  await dead.hold("a-dead-run", never);
  dead.close();
  t.same([...new Set(await holders())], ["a-dead-run"]);
  await eventually("the lease of the dead ends", soon, async () =>
    (await holders()).every((one) => one === null) ? true : undefined,
  );
  await heir.hold("a-dead-run", never);
  t.same([...new Set(await holders())], ["a-dead-run"]);
  await heir.release("a-dead-run");
  t.same([...new Set(await holders())], [null]);
  heir.close();
  await isWhole(hands, [app]);
});

/** With both gone nobody goes on by itself, and the operator does. */
const bothDie = async (t: Test, phase: "start" | "done"): Promise<void> => {
  prober.begin();
  const app = await hands.app(t);
  const from = await primary();
  const rejoins = await heldRejoin(t, from);
  if (phase === "start") await slowPromotion(other(from));
  const flip = recovery("flip-db", "--yes", "--json");
  const { pids } = await flip.step("promote", phase);
  if (pids.watcher !== null) process.kill(pids.watcher, "SIGKILL");
  process.kill(pids.executor, "SIGKILL");
  await rejoins();
  t.equal(await flip.end(), 1, flip.out() + flip.notes());
  // What resumes after the promotion finds it done: only the journal of the dead run has the proof.
  const says = await endFlip(t, hands, here);
  t.match(says, /"timelines":\{"before":\d+,"after":\d+\}/);
  t.match(says, /"loss":"none, proven by [^"]* at [0-9A-F/]+, and [^"]* to [0-9A-F/]+, past it/);
  t.equal(await primary(), other(from));
  await hands.reset(from, "restore_command");
  if (phase === "start") await hands.reset(other(from), "restore_command");
  await isWhole(hands, [app]);
  await provesLossless(t, app);
  await prober.proves(t);
};

if (full === "1") {
  t.test("executor and watcher are killed as it promotes", (t) => bothDie(t, "start"));
}
t.test("executor and watcher are killed after the promotion", (t) => bothDie(t, "done"));

t.test("an abort while a promotion is pending gives never two primaries", async (t) => {
  for (const delayMs of full === "1" ? [0, 20, 200, 1500] : [chance.between(0, 200)]) {
    prober.begin();
    const app = await hands.app(t);
    const to = other(await primary());
    await slowPromotion(to);
    await killedFlip(t, hands, { mode: "seamless", step: "promote", moment: "during", delayMs });
    await endFlip(t, hands, { ending: "abort", elsewhere: chance.hit(0.5) });
    await hands.reset(to, "restore_command");
    await isWhole(hands, [app]);
    await provesLossless(t, app);
    await prober.proves(t);
  }
});

/** Until the old primary is stopped the flip is called off; after that it goes on. */
const restarts = [
  { step: "hold", want: "undone" },
  { step: "divert", want: "undone" },
  { step: "stop", want: "undone" },
  { step: "promote", want: "done" },
  { step: "verify", want: "done" },
  { step: "route", want: "done" },
  { step: "release", want: "done" },
  { step: "rejoin", want: "done" },
] as const;

for (const { step, want } of drawn(restarts)) {
  t.test(
    `seed ${seed}: the old primary is restarted by hand as ${step} begins (pitfall 10)`,
    async (t) => {
      prober.begin();
      const app = await hands.app(t);
      const from = await primary();
      const roles: unknown[] = [];
      const result = await flipStruck(hands, step, async () => {
        await lab.run("kill", `${from}/postgres`);
        await lab.run("start", `${from}/postgres`);
        roles.push(...(await sql(from, "SELECT pg_is_in_recovery() AS standby")));
      });
      t.same(roles, [{ standby: true }], "armed, it comes up read-only");
      const how = result.kind === "ended" ? result.outcome.result : result.why;
      t.equal(how, want, JSON.stringify(result));
      t.equal(await primary(), want === "done" ? other(from) : from);
      await isWhole(hands, [app]);
      await provesLossless(t, app);
      await prober.proves(t);
    },
  );
}
