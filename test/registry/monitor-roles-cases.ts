/** Who is published when a pg_auto_failover monitor says what: every state, and every contradiction. */
import t from "tap";
import type { RolesView } from "../../registry/contract.ts";
import type {
  MonitorObservation,
  RoleContext,
  WatchedNode,
} from "../../registry/roles/observation.ts";
import { roles, unknownRoles } from "../../registry/roles/roles.ts";

const mega = 1024n ** 2n;
const at = 1_000_000;

/** `dal-01 primary`, `dal-01 primary>draining`: reported and goal, the same where one is given. */
function node(text: string, changes: Partial<WatchedNode> = {}): WatchedNode {
  const [name = "", states = ""] = text.split(" ");
  const [reported = "", goal = reported] = states.split(">");
  return {
    name,
    reported,
    goal,
    health: 1,
    running: true,
    reportAgeMs: 500,
    timeline: 1,
    progress: { lsn: 100n * mega, at },
    ...changes,
  };
}

/** Its host is gone: the keeper reports no more and the monitor reaches nothing. */
const dead = { health: 0, reportAgeMs: 60_000 } as const;

interface Case {
  readonly name: string;
  readonly nodes: readonly WatchedNode[];
  readonly members?: readonly string[];
  readonly before?: Partial<RolesView>;
  readonly lag?: number | null;
  readonly earlier?: MonitorObservation["earlier"];
  readonly steadyMs?: number;
  /** outcome primary standbys, such as "published dal-01 chi-02"; - stands for none. */
  readonly want: string;
  /** What one of the reasons holds. */
  readonly says?: RegExp;
}

const pair = (one: string, other: string): WatchedNode[] => [node(one), node(other)];

const settled: readonly Case[] = [
  {
    name: "a pair at rest",
    nodes: pair("dal-01 primary", "chi-02 secondary"),
    want: "published dal-01 chi-02",
  },
  { name: "one node alone", nodes: [node("dal-01 single")], want: "published dal-01 -" },
  {
    name: "a standby joins",
    nodes: pair("dal-01 single>wait_primary", "chi-02 init>wait_standby"),
    want: "published dal-01 -",
    says: /chi-02 is left out: it waits to be made a standby/,
  },
  {
    name: "a standby that catches up may be half copied",
    nodes: pair("dal-01 wait_primary", "chi-02 catchingup"),
    want: "published dal-01 -",
    says: /chi-02 is left out: it is catching up/,
  },
  {
    name: "the primary takes new settings",
    nodes: pair("dal-01 primary>apply_settings", "chi-02 secondary"),
    want: "published dal-01 chi-02",
  },
  {
    name: "the primary is joined by a third",
    nodes: [
      ...pair("dal-01 primary>join_primary", "chi-02 secondary"),
      node("dal-03 wait_standby"),
    ],
    want: "published dal-01 chi-02",
  },
  {
    name: "a standby in maintenance",
    nodes: pair("dal-01 wait_primary", "chi-02 maintenance"),
    want: "published dal-01 -",
    says: /chi-02 is left out: it is in maintenance/,
  },
  {
    name: "a standby on its way into maintenance",
    nodes: pair("dal-01 wait_primary", "chi-02 secondary>wait_maintenance"),
    want: "published dal-01 -",
    says: /going into maintenance/,
  },
  {
    name: "a standby that is dropped",
    nodes: pair("dal-01 single", "chi-02 secondary>dropped"),
    want: "published dal-01 -",
    says: /has been dropped/,
  },
  {
    name: "a state of a later version",
    nodes: pair("dal-01 primary", "chi-02 pondering"),
    want: "published dal-01 -",
    says: /is in state pondering/,
  },
];

