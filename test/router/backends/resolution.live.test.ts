/**
 * Backend resolution over real name servers: one whose answers the test writes, and the project's own
 * resolver as a process, with names that grow, shrink, flap, vanish and time out.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import { inCheckout } from "../../../kit/checkout.ts";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import type { BackendEvent } from "../../../router/backends/watch/events.ts";
import { createLookup } from "../../../router/backends/lookup/lookup.ts";
import { createBackendResolution } from "../../../router/backends/resolution.ts";
import type { BackendResolution } from "../../../router/backends/resolution.ts";
import type { ResolutionOptions } from "../../../router/backends/watch/running-resolution.ts";
import type { TargetOptions, WeightedTarget } from "../../../router/backends/target.ts";
import { record, startFakeRegistry } from "../../sidecars/dns-resolver/fake-registry.ts";
import { startResolverProcess, variablesOf } from "../../sidecars/dns-resolver/resolver-process.ts";
import { testFolder } from "../../sidecars/dns-resolver/sync-rig.ts";
import { cannotHaveOwn, ownNames } from "../../support/own-name-server.ts";
import { startScriptedDns } from "../../support/scripted-dns.ts";
import type { ScriptedDns } from "../../support/scripted-dns.ts";

const soon = { deadlineMs: 30_000, intervalMs: 10 };
const [a, b, c, six] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1"] as const;
/** Often, and with little patience: as much as a busy machine needs for an answer. */
const quick = {
  port: 80,
  dnsRefreshSeconds: 0.1,
  minRefreshSeconds: 0.1,
  timeoutMs: 1500,
  backoff: { baseMs: 100, maxMs: 100 },
} satisfies TargetOptions;

interface Rig {
  readonly resolution: BackendResolution;
  readonly events: BackendEvent[];
  /** Registers a name and returns what its callback heard last, waited for as `ip ip`. */
  follow(name: string, options?: TargetOptions): Promise<Followed>;
}

interface Followed {
  readonly heard: (readonly WeightedTarget[])[];
  /** Resolves when the addresses are these. */
  is(...ips: readonly string[]): Promise<void>;
  status(): ReturnType<Awaited<BackendResolution>["getStatus"]>;
}

function rig(t: Test, options: ResolutionOptions): Rig {
  const resolution = createBackendResolution(options);
  t.teardown(() => resolution.stop());
  const events: BackendEvent[] = [];
  resolution.subscribe((event) => void events.push(event));
  resolution.start();
  const follow = async (name: string, more: TargetOptions = {}): Promise<Followed> => {
    const heard: (readonly WeightedTarget[])[] = [];
    const hear = (targets: readonly WeightedTarget[]): void => void heard.push(targets);
    await resolution.registerTarget("p", name, { ...quick, ...more }, hear);
    const now = (): string => (heard.at(-1) ?? []).map(({ ip }) => ip).join(" ");
    return {
      heard,
      is: async (...ips) => {
        await eventually(`${name} is ${ips.join(" ") || "nothing"}`, soon, () => {
          if (now() === ips.join(" ")) return true;
          throw new Error(`it is ${now()}`);
        });
      },
      status: () => resolution.getStatus("p"),
    };
  };
  return { resolution, events, follow };
}

async function scripted(t: Test, host: string, port = 0): Promise<ScriptedDns> {
  const dns = await startScriptedDns(host, port);
  t.teardown(() => dns.stop());
  return dns;
}

