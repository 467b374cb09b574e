/** The staggered race, in virtual time. */
import t from "tap";
import { nextTurn } from "../../kit/clock.ts";
import { OpenRace, race } from "../../client/search/race.ts";
import { createTurns } from "../../client/search/turns.ts";
import { VirtualTime } from "../support/virtual-time.ts";

interface Runner {
  readonly name: string;
  /** When it ends, after its start. */
  readonly ms: number;
  readonly fails?: boolean;
  /** It does not hear that it is to stop. */
  readonly isDeaf?: boolean;
}

class Track {
  readonly time = new VirtualTime();
  readonly began: Record<string, number> = {};
  readonly stopped: string[] = [];
  readonly lost: string[] = [];
  readonly #from = this.time.now();

  readonly attempt = async (runner: Runner, signal: AbortSignal): Promise<string> => {
    const { name, ms, fails = false, isDeaf = false } = runner;
    this.began[name] = this.time.now() - this.#from;
    await this.time.sleep(ms, isDeaf ? undefined : signal);
    if (signal.aborted && !isDeaf) {
      this.stopped.push(name);
      throw signal.reason;
    }
    if (fails) throw new Error(`${name} fails`);
    return name;
  };

  run(runners: readonly Runner[], signal?: AbortSignal): ReturnType<typeof race<Runner, string>> {
    return race(runners, this.attempt, {
      staggerMs: 250,
      signal,
      timing: this.time,
      onLost: (value) => void this.lost.push(value),
    });
  }
}

interface Case {
  readonly name: string;
  readonly runners: readonly Runner[];
  /** The winner, or how many failed. */
  readonly want: string | number;
  readonly began: Readonly<Record<string, number>>;
  readonly stopped?: readonly string[];
  readonly lost?: readonly string[];
}

const cases: readonly Case[] = [
  { name: "nobody runs", runners: [], want: 0, began: {} },
  {
    name: "the first is quick enough to run alone",
    runners: [
      { name: "a", ms: 249 },
      { name: "b", ms: 1 },
    ],
    want: "a",
    began: { a: 0 },
  },
  {
    name: "the next starts when the first has had its time, and both run on",
    runners: [
      { name: "a", ms: 400 },
      { name: "b", ms: 200 },
    ],
    want: "a",
    began: { a: 0, b: 250 },
    stopped: ["b"],
  },
  {
    name: "the next starts at once when one fails",
    runners: [
      { name: "a", ms: 3, fails: true },
      { name: "b", ms: 0, fails: true },
      { name: "c", ms: 5 },
    ],
    want: "c",
    began: { a: 0, b: 3, c: 3 },
  },
  {
    name: "a late failure of an old one starts the next at once, too",
    runners: [
      { name: "a", ms: 300, fails: true },
      { name: "b", ms: 900 },
      { name: "c", ms: 10 },
    ],
    want: "c",
    began: { a: 0, b: 250, c: 300 },
    stopped: ["b"],
  },
  {
    name: "all fail, in the order in which they end",
    runners: [
      { name: "a", ms: 600, fails: true },
      { name: "b", ms: 10, fails: true },
    ],
    want: 2,
    began: { a: 0, b: 250 },
  },
  {
    name: "who does not hear that it is over loses what it brings",
    runners: [
      { name: "a", ms: 5000, isDeaf: true },
      { name: "b", ms: 5, fails: true },
      { name: "c", ms: 5 },
    ],
    want: "c",
    began: { a: 0, b: 250, c: 255 },
    lost: ["a"],
  },
];

for (const { name, runners, want, began, stopped = [], lost = [] } of cases) {
  t.test(`race: ${name}`, async (t) => {
    const track = new Track();
    const outcome = await track.time.until(track.run(runners));
    t.equal("value" in outcome ? outcome.value : outcome.failures.length, want);
    await track.time.pass(10_000);
    t.same(track.began, began);
    t.same(track.stopped, stopped);
    t.same(track.lost, lost);
    t.equal(track.time.waiting, 0);
  });
}

t.test("race: what throws before it waits has failed", async (t) => {
  const time = new VirtualTime();
  const bug = new TypeError("not a function");
  const outcome = await time.until(
    race(
      [1],
      () => {
        throw bug;
      },
      { staggerMs: 250, timing: time, onLost: () => undefined },
    ),
  );
  t.equal("failures" in outcome && outcome.failures[0]?.error, bug);
});

