/** What the model refuses, how flap guards are chosen, and the arithmetic behind them. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { parse, stringify } from "yaml";
import { parseEnvironment } from "../../../config/load.ts";
import type { Environment } from "../../../config/schema.ts";
import {
  flapGuardOf,
  flapGuardPresets,
  flapGuardWarnings,
  guardTimes,
  overlapMs,
} from "../../../router/haproxy/flap-guard.ts";
import { descriptorsOf } from "../../../router/haproxy/descriptors.ts";
import { haproxyConfiguration } from "../../../router/haproxy/files.ts";
import { haproxyModel } from "../../../router/haproxy/model.ts";
import { HaproxyModelError } from "../../../router/haproxy/model-values.ts";
import { testEnvironment } from "../../support/environment.ts";

const features = { prometheus: true };

/** Each of these, put into a value, would change what HAProxy reads, or expand, or be misread. */
const plants: Readonly<Record<string, (text: string) => string>> = {
  newline: (text) => `${text}\n  server evil 10.6.6.6:6432`,
  "carriage return": (text) => `${text}\r`,
  comment: (text) => `${text} # rest`,
  hash: (text) => `${text}#`,
  "double quote": (text) => `"${text}"`,
  "single quote": (text) => `'${text}`,
  dollar: (text) => `${text}$HOME`,
  space: (text) => `${text} backup`,
  semicolon: (text) => `${text};`,
  backslash: (text) => `${text}\\`,
  "IPv6 in the open": () => "::1:5432",
  "html escape": (text) => `${text}&amp;`,
  braces: (text) => `${text}{{.}}`,
  nothing: () => "",
};

/** Values that never reach a rendered file: programs with their words, and references to secrets. */
const notRendered = [
  /\.configuration\.(read|check|write|reload)\[\d+\]$/,
  /\.control\.(shell|start|stop|snapshot|restartPooler)\[\d+\]$/,
  / maintenance\.steps\[\d+\]/,
  // It may be an address, and is asked for, not rendered.
  /^IPv6 in the open at backends\[\d+\]\.targets\[\d+\]\.hostname$/,
];

t.test("no planted text in any value of an example gets past the schema", async (t) => {
  const text = await readFile(
    new URL("../../../config/production.example.yml", import.meta.url),
    "utf8",
  );
  // Secrets in files are not on this machine.
  const tree: unknown = parse(text.replaceAll(/file:\/\S+/g, "${PASSWORD}"));
  // Entries of a list have one schema: the first place of each key stands for all.
  const places = new Map(
    stringPaths(tree, [])
      .toReversed()
      .map((path) => [show(path).replaceAll(/\[\d+\]/g, "[]"), path]),
  );
  const paths = [...places.values()];
  const passed: string[] = [];
  let tried = 0;
  for (const path of paths) {
    const shown = show(path);
    for (const [name, plant] of Object.entries(plants)) {
      const copy = planted(tree, path, plant);
      tried += 1;
      const outcome = await load(stringify(copy)).catch((error: Error) => error.message);
      if (typeof outcome !== "string") passed.push(`${name} at ${shown}`);
      else if (!outcome.includes(shown)) t.fail(`${name} at ${shown} is not named: ${outcome}`);
    }
  }
  t.ok(paths.length > 30, `${paths.length} texts in the example`);
  t.strictSame(
    passed.filter((one) => !notRendered.some((pattern) => pattern.test(one))),
    [],
    `${tried} plants`,
  );
});

function stringPaths(node: unknown, path: readonly (string | number)[]): (string | number)[][] {
  if (typeof node === "string") return [[...path]];
  if (typeof node !== "object" || node === null) return [];
  const isList = Array.isArray(node);
  return Object.entries(node).flatMap(([key, one]) =>
    stringPaths(one, [...path, isList ? Number(key) : key]),
  );
}

/** The same tree with another text at one place. */
function planted(
  node: unknown,
  [key, ...rest]: readonly (string | number)[],
  plant: (text: string) => string,
): unknown {
  if (key === undefined) return plant(String(node));
  const one = (node as Record<string | number, unknown>)[key];
  const changed = planted(one, rest, plant);
  if (Array.isArray(node)) return node.with(Number(key), changed);
  return { ...(node as object), [key]: changed };
}

