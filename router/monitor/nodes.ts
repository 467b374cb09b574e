/**
 * The nodes of a cluster as the monitor of pg_auto_failover has them (its table
 * pgautofailover.node), and what may be asked of it: a change of the primary only from a state that
 * is stable and sound. Pure.
 */
import type { Lsn } from "../../kit/lsn.ts";
import { isMaintenance, isRest, takesWrites } from "./states.ts";

export interface MonitorNode {
  /** Its node name, which is the member's name. */
  readonly name: string;
  /** The state that its keeper reported last. */
  readonly reported: string;
  /** The state that the monitor wants it in. */
  readonly goal: string;
  /** The monitor's own check of its Postgres: 1 good, 0 bad, -1 not known yet. */
  readonly health: number;
  /** Its keeper says that Postgres runs. */
  readonly running: boolean;
  readonly reportAgeMs: number;
  readonly timeline: number;
  /** How far it had come by its last report; null while it has not said. */
  readonly lsn: Lsn | null;
}

/** A keeper reports each second; the monitor itself gives one up after this time. */
const staleMs = 20_000;

/** Its keeper has reported of late. */
export function isFresh({ reportAgeMs }: Pick<MonitorNode, "reportAgeMs">): boolean {
  return reportAgeMs <= staleMs;
}

/** The node that is called so. */
export function nodeOf(nodes: readonly MonitorNode[], name: string): MonitorNode | undefined {
  return nodes.find((one) => one.name === name);
}

/** The monitor gives it writes, whether it takes them already or not. */
export function isMeantToWrite({ goal }: MonitorNode): boolean {
  return takesWrites(goal);
}

/** The monitor gives it writes, and it says that it takes them. */
export function isWriting(node: MonitorNode): boolean {
  return isMeantToWrite(node) && takesWrites(node.reported);
}

/** It says of itself, or the monitor wants, that it takes no part for now. */
export function isInMaintenance({ reported, goal }: MonitorNode): boolean {
  return isMaintenance(reported) || isMaintenance(goal);
}

/** Why it is not sound; undefined when both of the monitor's witnesses vouch for it. */
export function whyUnsound(node: MonitorNode): string | undefined {
  const { name, health, running, reportAgeMs } = node;
  if (!isFresh(node)) {
    return `${name} has not reported to the monitor for ${Math.round(reportAgeMs / 1000)} s`;
  }
  if (!running) return `Postgres of ${name} does not run, its keeper says`;
  return health === 1 ? undefined : `the monitor does not reach Postgres of ${name}`;
}

/** Its state in words: `secondary`, or `secondary, to be prepare_promotion`. */
export function stateWords({ reported, goal }: MonitorNode): string {
  return reported === goal ? reported : `${reported}, to be ${goal}`;
}

/** `dal-01 primary; chi-02 secondary` */
export function statesOf(nodes: readonly MonitorNode[]): string {
  return nodes.map((one) => `${one.name} ${stateWords(one)}`).join("; ");
}

/** It is where the monitor wants it, and where a node of a whole cluster is. */
export function isAtRest({ reported, goal }: MonitorNode): boolean {
  return reported === goal && isRest(goal);
}

/** The monitor is in the middle of something with one of them. */
export function isUnderWay(nodes: readonly MonitorNode[]): boolean {
  return nodes.some((one) => one.reported !== one.goal);
}

/** On the way to take writes, and on the way out of it. */
const promoting: ReadonlySet<string> = new Set([
  "prepare_promotion",
  "stop_replication",
  "fast_forward",
]);
const demoting: ReadonlySet<string> = new Set(["draining", "demote_timeout", "demoted"]);

/** The monitor has chosen it to take writes, and it does not take them yet. */
export function isPromoting({ goal }: MonitorNode): boolean {
  return promoting.has(goal);
}

/** The monitor takes writes from it. */
export function isDemoting({ goal }: MonitorNode): boolean {
  return demoting.has(goal);
}

/** Something is under way, and it is more than a standby that joins or leaves. */
export function isMovingWrites(nodes: readonly MonitorNode[]): boolean {
  return isUnderWay(nodes) && nodes.some((one) => isPromoting(one) || isDemoting(one));
}

/** The monitor is moving writes, or has given them to `to` already. */
export function hasTakenUp(nodes: readonly MonitorNode[], to: string): boolean {
  const next = nodeOf(nodes, to);
  return isMovingWrites(nodes) || (next !== undefined && isMeantToWrite(next));
}

/** Whom writes are to go from and to. */
export interface MonitorEnds {
  readonly from: string;
  readonly to: string;
}

const showState = "pg_autoctl show state";

/**
 * Why the monitor is not asked to give writes to `to`; undefined where every node is sound, `from`
 * is a stable primary and `to` a stable secondary. Each reason names the command that helps.
 */
export function whyNotPromote(
  nodes: readonly MonitorNode[],
  { from, to }: MonitorEnds,
): string | undefined {
  const [old, next] = [nodeOf(nodes, from), nodeOf(nodes, to)];
  for (const [name, node] of [[from, old] as const, [to, next] as const]) {
    if (node === undefined) {
      return `the monitor knows no node ${name}: pg_autoctl create postgres --name ${name} joins it`;
    }
  }
  if (old === undefined || next === undefined) return undefined;
  if (isInMaintenance(next)) {
    return `${to} is in maintenance: on its host pg_autoctl disable maintenance`;
  }
  const unsound = nodes
    .filter((one) => !isInMaintenance(one))
    .flatMap((one) => whyUnsound(one) ?? []);
  if (unsound.length > 0) return `${unsound.join("; ")}: ${showState}`;
  if (old.reported !== "primary" || old.goal !== "primary") {
    return `the monitor has ${from} as ${stateWords(old)}, not as primary: ${showState}`;
  }
  return next.reported === "secondary" && next.goal === "secondary"
    ? undefined
    : `the monitor has ${to} as ${stateWords(next)}, not as secondary: ${showState}`;
}

/** It takes writes as far as the monitor knows; of one that has died this passes by itself. */
export function isNotGivenUp(node: MonitorNode): boolean {
  return isWriting(node) && whyUnsound(node) === undefined;
}

/**
 * Why the monitor is not asked to fail over from `from`, which is lost; undefined where `to` is a
 * sound standby.
 */
export function whyNotFailover(
  nodes: readonly MonitorNode[],
  { from, to }: MonitorEnds,
): string | undefined {
  const [old, next] = [nodeOf(nodes, from), nodeOf(nodes, to)];
  if (next === undefined) return `the monitor knows no node ${to}: ${showState}`;
  if (old !== undefined && isNotGivenUp(old)) {
    const [last, after] = [old.reportAgeMs, staleMs].map((ms) => Math.round(ms / 1000));
    return `the monitor has not given ${from} up yet: its keeper reported ${last} s ago, and about ${after} s after the last report it does; run this again then, or ${showState}`;
  }
  const why = whyUnsound(next);
  if (why !== undefined) return `${why}: ${showState}`;
  return next.reported === "secondary" && next.goal === "secondary"
    ? undefined
    : `the monitor has ${to} as ${stateWords(next)}, not as secondary: ${showState}`;
}
