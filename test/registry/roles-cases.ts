/** Who is published when the members are asked themselves, and what holds for every source. */
import t from "tap";
import { rolesView } from "../../registry/contract.ts";
import type { RolesView } from "../../registry/contract.ts";
import type {
  ProbeAnswer,
  ProbedMember,
  ProbeFault,
  ProbeObservation,
  RoleContext,
} from "../../registry/roles/observation.ts";
import { roles, saysTheSame, unknownRoles } from "../../registry/roles/roles.ts";
import { ProgressMemory } from "../../registry/sources/progress-memory.ts";

const mega = 1024n ** 2n;
const base: ProbeAnswer = {
  standby: false,
  readOnly: false,
  timeline: 1,
  system: "7",
  progress: { lsn: 100n * mega, at: 1000 },
};

type Said = ProbeAnswer | ProbeFault;
const writer = (timeline = 1): Said => ({ ...base, timeline });
const standby = (changes: Partial<ProbeAnswer> = {}): Said => ({
  ...base,
  standby: true,
  ...changes,
});
const readOnly = (timeline = 1): Said => ({ ...base, readOnly: true, timeline });
const fault = (kind: ProbeFault["kind"], silentMs: number | null = 60_000): Said => ({
  kind,
  words: "does not answer (connection refused)",
  silentMs,
});
const down = fault("down");
const silent = fault("silent");

interface Case {
  readonly name: string;
  readonly dal: Said;
  readonly chi: Said;
  readonly before?: Partial<RolesView>;
  readonly lag?: number | null;
  readonly earlier?: ProbeObservation["earlier"];
  readonly want: string;
  readonly says?: RegExp;
}

/** dal-01 was published on timeline 1. */
const wasDal = {
  outcome: "published",
  primary: "dal-01",
  standbys: ["chi-02"],
  writers: [{ name: "dal-01", timeline: 1 }],
  system: "7",
} as const;
const before = { ...wasDal, standbys: ["chi-02"], writers: [...wasDal.writers] };
const wasTwo = {
  ...before,
  outcome: "ambiguous" as const,
  primary: null,
  standbys: [],
  writers: [
    { name: "chi-02", timeline: 1 },
    { name: "dal-01", timeline: 1 },
  ],
};