const failovers: readonly Case[] = [
  {
    name: "the primary is being drained, and nobody takes writes yet",
    nodes: pair("dal-01 primary>draining", "chi-02 secondary>prepare_promotion"),
    want: "no-primary - chi-02",
    says: /dal-01 said primary last, and is to be draining/,
  },
  {
    name: "the new one is promoted and read-only still",
    nodes: [node("dal-01 primary>demote_timeout", dead), node("chi-02 stop_replication")],
    want: "no-primary - chi-02",
  },
  {
    name: "the new one is to be the primary and has not said so",
    nodes: [node("dal-01 primary>demoted", dead), node("chi-02 stop_replication>wait_primary")],
    want: "no-primary - chi-02",
    says: /chi-02 is to be wait_primary and is not yet: it says stop_replication/,
  },
  {
    name: "the dead old primary says primary for ever beside the new one",
    nodes: [node("dal-01 primary>demoted", dead), node("chi-02 wait_primary")],
    want: "published chi-02 -",
    says: /dal-01 said primary last, and is to be demoted/,
  },
  {
    name: "for good: wait_primary is where a pair of which one is dead stays",
    nodes: [node("dal-01 primary>demoted", dead), node("chi-02 wait_primary", { timeline: 2 })],
    before: { outcome: "published", primary: "chi-02", standbys: [] },
    want: "published chi-02 -",
  },
  {
    name: "the old one is back and still says primary, but the monitor has decided",
    nodes: pair("dal-01 primary>demoted", "chi-02 wait_primary"),
    want: "published chi-02 -",
  },
  {
    name: "the old one has given up",
    nodes: pair("dal-01 demoted", "chi-02 wait_primary"),
    want: "published chi-02 -",
    says: /dal-01 is left out: it has given up writes/,
  },
  {
    name: "the old one waits out its demotion",
    nodes: pair("dal-01 demote_timeout", "chi-02 stop_replication"),
    want: "no-primary - chi-02",
  },
  {
    name: "three nodes say how far they are",
    nodes: [
      node("dal-01 primary>draining", dead),
      node("chi-02 report_lsn"),
      node("dal-03 secondary>report_lsn"),
    ],
    want: "no-primary - chi-02 dal-03",
  },
  {
    name: "a third joins the new primary",
    nodes: [
      node("dal-01 primary>demoted", dead),
      node("chi-02 wait_primary"),
      node("dal-03 join_secondary>secondary"),
    ],
    want: "published chi-02 dal-03",
  },
  {
    name: "the primary goes into maintenance",
    nodes: pair("dal-01 primary>prepare_maintenance", "chi-02 secondary>prepare_promotion"),
    want: "no-primary - chi-02",
  },
];

const contradictions: readonly Case[] = [
  {
    name: "two that both are to take writes",
    nodes: pair("dal-01 primary", "chi-02 wait_primary"),
    want: "ambiguous - -",
    says: /dal-01 \(primary, to be primary\) and chi-02 \(wait_primary, to be wait_primary\)/,
  },
  {
    name: "two, of which one is dead: the monitor has not decided, and nobody else may",
    nodes: [node("dal-01 primary", dead), node("chi-02 wait_primary")],
    want: "ambiguous - -",
  },
  {
    name: "two, of which one is to be and is not yet",
    nodes: pair("dal-01 primary", "chi-02 stop_replication>wait_primary"),
    want: "ambiguous - chi-02",
  },
  {
    name: "two singles",
    nodes: pair("dal-01 single", "chi-02 single"),
    before: { primary: "dal-01" },
    want: "ambiguous - -",
  },
  {
    name: "a primary that is dead and that nobody replaces",
    nodes: [node("dal-01 primary", dead), node("chi-02 secondary")],
    want: "no-primary - chi-02",
    says: /dal-01 is primary to the monitor, which does not reach it/,
  },
  {
    name: "a primary whose keeper is dead and whose Postgres lives",
    nodes: [node("dal-01 primary", { reportAgeMs: 60_000 }), node("chi-02 secondary")],
    want: "published dal-01 chi-02",
  },
  {
    name: "a primary that the monitor does not reach and whose keeper reports",
    nodes: [node("dal-01 primary", { health: 0 }), node("chi-02 secondary")],
    want: "published dal-01 chi-02",
  },
  {
    name: "a primary whose keeper says that Postgres is down, and that the monitor does not reach",
    nodes: [node("dal-01 primary", { health: 0, running: false }), node("chi-02 secondary")],
    want: "no-primary - chi-02",
  },
  {
    name: "a primary that was never checked",
    nodes: [node("dal-01 single", { health: -1 })],
    want: "published dal-01 -",
  },
];

