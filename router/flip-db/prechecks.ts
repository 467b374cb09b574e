/**
 * The table of prechecks: everything that is looked at before a flip. The numbers H1 to H16 group
 * the rows by what they are about; prechecks/help.ts says what helps. Pure: the facts are gathered
 * beforehand, and what could not be read never counts as fine.
 */
import { isMonitored } from "../cluster/managers.ts";
import { cutOffRisks } from "./plan/plan-cut-off.ts";
import { namesRisk } from "./plan/plan-request.ts";
import type { PrecheckFacts } from "./prechecks/facts.ts";
import { helps } from "./prechecks/help.ts";
import * as hosts from "./prechecks/hosts.ts";
import { judge } from "./prechecks/judge.ts";
import type { Precheck, PrecheckRequest, PrecheckRow } from "./prechecks/judge.ts";
import * as load from "./prechecks/load.ts";
import * as members from "./prechecks/members.ts";
import * as mode from "./prechecks/mode.ts";
import * as names from "./prechecks/names.ts";
import * as poolers from "./prechecks/poolers.ts";
import * as replication from "./prechecks/replication.ts";
import * as routers from "./prechecks/routers.ts";
import * as sessions from "./prechecks/sessions.ts";

export type { Precheck } from "./prechecks/judge.ts";

type Weight = Pick<PrecheckRow, "weight" | "applies" | "strict" | "risk" | "seesCutOff">;

const refuse: Weight = { weight: "refuse", applies: "both" };
const seamlessOnly: Weight = { weight: "refuse", applies: "seamless" };
const warn: Weight = { weight: "warn", applies: "both" };
const info: Weight = { weight: "info", applies: "both" };
/** Refuses where seamless was asked for by name. */
const uncovered: Weight = { ...warn, strict: true };

/** Refuses, unless the operator accepts it under this name. */
function risk(name: string): Weight {
  return { ...refuse, risk: name };
}

/** The same about parts that can be left out. */
function cutOff(name: (typeof cutOffRisks)[keyof typeof cutOffRisks]): Weight {
  return { ...risk(name), seesCutOff: true };
}

function row(
  code: keyof typeof helps,
  title: string,
  check: PrecheckRow["check"],
  weight: Weight = refuse,
): PrecheckRow {
  return { code, title, check, help: helps[code], ...weight };
}

