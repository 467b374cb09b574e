/** Every finding is caused over a healthy cluster; what is healthy has none. */
import { readFile } from "node:fs/promises";
import t from "tap";
import { inCheckout } from "../../../kit/checkout.ts";
import { serves } from "../../../router/names/said.ts";
import { findingRows, findingsOf } from "../../../router/cluster/findings.ts";
import type { FindingCode } from "../../../router/cluster/findings.ts";
import type { FindingRow } from "../../../router/cluster/findings/row.ts";
import { verdictOf } from "../../../router/cluster/verdict.ts";
import { parseSynchronousNames } from "../../../router/cluster/conditions/replication.ts";
import { healthyWorld, partsOf, slot, viewOf } from "../../support/cluster-world.ts";
import { memberCases } from "./cases-members.ts";
import { name, nameCases, node, published, watch } from "./cases-names.ts";
import { operatorCases } from "./cases-operators.ts";
import { poolerCases } from "./cases-poolers.ts";
import { replicationCases } from "./cases-replication.ts";
import { routerCases } from "./cases-routers.ts";
import type { FindingCase } from "./finding-case.ts";

const findingCases: Readonly<Record<FindingCode, readonly FindingCase[]>> = {
  ...memberCases,
  ...replicationCases,
  ...routerCases,
  ...poolerCases,
  ...nameCases,
  ...operatorCases,
};

t.test("a healthy cluster has no finding", async (t) => {
  const view = viewOf(healthyWorld());
  const findings = findingsOf(view);
  t.same(findings, []);
  const verdict = verdictOf(view, findings);
  t.equal(verdict.level, "healthy");
  t.equal(verdict.summary, "dal-01 takes writes; chi-02 streams");
});

t.test(
  "names that are as they should be, and a monitor that is at rest, are no finding",
  async (t) => {
    const world = healthyWorld();
    name(world, published());
    watch(world, [node("dal-01", "primary"), node("chi-02", "secondary")]);
    t.same(findingsOf(viewOf(world)), []);
  },
);

t.test("beside a monitor, nothing is advised that its keepers see to", async (t) => {
  const world = healthyWorld();
  for (const one of world.environment.members) one.manager = "pg_auto_failover";
  const parts = partsOf(world);
  const old = () => findingsOf(viewOf(world)).map((one) => one.code);
  t.same(old(), ["manager-not-seen"], "no keeper has a session, and no monitor is declared");
  watch(world, [node("dal-01", "primary"), node("chi-02", "secondary")]);
  t.same(old(), [], "the monitor hears of it");
  parts.postgres("dal-01").slots.push(slot("pgautofailover_standby_3", false));
  t.same(old(), [], "a keeper's slot");
  parts.postgres("dal-01").slots.push(slot("debezium", false));
  t.same(old(), ["slot-inactive"], "and one that is not");
  parts.postgres("chi-02").receiver = null;
  const still = findingsOf(viewOf(world)).find((one) => one.code === "standby-not-streaming");
  t.match(still?.todo, /pg_autoctl run on its host, which rewinds or copies it by itself/);
  for (const row of findingRows) {
    for (const one of findingsOf(broken(row.code))) {
      t.notMatch(one.todo, /recovery \S+ (rebuild-standby|fence) /, `${row.code}: ${one.code}`);
    }
  }
});

/** What the first case of a finding makes of a cluster that a monitor runs. */
function broken(code: FindingCode): ReturnType<typeof viewOf> {
  const world = healthyWorld();
  watch(world, [node("dal-01", "primary"), node("chi-02", "secondary")]);
  findingCases[code][0]?.breaks(partsOf(world), world);
  for (const one of world.environment.members) one.manager = "pg_auto_failover";
  return viewOf(world);
}

t.test("what a resolver serves, by serials that go round", async (t) => {
  const rows = [
    [7, 7, true],
    [8, 7, true],
    [6, 7, false],
    [3, 2 ** 32 + 2, true],
    [2 ** 32 - 1, 2 ** 32 + 2, false],
    [null, 1, false],
  ] as const;
  for (const [serial, generation, want] of rows) {
    t.equal(serves(serial, generation), want, `${serial} of ${generation}`);
  }
});