const leftOut: readonly Case[] = [
  {
    name: "a dead standby",
    nodes: [node("dal-01 primary"), node("chi-02 secondary", dead)],
    want: "published dal-01 -",
    says: /chi-02 is left out: it has not reported/,
  },
  {
    name: "a standby that the monitor does not reach",
    nodes: [node("dal-01 primary"), node("chi-02 secondary", { health: 0 })],
    want: "published dal-01 -",
    says: /the monitor does not reach its Postgres/,
  },
  {
    name: "a standby that was never checked",
    nodes: [node("dal-01 primary"), node("chi-02 secondary", { health: -1 })],
    want: "published dal-01 -",
  },
  {
    name: "a standby whose keeper is dead",
    nodes: [node("dal-01 primary"), node("chi-02 secondary", { reportAgeMs: 30_000 })],
    want: "published dal-01 -",
  },
  {
    name: "a standby whose Postgres is down",
    nodes: [node("dal-01 primary"), node("chi-02 secondary", { running: false })],
    want: "published dal-01 -",
    says: /its Postgres does not run/,
  },
  {
    name: "a standby that lags",
    nodes: [
      node("dal-01 primary"),
      node("chi-02 secondary", { progress: { lsn: 50n * mega, at } }),
    ],
    want: "published dal-01 -",
    says: /more than 8388608 bytes behind/,
  },
  {
    name: "a standby that lags, where that does not matter",
    nodes: [
      node("dal-01 primary"),
      node("chi-02 secondary", { progress: { lsn: 50n * mega, at } }),
    ],
    lag: null,
    want: "published dal-01 chi-02",
  },
  {
    name: "a standby that has not said how far it is",
    nodes: [node("dal-01 primary"), node("chi-02 secondary", { progress: null })],
    want: "published dal-01 -",
  },
  {
    name: "a published standby stays up to the limit",
    nodes: [
      node("dal-01 primary"),
      node("chi-02 secondary", { progress: { lsn: 88n * mega, at } }),
    ],
    before: { standbys: ["chi-02"] },
    want: "published dal-01 chi-02",
  },
  {
    name: "and comes back at half of it",
    nodes: [
      node("dal-01 primary"),
      node("chi-02 secondary", { progress: { lsn: 88n * mega, at } }),
    ],
    want: "published dal-01 -",
  },
  {
    name: "a busy primary that reported later is no proof of lag",
    nodes: [
      node("dal-01 primary"),
      node("chi-02 secondary", { progress: { lsn: 50n * mega, at: at - 500 } }),
    ],
    earlier: { "dal-01": { lsn: 55n * mega, at: at - 1000 } },
    want: "published dal-01 chi-02",
  },
  {
    name: "what it had before the standby's own report is",
    nodes: [
      node("dal-01 primary"),
      node("chi-02 secondary", { progress: { lsn: 50n * mega, at: at - 500 } }),
    ],
    before: { standbys: ["chi-02"] },
    earlier: { "dal-01": { lsn: 90n * mega, at: at - 1000 } },
    want: "published dal-01 -",
  },
  {
    name: "without either, a standby stays what it was",
    nodes: [
      node("dal-01 primary"),
      node("chi-02 secondary", { progress: { lsn: 50n * mega, at: at - 500 } }),
    ],
    before: { standbys: ["chi-02"] },
    want: "published dal-01 chi-02",
  },
  {
    name: "a standby with WAL of another past",
    nodes: [
      node("dal-01 primary", { timeline: 2 }),
      node("chi-02 secondary", { progress: { lsn: 101n * mega, at: at - 1 } }),
    ],
    lag: null,
    want: "published dal-01 -",
    says: /WAL of timeline 1 that the primary on timeline 2 has not/,
  },
];

const names: readonly Case[] = [
  {
    name: "a node that is no member here",
    nodes: pair("dal-01 primary", "node_7 secondary"),
    want: "published dal-01 -",
    says: /a node node_7 that is no member/,
  },
  {
    name: "the one that takes writes is no member here: nobody else is published instead",
    nodes: pair("node_7 primary", "chi-02 secondary"),
    want: "no-primary - chi-02",
    says: /node_7 takes writes and is no member/,
  },
  {
    name: "a node that is no member counts among two that take writes",
    nodes: pair("dal-01 primary", "node_7 wait_primary"),
    want: "ambiguous - -",
  },
  {
    name: "a member that the monitor does not know",
    nodes: [node("dal-01 single")],
    want: "published dal-01 -",
    says: /chi-02 is left out: the monitor knows no node of this name/,
  },
  {
    name: "names are told apart by every letter",
    nodes: pair("DAL-01 primary", "chi-02 secondary"),
    want: "no-primary - chi-02",
  },
  {
    name: "a monitor without a node",
    nodes: [],
    before: { outcome: "published", primary: "dal-01", standbys: ["chi-02"] },
    want: "no-primary - -",
  },
];