await t.test("a name that grows, shrinks, flaps, vanishes, fails and falls silent", async (t) => {
  const dns = await scripted(t, "127.81.0.1");
  const { follow, events, resolution } = rig(t, { servers: [dns.server] });
  dns.names.set("web.example", { A: [a], AAAA: [six] });
  const web = await follow("web.example", { holdDown: { seconds: 1.5 } });
  await web.is(a, six);
  dns.names.set("web.example", { A: [a, b, b], AAAA: [six, `::ffff:${c}`] });
  await web.is(a, b, c, six);
  t.same(
    web.heard.at(-1)?.map(({ weight }) => weight),
    [25, 25, 25, 25],
    "twice one address and an IPv4-mapped one are merged",
  );
  const before = web.heard.length;
  for (let flap = 0; flap < 3; flap += 1) {
    dns.names.set("web.example", { A: [a] });
    await resolution.forceResolve("p", "web.example");
    dns.names.set("web.example", { A: [a, b, c], AAAA: [six] });
    await resolution.forceResolve("p", "web.example");
  }
  t.equal(web.heard.length, before, "what flaps is held down");
  dns.names.set("web.example", { A: [b] });
  await web.is(b);
  const ways = ["nxdomain", "servfail", "refused", "silent"] as const;
  const kinds = ["nxdomain", "servfail", "servfail", "timeout"];
  for (const [at, way] of ways.entries()) {
    dns.names.set("web.example", way);
    t.equal(await resolution.forceResolve("p", "web.example"), false, way);
    const last = events.findLast(({ type }) => type === "dns-failed");
    t.match(last, { data: { failure: kinds[at], usingLastKnown: true, ips: [b] } });
  }
  dns.names.set("web.example", { A: [] });
  await resolution.forceResolve("p", "web.example");
  t.match(events.findLast(({ type }) => type === "dns-failed")?.data, { failure: "empty" });
  t.match(web.status(), { targets: { "web.example": { stale: true, lastIps: [b] } } });
  dns.names.set("web.example", { A: [c] });
  await web.is(b, c);
  t.ok(events.some(({ type }) => type === "dns-recovered"));
  await web.is(c);
});

await t.test("what is said of failures is done", async (t) => {
  const dns = await scripted(t, "127.81.0.2");
  const { follow, events } = rig(t, { servers: [dns.server] });
  for (const name of ["nx", "mute", "old"]) dns.names.set(`${name}.example`, { A: [a] });
  const nx = await follow("nx.example", { onNxdomain: "drop" });
  const mute = await follow("mute.example", { onTimeout: { dropAfter: { times: 2 } } });
  const old = await follow("old.example", { maxStaleSeconds: 1 });
  dns.names.delete("nx.example");
  dns.names.set("mute.example", "silent");
  dns.names.set("old.example", "servfail");
  await Promise.all([nx.is(), mute.is(), old.is()]);
  const reasonOf = (name: string): unknown =>
    events.findLast(({ type, hostname }) => type === "dns-changed" && hostname === name)?.data[
      "reason"
    ];
  t.same(["nx.example", "mute.example", "old.example"].map(reasonOf), [
    "nxdomain",
    "timeout",
    "max-stale",
  ]);
  dns.names.set("nx.example", { A: [b] });
  await nx.is(b);
});

await t.test("whose NXDOMAIN counts", async (t) => {
  const dns = await scripted(t, "127.81.0.12");
  const { follow, events } = rig(t, { servers: [dns.server] });
  dns.names.set("own.example", { A: [a] });
  dns.names.set("other.example", { A: [a] });
  const strict = { onNxdomain: "drop", trustNxdomain: "authoritative" } as const;
  const own = await follow("own.example", strict);
  const other = await follow("other.example", strict);
  dns.names.set("other.example", "denied");
  dns.names.delete("own.example");
  await own.is();
  const failures = (): BackendEvent[] =>
    events.filter(({ type, hostname }) => type === "dns-failed" && hostname === "other.example");
  await eventually("it is denied", soon, () => failures()[2]);
  for (const { data } of failures()) {
    t.match(data, { failure: "servfail", code: "ENOTFOUND", usingLastKnown: true });
    t.match(data, { error: /127.81.0.12:\d+ does not say so as an authority$/ });
  }
  await other.is(a);
});

await t.test("one family that is not answered, and one name server that is dead", async (t) => {
  const dns = await scripted(t, "127.81.0.3");
  const dead = await scripted(t, "127.81.0.4");
  dead.names.set("half.example", "silent");
  const servers = [dead.server, dns.server];
  dns.names.set("half.example", { A: [a], AAAA: [six] });
  const { follow, resolution } = rig(t, { servers });
  const half = await follow("half.example", { timeoutMs: 3000, dnsRefreshSeconds: 60 });
  await half.is(a, six);
  t.ok(dead.asked() > 0, "the dead one was asked first");
  resolution.unregisterProxy("p");
  const alone = rig(t, { servers: [dns.server] });
  const whole = await alone.follow("half.example", { timeoutMs: 2000 });
  await whole.is(a, six);
  dns.names.set("half.example", { A: [b], AAAA: "silent" });
  await whole.is(b, six);
  dns.names.set("half.example", { A: [b], AAAA: [] });
  await whole.is(b);
});

