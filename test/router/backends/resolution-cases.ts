/** The invariants of backend resolution, each by its words, on a clock that the test moves. */
import type { Test } from "tap";
import type { OnUpdate } from "../../../router/backends/watch/deliveries.ts";
import { createSchedule } from "../../../router/backends/watch/schedule.ts";
import { chanceOf } from "../../sim/random.ts";
import { createManualClock } from "./manual-clock.ts";
import { failed, found, rig } from "./resolution-rig.ts";
import type { Rig } from "./resolution-rig.ts";

const web = { port: 80, jitter: 0 };
const [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"] as const;

/** A started rig with `db` registered for `p`. */
async function registered(options = {}): Promise<Rig> {
  const one = rig();
  one.names.set("db", found(a));
  one.resolution.start();
  await one.resolution.registerTarget("p", "db", { ...web, ...options }, one.hear);
  return one;
}

const sets = ({ heard }: Rig): string[] => heard.map(({ ips }) => ips.join(" "));
const generations = ({ heard }: Rig): number[] => heard.map(({ about }) => about.generation);

/** The words, and what proves them. */
const invariants: Readonly<Record<string, (t: Test) => Promise<void>>> = {
  "weights sum to the total, each at least 1": async (t) => {
    const one = await registered({ weight: 5 });
    one.names.set("db", found(a, b, c));
    await one.clock.advance(30_000);
    t.match(one.heard.at(-1)?.targets, [{ weight: 2 }, { weight: 2 }, { weight: 1 }]);
    const many = Array.from({ length: 7 }, (_, at) => `10.0.1.${at}`);
    one.names.set("db", found(...many));
    await one.clock.advance(30_000);
    t.same(
      one.heard.at(-1)?.targets.map(({ weight }) => weight),
      [1, 1, 1, 1, 1, 1, 1],
    );
  },
  "same set, no callback": async (t) => {
    const one = await registered();
    one.names.set("db", found(b, a));
    await one.clock.advance(30_000);
    one.names.set("db", found(a, b));
    await one.clock.advance(300_000);
    t.same(sets(one), [a, `${a} ${b}`]);
    t.equal(one.asked.length, 12);
  },
  "callbacks are serialised per target, and the latest news win": async (t) => {
    const one = rig();
    one.names.set("db", found(a));
    one.resolution.start();
    const log: string[] = [];
    const gates: (() => void)[] = [];
    const slow: OnUpdate = async (targets) => {
      log.push(`begins ${targets.map(({ ip }) => ip).join(" ")}`);
      await new Promise<void>((resolve) => void gates.push(resolve));
      log.push("ends");
    };
    await one.resolution.registerTarget("p", "db", web, slow);
    for (const set of [[b], [c], [a, b]]) {
      one.names.set("db", found(...set));
      await one.clock.advance(30_000);
    }
    t.same(log, [`begins ${a}`], "one at a time");
    gates.shift()?.();
    await one.clock.settle();
    t.same(log.slice(1), ["ends", `begins ${a} ${b}`], "what was over meanwhile is not told");
    one.names.set("db", found(c));
    await one.clock.advance(30_000);
    one.names.set("db", found(a, b));
    await one.clock.advance(30_000);
    gates.shift()?.();
    await one.clock.settle();
    t.same(log.slice(3), ["ends"], "it went and came back: the same set, no callback");
  },
  "each name of each proxy has its own callback": async (t) => {
    const one = rig();
    const log: string[] = [];
    one.resolution.start();
    for (const [proxy, name] of [
      ["p", "db"],
      ["p", "web"],
      ["q", "db"],
    ] as const) {
      one.names.set(name, found(a));
      await one.resolution.registerTarget(proxy, name, web, (targets, about) => {
        const ips = targets.map(({ ip }) => ip).join(" ");
        log.push(`${proxy}/${name} as ${about.proxyName}/${about.hostname}: ${ips}`);
      });
    }
    log.length = 0;
    one.names.set("db", found(b));
    await one.clock.advance(30_000);
    t.same(log, [`p/db as p/db: ${b}`, `q/db as q/db: ${b}`]);
    one.resolution.unregisterTarget("p", "db");
    one.names.set("db", found(c));
    one.names.set("web", found(c));
    await one.clock.advance(30_000);
    t.same(log.slice(2), [`p/web as p/web: ${c}`, `q/db as q/db: ${c}`]);
  },
  "no callback after unregister": async (t) => {
    const one = await registered();
    one.names.delete("db");
    await one.clock.advance(30_000);
    t.equal(one.resolution.unregisterTarget("p", "DB."), true, "a lookup is under way");
    one.names.set("db", found(b));
    await one.clock.advance(300_000);
    t.same(sets(one), [a]);
    t.equal(one.resolution.getStatus("p"), undefined);
    t.equal(one.resolution.unregisterTarget("p", "db"), false);
    t.equal(one.clock.sleepers(), 0, "and no timer");
  },
  "what is unregistered asks no longer": async (t) => {
    const one = await registered();
    one.names.delete("db");
    await one.clock.advance(30_000);
    t.equal(one.unanswered(), 1);
    one.resolution.unregisterProxy("p");
    t.equal(one.unanswered(), 0, "the lookup is told that nobody waits for it");
    await one.clock.settle();
    t.equal(one.clock.sleepers(), 0);
  },
  "no event after unregister": async (t) => {
    const one = rig();
    one.names.set("db", found(a));
    one.resolution.start();
    await one.resolution.registerTarget("p", "db", web, one.hear);
    one.types();
    one.names.set("db", found(b));
    one.resolution.subscribe(() => void one.resolution.unregisterTarget("p", "db"));
    await one.clock.advance(60_000);
    t.same(one.types(), ["dns-resolved"], "nor of what was found when it was unregistered");
  },
  "lookups that are due nearly together begin together, others at their moment": async (t) => {
    const one = await registered({ jitter: 0.1 });
    await one.clock.advance(100);
    one.names.set("web", found(a));
    await one.resolution.registerTarget("p", "web", { port: 80 }, one.hear);
    one.asked.length = 0;
    await one.clock.advance(29_899);
    t.same(one.asked, []);
    await one.clock.advance(1);
    t.same(
      one.asked.map(({ hostname, atMs }) => `${hostname} ${atMs}`),
      ["db 30000", "web 30000"],
    );
  },
  "no callback after stop, and no timer": async (t) => {
    const one = await registered();
    await one.resolution.registerTarget("q", "db", web, one.hear);
    await one.resolution.stop();
    t.equal(one.resolution.running(), false);
    t.same(one.resolution.getAllStatus(), {});
    t.equal(one.clock.sleepers(), 0);
    one.names.set("db", found(b));
    await one.clock.advance(300_000);
    t.same(sets(one), [a, a]);
    const { length } = one.events;
    one.resolution.start();
    await one.resolution.registerTarget("p", "db", web, one.hear);
    t.same(sets(one), [a, a, b], "it can be started again");
    t.equal(one.events.length, length, "subscriptions have ended");
    await one.resolution.stop();
  },
  "news that wait for a callback are not told after stop; stop waits for the callback": async (
    t,
  ) => {
    const one = rig();
    one.names.set("db", found(a));
    one.resolution.start();
    const log: string[] = [];
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const slow: OnUpdate = async (targets) => {
      log.push(targets.map(({ ip }) => ip).join(" "));
      await gate;
      log.push("ends");
    };
    await one.resolution.registerTarget("p", "db", web, slow);
    one.names.set("db", found(b));
    await one.clock.advance(30_000);
    const stopped = one.resolution.stop().then(() => log.push("stopped"));
    await one.clock.settle();
    open();
    await stopped;
    t.same(log, [a, "ends", "stopped"]);
  },
  "stop waits for the callback of one that was unregistered before, too": async (t) => {
    const one = rig();
    one.names.set("db", found(a));
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    await one.resolution.registerTarget("p", "db", web, () => gate);
    one.resolution.unregisterTarget("p", "db");
    let isStopped = false;
    const stopped = one.resolution.stop().then(() => (isStopped = true));
    await one.clock.settle();
    t.equal(isStopped, false);
    open();
    await stopped;
    t.equal(one.clock.sleepers(), 0);
  },
  "a callback that never ends holds stop up for its deadline and no longer": async (t) => {
    const one = rig();
    one.names.set("db", found(a));
    one.resolution.start();
    const never = (): Promise<void> => Promise.withResolvers<void>().promise;
    await one.resolution.registerTarget("p", "db", web, never);
    let isStopped = false;
    const stopped = one.resolution.stop().then(() => (isStopped = true));
    await one.clock.advance(4900);
    t.equal(isStopped, false);
    await one.clock.advance(200);
    await stopped;
    t.equal(one.clock.sleepers(), 0);
  },
  "a lookup that never returns delays only itself": async (t) => {
    const one = await registered({ dnsRefreshSeconds: 1 });
    one.names.set("slow", found(c));
    await one.resolution.registerTarget("p", "slow", { ...web, dnsRefreshSeconds: 1 }, one.hear);
    one.names.delete("slow");
    one.asked.length = 0;
    await one.clock.advance(20_000);
    const times = one.asked.filter(({ hostname }) => hostname === "db").map(({ atMs }) => atMs);
    t.same(
      times,
      Array.from({ length: 20 }, (_, at) => (at + 1) * 1000),
    );
    t.match(one.resolution.getStatus("p"), {
      targets: { slow: { consecutiveFailures: 3, lastIps: [c], stale: true } },
    });
    const late = one.events.filter(({ hostname }) => hostname === "db");
    t.ok(late.every(({ data }) => data["lateMs"] === 0));
    await one.resolution.stop();
  },
  "hundreds that never return delay the others for moments": async (t) => {
    const one = await registered({ dnsRefreshSeconds: 1 });
    const begun = Array.from({ length: 400 }, (_, at) =>
      one.resolution
        .registerTarget("p", `dead${at}`, { ...web, timeoutMs: 5000 }, one.hear)
        .catch((error: unknown) => (error as { code: string }).code),
    );
    await one.clock.advance(10_000);
    t.same(new Set(await Promise.all(begun)), new Set(["ERR_BACKEND_UNRESOLVED"]));
    const late = one.events
      .filter(({ hostname }) => hostname === "db")
      .map(({ data }) => Number(data["lateMs"]));
    t.ok(late.length >= 10, `${late.length} times`);
    t.ok(Math.max(...late) <= 700, `${Math.max(...late)} ms: 400 in rounds of 64, 100 ms each`);
    await one.resolution.stop();
    t.equal(one.clock.sleepers(), 0);
  },
  "a generation number per update": async (t) => {
    const one = await registered();
    for (const set of [[a, b], [a, b], [b], [a]]) {
      one.names.set("db", found(...set));
      await one.clock.advance(30_000);
    }
    t.same(generations(one), [1, 2, 3, 4]);
    t.match(one.resolution.getStatus("p"), { targets: { db: { generation: 4 } } });
    await one.resolution.registerTarget("p", "db", web, one.hear);
    t.same(generations(one), [1, 2, 3, 4, 5], "it goes on over a registration anew");
  },
  "a throwing subscriber harms nobody": async (t) => {
    const one = rig();
    one.names.set("db", found(a));
    one.resolution.subscribe(() => {
      throw new Error("no");
    });
    one.resolution.subscribe(() => Promise.reject(new Error("later")));
    const end = one.resolution.subscribe(() => {
      end();
      one.resolution.unregisterProxy("q");
    });
    const seen: string[] = [];
    one.resolution.subscribe(({ type }) => void seen.push(type));
    one.resolution.start();
    await one.resolution.registerTarget("p", "db", web, one.hear);
    one.names.set("db", found(b));
    await one.clock.advance(30_000);
    t.same(sets(one), [a, b]);
    t.same(seen, ["dns-resolved", "dns-changed", "dns-resolved", "dns-changed"]);
    t.equal(one.warned.filter((text) => /a subscriber failed at dns-/.test(text)).length, 8);
  },
  "what a callback does with its list is its own affair": async (t) => {
    const one = rig();
    one.names.set("db", found(a, b));
    one.resolution.start();
    await one.resolution.registerTarget("p", "db", web, (targets) => {
      (targets as unknown[]).length = 0;
    });
    t.match(one.resolution.getStatus("p"), {
      targets: { db: { targets: [{ ip: a }, { ip: b }] } },
    });
  },
  "a throwing callback harms nobody, and is counted": async (t) => {
    const one = rig();
    one.names.set("db", found(a));
    one.resolution.start();
    const throws = (): never => {
      throw new Error("no");
    };
    await one.resolution.registerTarget("p", "db", web, throws);
    await one.resolution.registerTarget("q", "db", web, () => Promise.reject(new Error("later")));
    await one.resolution.registerTarget("r", "db", web, one.hear);
    one.names.set("db", found(b));
    await one.clock.advance(30_000);
    t.same(sets(one), [a, b]);
    t.match(one.resolution.getAllStatus(), {
      p: { targets: { db: { callbackFailures: 2 } } },
      q: { targets: { db: { callbackFailures: 2 } } },
      r: { targets: { db: { callbackFailures: 0 } } },
    });
    t.equal(one.warned.length, 4);
  },
  "one that is unregistered by its own callback hears no more": async (t) => {
    const one = rig();
    one.names.set("db", found(a));
    one.resolution.start();
    let calls = 0;
    await one.resolution.registerTarget("p", "db", web, () => {
      calls += 1;
      one.resolution.unregisterTarget("p", "db");
    });
    one.names.set("db", found(b));
    await one.clock.advance(60_000);
    t.equal(calls, 1);
    t.equal(one.resolution.getStatus("p"), undefined);
  },
};

export async function resolutionCases(t: Test): Promise<void> {
  await t.test("what is due comes in its order, over one timer", inOrder);
  for (const [words, proof] of Object.entries(invariants)) await t.test(words, proof);
  await t.test("rules are kept by the clock", byTheClock);
}

/** Random moments, some of them taken back, against the same in a list. */
async function inOrder(t: Test): Promise<void> {
  for (let seed = 0; seed < 30; seed += 1) {
    const chance = chanceOf(seed);
    const clock = createManualClock();
    const schedule = createSchedule(clock);
    const want: { readonly at: number; readonly name: number }[] = [];
    const got: string[] = [];
    for (let name = 0; name < 60; name += 1) {
      const at = chance.between(0, 40);
      const due = schedule.at(at, () => void got.push(`${name} at ${clock.monotonic()}`));
      if (chance.hit(0.3)) due.cancel();
      else want.push({ at, name });
    }
    if (schedule.size() !== want.length) t.fail(`seed ${seed}: ${schedule.size()} are due`);
    await clock.advance(1);
    if (clock.sleepers() > 1) t.fail(`seed ${seed}: ${clock.sleepers()} timers`);
    await clock.advance(40);
    const sorted = want.toSorted((one, other) => one.at - other.at || one.name - other.name);
    t.same(
      got,
      sorted.map(({ at, name }) => `${name} at ${at}`),
      `seed ${seed}`,
    );
    t.equal(clock.sleepers(), 0);
  }
}

/** What time alone changes is looked at when it is due, not at the next refresh. */
async function byTheClock(t: Test): Promise<void> {
  const one = await registered({ maxStaleSeconds: 7, backoff: { baseMs: 5000 } });
  one.names.set("db", failed("servfail"));
  await one.clock.advance(30_000);
  t.same(sets(one), [a, ""], "too old 7 s after the last answer, the first look past it");
  const rule = await registered({ holdDown: { seconds: 4 } });
  rule.names.set("db", found(b));
  await rule.clock.advance(30_000);
  t.same(sets(rule), [a, `${a} ${b}`]);
  await rule.clock.advance(4000);
  t.same(sets(rule), [a, `${a} ${b}`, b]);
  const paused = await registered();
  paused.resolution.pause();
  paused.names.set("db", found(b));
  await paused.clock.advance(300_000);
  t.same([paused.asked.length, paused.clock.sleepers()], [1, 0], "paused");
  t.equal(await paused.resolution.forceResolve("p"), true, "forced all the same");
  t.same(sets(paused), [a, b]);
  paused.names.set("db", found(c));
  await paused.clock.advance(300_000);
  paused.resolution.resume();
  await paused.clock.settle();
  t.same(sets(paused), [a, b, c], "what was due meanwhile is looked at at once");
}
