/**
 * The rendered configuration: goldens to read and to diff, and what must be in it for each trap.
 * SWITCHYARD_WRITE_FIXTURES=1 writes the goldens anew; read the diff before you keep them.
 */
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { haproxyConfiguration } from "../../../router/haproxy/files.ts";
import { serverDrift, serversIn } from "../../../router/haproxy/drift.ts";
import { unifiedDiff } from "../../../router/haproxy/text-diff.ts";
import type { HaproxyBuild } from "../../../router/haproxy/version.ts";
import {
  featuresOf,
  HaproxyVersionError,
  parseBuild,
  parseVersion,
} from "../../../router/haproxy/version.ts";
import { testEnvironment } from "../../support/environment.ts";
import type { EnvironmentWishes } from "../../support/environment.ts";

const build: HaproxyBuild = {
  version: "2.6.12",
  services: ["prometheus-exporter"],
};

const goldens: readonly { name: string; given: EnvironmentWishes; build?: HaproxyBuild }[] = [
  { name: "one-site", given: {} },
  { name: "two-sites", given: { sites: ["dal", "chi"], haproxy: "user: haproxy, group: haproxy" } },
  {
    name: "by-name",
    given: {
      hosts: ["heatwave-dal", "heatwave-chi"],
      healthHosts: ["heatwave-dal-pg-health", "heatwave-chi-pg-health"],
      haproxy: 'resolver: "127.0.0.11:53"',
      listenHost: "0.0.0.0",
    },
  },
  {
    name: "in-a-container",
    given: {
      sites: ["dal", "chi"],
      hosts: ["100.64.0.1", "100.64.0.2"],
      engineHosts: ["dal-01", "chi-02"],
      memberKeys: [
        'host: dal-01, local: { pooler: "heatwave-pgbouncer:6432", health: "http://heatwave-pg-health:8008" }',
        'host: chi-02, local: { pooler: "heatwave-pgbouncer:6432", health: "http://heatwave-pg-health:8008" }',
      ],
      router: "host: dal-01",
      runtime: "docker://heatwave-haproxy/run/haproxy/admin.sock",
      listenHost: "0.0.0.0",
    },
  },
  {
    name: "ipv6-without-metrics",
    given: {
      hosts: ["fd00::1", "fd00::2"].map((one) => `[${one}]`) as [string, string],
      listenHost: "[::]",
    },
    build: { ...build, services: [] },
  },
  {
    name: "with-backends",
    given: {
      backends: [
        "{ name: search, port: 9200, mode: http, balance: leastconn, check: { uri: /health }, maxConnections: 50, targets: [{ hostname: search.example.com, port: 9200 }] }",
        "{ name: cache, port: 6379, check: {}, targets: [{ hostname: cache.example.com, srv: _cache._tcp }] }",
        "{ name: mail, port: 2525, targets: [{ hostname: mail.example.com, port: 25 }] }",
      ],
    },
  },
];

for (const golden of goldens) {
  t.test(`golden ${golden.name}`, async (t) => {
    const environment = await testEnvironment(golden.given);
    const got = await haproxyConfiguration(environment, "app-01", { build: golden.build ?? build });
    const path = new URL(`../../fixtures/haproxy/${golden.name}.cfg`, import.meta.url);
    if (process.env["SWITCHYARD_WRITE_FIXTURES"] === "1") await writeFile(path, got);
    const want = await readFile(path, "utf8").catch(() => "");
    t.equal(unifiedDiff({ name: fileURLToPath(path), text: want }, { name: "now", text: got }), "");
  });
}

t.test("every server has its own maxconn, and the hold server one slot (G7)", async (t) => {
  for (const { name, given } of goldens) {
    const text = await haproxyConfiguration(await testEnvironment(given), "app-01", { build });
    const sections = text.split(/\n(?=\S)/).filter((one) => one.startsWith("listen pg-"));
    t.equal(sections.length, 2, name);
    for (const section of sections) t.match(section, /^ {2}default-server maxconn 2000/m, name);
    t.match(sections[0], /^ {2}server hold \S+ backup maxconn 1$/m, name);
  }
});

t.test("no state file and no init-state on any version (G10, G1)", async (t) => {
  for (const minor of [6, 9]) {
    const text = await haproxyConfiguration(
      await testEnvironment({ sites: ["dal", "chi"] }),
      "app-01",
      {
        build: { ...build, version: `3.${minor}` },
      },
    );
    t.notMatch(text, /state-file|init-state/);
  }
});

t.test("the hold server goes to an address, where the listener has a wildcard", async (t) => {
  const environment = await testEnvironment({ listenHost: "0.0.0.0" });
  const text = await haproxyConfiguration(environment, "app-01", { build });
  t.match(text, "server hold 127.0.0.1:6433 backup");
  t.match(text, "bind 0.0.0.0:6433");
});