const cases: readonly Case[] = [
  { name: "a pair at rest", dal: writer(), chi: standby(), want: "published dal-01 chi-02" },
  {
    name: "after a flip",
    dal: standby({ timeline: 2 }),
    chi: writer(2),
    before,
    want: "published chi-02 dal-01",
  },
  {
    name: "two take writes, one of them promoted later",
    dal: writer(1),
    chi: writer(2),
    before,
    want: "ambiguous - -",
    says: /dal-01 \(timeline 1\) and chi-02 \(timeline 2\)/,
  },
  {
    name: "two standbys",
    dal: standby(),
    chi: standby(),
    before,
    want: "no-primary - dal-01 chi-02",
    says: /no member that answers takes writes/,
  },
  {
    name: "a writable role that is set to read-only is no candidate",
    dal: standby(),
    chi: readOnly(2),
    before,
    want: "no-primary - dal-01",
    says: /chi-02 is a primary that is set to read-only/,
  },
  {
    name: "nor does it count beside one",
    dal: writer(),
    chi: readOnly(2),
    want: "published dal-01 -",
  },
  {
    name: "the standby is silent",
    dal: writer(),
    chi: silent,
    before,
    want: "published dal-01 -",
    says: /chi-02 does not answer .*it was not seen to take writes/,
  },
  {
    name: "a standby that is slow keeps its place for a moment",
    dal: writer(),
    chi: fault("silent", 1500),
    before,
    want: "published dal-01 chi-02",
  },
  {
    name: "but not one that was not published",
    dal: writer(),
    chi: fault("silent", 1500),
    before: { ...before, standbys: [] },
    want: "published dal-01 -",
  },
  {
    name: "nor one that is down",
    dal: writer(),
    chi: fault("down", 10),
    before,
    want: "published dal-01 -",
  },
  {
    name: "the published primary is silent and nobody else takes writes: its name stays",
    dal: silent,
    chi: standby(),
    before,
    want: "silent dal-01 chi-02",
    says: /dal-01 does not answer .*; its name stays/,
  },
  {
    name: "the published primary is down: the same, for what is down may be starting",
    dal: down,
    chi: standby(),
    before,
    want: "silent dal-01 chi-02",
  },
  {
    name: "the other was promoted after the silent primary",
    dal: silent,
    chi: writer(2),
    before,
    want: "published chi-02 -",
    says: /chi-02 was promoted after it: timeline 2, not 1/,
  },
  {
    name: "the other takes writes on the silent primary's own timeline",
    dal: silent,
    chi: writer(1),
    before,
    want: "ambiguous - -",
    says: /dal-01, which took writes on timeline 1 when it was last seen, does not answer/,
  },
  {
    name: "the other takes writes on an older timeline than the silent primary",
    dal: silent,
    chi: writer(1),
    before: { ...before, writers: [{ name: "dal-01", timeline: 2 }] },
    want: "ambiguous - -",
  },
  {
    name: "two took writes, and one of them is silent now: that proves nothing",
    dal: silent,
    chi: writer(1),
    before: wasTwo,
    want: "ambiguous - -",
  },
  {
    name: "two took writes, and one of them follows now",
    dal: standby(),
    chi: writer(1),
    before: wasTwo,
    want: "published chi-02 dal-01",
  },
  {
    name: "two took writes, and both are silent or standbys now",
    dal: silent,
    chi: standby(),
    before: wasTwo,
    want: "no-primary - chi-02",
  },
  {
    name: "a member that nobody has seen yet is no obstacle",
    dal: writer(),
    chi: fault("silent", null),
    want: "published dal-01 -",
  },
  { name: "nobody answers", dal: silent, chi: down, before, want: "silent dal-01 chi-02" },
  { name: "nobody ever answered", dal: silent, chi: down, want: "silent - -" },
  {
    name: "nobody lets us look",
    dal: fault("denied"),
    chi: fault("denied"),
    before,
    want: "silent dal-01 chi-02",
  },
  {
    name: "another database system at a member's address",
    dal: writer(),
    chi: standby({ system: "8" }),
    before,
    want: "published dal-01 -",
    says: /chi-02 is left out: it is database system 8/,
  },
  {
    name: "another database system that takes writes is no second primary",
    dal: writer(),
    chi: { ...base, system: "8" },
    before,
    want: "published dal-01 -",
  },
  {
    name: "two database systems, and nobody knows which is the cluster",
    dal: writer(),
    chi: { ...base, system: "8" },
    want: "silent - -",
    says: /not of one database system: dal-01 has 7, chi-02 has 8/,
  },
  {
    name: "a new database system while the known one is silent",
    dal: silent,
    chi: { ...base, system: "8" },
    before,
    want: "silent dal-01 chi-02",
    says: /no member of database system 7 answers/,
  },
  {
    name: "the whole cluster was made anew",
    dal: { ...base, system: "8" },
    chi: standby({ system: "8" }),
    before,
    want: "published dal-01 chi-02",
  },
  {
    name: "a standby that lags",
    dal: writer(),
    chi: standby({ progress: { lsn: 50n * mega, at: 1001 } }),
    before,
    want: "published dal-01 -",
    says: /more than 16777216 bytes behind/,
  },
  {
    name: "a standby that was asked before the primary is not blamed",
    dal: writer(),
    chi: standby({ progress: { lsn: 50n * mega, at: 999 } }),
    before,
    want: "published dal-01 chi-02",
  },
  {
    name: "a standby that lacks what the primary had a look ago is",
    dal: writer(),
    chi: standby({ progress: { lsn: 50n * mega, at: 999 } }),
    before,
    earlier: { "dal-01": { lsn: 99n * mega, at: 500 } },
    want: "published dal-01 -",
  },
];

const context = (given: Pick<Case, "before" | "lag">): RoleContext => ({
  members: ["dal-01", "chi-02"],
  lagBytes: given.lag === undefined ? 16 * 1024 ** 2 : given.lag,
  before: { ...unknownRoles, ...given.before },
  leftOut: [],
});

const observed = (members: readonly ProbedMember[], earlier = {}): ProbeObservation => ({
  kind: "probe",
  at: "2026-01-01T00:00:00.000Z",
  members,
  earlier,
});

t.test("roles from the members themselves", async (t) => {
  for (const given of cases) {
    const members = [
      { name: "dal-01", answer: given.dal },
      { name: "chi-02", answer: given.chi },
    ];
    const view = roles(observed(members, given.earlier), context(given));
    const standbys = view.standbys.length === 0 ? "-" : view.standbys.join(" ");
    t.equal(`${view.outcome} ${view.primary ?? "-"} ${standbys}`, given.want, given.name);
    if (given.says !== undefined) t.match(view.reasons.join("\n"), given.says, given.name);
    t.ok(rolesView.safeParse(view).success, "it goes over the wire");
    const again = roles(observed(members.toReversed(), given.earlier), context(given));
    t.same([again.outcome, again.primary], [view.outcome, view.primary], "whatever the order");
  }
});