/** All rows. The title says what should hold. */
export const precheckRows: readonly PrecheckRow[] = [
  row("H1-one-writer", "exactly one member takes writes", members.oneWriter),
  row("H1-target", "it is clear which standby takes over", members.target),
  row("H1-two-members", "the cluster has two members", members.twoMembers),
  row("H1-identity", "names, addresses and hosts are of one cluster", members.identity),
  row("H1-pooler-target", "each node pooler leads to its own Postgres", members.poolerTargets),
  row("H1-manager", "no other manager runs a member", members.manager),
  row("H1-monitor", "the monitor can be asked for the change", names.monitor),
  row("H1-control", "the hosts of both ends can be acted on", members.control),
  row("H1-superuser", "the login is a superuser", members.superuser),
  row("H1-health", "pg-health answers what Postgres is", members.health),
  row("H2-streaming", "the standby streams from the primary", replication.streaming),
  row("H2-replay-paused", "replay is not paused", replication.replayPaused),
  row("H2-apply-delay", "the standby does not replay late on purpose", replication.applyDelay),
  row("H2-recovery-target", "the standby has no recovery target", replication.recoveryTarget),
  row("H3-lag", "the standby is close behind", replication.lag, risk("lag")),
  row("H4-settings", "the standby's limits are not below the primary's", replication.settings),
  row("H4-room", "the standby has room for the old primary", replication.room),
  row(
    "H4-reverse",
    "the old primary can stream from the standby",
    hosts.reverse,
    risk("no-rejoin"),
  ),
  row("H5-archiver", "archiving does not fail", load.archiverFailing, risk("archiver")),
  row(
    "H5-archive-backlog",
    "few files wait for the archiver",
    load.archiveBacklog,
    risk("archiver"),
  ),
  row("H6-base-backup", "no base backup runs", load.baseBackup),
  row(
    "H6-late-receiver",
    "receivers other than the members have flushed all",
    load.lateReceivers,
    warn,
  ),
  row("H6-receiver", "nobody but the members streams", load.foreignReceivers, info),
  row("H6-sender-timeout", "a receiver that is gone is given up soon", load.senderTimeout, warn),
  row(
    "H6-shutdown-timeout",
    "WAL senders stay until the standby has everything",
    load.shutdownTimeout,
  ),
  row(
    "H7-transactions",
    "no transaction runs long",
    load.longTransactions,
    risk("long-transactions"),
  ),
  row(
    "H7-idle-transactions",
    "no transaction is left open",
    load.idleTransactions,
    risk("long-transactions"),
  ),
  row(
    "H7-prepared",
    "no transaction is prepared",
    load.preparedTransactions,
    risk("prepared-transactions"),
  ),
  row("H7-advisory-locks", "no session holds advisory locks", load.advisoryLocks, warn),
  row("H8-synchronous", "the new primary's commits can be confirmed", replication.syncUnmet),
  row("H8-synchronous-old", "the first commits wait for nobody", replication.syncOldPrimary, warn),
  row("H8-read-only", "the new primary will take writes", members.readOnly),
  row(
    "H9-logical-slots",
    "logical slots are on the standby too",
    replication.logicalSlots,
    risk("logical-slots"),
  ),
  row("H10-rewind", "a member that diverges can be rewound", replication.rewind, warn),
  row("H10-disk", "the disks have room for a rebuild", hosts.diskSpace, warn),
  row("H11-node-pooler", "the node poolers answer", poolers.nodeAnswers, risk("node-poolers")),
  row("H11-node-paused", "the node poolers are open", poolers.nodeOpen),
  row(
    "H11-node-settings",
    "the node poolers bear a blip",
    poolers.nodeSettings,
    risk("pooler-settings"),
  ),
  row("H11-edge-pooler", "the edge poolers answer", poolers.edgeAnswers, cutOff(cutOffRisks.gates)),
  row("H11-edge-paused", "the edge poolers are open", poolers.edgeOpen, risk("edge-poolers")),
  row(
    "H11-edge-settings",
    "the edge poolers bear a held client",
    poolers.edgeSettings,
    risk("pooler-settings"),
  ),
  row("H11-gate", "the gates are open", mode.gatesOpen, seamlessOnly),
  row("H11-seamless", "every edge pooler can be paused", mode.seamless, uncovered),
  row("H11-direct", "nobody works straight on the primary's Postgres", sessions.direct, uncovered),
  row("H11-past-routers", "nobody comes past the routers", sessions.pastRouters, uncovered),
  row("H11-past-edges", "nobody comes past the edge poolers", sessions.pastEdges, uncovered),
  row("H11-unheld", "every client behind an edge pooler is held", sessions.unheld, uncovered),
  row(
    "H12-routers",
    "the routers answer, and see a member",
    routers.routersAnswer,
    cutOff(cutOffRisks.routers),
  ),
  row("H12-router-state", "every router leads to the primary alone", routers.routerState),
  row("H12-fenced", "no end of the flip is fenced", routers.fenced),
  row(
    "H12-old-workers",
    "no write session is on an old worker",
    routers.oldWorkers,
    risk("old-workers"),
  ),
  row("H12-drift", "the routers run what the environment says", routers.drift, warn),
  row("H12-versions", "all routers are of one version", routers.versions, info),
  row("H12-no-router", "a router leads clients over", routers.noRouters, warn),
  row("H13-operation", "no other operation changes the cluster", members.otherOperation),
  row("H13-unfinished", "no operation is unfinished", members.unfinished),
  row("H13-armed", "the primary is not armed", members.armed),
  row("H14-restore", "restore_command is quick to say no", hosts.slowRestore, warn),
  row("H15-programs", "the hosts have what a rebuild needs", hosts.programs, warn),
  row("H16-registry", "the names can follow", names.registry, risk(namesRisk)),
  row("H16-resolvers", "every resolver answers", names.resolvers, warn),
  row("S1-cold-cache", "the standby's cache is warm", replication.coldCache, warn),
  row("S2-not-replicated", "what does not go along is known", replication.notReplicated, info),
];

/** Every risk that may be accepted by name. */
export const risks: readonly string[] = [...new Set(precheckRows.flatMap((one) => one.risk ?? []))];

/** Judges the facts by every row that applies, in the order of the table. */
export function runPrechecks(facts: PrecheckFacts, request: PrecheckRequest): Precheck[] {
  const { members: seen, monitor } = facts.view;
  const isLeft = isMonitored({ members: seen.map(({ declared }) => declared), monitor });
  return precheckRows
    .filter(({ applies }) => applies === "both" || applies === request.mode)
    .filter(({ code }) => !isLeft || !names.leftToMonitor.has(code))
    .map((one) => judge(one, facts, request));
}