t.test("every row of the table has a case, and texts for people", async (t) => {
  const codes = findingRows.map((row) => row.code);
  t.same(codes.toSorted(), Object.keys(findingCases).toSorted());
  t.equal(new Set(codes).size, codes.length);
  for (const row of findingRows) {
    t.match(row.code, /^[a-z]+(-[a-z]+)+$/);
    t.match(row.means, /^[A-Zp].*\.$/, row.code);
    t.match(row.todo, /\.$/, row.code);
  }
});

for (const [code, cases] of Object.entries(findingCases)) {
  for (const [index, one] of cases.entries()) {
    t.test(`${code}, case ${index + 1}`, async (t) => {
      const world = healthyWorld();
      one.breaks(partsOf(world), world);
      const view = viewOf(world);
      const findings = findingsOf(view);
      const found = findings.find((finding) => finding.code === code && finding.part === one.part);
      t.match(found?.says, one.says);
      t.notMatch(found?.todo, /\b(ENV|PART)\b/);
      t.same(
        [...new Set(findings.map((finding) => finding.code))].toSorted(),
        [...new Set<FindingCode>([code as FindingCode, ...(one.also ?? [])])].toSorted(),
      );
      const worst = findings.some((finding) => finding.severity === "unsafe")
        ? "unsafe"
        : findings.some((finding) => finding.severity === "degraded")
          ? "degraded"
          : "healthy";
      t.equal(verdictOf(view, findings).level, worst);
    });
  }
}

t.test("the runbook says of every finding what the table says", async (t) => {
  const runbook = await readFile(inCheckout("docs/runbooks/topology.md"), "utf8");
  const lines = runbook.split("\n").filter((line) => /^\| `[a-z]+-/.test(line));
  t.same(
    lines.toSorted(),
    findingRows.map((row) => `| \`${row.code}\` | ${row.means} | ${todoWords(row)} |`).toSorted(),
  );
});

function todoWords(row: FindingRow): string {
  const { duringFlip, underMonitor, todo } = row;
  const parts = [
    ...(duringFlip === undefined ? [] : [`While a flip is unfinished: ${duringFlip}`]),
    ...(underMonitor === undefined ? [] : [`Under pg_auto_failover: ${underMonitor}`]),
  ];
  return parts.length === 0 ? todo : `${parts.join(" ")} Otherwise: ${todo}`;
}

t.test("in the middle of a flip, no finding leads past it", async (t) => {
  const world = healthyWorld();
  const [lost] = findingCases["no-primary"];
  const [begun] = findingCases["flip-unfinished"];
  lost?.breaks(partsOf(world), world);
  const before = findingsOf(viewOf(world));
  t.match(
    before.find((one) => one.code === "no-primary")?.todo,
    /^Start the old primary.*failover/,
  );
  begun?.breaks(partsOf(world), world);
  const [first, second] = findingsOf(viewOf(world));
  t.equal(first?.code, "flip-unfinished");
  t.equal(second?.code, "no-primary");
  t.match(second?.todo, /--resume 20261121T020000-4f1c .*--abort 20261121T020000-4f1c /);
  t.notMatch(second?.todo, /old primary|failover/);
});

t.test("synchronous_standby_names", async (t) => {
  const rows = [
    { given: "", needed: 0, names: [] },
    { given: "chi-02", needed: 1, names: ["chi-02"] },
    { given: '"chi-02", nyc', needed: 1, names: ["chi-02", "nyc"] },
    { given: "2 (a, b, c)", needed: 2, names: ["a", "b", "c"] },
    { given: "FIRST 1 (a)", needed: 1, names: ["a"] },
    { given: "any 2 (a, b)", needed: 2, names: ["a", "b"] },
    { given: "*", needed: 1, names: ["*"] },
  ];
  for (const { given, ...want } of rows) t.same(parseSynchronousNames(given), want, given);
});