const published = { outcome: "published", primary: "dal-01", standbys: ["chi-02"] } as const;
const silence: readonly Case[] = [
  {
    name: "a monitor that hears of nobody",
    nodes: [node("dal-01 primary", dead), node("chi-02 secondary", dead)],
    before: { ...published, standbys: ["chi-02"] },
    want: "silent dal-01 chi-02",
    says: /no node has reported to the monitor/,
  },
  {
    name: "a monitor that was just started waits for reports",
    nodes: [node("dal-01 primary"), node("chi-02 secondary", { reportAgeMs: 600_000 })],
    before: { ...published, standbys: ["chi-02"] },
    steadyMs: 2000,
    want: "silent dal-01 chi-02",
    says: /has not heard of chi-02 yet/,
  },
  {
    name: "who was not published is not waited for",
    nodes: [node("dal-01 primary>demoted", dead), node("chi-02 wait_primary")],
    before: { outcome: "published", primary: "chi-02", standbys: [] },
    steadyMs: 2000,
    want: "published chi-02 -",
  },
  {
    name: "nor is a new primary kept back by the old one",
    nodes: [node("dal-01 primary>demoted", dead), node("chi-02 wait_primary")],
    before: { ...published, standbys: ["chi-02"] },
    steadyMs: 2000,
    want: "published chi-02 -",
  },
  {
    name: "nobody is taken away by a monitor that was just started",
    nodes: [node("dal-01 primary", { health: 0, reportAgeMs: 600_000 }), node("chi-02 secondary")],
    before: { ...published, standbys: ["chi-02"] },
    steadyMs: 2000,
    want: "silent dal-01 chi-02",
  },
  {
    name: "one that has heard of all need not wait",
    nodes: pair("dal-01 wait_primary", "chi-02 demoted"),
    steadyMs: 2000,
    want: "published dal-01 -",
  },
];

const context = (given: Case): RoleContext => ({
  members:
    given.members ?? ["dal-01", "chi-02", "dal-03"].slice(0, Math.max(2, given.nodes.length)),
  lagBytes: given.lag === undefined ? 16 * 1024 ** 2 : given.lag,
  before: { ...unknownRoles, ...given.before },
  leftOut: [],
});

t.test("roles from a monitor", async (t) => {
  for (const given of [
    ...settled,
    ...failovers,
    ...contradictions,
    ...leftOut,
    ...names,
    ...silence,
  ]) {
    const seen: MonitorObservation = {
      kind: "pg_auto_failover",
      at: "2026-01-01T00:00:00.000Z",
      nodes: given.nodes,
      steadyMs: given.steadyMs ?? 3_600_000,
      earlier: given.earlier ?? {},
    };
    const view = roles(seen, context(given));
    const standbys = view.standbys.length === 0 ? "-" : view.standbys.join(" ");
    t.equal(`${view.outcome} ${view.primary ?? "-"} ${standbys}`, given.want, given.name);
    if (given.says !== undefined) t.match(view.reasons.join("\n"), given.says, given.name);
    const mirrored = roles({ ...seen, nodes: seen.nodes.toReversed() }, context(given));
    t.same(
      [mirrored.outcome, mirrored.primary],
      [view.outcome, view.primary],
      "whatever the order",
    );
  }
});

/** Whatever a monitor says: a published primary is a member, reported and wanted so, and the only one. */
t.test("no primary is ever guessed", async (t) => {
  const states = [
    "primary",
    "wait_primary",
    "draining",
    "demoted",
    "secondary",
    "stop_replication",
  ];
  const healths = [{}, dead, { health: 0 }, { reportAgeMs: 60_000 }];
  const all = states.flatMap((reported) =>
    states.flatMap((goal) => healths.map((health) => ({ text: `${reported}>${goal}`, health }))),
  );
  const writes = new Set(["primary", "wait_primary"]);
  let published = 0;
  for (const one of all) {
    for (const other of all) {
      const nodes = [
        node(`dal-01 ${one.text}`, one.health),
        node(`chi-02 ${other.text}`, other.health),
      ];
      const view = roles(
        { kind: "pg_auto_failover", at: "", nodes, steadyMs: 3_600_000, earlier: {} },
        { members: ["dal-01", "chi-02"], lagBytes: null, before: unknownRoles, leftOut: [] },
      );
      if (view.primary === null) continue;
      published += 1;
      const [chosen] = nodes.filter(({ name }) => name === view.primary);
      const wanted = nodes.filter(({ goal }) => writes.has(goal));
      const isRight =
        wanted.length === 1 && wanted[0] === chosen && writes.has(chosen?.reported ?? "");
      if (!isRight) t.fail(`${one.text} beside ${other.text} published ${view.primary}`);
    }
  }
  t.ok(published > 100, "the table holds cases in which there is one");
});
