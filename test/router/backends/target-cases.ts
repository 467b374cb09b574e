/** What may be said of a target: defaults, limits, and the one line for what is not possible. */
import type { Test } from "tap";
import { isHostname, readTargetOptions } from "../../../router/backends/target-settings.ts";
import type { TargetOptions } from "../../../router/backends/target.ts";
import { pauseAfter } from "../../../router/backends/watch/pauses.ts";
import { failed, found, rig } from "./resolution-rig.ts";

const wrong: readonly {
  readonly name: string;
  readonly hostname?: string;
  readonly given: object;
  readonly want: RegExp;
}[] = [
  { name: "no port", given: {}, want: /"db.example": port must be given, not undefined$/ },
  {
    name: "port 0",
    given: { port: 0 },
    want: /port must be a whole number from 1 to 65535, not 0/,
  },
  { name: "a text", given: { port: "80" }, want: /port must be a whole number .*, not "80"/ },
  { name: "half a port", given: { port: 1.5 }, want: /port must be a whole number/ },
  { name: "weight 0", given: { weight: 0 }, want: /weight must be a whole number from 1 to/ },
  { name: "not a number", given: { weight: Number.NaN }, want: /weight must be .*, not NaN/ },
  { name: "much jitter", given: { jitter: 0.3 }, want: /jitter must be a number from 0 to 0.2/ },
  { name: "a slip", given: { wieght: 1 }, want: /known ones \(weight\?\), not "wieght"/ },
  { name: "no such key", given: { __proto__: null, colour: 1 }, want: /known ones, not "colour"/ },
  { name: "another refresh", given: { refresh: "often" }, want: /refresh must be fixed, ttl, not/ },
  { name: "family 5", given: { family: 5 }, want: /family must be both, 4, 6, not 5/ },
  { name: "no address", given: { servers: ["ns.example"] }, want: /servers must be a list/ },
  { name: "port 70000", given: { servers: ["10.0.0.1:70000"] }, want: /servers must be a list/ },
  { name: "an old policy", given: { onEmpty: "forget" }, want: /onEmpty must be keep, drop or/ },
  { name: "drop after nothing", given: { onEmpty: { dropAfter: {} } }, want: /onEmpty must be/ },
  {
    name: "drop after a slip",
    given: { onTimeout: { dropAfter: { minutes: 1 } } },
    want: /onTimeout.dropAfter must be an object with times and seconds, not/,
  },
  { name: "limits crossed", given: { minRefreshSeconds: 400 }, want: /at most maxRefreshSeconds/ },
  {
    name: "backoff crossed",
    given: { backoff: { baseMs: 500, maxMs: 100 } },
    want: /backoff.baseMs must be at most backoff.maxMs, not 500/,
  },
  { name: "SRV of an address", hostname: "10.0.0.1", given: { srv: true }, want: /srv must be/ },
  {
    name: "nobody's address",
    hostname: "0.0.0.0",
    given: {},
    want: /hostname must be an address that/,
  },
  {
    name: "a group's address",
    hostname: "ff02::1",
    given: {},
    want: /hostname must be an address/,
  },
  { name: "no name", hostname: "", given: {}, want: /hostname must be a host name or an IP/ },
  { name: "a URL", hostname: "http://x", given: {}, want: /hostname must be/ },
  { name: "a long label", hostname: "a".repeat(64), given: {}, want: /hostname must be/ },
];