/**
 * Every history of three looks over what a pair may say: the published name is never that of a member
 * that lies, by what was ever seen, on an older timeline than another that may take writes still.
 */
t.test("no history leads back to an older primary", async (t) => {
  const says: readonly Said[] = [writer(1), writer(2), standby(), silent, readOnly(2)];
  const pairs = says.flatMap((dal) => says.map((chi) => ({ dal, chi })));
  const play = (view: RolesView, newest: ReadonlyMap<string, number>, depth: number): void => {
    for (const { dal, chi } of pairs) {
      const answers = { "dal-01": dal, "chi-02": chi };
      const members = Object.entries(answers).map(([name, answer]) => ({ name, answer }));
      const next = roles(observed(members), { ...context({}), before: view });
      const seen = new Map(newest);
      for (const { name, answer } of members) {
        if ("kind" in answer) continue;
        if (answer.standby || answer.readOnly) seen.delete(name);
        else seen.set(name, answer.timeline);
      }
      const own = next.primary === null ? undefined : seen.get(next.primary);
      const rivals = [...seen].filter(([name]) => name !== next.primary);
      if (next.outcome === "published" && rivals.some(([, timeline]) => timeline >= (own ?? 0))) {
        t.fail(`${next.primary} on ${own} beside ${JSON.stringify(rivals)}`);
      }
      if (depth > 1) play(next, seen, depth - 1);
    }
  };
  play(unknownRoles, new Map(), 3);
  t.pass("no such history among them");
});

t.test("a silent source changes nothing, and says so", async (t) => {
  const seen = {
    kind: "silent",
    reason: "the monitor does not answer: connection refused",
  } as const;
  const known = { ...unknownRoles, ...before, seen_at: "2026-01-01T00:00:00.000Z" };
  const view = roles(seen, context({ before: known }));
  t.same(view, { ...known, outcome: "silent", reasons: [seen.reason] });
  t.same(roles(seen, { ...context({ before: known }), members: ["chi-02"] }).primary, null);
  t.same(roles(seen, context({})).primary, null);
});

t.test("without a source nobody has a role", async (t) => {
  const view = roles({ kind: "none", at: "2026-01-01T00:00:00.000Z" }, context({ before }));
  t.same([view.outcome, view.primary, view.standbys], ["unknown", null, []]);
});

t.test("who has no record is told, whatever is seen", async (t) => {
  const given = { ...context({ before }), leftOut: ["dal-03 has no record: it has no address"] };
  const members = [
    { name: "dal-01", answer: writer() },
    { name: "chi-02", answer: standby() },
  ];
  const at = "2026-01-01T00:00:00.000Z";
  for (const seen of [
    observed(members),
    { kind: "silent", reason: "x" } as const,
    { kind: "none", at } as const,
  ]) {
    t.equal(roles(seen, given).reasons.at(-1), given.leftOut[0], seen.kind);
  }
});

t.test("a view fits the channel, and its time is no news", async (t) => {
  const long = Array.from({ length: 64 }, (_, index) => ({
    name: `member-${index}`,
    answer: { ...fault("silent"), words: "x".repeat(1000) } as ProbeFault,
  }));
  const members = [{ name: "dal-01", answer: writer() }, ...long];
  const view = roles(observed(members), context({}));
  t.ok(JSON.stringify(view).length < 6000);
  t.match(view.reasons.at(-1), /and \d+ more/);
  t.ok(saysTheSame(view, { ...view, seen_at: "2027-01-01T00:00:00.000Z" }));
  t.notOk(saysTheSame(view, { ...view, primary: null }));
  t.notOk(saysTheSame(view, { ...view, writers: [] }));
});

t.test("positions of the look before are those of another moment", async (t) => {
  const memory = new ProgressMemory();
  const told = (lsn: bigint, at: number): unknown =>
    memory.earlierThan([{ name: "dal-01", progress: { lsn, at } }]);
  t.same(told(1n, 10), {});
  t.same(told(1n, 10), {}, "the same report read again is no look before");
  t.same(told(2n, 20), { "dal-01": { lsn: 1n, at: 10 } });
  t.same(told(2n, 20), { "dal-01": { lsn: 1n, at: 10 } });
  t.same(memory.earlierThan([{ name: "dal-01", progress: null }]), {
    "dal-01": { lsn: 1n, at: 10 },
  });
  t.same(memory.earlierThan([]), {});
  t.same(told(3n, 30), {}, "who was gone begins anew");
});