await t.test("SRV records: priorities, weights, ports", async (t) => {
  const dns = await scripted(t, "127.81.0.5");
  const { follow, resolution } = rig(t, { servers: [dns.server] });
  const srv = (target: string, weight: number, priority = 1, port = 5432) => ({
    ...{ target, weight, priority, port },
  });
  dns.names.set("m1.db.example", { A: [a] });
  dns.names.set("m2.db.example", { A: [b] });
  dns.names.set("_postgresql._tcp.db.example", {
    SRV: [srv("m1.db.example", 30), srv("m2.db.example", 10, 1, 5433), srv("spare.example", 1, 2)],
  });
  const db = await follow("db.example", { srv: "_postgresql._tcp" });
  await db.is(a, b);
  t.same(db.heard.at(-1), [
    { ip: a, port: 5432, weight: 75 },
    { ip: b, port: 5433, weight: 25 },
  ]);
  dns.names.set("_x._tcp.db.example", {
    SRV: [srv("m1.db.example", 1, 1, 0), srv("m2.db.example", 1, 2, 5433)],
  });
  const some = await follow("db.example", { srv: "_x._tcp", port: 1 });
  await some.is(b);
  dns.names.set("_x._tcp.db.example", { SRV: [srv("m1.db.example", 1, 1, 0)] });
  t.equal(await resolution.forceResolve("p"), false, "nobody listens on port 0");
  t.match(some.status(), { targets: { "db.example": { lastError: { failure: "empty" } } } });
  const again = await follow("db.example", { srv: "_postgresql._tcp" });
  await again.is(a, b);
  dns.names.set("m2.db.example", "servfail");
  dns.names.set("m1.db.example", { A: [c] });
  await again.is(a, b, c);
  dns.names.set("spare.example", { A: [six].slice(1), AAAA: [six] });
  dns.names.delete("m1.db.example");
  dns.names.delete("m2.db.example");
  await again.is(six);
});

await t.test("one slow name delays no other", async (t) => {
  const dns = await scripted(t, "127.81.0.6");
  const { follow, events, resolution } = rig(t, { servers: [dns.server] });
  const names = Array.from({ length: 50 }, (_, at) => `n${at}.example`);
  for (const name of [...names, "slow.example"]) dns.names.set(name, { A: [a] });
  const unhurried = { dnsRefreshSeconds: 1, timeoutMs: 20_000 };
  await Promise.all(names.map((name) => follow(name, unhurried)));
  await follow("slow.example", { timeoutMs: 60_000 });
  // At the end of a lookup there is none under way: the next one is not answered.
  await resolution.forceResolve("p", "slow.example");
  dns.names.set("slow.example", "silent");
  const asked = dns.asked("slow.example");
  await eventually(
    "the slow one hangs",
    soon,
    () => dns.asked("slow.example") > asked || undefined,
  );
  const from = events.length;
  const each = (): Set<string> => new Set(events.slice(from).map(({ hostname }) => hostname));
  await eventually(
    "each of the others is looked up again",
    soon,
    () => each().size === 50 || undefined,
  );
  t.notOk(each().has("slow.example"));
  t.ok(events.slice(from).every(({ type }) => type === "dns-resolved"));
});

