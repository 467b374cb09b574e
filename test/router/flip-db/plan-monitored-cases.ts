/** Plans and refusals where a monitor of pg_auto_failover runs the cluster. */
import type { FlipObservation } from "../../../router/flip-db/observation.ts";
import type { MonitorNode } from "../../../router/monitor/nodes.ts";
import { node } from "../cluster/cases-names.ts";
import { begun, gate, pair, primary, standby } from "./plan-cases.ts";
import type { PlanCase } from "./plan-cases.ts";
import { unknownMember } from "../../../router/member/seen.ts";

const calm = [node("dal-01", "primary"), node("chi-02", "secondary")];
const through = [node("dal-01", "secondary"), node("chi-02", "primary")];
const underWay = [
  node("dal-01", "draining", { reported: "primary" }),
  node("chi-02", "prepare_promotion", { reported: "secondary" }),
];
/** What failed over by itself, and the dead one that still says it is the primary. */
const alone = [
  node("dal-01", "demote_timeout", { reported: "primary", health: 0, reportAgeMs: 60_000 }),
  node("chi-02", "wait_primary"),
];
const dead = [
  node("dal-01", "primary", { health: 0, reportAgeMs: 60_000, running: true }),
  node("chi-02", "secondary"),
];

/** A third node joins, while the primary is lost. */
const deadBesideJoin = [
  node("dal-01", "join_primary", { reported: "primary", health: 0, reportAgeMs: 60_000 }),
  node("chi-02", "secondary"),
  node("nyc-03", "catchingup", { reported: "wait_standby" }),
];
/** The same with a primary that is well. */
const besideJoin = [
  node("dal-01", "join_primary", { reported: "primary" }),
  ...deadBesideJoin.slice(1),
];
const three = ["dal-01", "chi-02", "nyc-03"];

const asked = { manager: "pg_auto_failover" } as const;
const away = { monitor: { fault: "connection refused" } } as const;

function seen(
  nodes: readonly MonitorNode[],
  from = primary(),
  to = standby(),
  more: Partial<FlipObservation> = {},
): FlipObservation {
  return pair(from, to, { monitor: { nodes }, ...more });
}

/** A world in which a failover is planned. */
export const monitorLost = seen(dead, unknownMember, standby({ streamsFrom: null }));

const newPrimary = primary({ timeline: 4 });
const follows = standby({ streamsFrom: "chi-02", timeline: 4 });
const journal = begun({ manager: "pg_auto_failover" });
const ending = "verify-new compare reconnect route release";
const whole = `record warm hold ask switch ${ending} sweep follow reconnect-old settle close`;
const rest = `switch ${ending} sweep follow reconnect-old settle close`;

export const monitoredPlans: readonly PlanCase[] = [
  { name: "a monitor is asked", seen: seen(calm), asked, want: whole },
  {
    name: "a monitor is asked, and nobody is held",
    seen: seen(calm, primary(), standby(), { gates: [] }),
    asked: { ...asked, mode: "fast" },
    want: whole.replace(" hold", ""),
  },
  {
    name: "a monitor is asked, and the names follow",
    seen: seen(calm),
    asked: { ...asked, hasNames: true },
    want: whole.replace("release", "release names"),
  },
  {
    name: "a flip with three nodes that says to which",
    seen: seen([...calm, node("nyc-03", "secondary")]),
    asked: { ...asked, members: ["dal-01", "chi-02", "nyc-03"], to: "chi-02" },
    want: whole,
  },
  {
    name: "resume while the monitor is at it",
    seen: seen(underWay),
    asked: { ...asked, goal: "resume" },
    journal,
    want: rest,
  },
  {
    name: "resume after the monitor was through",
    seen: seen(through, follows, newPrimary),
    asked: { ...asked, goal: "resume" },
    journal,
    want: rest,
  },
  {
    name: "resume where the monitor was not asked, or has given up",
    seen: seen(calm),
    asked: { ...asked, goal: "resume" },
    journal,
    want: whole,
  },
  {
    name: "abort lets the clients go, and no more",
    seen: seen(calm),
    asked: { ...asked, goal: "abort" },
    journal,
    want: "hold record",
  },
  {
    name: "failover of a primary that the monitor has not given up yet",
    seen: monitorLost,
    asked: { ...asked, goal: "failover" },
    want: `ask await-failover ${ending} sweep settle close`,
  },
  {
    name: "failover while a standby joins: the monitor has not begun, and is asked",
    seen: seen(deadBesideJoin, unknownMember, standby({ streamsFrom: null })),
    asked: { ...asked, members: three, goal: "failover" },
    want: `ask await-failover ${ending} sweep settle close`,
  },
  {
    name: "resume of a failover while a standby joins: the monitor was not asked, and is",
    seen: seen(deadBesideJoin, unknownMember, standby({ streamsFrom: null })),
    asked: { ...asked, members: three, goal: "resume" },
    journal: begun({ manager: "pg_auto_failover", cause: "lost" }),
    want: `ask await-failover ${ending} sweep settle close`,
  },
  {
    name: "abort while a standby joins, which is no change of primary",
    seen: seen(besideJoin),
    asked: { ...asked, members: three, goal: "abort" },
    journal,
    want: "hold record",
  },
  {
    name: "failover that the monitor has begun by itself",
    seen: seen(alone, unknownMember, newPrimary),
    asked: { ...asked, goal: "failover", hasNames: true },
    want: `ask await-failover ${ending} names sweep settle close`,
  },
];