t.test("race: an abort stops all, and takes nobody's value", async (t) => {
  const track = new Track();
  const controller = new AbortController();
  const running = track.run(
    [
      { name: "a", ms: 900 },
      { name: "b", ms: 800, isDeaf: true },
      { name: "c", ms: 1 },
    ],
    controller.signal,
  );
  await track.time.pass(300);
  const reason = new Error("enough");
  controller.abort(reason);
  await t.rejects(track.time.until(running), reason);
  await track.time.pass(5000);
  t.same([track.stopped, track.lost, track.time.waiting], [["a"], ["b"], 0]);
  await t.rejects(track.run([{ name: "d", ms: 1 }], controller.signal), reason);
  t.notOk("d" in track.began, "an aborted signal starts nobody");
});

t.test("race: what is won in the moment of an abort is nobody's", async (t) => {
  const controller = new AbortController();
  const lost: string[] = [];
  const reason = new Error("enough");
  const running = race(
    ["a"],
    async (name) => {
      controller.abort(reason);
      return name;
    },
    { staggerMs: 250, signal: controller.signal, onLost: (value) => void lost.push(value) },
  );
  await t.rejects(running, reason);
  await nextTurn();
  t.same(lost, ["a"]);
});

t.test("race: who is stopped has not failed", async (t) => {
  const track = new Track();
  const failed: string[] = [];
  const open = new OpenRace<Runner, string>({
    attempt: track.attempt,
    staggerMs: 250,
    timing: track.time,
    onLost: () => undefined,
    onFailed: ({ name }) => void failed.push(name),
  });
  open.enter([{ name: "a", ms: 100 }]);
  await track.time.pass(10);
  open.close(new Error("enough"));
  await track.time.pass(1000);
  t.same([track.stopped, failed], [["a"], []]);
});

t.test("race: one that is open takes more while it runs, and says when it is quiet", async (t) => {
  const track = new Track();
  const failed: string[] = [];
  const open = new OpenRace<Runner, string>({
    attempt: track.attempt,
    staggerMs: 250,
    timing: track.time,
    onLost: () => undefined,
    onFailed: ({ name }) => void failed.push(name),
  });
  await open.quiet();
  open.enter([
    { name: "slow", ms: 1000 },
    { name: "bad", ms: 5, fails: true },
  ]);
  const from = track.time.now();
  await track.time.until(open.quiet());
  t.equal(track.time.now() - from, 255, "one is slow, the other has failed");
  t.same(failed, ["bad"]);
  t.same(
    open.running().map(({ candidate, ms }) => [candidate.name, ms]),
    [["slow", 255]],
  );
  open.enter([{ name: "again", ms: 5, fails: true }]);
  await track.time.until(open.quiet());
  t.same(track.began, { slow: 0, bad: 250, again: 255 }, "a slow one holds up nobody");
  t.equal((await track.time.until(open.won)).ms, 1000, "it may still win");
  open.enter([{ name: "late", ms: 1 }]);
  await track.time.pass(1000);
  t.notOk("late" in track.began);
  t.equal(track.time.waiting, 0);
});

t.test(
  "turns: few at once, first come first served, and an old one no longer counts",
  async (t) => {
    const time = new VirtualTime();
    const turns = createTurns({ atOnce: 2, countedMs: 500, timing: time });
    const never = new AbortController();
    const given: number[] = [];
    const take = async (who: number, signal = never.signal): Promise<() => void> => {
      const end = await turns.take(signal);
      given.push(who);
      return end;
    };
    const leaves = new AbortController();
    const [first] = [take(1), take(2)];
    const third = take(3, leaves.signal);
    const fourth = take(4);
    await time.pass(1);
    t.same(given, [1, 2]);
    leaves.abort(new Error("gone"));
    await t.rejects(third, { message: "gone" });
    const end = await first;
    end();
    end();
    await time.pass(1);
    t.same(given, [1, 2, 4], "who left is passed over, and a turn ends once");
    const fifth = take(5);
    await time.pass(497);
    t.same(given, [1, 2, 4]);
    await time.pass(2);
    t.same(given, [1, 2, 4, 5], "2 takes too long");
    (await fourth)();
    (await fifth)();
    await t.rejects(turns.take(leaves.signal), { message: "gone" });
    t.equal(time.waiting, 0);
  },
);