function show(path: readonly (string | number)[]): string {
  return path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`))
    .join("")
    .slice(1);
}

function load(text: string): Promise<Environment> {
  const variables = new Proxy({}, { get: () => "secret" });
  return parseEnvironment(text, { name: "example", file: "example.yml", variables });
}

t.test("the model itself refuses an environment made by hand", async (t) => {
  const rows: readonly { path: string; change: (environment: Environment) => void }[] = [
    { path: "cluster", change: (one) => (one.cluster = "a\nb") },
    { path: "members[0].name", change: (one) => edit(one.members[0], { name: "dal 01" }) },
    { path: "members[0].name", change: (one) => edit(one.members[0], { name: "hold" }) },
    {
      path: "members[1].pooler.address",
      change: (one) => edit(one.members[1]?.pooler.address, { host: "10.0.0.1 backup" }),
    },
    {
      path: "members[1].pooler.address",
      change: (one) => edit(one.members[1]?.pooler.address, { port: 70_000 }),
    },
    { path: "members[0].health", change: (one) => edit(one.members[0]?.health, { host: "x#y" }) },
    {
      path: "routers[0].listen.write",
      change: (one) => edit(one.routers[0]?.listen.write, { host: '"' }),
    },
    { path: "haproxy.user", change: (one) => edit(one.haproxy, { user: "root\n" }) },
    {
      path: "haproxy.adminSocket",
      change: (one) => edit(one.haproxy, { adminSocket: "/run/a b" }),
    },
    {
      path: "haproxy.queueTimeout",
      change: (one) => edit(one.haproxy, { queueTimeout: "1s\n" as unknown as number }),
    },
    { path: "backends[0].name", change: (one) => edit(one.backends[0], { name: "a b" }) },
    { path: "backends[0].port", change: (one) => edit(one.backends[0], { port: 70_000 }) },
    {
      path: "backends[0].check.uri",
      change: (one) => edit(one.backends[0]?.check, { uri: "/health\n" }),
    },
    {
      path: "backends[0].check.rise",
      change: (one) => edit(one.backends[0]?.check, { rise: "2" as unknown as number }),
    },
    {
      path: "members[0].flapGuard.inter",
      change: (one) =>
        edit(one.members[0], { flapGuard: { ...flapGuardPresets.local, inter: Number.NaN } }),
    },
  ];
  for (const { path, change } of rows) {
    const environment = structuredCloneOf(
      await testEnvironment({
        haproxy: 'resolver: "127.0.0.11:53"',
        backends: [
          "{ name: search, port: 9200, check: { uri: /health }, targets: [{ hostname: a.b, port: 1 }] }",
        ],
      }),
    );
    change(environment);
    t.throws(
      () => haproxyModel(environment, "app-01", features),
      { name: HaproxyModelError.name, path },
      path,
    );
  }
});

function edit<T extends object>(target: T | undefined, values: Partial<T>): void {
  Object.assign(target as T, values);
}

/** Secrets are no data to clone; the model never looks at them. */
function structuredCloneOf(environment: Environment): Environment {
  const { login, edgePoolers, ...rest } = environment;
  return { ...structuredClone(rest), login, edgePoolers };
}

t.test("an unknown router and a name without a resolver are said", async (t) => {
  const environment = await testEnvironment();
  t.throws(() => haproxyModel(environment, "app-99", features), {
    message: /app-99; known: app-01/,
  });
  edit(environment.members[0]?.health, { host: "pg-health" });
  t.throws(() => haproxyModel(environment, "app-01", features), {
    path: "members[0].health",
    message: /haproxy\.resolver/,
  });
});

t.test("a router in a container and a member of its own host", async (t) => {
  const wishes = { engineHosts: ["dal", "chi"], router: "host: dal" };
  const local = 'local: { pooler: "pgbouncer:6432", health: "http://pg-health:8008" }';
  const model = async (first: string, second: string, router = wishes.router) =>
    haproxyModel(
      await testEnvironment({ ...wishes, router, memberKeys: [first, second] }),
      "app-01",
      features,
    );
  t.match(await model(`host: dal, ${local}`, `host: chi, ${local}`), {
    resolver: "127.0.0.11:53",
    servers: [
      { name: "dal-01", pooler: "pgbouncer:6432", health: "pg-health:8008", tracked: true },
      { name: "chi-02", pooler: "127.50.0.2:6432", health: "127.50.0.2:8008", tracked: false },
    ],
  });
  t.match(await model(`host: chi, ${local}`, ""), {
    resolver: false,
    servers: [{ pooler: "127.50.0.1:6432" }, { pooler: "127.50.0.2:6432" }],
  });
  t.match(await model(`host: dal, ${local}`, "", ""), {
    resolver: false,
    servers: [{ pooler: "127.50.0.1:6432" }, {}],
  });
  await t.rejects(model("", "host: dal"), {
    code: "ERR_HAPROXY_MODEL",
    path: "members[1].local",
    message:
      /router app-01 is a container on dal like chi-02, and a container can't reach a port that its own host published: 127\.50\.0\.2:6432 and 127\.50\.0\.2:8008 would never answer/,
  });
});

t.test("which flap guard a member gets", async (t) => {
  const own = { ...flapGuardPresets.local, inter: 700 };
  const rows = [
    { name: "no site", member: { flapGuard: "auto" }, router: { site: "dal" }, want: "local" },
    {
      name: "same site",
      member: { flapGuard: "auto", site: "dal" },
      router: { site: "dal" },
      want: "local",
    },
    {
      name: "other site",
      member: { flapGuard: "auto", site: "chi" },
      router: { site: "dal" },
      want: "remote",
    },
    {
      name: "router without",
      member: { flapGuard: "auto", site: "chi" },
      router: {},
      want: "remote",
    },
    {
      name: "said so",
      member: { flapGuard: "remote", site: "dal" },
      router: { site: "dal" },
      want: "remote",
    },
  ] as const;
  for (const { name, member, router, want } of rows) {
    t.strictSame(flapGuardOf(member, router), flapGuardPresets[want], name);
  }
  t.strictSame(flapGuardOf({ flapGuard: own, site: "chi" }, { site: "dal" }), own, "its own");
});

t.test("a member with another check timeout is probed in a section of its own", async (t) => {
  const near = haproxyModel(await testEnvironment(), "app-01", features);
  t.strictSame(near["probes"], []);
  const far = haproxyModel(await testEnvironment({ sites: ["dal", "chi"] }), "app-01", features);
  t.match(far, { checkTimeoutMs: 1000, probes: [{ name: "chi-02" }] });
});

t.test("what the presets mean (G8)", async (t) => {
  const answerMs = 50;
  const local = guardTimes(flapGuardPresets.local, answerMs);
  const remote = guardTimes(flapGuardPresets.remote, answerMs);
  t.ok(remote.downMinMs >= 1000, "a one-second blip of a remote member takes it down nowhere");
  t.ok(local.upMaxMs < 1000, "a local member is up within a second of its promotion");
  for (const one of [local, remote]) {
    t.ok(one.downMaxMs <= 3500, "a demoted member that answers is down within 3.5 s");
    t.ok(one.downMinMs <= one.downMaxMs && one.upMinMs <= one.upMaxMs);
  }
  t.equal(overlapMs(local, remote, 0), 0, "from here to there: down is quicker than up");
  // Where it cannot be, the split-brain guard stands in; a change by hand takes longer than this.
  t.ok(overlapMs(local, local, 0) <= 1200);
  t.equal(overlapMs(local, local, 1200), 0);
  t.ok(overlapMs(remote, local, 0) <= 3000);
});

t.test("a flap guard of its own that makes down slower than up elsewhere is named", async (t) => {
  const near = { name: "dal-01", site: "dal", flapGuard: "auto" } as const;
  const far = { name: "chi-02", site: "chi", flapGuard: "auto" } as const;
  const twin = { ...near, name: "dal-02" };
  const slow = { ...flapGuardPresets.local, inter: 5000, fall: 5 };
  const quickUp = { ...flapGuardPresets.remote, rise: 1 };
  const rows = [
    { name: "presets alone", given: [near, far, twin], want: [] },
    {
      name: "the preset written out",
      given: [{ ...near, flapGuard: flapGuardPresets.local }, far, twin],
      want: [],
    },
    {
      name: "slow to go down",
      given: [near, { ...twin, flapGuard: slow }],
      want: [
        /^members\[1\]\.flapGuard: from dal-02 to dal-01, down is not quicker .* 6500 ms.*\(auto: 1300 ms\)/,
      ],
    },
    {
      name: "quick to come up",
      given: [near, { ...far, flapGuard: quickUp }],
      want: [/^members\[1\]\.flapGuard: from dal-01 to chi-02, .* for 1600 ms/],
    },
  ];
  for (const { name, given, want } of rows) {
    const said = flapGuardWarnings(given, { site: "dal" });
    t.equal(said.length, want.length, `${name}: ${said.join("; ")}`);
    for (const [index, pattern] of want.entries()) t.match(said[index], pattern, name);
  }
});

t.test("backends cost what their clients may be, and a worker says what it needs", async (t) => {
  const one = (at: number, keys = ""): string =>
    `{ name: web-${at}, port: ${9200 + at}, ${keys} targets: [{ hostname: web-${at}.example.com, port: 80 }] }`;
  const many = Array.from({ length: 16 }, (_, at) => one(at));
  const sixteen = await testEnvironment({ backends: many });
  const text = await haproxyConfiguration(sixteen, "app-01", {
    build: { version: "2.6.12", services: undefined },
  });
  t.match(text, /^ {2}maxconn 8116$/m, "2 x 2000, 16 x (250 and one for the hold server), 100");
  const needed = descriptorsOf(text) ?? 0;
  t.ok(needed > 16_232 && needed < 16_332, `${needed} descriptors: two each, and a few`);
  const [wide] = [await testEnvironment({ backends: [one(1, "maxClients: 1000,")] })];
  const model = haproxyModel(wide, "app-01", features);
  t.match(model, { maxConnectionsInAll: 5101, backends: [{ maxClients: 1000, perServer: 1000 }] });
  const sum = await testEnvironment({ backends: [one(1, "check: { inter: 200ms },")] });
  t.match(haproxyModel(sum, "app-01", features), {
    backends: [{ check: { inter: 200, fastinter: 200, downinter: 200 } }],
  });
});