t.test("a missing HAProxy says what was looked for and what is needed", async (t) => {
  const environment = await testEnvironment({ haproxy: "program: /nonexistent/haproxy" });
  await t.rejects(haproxyConfiguration(environment, "app-01"), {
    code: "ERR_HAPROXY_MISSING",
    message: /no HAProxy at \/nonexistent\/haproxy .*2\.6 or newer is needed/,
  });
  const other = await testEnvironment({ haproxy: "program: /bin/true" });
  await t.rejects(haproxyConfiguration(other, "app-01"), { code: "ERR_HAPROXY_MISSING" });
});

t.test("versions", async (t) => {
  const rows = [
    { name: "Debian 12", given: "2.6.12-1+deb12u4", want: "2.6.12-1+deb12u4" },
    { name: "plain", given: "3.0.11", want: "3.0.11" },
    { name: "development", given: "3.3-dev5", want: "3.3-dev5" },
    { name: "nonsense", given: "bogus", want: undefined },
    { name: "injection", given: "2.6.1\nglobal", want: undefined },
  ];
  for (const { name, given, want } of rows) {
    t.equal(parseVersion(given), want, name);
  }
  const printed =
    "HAProxy version 2.6.12-1 2023/12/16 - https://haproxy.org/\nAvailable services : prometheus-exporter\n";
  t.strictSame(parseBuild(printed)?.services, ["prometheus-exporter"]);
  t.strictSame(parseBuild(printed.replace("prometheus-exporter", "none"))?.services, []);
  t.equal(parseBuild("PgBouncer 1.18.0"), undefined);
  const old = parseBuild("HA-Proxy version 2.4.22 2023/02/14\n");
  t.throws(() => featuresOf(old as HaproxyBuild, "/usr/sbin/haproxy"), {
    name: HaproxyVersionError.name,
    code: "ERR_HAPROXY_TOO_OLD",
    message: "/usr/sbin/haproxy is HAProxy 2.4.22: 2.6 or newer is needed",
  });
});

t.test("drift between a text and what runs", async (t) => {
  const text = await haproxyConfiguration(await testEnvironment(), "app-01", { build });
  const rendered = serversIn(text);
  t.strictSame(
    rendered.map((one) => `${one.backend}/${one.server}`),
    [
      "boot-window/open",
      "pg-primary/dal-01",
      "pg-primary/chi-02",
      "pg-primary/hold",
      "pg-replica/dal-01",
      "pg-replica/chi-02",
      "pg-replica/primary.dal-01",
      "pg-replica/primary.chi-02",
    ],
  );
  t.strictSame(serverDrift(rendered, rendered), []);
  const moved = rendered.map((one) => (one.server === "chi-02" ? { ...one, port: 6000 } : one));
  t.strictSame(serverDrift(rendered, moved.slice(2)), [
    "boot-window/open does not run",
    "pg-primary/dal-01 does not run",
    "pg-primary/chi-02 runs at 127.50.0.2:6000 instead of 127.50.0.2:6432",
    "pg-replica/chi-02 runs at 127.50.0.2:6000 instead of 127.50.0.2:6432",
  ]);
  t.strictSame(serverDrift([], rendered.slice(0, 1)), ["boot-window/open runs, unasked"]);
  const hold = { backend: "search", server: "hold", host: "127.50.1.1", port: 9200 };
  const found = { ...hold, server: "dns.10.0.0.1:9200", host: "10.0.0.1" };
  t.strictSame(serverDrift([hold], [hold, found]), [], "found by DNS, in a section that is there");
  t.strictSame(serverDrift([], [found]), ["search/dns.10.0.0.1:9200 runs, unasked"]);
  const byHand = { ...found, server: "by-hand" };
  t.strictSame(serverDrift([hold], [hold, byHand]), ["search/by-hand runs, unasked"]);
});

t.test("unified diff", async (t) => {
  const lines = (from: number, to: number): string =>
    Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}\n`).join("");
  const rows = [
    { name: "equal", before: "a\n", after: "a\n", want: [] },
    { name: "new file", before: "", after: "a\nb\n", want: ["@@ -0,0 +1,2 @@", "+a", "+b"] },
    {
      name: "no line break",
      before: "a\n",
      after: "a",
      want: ["@@ -1,1 +1,1 @@", "-a", "+a (no line break at the end)"],
    },
    {
      name: "two hunks",
      before: lines(1, 20),
      after: lines(1, 20).replace("line 2\n", "").replace("line 19\n", "other\n"),
      want: [
        "@@ -1,5 +1,4 @@",
        " line 1",
        "-line 2",
        " line 3",
        " line 4",
        " line 5",
        "@@ -16,5 +15,5 @@",
        " line 16",
        " line 17",
        " line 18",
        "-line 19",
        "+other",
        " line 20",
      ],
    },
  ];
  for (const { name, before, after, want } of rows) {
    const got = unifiedDiff({ name: "x", text: before }, { name: "y", text: after });
    t.strictSame(got === "" ? [] : got.split("\n").slice(2), want, name);
  }
});