export const monitoredRefusals: readonly (PlanCase & { readonly passes?: true })[] = [
  {
    name: "a monitor that is away",
    seen: pair(primary(), standby(), away),
    asked,
    want: /^the monitor does not answer \(connection refused\): start it with pg_autoctl run; if its host is lost, see The monitor is lost for good in docs\/names\.md$/,
  },
  {
    name: "a node that is not healthy",
    seen: seen([node("dal-01", "primary"), node("chi-02", "secondary", { health: 0 })]),
    asked,
    want: /^the monitor does not reach Postgres of chi-02: pg_autoctl show state$/,
  },
  {
    name: "a target in maintenance",
    seen: seen([node("dal-01", "primary"), node("chi-02", "maintenance", { running: false })]),
    asked,
    want: /^chi-02 is in maintenance: on its host pg_autoctl disable maintenance$/,
  },
  {
    name: "a primary without a sound standby",
    seen: seen([node("dal-01", "wait_primary"), node("chi-02", "catchingup")]),
    asked,
    want: /^the monitor has dal-01 as wait_primary, not as primary: pg_autoctl show state$/,
  },
  {
    name: "a monitor that is at something",
    seen: seen(underWay),
    asked,
    passes: true,
    want: /^the monitor has dal-01 as primary, to be draining, not as primary/,
  },
  {
    name: "a node that the monitor does not know",
    seen: seen([node("dal-01", "primary"), node("chi-2", "secondary")]),
    asked,
    want: /^the monitor knows no node chi-02: pg_autoctl create postgres --name chi-02 joins it$/,
  },
  {
    name: "three nodes, and nobody said to which",
    seen: seen([...calm, node("nyc-03", "secondary")]),
    asked: { ...asked, members: ["dal-01", "chi-02", "nyc-03"] },
    want: /^say which: .*flip-db --to chi-02 or .*flip-db --to nyc-03$/,
  },
  {
    name: "a gate that is held",
    seen: seen(calm, primary(), standby(), {
      gates: [{ ...gate, pausedBy: "r9", endsInMs: 3000 }],
    }),
    asked,
    passes: true,
    want: /is paused by r9 until its lease ends; run this again in 3 s/,
  },
  {
    name: "abort after the monitor was through",
    seen: seen(through, follows, newPrimary),
    asked: { ...asked, goal: "abort" },
    journal,
    want: /^chi-02 has been promoted: .*flip-db --resume f1$/,
  },
  {
    name: "abort while the monitor is at it",
    seen: seen(underWay),
    asked: { ...asked, goal: "abort" },
    journal,
    passes: true,
    want: /^the monitor is at it \(dal-01 primary, to be draining; chi-02 .*--resume f1$/,
  },
  {
    name: "failover of a primary that writes",
    seen: seen(calm),
    asked: { ...asked, goal: "failover" },
    want: /^dal-01 takes writes; a planned change loses nothing: .*flip-db$/,
  },
  {
    name: "failover of a primary that writes, beside a standby that joins",
    seen: seen([
      node("dal-01", "join_primary", { reported: "primary" }),
      node("chi-02", "secondary"),
      node("nyc-03", "catchingup", { reported: "wait_standby" }),
    ]),
    asked: { ...asked, members: ["dal-01", "chi-02", "nyc-03"], goal: "failover" },
    want: /^dal-01 takes writes; a planned change loses nothing: .*flip-db$/,
  },
  {
    name: "failover of a primary that the monitor sees well",
    seen: seen(calm, unknownMember, standby()),
    asked: { ...asked, goal: "failover" },
    passes: true,
    want: /^the monitor has not given dal-01 up yet: its keeper reported 1 s ago, and about 20 s after the last report it does; run this again then, or pg_autoctl show state$/,
  },
  {
    name: "failover of a primary that the monitor sees well, beside a standby that joins",
    seen: seen(besideJoin, unknownMember, standby()),
    asked: { ...asked, members: three, goal: "failover" },
    passes: true,
    want: /^the monitor has not given dal-01 up yet: /,
  },
  {
    name: "failover with no sound standby",
    seen: seen(
      [node("dal-01", "primary", { health: 0 }), node("chi-02", "catchingup", { health: 0 })],
      unknownMember,
      standby(),
    ),
    asked: { ...asked, goal: "failover" },
    want: /^no standby is sound for the monitor \(dal-01 primary; chi-02 catchingup\)/,
  },
];

/** The step `ask` of a plan above: whether it is done already, so that the monitor is not asked. */
export const askedAlready = [
  { name: "nothing is under way", nodes: dead, want: false },
  { name: "a third node joins", nodes: deadBesideJoin, want: false },
  { name: "the monitor is at it", nodes: underWay, want: true },
  { name: "the monitor has failed over by itself", nodes: alone, want: true },
  { name: "the monitor is through", nodes: through, want: true },
].map(({ nodes, ...one }) => ({ ...one, seen: seen(nodes, unknownMember, standby()) }));
