/** The start and the end of targets: first resolutions, registrations anew, forced looks, memory. */
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import { failed, found, rig } from "./resolution-rig.ts";
import type { Rig } from "./resolution-rig.ts";

const web = { port: 80, jitter: 0 };
const [a, b] = ["10.0.0.1", "10.0.0.2"] as const;
/** What no server can have. */
const noHosts = [
  "0.0.0.0",
  "0.1.2.3",
  "::",
  "::ffff:0.0.0.0",
  "224.0.0.1",
  "255.255.255.255",
  "ff02::1",
];

function started(options: Parameters<typeof rig>[0] = {}): Rig {
  const one = rig(options);
  one.resolution.start();
  return one;
}

const sets = ({ heard }: Rig): string[] => heard.map(({ ips }) => ips.join(" "));

const cases: Readonly<Record<string, (t: Test) => Promise<void>>> = {
  "a first resolution that fails throws and leaves nothing behind": async (t) => {
    const one = started();
    one.names.set("db", failed("nxdomain"));
    await t.rejects(one.resolution.registerTarget("p", "db", web, one.hear), {
      name: "FirstResolutionError",
      code: "ERR_BACKEND_UNRESOLVED",
      proxyName: "p",
      hostname: "db",
      failure: "nxdomain",
      reason: "ENOTFOUND",
      message: /^register db for p: look up: there is no such name \(ENOTFOUND\)$/,
    });
    t.same(one.types(), ["dns-failed"]);
    t.same(one.resolution.getAllStatus(), {});
    t.equal(one.clock.sleepers(), 0);
    one.names.set("db", found(a));
    await one.clock.advance(300_000);
    t.same([one.asked.length, one.heard], [1, []]);
    const silent = one.resolution.registerTarget("p", "mute", web, one.hear);
    const refused = t.rejects(silent, { failure: "timeout", message: /within 5000 ms/ });
    await one.clock.advance(5000);
    await refused;
    t.equal(one.clock.sleepers(), 0);
  },
  "registering anew replaces at once; one that fails leaves the old as it was": async (t) => {
    const one = started();
    one.names.set("db", found(a));
    await one.resolution.registerTarget("p", "db", { port: 1, jitter: 0 }, one.hear);
    one.names.set("DB", found(a));
    const other: string[] = [];
    await one.resolution.registerTarget("p", "DB", { port: 2, jitter: 0 }, (targets) => {
      other.push(...targets.map(({ ip, port }) => `${ip}:${port}`));
    });
    t.same(one.warned, ["DB, port 2, takes the place of db, port 1, for p"]);
    one.names.set("db", found(b));
    one.names.set("DB", found(b));
    await one.clock.advance(30_000);
    t.same([sets(one), other], [[a], [`${a}:2`, `${b}:2`]], "the old callback hears no more");
    t.equal(one.asked.length, 3, "and looks no more");
    t.match(one.resolution.getStatus("p"), { targets: { DB: { port: 2 } } });
    one.names.set("db", failed("servfail"));
    await t.rejects(one.resolution.registerTarget("p", "db", web, one.hear));
    one.names.set("DB", found(a));
    await one.clock.advance(30_000);
    t.equal(other.at(-1), `${a}:2`);
  },
  "of two registrations at once the later one stands": async (t) => {
    const one = started();
    const early = one.resolution.registerTarget("p", "db", { port: 1, timeoutMs: 9000 }, one.hear);
    const rejected = t.rejects(early, { code: "ERR_BACKEND_UNRESOLVED" });
    await one.clock.settle();
    one.names.set("db", found(a));
    t.match(await one.resolution.registerTarget("p", "db", { port: 2 }, one.hear), { port: 2 });
    await one.clock.advance(9000);
    await rejected;
    t.match(one.resolution.getStatus("p"), { targets: { db: { port: 2 } } });
  },
  "an earlier one that comes late does not push the later one out": async (t) => {
    const one = started();
    one.names.set("db", failed("servfail"));
    one.names.set("DB", found(a));
    const startup = "wait" as const;
    const early = one.resolution.registerTarget("p", "db", { port: 1, startup }, one.hear);
    const rejected = t.rejects(early, {
      code: "ERR_BACKEND_REGISTRATION",
      message: /a later one took its place/,
    });
    await one.clock.settle();
    await one.resolution.registerTarget("p", "DB", { port: 2 }, one.hear);
    one.names.set("db", found(b));
    await one.clock.advance(2000);
    await rejected;
    t.same(sets(one), [a]);
    t.match(one.resolution.getStatus("p"), { targets: { DB: { port: 2 } } });
  },
  "the generation goes on from what the old one came to meanwhile": async (t) => {
    const one = started();
    one.names.set("db", found(a));
    await one.resolution.registerTarget("p", "db", { ...web, dnsRefreshSeconds: 1 }, one.hear);
    one.names.set("DB", failed("servfail"));
    const startup = "wait" as const;
    const next = one.resolution.registerTarget("p", "DB", { ...web, startup }, one.hear);
    for (const ip of [b, a, b]) {
      one.names.set("db", found(ip));
      await one.clock.advance(1000);
    }
    one.names.set("DB", found(a));
    await one.clock.advance(5000);
    t.match(await next, { generation: 5 });
    t.same(
      one.heard.map(({ about }) => about.generation),
      [1, 2, 3, 4, 5],
    );
  },
  "a registration on its way can be taken back": async (t) => {
    const one = started();
    for (const back of [
      () => one.resolution.unregisterTarget("p", "db"),
      () => one.resolution.unregisterProxy("p"),
      () => one.resolution.stop(),
    ]) {
      const startup = "wait" as const;
      const waiting = one.resolution.registerTarget("p", "db", { ...web, startup }, one.hear);
      const rejected = t.rejects(waiting, { code: "ERR_BACKEND_REGISTRATION" });
      await one.clock.advance(5500);
      await back();
      await rejected;
      t.equal(one.clock.sleepers(), 0);
      t.same(one.resolution.getAllStatus(), {});
    }
  },
  "one that a subscriber takes back before its first answer is not told": async (t) => {
    const one = started();
    one.names.set("db", failed("servfail"));
    const end = one.resolution.subscribe(() => {
      end();
      one.resolution.unregisterTarget("p", "db");
    });
    const startup = "wait" as const;
    const taken = one.resolution.registerTarget("p", "db", { ...web, startup }, one.hear);
    const rejected = t.rejects(taken, { code: "ERR_BACKEND_REGISTRATION" });
    one.names.set("db", found(a));
    await one.clock.advance(60_000);
    await rejected;
    t.same([one.heard, one.clock.sleepers(), one.resolution.getStatus("p")], [[], 0, undefined]);
  },
  "what is found is told to the consumer first, and to nobody before that": async (t) => {
    const one = started();
    one.names.set("db", found(a));
    const order: string[] = [];
    one.resolution.subscribe(({ type }) => void order.push(type));
    await one.resolution.registerTarget("p", "db", web, () => void order.push("callback"));
    t.same(order, ["callback", "dns-resolved", "dns-changed"]);
    one.names.set("db", found(b));
    one.names.set("DB", found(b));
    order.length = 0;
    const early = one.resolution.registerTarget("p", "db", web, () => undefined);
    await one.resolution.registerTarget("p", "DB", web, () => undefined);
    await early.catch(() => order.push("the early one"));
    const one0 = one.events.filter(({ type }) => type === "dns-changed").length;
    t.ok(one0 <= 3, "of one that is pushed out nothing is told");
  },
  "startup: wait comes as soon as there is an answer, and gives up after its time": async (t) => {
    const one = started();
    one.names.set("db", failed("servfail"));
    const startup = "wait" as const;
    const waiting = one.resolution.registerTarget("p", "db", { ...web, startup }, one.hear);
    await one.clock.advance(2500);
    one.names.set("db", found(a));
    await one.clock.advance(500);
    t.match(await waiting, { lastIps: [a], attempts: 3, failedAttempts: 2 });
    const given = { ...web, startup, startupWaitSeconds: 20 };
    one.names.set("no", failed("nxdomain"));
    const gone = t.rejects(one.resolution.registerTarget("p", "no", given, one.hear));
    await one.clock.advance(20_000);
    await gone;
  },
  "startup: empty begins without addresses": async (t) => {
    const one = started();
    one.names.set("db", failed("nxdomain"));
    const startup = "empty" as const;
    const status = await one.resolution.registerTarget("p", "db", { ...web, startup }, one.hear);
    t.match(status, { lastIps: [], consecutiveFailures: 1, lastError: { code: "ENOTFOUND" } });
    one.names.set("db", found(a));
    await one.clock.advance(1000);
    t.same(sets(one), ["", a]);
  },
  "startup: last-known begins with the addresses of the run before": async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "switchyard-backends-"));
    t.teardown(() => rm(folder, { recursive: true }));
    const stateFile = join(folder, "state.json");
    const before = started({ stateFile });
    before.names.set("db", found(a, b));
    await before.resolution.registerTarget("p", "db", web, before.hear);
    await before.clock.advance(1000);
    const soon = { deadlineMs: 20_000, intervalMs: 5 };
    await eventually("it is written a second later", soon, () => stat(stateFile));
    before.names.set("db", found(a));
    await before.resolution.forceResolve("p");
    before.names.set("db", found(a, b));
    await before.resolution.forceResolve("p");
    await before.resolution.stop();
    t.equal((await stat(stateFile)).mode & 0o777, 0o600);
    const startup = "last-known" as const;
    const after = started({ stateFile });
    after.names.set("db", failed("servfail"));
    const status = await after.resolution.registerTarget(
      "p",
      "db",
      { ...web, startup },
      after.hear,
    );
    t.match(status, { lastIps: [a, b], stale: true, source: "last-known" });
    t.same(after.types(), ["dns-failed", "dns-stale", "dns-changed"]);
    after.names.set("db", found(a, b));
    await after.clock.advance(2000);
    t.same(sets(after), [`${a} ${b}`], "the same set, no callback");
    t.same(after.types(), ["dns-resolved", "dns-recovered"]);
    after.names.set("no", failed("nxdomain"));
    const unknown = after.resolution.registerTarget("p", "no", { ...web, startup }, after.hear);
    await t.rejects(unknown, { code: "ERR_BACKEND_UNRESOLVED" }, "nothing is known of it");
    await after.resolution.stop();
    const late = started({ stateFile });
    late.names.set("db", failed("servfail"));
    await late.clock.advance(60_000);
    const young = { ...web, startup, maxStaleSeconds: 30 };
    await t.rejects(late.resolution.registerTarget("p", "db", young, late.hear), {
      code: "ERR_BACKEND_UNRESOLVED",
    });
    await late.resolution.registerTarget("p", "db", { ...young, maxStaleSeconds: 90 }, late.hear);
    t.same(sets(late), [`${a} ${b}`], "old, and not too old");
    await late.resolution.stop();
    await writeFile(stateFile, (await readFile(stateFile, "utf8")).slice(0, -20));
    const broken = started({ stateFile });
    broken.names.set("db", failed("servfail"));
    await t.rejects(broken.resolution.registerTarget("p", "db", { ...web, startup }, broken.hear));
    t.match(broken.warned, [/cannot be read from/]);
    const edited = {
      resolvedAt: 1,
      addresses: [{ ip: "0.0.0.0" }, null, { ip: "10.0.0" }, { ip: 7 }, { port: 1 }],
    };
    const content = { version: 1, names: { "db both": edited, "no both": null } };
    await writeFile(stateFile, JSON.stringify(content));
    const odd = started({ stateFile });
    odd.names.set("db", failed("servfail"));
    await t.rejects(odd.resolution.registerTarget("p", "db", { ...web, startup }, odd.hear));
  },
  "startup: last-known-or-empty asks once, and does not wait for silence": async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "switchyard-backends-"));
    t.teardown(() => rm(folder, { recursive: true }));
    const stateFile = join(folder, "state.json");
    const options = { ...web, startup: "last-known-or-empty" as const };
    const first = started({ stateFile });
    first.names.set("no", failed("nxdomain"));
    t.match(await first.resolution.registerTarget("p", "no", options, first.hear), { lastIps: [] });
    t.same([first.asked.length, first.types()], [1, ["dns-failed"]], "one question, said once");
    first.names.set("db", found(a));
    await first.resolution.registerTarget("p", "db", options, first.hear);
    await first.resolution.stop();
    const next = started({ stateFile });
    const registered = next.resolution.registerTarget("p", "db", options, next.hear);
    const soon = { deadlineMs: 20_000, intervalMs: 5 };
    await eventually("it is asked", soon, () => next.asked.length === 1 || undefined);
    await next.clock.advance(1000);
    t.match(await registered, { lastIps: [a], stale: true, resolving: true });
    t.same(sets(next), [a], "a second later, though nobody answers");
    await next.resolution.stop();
    t.equal(next.clock.sleepers(), 0);
  },
  "what is known of one world is not told of another": async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "switchyard-backends-"));
    t.teardown(() => rm(folder, { recursive: true }));
    const stateFile = join(folder, "state.json");
    const startup = "last-known" as const;
    const before = started({ stateFile });
    before.names.set("db", found(a));
    const inside = { ...web, startup, servers: ["10.9.0.1"] };
    await before.resolution.registerTarget("p", "db", inside, before.hear);
    await before.resolution.stop();
    const after = started({ stateFile });
    after.names.set("db", failed("servfail"));
    for (const servers of [[], ["10.9.0.2"]]) {
      const outside = { ...web, startup, servers };
      await t.rejects(after.resolution.registerTarget("p", "db", outside, after.hear), {
        code: "ERR_BACKEND_UNRESOLVED",
      });
    }
    await after.resolution.registerTarget("p", "db", inside, after.hear);
    t.same(sets(after), [a]);
    await after.resolution.stop();
  },
  "forceResolve looks now and tells failure": async (t) => {
    const one = started();
    one.names.set("db", found(a));
    one.names.set("web", found(a));
    await one.resolution.registerTarget("p", "db", web, one.hear);
    await one.resolution.registerTarget("p", "web", web, one.hear);
    one.names.set("db", found(b));
    t.equal(await one.resolution.forceResolve("p", "DB"), true);
    t.same(sets(one), [a, a, b], "told before it returns");
    t.equal(await one.resolution.forceResolve("p"), true);
    one.names.set("web", failed("servfail"));
    t.equal(await one.resolution.forceResolve("p", "web"), false);
    t.equal(await one.resolution.forceResolve("p"), false, "one of two");
    t.equal(await one.resolution.forceResolve("p", "other"), false);
    t.equal(await one.resolution.forceResolve("q"), false);
    t.same(sets(one), [a, a, b], "what failed keeps its addresses");
  },
  "a forced look begins after it was asked for, and many ask once": async (t) => {
    const one = started();
    one.names.set("db", found(a));
    await one.resolution.registerTarget("p", "db", web, one.hear);
    one.names.delete("db");
    await one.clock.advance(30_000);
    t.match(one.resolution.getStatus("p"), { targets: { db: { resolving: true } } });
    const forced = [1, 2, 3].map(() => one.resolution.forceResolve("p", "db"));
    await one.clock.settle();
    one.names.set("db", found(b));
    await one.clock.advance(5000);
    t.same(await Promise.all(forced), [true, true, true]);
    t.equal(one.asked.length, 3);
  },
  "a connection that fails brings the look forward, not more often than allowed": async (t) => {
    const one = started();
    one.names.set("db", found(a));
    await one.resolution.registerTarget("p", "db", web, one.hear);
    one.names.set("db", found(b));
    await one.clock.advance(300);
    t.equal(one.resolution.reportConnectError("p", "db"), true);
    t.equal(one.resolution.reportConnectError("p", "db"), false, "it is planned already");
    await one.clock.advance(600);
    t.same(sets(one), [a]);
    await one.clock.advance(100);
    t.same(sets(one), [a, b], "a second after the look before");
    for (let at = 0; at < 50; at += 1) {
      one.resolution.reportConnectError("p", "db");
      await one.clock.advance(100);
    }
    t.equal(one.asked.length, 7, "five seconds of errors, five looks");
    t.equal(one.resolution.reportConnectError("p", "other"), false);
  },
  "a lookup of one's own may answer as it likes": async (t) => {
    const ips = ["10.0.0.2", "::ffff:10.0.0.1", "nonsense", "10.0.0.2", ...noHosts];
    const one = started({
      lookup: ({ hostname }) => {
        if (hostname === "throws") return Promise.reject(new Error("no"));
        const raw = { nothing: [], nobody: noHosts }[hostname] ?? ips;
        const addresses = raw.map((ip) => ({ ip, family: 4, port: undefined, share: 1 }) as const);
        const found = {
          kind: "found",
          addresses,
          ttlSeconds: 1,
          source: "dns",
          unknown: [],
        } as const;
        return Promise.resolve(found);
      },
    });
    await one.resolution.registerTarget("p", "db", web, one.hear);
    t.same(sets(one), [`${a} ${b}`]);
    await one.resolution.forceResolve("p");
    const [said = "", ...more] = one.warned;
    t.match(said, /^db: left out of its answer, as no host can have it: 0\.0\.0\.0, .*, ff02::1$/);
    t.same(more, [], "said once");
    await t.rejects(one.resolution.resolveAllIps("nobody"), {
      name: "LookupError",
      failure: "empty",
    });
    await t.rejects(one.resolution.resolveAllIps("nothing"), {
      name: "LookupError",
      failure: "empty",
    });
    await t.rejects(one.resolution.resolveAllIps("throws"), { message: "look up throws: no" });
  },
  "targets that are registered before the start are looked up by the clock from then on": async (
    t,
  ) => {
    const one = rig();
    one.names.set("db", found(a));
    await one.resolution.registerTarget("p", "db", web, one.hear);
    t.same([sets(one), one.clock.sleepers(), one.resolution.running()], [[a], 0, false]);
    t.match(one.warned, [/^db is registered for p before start\(\): it is not looked up again/]);
    one.names.set("db", found(b));
    await one.clock.advance(10_000);
    one.resolution.start();
    one.resolution.start();
    await one.clock.advance(20_000);
    t.same([sets(one), one.asked.length], [[a, b], 2]);
  },
  "the face has the names that were promised, each of which can be taken out": async (t) => {
    const { resolution, names, clock } = rig();
    const { resolveHostname, resolveAllIps, subscribe, getStatus, running } = resolution;
    names.set("db", found(b, a));
    t.equal(await resolveHostname("db"), a);
    t.same(await resolveAllIps("db"), [a, b]);
    names.set("no", failed("empty"));
    await t.rejects(resolveHostname("no"), { name: "LookupError", failure: "empty" });
    await t.rejects(resolveAllIps("a b"), { code: "ERR_BACKEND_TARGET" });
    const cut = t.rejects(resolveHostname("mute"), { message: "look up mute: cut off" });
    await clock.settle();
    await resolution.stop();
    await cut;
    t.same([running(), getStatus("p"), clock.sleepers()], [false, undefined, 0]);
    t.type(
      subscribe(() => undefined),
      "function",
    );
    t.same(Object.keys(resolution).toSorted(), [
      ...["forceResolve", "getAllStatus", "getStatus", "pause", "registerTarget"],
      ...["reportConnectError", "resolveAllIps", "resolveHostname", "resume", "running", "start"],
      ...["stop", "subscribe", "unregisterProxy", "unregisterTarget"],
    ]);
  },
};

export async function registrationCases(t: Test): Promise<void> {
  for (const [words, proof] of Object.entries(cases)) await t.test(words, proof);
}
