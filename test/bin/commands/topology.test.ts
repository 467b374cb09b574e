/** What topology prints: never wider than the screen, the verdict first, JSON as documented. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { inCheckout } from "../../../kit/checkout.ts";
import { topologyJson } from "../../../bin/commands/topology/json.ts";
import type { JudgedTopology } from "../../../bin/commands/topology/json.ts";
import { topologyScreen } from "../../../bin/commands/topology/screen.ts";
import { printable } from "../../../bin/cli/output.ts";
import { fit, paragraph, tableLines } from "../../../bin/cli/table.ts";
import { findingsOf } from "../../../router/cluster/findings.ts";
import { verdictOf } from "../../../router/cluster/verdict.ts";
import { healthyWorld, partsOf, unreachable, viewOf } from "../../support/cluster-world.ts";
import type { World } from "../../support/cluster-world.ts";
import { answer, name, node, published, watch } from "../../router/cluster/cases-names.ts";

const same = (text: string): string => text;
const plain = { good: same, bad: same, warn: same, dim: same, bold: same };

function topologyOf(world: World): JudgedTopology {
  const view = viewOf(world);
  const findings = findingsOf(view);
  return { view, findings, verdict: verdictOf(view, findings), exitCode: 0 };
}

const screenOf = (world: World, columns = 100): string[] =>
  topologyScreen(topologyOf(world), { columns, style: plain });

t.test("a healthy cluster on one screen", async (t) => {
  t.same(screenOf(healthyWorld()), [
    "HEALTHY  dal-01 takes writes; chi-02 streams",
    "testing, cluster orders, at 2026-11-21 03:00:00 UTC, looked for 40 ms",
    "",
    "MEMBER  ROLE     TL  LSN        LAG  STREAM          POSTGRES  HEALTH   POOLER",
    "dal-01  primary  2   0/5000000  -    1 out           15.18     primary  ok",
    "chi-02  standby  2   0/5000000  0 B  in from dal-01  15.18     standby  ok",
    "",
    "ROUTER  MEMBER  WRITES  READS  LAST CHECK        SINCE  SESSIONS  CONFIGURATION",
    "app-01  dal-01  UP      DOWN   L7OK/200 in 1ms   5 min  4         as declared",
    "        chi-02  DOWN    UP     L7STS/503 in 1ms  5 min  4",
    "app-02  dal-01  UP      DOWN   L7OK/200 in 1ms   5 min  4         as declared",
    "        chi-02  DOWN    UP     L7STS/503 in 1ms  5 min  4",
    "",
    "EDGE POOLER  STATE  POOLED BY    CLIENTS  WAITING  SERVERS  PGBOUNCER  GATE",
    "app-01       ok     transaction  3        0        2        1.24.1     open",
    "app-02       ok     transaction  3        0        2        1.24.1     open",
  ]);
});

t.test("names and a monitor, on the screen and as JSON", async (t) => {
  const world = healthyWorld();
  name(world, published(), answer({ serial: 6, addresses: ["10.0.0.2"] }));
  const draining = node("dal-01", "draining", { reported: "primary" });
  watch(world, [draining, node("chi-02", "secondary", { health: 0 })]);
  const lines = screenOf(world);
  const from = lines.findIndex((line) => line.startsWith("NAMES"));
  t.same(lines.slice(from, from + 7), [
    "NAMES     primary.orders.temps.local  LEADS TO  GENERATION  STATE",
    "registry  10.0.0.1                    dal-01    7           published",
    "app-01    10.0.0.2                    chi-02    6           answers",
    "",
    "MONITOR  STATE                    SOUND  REPORTED",
    "dal-01   primary, to be draining  yes    1 s ago",
    "chi-02   secondary                no     1 s ago",
  ]);
  name(world, published({ addresses: ["10.0.0.2"] }), answer({ addresses: ["10.9.0.1"] }));
  const wrong = screenOf(world).join("\n");
  t.match(wrong, /^registry +10\.0\.0\.2 +chi-02 /m, "whose address it is, not whose it shall be");
  t.match(wrong, /^app-01 +10\.9\.0\.1 +- /m);
  name(world, published(), answer({ serial: 6, addresses: ["10.0.0.2"] }));
  t.match(JSON.parse(topologyJson(topologyOf(world))), {
    names: {
      primary: "primary.orders.temps.local",
      registry: { address: "10.0.0.9:8053", state: "known", facts: { primary: "dal-01" } },
      resolvers: [{ name: "app-01", address: "10.0.1.1:53", facts: { serial: 6 } }],
    },
    monitor: { address: "10.0.0.8:5432", facts: [{ goal: "draining" }, { lsn: "0/5000000" }] },
  });
  name(world, new Error("refused"), new Error("silent"));
  watch(world, new Error("refused"));
  const dark = screenOf(world).join("\n");
  t.match(dark, /^registry +- +- +- +unreachable$/m);
  t.match(dark, /^app-01 +- +- +- +silent$/m);
  t.match(dark, /^monitor +unreachable$/m);
  name(world, { kind: "denied", says: "no" }, answer({ rcode: "SERVFAIL", addresses: [] }));
  t.match(screenOf(world).join("\n"), /^registry +- +- +- +denies the token\napp-01 .*SERVFAIL$/m);
  t.match(JSON.parse(topologyJson(topologyOf(healthyWorld()))), { names: null, monitor: null });
});

t.test("the verdict comes first, then its reasons, then everything else", async (t) => {
  const world = healthyWorld();
  const parts = partsOf(world);
  parts.member("chi-02").postgres = unreachable("Postgres at 10.0.0.2:5432: connection refused");
  parts.health("chi-02").answer = "unreachable";
  const lines = screenOf(world);
  t.same(lines.slice(0, 2), [
    "DEGRADED  dal-01 takes writes; nothing is known of chi-02",
    "  - chi-02: Postgres at 10.0.0.2:5432: connection refused",
  ]);
  t.match(
    lines.find((line) => line.startsWith("chi-02")),
    /^chi-02 +unknown +- +- +- +- +unreachable/,
  );
  const block = lines.indexOf("degraded  member-unreachable");
  t.match(lines.slice(block + 2).join("\n"), /^ {4}means: .*\n.*\n {4}do: {4}/);
});

const hostile = "\u001B[2J\u0007long".repeat(40);

t.test("whatever stands in it, a line fits the screen and moves no cursor", async (t) => {
  const world = healthyWorld();
  const parts = partsOf(world);
  const longName = `a${"b".repeat(38)}c`;
  for (const rows of [world.environment.members, world.observation.members]) {
    for (const one of rows) if (one.name === "chi-02") one.name = longName;
  }
  for (const rows of [world.environment.routers, world.observation.routers]) {
    for (const one of rows) if (one.name === "app-02") one.name = longName;
  }
  const facts = parts.postgres("dal-01");
  facts.version = hostile;
  facts.armed = true;
  facts.senders.push({
    name: hostile,
    address: null,
    state: "backup",
    syncState: null,
    repliedAtMs: null,
  });
  parts.health("dal-01").reason = hostile;
  parts.health("dal-01").answer = "fenced";
  parts.member(longName).postgres = unreachable(hostile);
  parts.server("app-01", "pg-primary", "dal-01").check = hostile;
  parts.server("app-01", "pg-primary", "dal-01").forced = [hostile];
  parts.edge("app-01").version = hostile;
  for (const columns of [20, 60, 80, 100, 250]) {
    const widest = Math.max(60, Math.min(100, columns));
    for (const line of screenOf(world, columns)) {
      t.ok(line.length <= widest, `${line.length} of ${widest}: ${JSON.stringify(line)}`);
      t.equal(printable(line), line);
    }
  }
});

t.test("colour changes no width", async (t) => {
  const world = healthyWorld();
  partsOf(world).postgres("dal-01").armed = true;
  const paint = (text: string): string => `\u001B[1m${text}\u001B[0m`;
  const style = { good: paint, bad: paint, warn: paint, dim: paint, bold: paint };
  const coloured = topologyScreen(topologyOf(world), { columns: 100, style });
  const bare = coloured.map((line) => line.replaceAll(/\u001B\[[01]m/g, "").trimEnd());
  t.same(
    bare,
    screenOf(world).map((line) => line.trimEnd()),
  );
});

t.test("tables and paragraphs", async (t) => {
  t.equal(fit("abcdefgh", 6), "abc...");
  t.same(
    tableLines(["A", "B"], [[{ text: "x".repeat(30) }, { text: "yy" }]], {
      columns: 20,
      dim: same,
    }),
    ["A                 B", `${"x".repeat(13)}...  yy`],
  );
  t.same(
    tableLines(["A", "B"], [[{ text: "x".repeat(30) }, { text: "yyyyyyyyyy" }]], {
      columns: 20,
      dim: same,
      whole: ["A"],
    }),
    [`A${" ".repeat(31)}B`, `${"x".repeat(30)}  y...`],
    "what is typed back is whole",
  );
  t.same(paragraph("- ", "one two three", 12), ["- one two", "  three"]);
  t.same(paragraph("- ", "x".repeat(25), 12), ["- xxxxxxxxxx", "  xxxxxxxxxx", "  xxxxx"]);
});

function keysOf(value: unknown, found: Set<string> = new Set()): Set<string> {
  if (Array.isArray(value)) for (const one of value) keysOf(one, found);
  else if (value !== null && typeof value === "object") {
    for (const [key, inner] of Object.entries(value)) {
      found.add(key);
      // What lies under these is named by others: settings by PostgreSQL, backends by HAProxy,
      // databases by their owner.
      if (!["settings", "queued", "health", "poolModes"].includes(key)) keysOf(inner, found);
    }
  }
  return found;
}

t.test("JSON: LSNs are text, every key is documented, nothing secret is in it", async (t) => {
  const world = healthyWorld();
  partsOf(world).postgres("dal-01").armed = true;
  partsOf(world).runtime("app-01").oldWorkers = [
    { pid: 1, uptimeS: 2, sessions: 3, writing: [{ server: "dal-01", sessions: 3 }] },
  ];
  const text = topologyJson(topologyOf(world));
  const json = JSON.parse(text) as object;
  t.match(json, {
    verdict: { level: "degraded", exitCode: 0 },
    primary: "dal-01",
    members: [
      { name: "dal-01", role: "primary", postgres: { facts: { writeLsn: "0/5000000" } } },
      { name: "chi-02", upstream: "dal-01", lagBytes: 0 },
    ],
    findings: [{ code: "primary-armed", part: "dal-01" }, { code: "old-worker-sessions" }],
  });
  t.notMatch(text, /secret/);
  t.notOk(text.includes("\n"));
  const documented = await readFile(inCheckout("docs/cli-json.md"), "utf8");
  const missing = [...keysOf(json)].filter(
    (key) => !new RegExp(`[\`.]${key}(\\[\\])?\``).test(documented),
  );
  t.same(missing, []);
});