await t.test("the hosts file stands first, and is read again", async (t) => {
  const dns = await scripted(t, "127.81.0.7");
  const folder = await mkdtemp(join(tmpdir(), "switchyard-hosts-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const hostsPath = join(folder, "hosts");
  await writeFile(hostsPath, `# names\n${a} Web.example web # here\n${six}\tweb.example\n`);
  const { follow, resolution } = rig(t, {
    servers: [dns.server],
    lookup: createLookup({ hostsPath }),
  });
  const web = await follow("web.example");
  await web.is(a, six);
  t.same([await resolution.resolveAllIps("localhost"), dns.asked()], [["127.0.0.1", "::1"], 0]);
  dns.names.set("web.example", { A: [b] });
  await writeFile(hostsPath, `${c} web.example other\n`);
  await web.is(c);
  await rm(hostsPath);
  await web.is(b);
});

await t.test("the project's own resolver: names by their time to live", async (t) => {
  const host = "127.81.0.9";
  const fake = await startFakeRegistry(t, { host: "127.81.0.10" });
  const ttl = { ttl: 1 };
  fake.commit([record(1, "primary.db", a, ttl), record(2, "db", a, ttl)]);
  const folder = await testFolder(t);
  const variables = variablesOf(host, fake.url, folder);
  const first = await startResolverProcess(t, host, variables);
  await first.serves(1);
  const stateFile = join(folder, "last-known.json");
  const { follow } = rig(t, { servers: [`${host}:5300`], stateFile });
  // Nobody listens once it is killed, and that is said at once.
  const byTtl = { refresh: "ttl", onNxdomain: "drop", timeoutMs: 20_000 } as const;
  const primary = await follow("primary.db.temps.local", byTtl);
  const all = await follow("db.temps.local", byTtl);
  fake.commit([record(1, "primary.db", b, ttl), record(3, "db", b, ttl)]);
  await Promise.all([primary.is(b), all.is(a, b)]);
  fake.commit([], [2]);
  await all.is(b);
  const many = Array.from({ length: 100 }, (_, at) => `10.9.0.${at + 1}`);
  fake.commit(many.map((ip, at) => record(100 + at, "many", ip, ttl)));
  await first.serves(4);
  const hundred = await follow("many.temps.local", { ...byTtl, weight: 250 });
  await hundred.is(...many);
  t.same(new Set(hundred.heard[0]?.map(({ weight }) => weight)), new Set([2, 3]), "over TCP");
  await first.end("SIGKILL");
  await eventually("all fail", soon, () => {
    const stale = Object.values(primary.status()?.targets ?? {}).filter((one) => one.stale);
    return stale.length === 3 || undefined;
  });
  t.match(primary.status()?.targets, { "db.temps.local": { lastIps: [b], stale: true } });
  t.same([primary.heard.length, all.heard.length], [2, 3], "a dead resolver changes nothing");
  const second = await startResolverProcess(t, host, variables);
  await eventually(
    "it serves again",
    soon,
    async () => (await second.status()).generation === 4 || undefined,
  );
  fake.commit([record(2, "db", c, ttl)], [3]);
  await all.is(c);
  fake.commit([], [1]);
  await primary.is();
});

await t.test("the first example of the page runs as it stands", async (t) => {
  const page = await readFile(inCheckout("docs/backends.md"), "utf8");
  const [, example = ""] = /```ts\n([\s\S]*?)```/.exec(page) ?? [];
  const words = ["--input-type=module-typescript", "--eval", example];
  const options = { deadlineMs: 60_000, cwd: inCheckout(".") };
  const { stdout } = await runChild(process.execPath, words, options);
  t.match(stdout, /^localhost 1 \[ \{ ip: '127.0.0.1', port: 8080, weight: (100|50) \}/);
  t.match(stdout, /proxyName: 'web'/);
});

const program = `
const { createBackendResolution } = await import(process.argv[1]);
const all = createBackendResolution();
all.start();
await all.registerTarget("p", "web.example", { port: 80 }, (targets) => console.log(JSON.stringify(targets)));
await all.registerTarget("p", "no.example", { port: 80 }, () => undefined).catch((error) => console.log(error.code));
await all.stop();
`;

await t.test(
  "the machine's own name servers are asked; stop leaves nothing that holds a process",
  { skip: await cannotHaveOwn() },
  async (t) => {
    const dns = await scripted(t, "127.81.0.11", 53);
    dns.names.set("web.example", { A: [a] });
    const names = await ownNames(t, "127.81.0.11");
    const face = new URL("../../../router/backends/resolution.ts", import.meta.url).href;
    const [file, ...words] = names.command([
      process.execPath,
      "--input-type=module",
      "--eval",
      program,
      face,
    ]);
    const { stdout } = await runChild(file, words, { deadlineMs: 60_000 });
    t.same(stdout.trim().split("\n"), [
      JSON.stringify([{ ip: a, port: 80, weight: 100 }]),
      "ERR_BACKEND_UNRESOLVED",
    ]);
  },
);