export async function targetCases(t: Test): Promise<void> {
  for (const { name, hostname = "db.example", given, want } of wrong) {
    const options = "port" in given || name === "no port" ? given : { port: 80, ...given };
    t.throws(() => readTargetOptions(hostname, options), {
      name: "TargetOptionsError",
      code: "ERR_BACKEND_TARGET",
      message: want,
    });
  }
  const { resolution } = rig();
  const asNobodyTyped = resolution.registerTarget as (...words: unknown[]) => Promise<unknown>;
  const none = { code: "ERR_BACKEND_TARGET" };
  await t.rejects(asNobodyTyped("p", "db.example"), { ...none, key: "onUpdate" });
  await t.rejects(
    asNobodyTyped("", "db.example", { port: 1 }, () => 0),
    { ...none, key: "proxyName" },
  );
  await t.rejects(
    asNobodyTyped("p", "db.example", undefined, () => 0),
    { ...none, key: "port" },
  );
  await t.rejects(
    asNobodyTyped("p", undefined, { port: 1 }, () => 0),
    { ...none, key: "hostname" },
  );
  t.match(
    readTargetOptions("db.example", { port: 5432 }),
    {
      port: 5432,
      weight: 100,
      refreshMs: 30_000,
      refresh: "fixed",
      minRefreshMs: 1000,
      maxRefreshMs: 300_000,
      jitter: 0.1,
      family: "both",
      srv: undefined,
      servers: [],
      policies: { nxdomain: "keep", empty: "keep", servfail: "keep", timeout: "keep" },
      maxStaleMs: 0,
      holdDown: { times: undefined, ms: undefined },
      minHealthy: 0,
      startup: "fail",
    },
    "the defaults lose nothing",
  );
  const srv = readTargetOptions("db.example", { srv: "_postgresql._tcp" });
  t.match(srv, { srv: "_postgresql._tcp.db.example", port: undefined });
  for (const good of [
    "a",
    "_x._tcp.b",
    "db.example.",
    "10.0.0.1",
    "::1",
    "xn--bcher-kva.example",
  ]) {
    t.equal(isHostname(good), true, good);
  }
  for (const bad of [".", "a..b", "-a", "a b", "10.0.0.1.", "fe80::1%eth0", "a".repeat(254)]) {
    t.equal(isHostname(bad), false, bad);
  }
  await t.test("pauses", pauseCases);
}

const pauses: readonly {
  readonly name: string;
  readonly given: Omit<TargetOptions, "port">;
  readonly failures?: number;
  readonly ttl?: number;
  readonly dueInMs?: number;
  readonly want: number;
}[] = [
  { name: "the refresh", given: {}, want: 30_000 },
  { name: "a ttl is not asked for", given: {}, ttl: 5, want: 30_000 },
  { name: "the ttl", given: { refresh: "ttl" }, ttl: 5, want: 5000 },
  { name: "a ttl of 0 has a least", given: { refresh: "ttl" }, ttl: 0, want: 1000 },
  { name: "a long ttl has a most", given: { refresh: "ttl" }, ttl: 86_400, want: 300_000 },
  { name: "no ttl: the refresh", given: { refresh: "ttl" }, want: 30_000 },
  { name: "first failure", given: {}, failures: 1, want: 1000 },
  { name: "third", given: {}, failures: 3, want: 4000 },
  { name: "the most", given: {}, failures: 40, want: 30_000 },
  { name: "own backoff", given: { backoff: { baseMs: 50, maxMs: 70 } }, failures: 2, want: 70 },
  { name: "something is due sooner", given: {}, dueInMs: 4000, want: 4000 },
  { name: "but not at once", given: {}, dueInMs: -3, want: 1000 },
];

function pauseCases(t: Test): void {
  for (const { name, given, failures = 0, ttl, dueInMs, want } of pauses) {
    const settings = readTargetOptions("db.example", { port: 1, ...given });
    const good = { ...found("10.0.0.1"), ttlSeconds: ttl };
    const outcome = failures > 0 ? failed("servfail") : good;
    const facts = { outcome, failures, dueInMs, isFirst: false };
    t.equal(pauseAfter(settings, facts, 0), want, name);
    const shortest = pauseAfter(settings, facts, 0.999);
    t.ok(shortest <= want && shortest >= want * 0.9, `${name}, by chance`);
    const first = pauseAfter(settings, { ...facts, isFirst: true }, 0.999);
    t.ok(failures > 0 || dueInMs !== undefined || first < want * 0.2, `${name}, the first one`);
  }
  const exact = readTargetOptions("db.example", { port: 1, jitter: 0 });
  const facts = { outcome: found("10.0.0.1"), failures: 0, dueInMs: undefined, isFirst: true };
  t.equal(pauseAfter(exact, facts, 0.5), 30_000, "jitter 0 is exact from the first pause on");
  t.end();
}
