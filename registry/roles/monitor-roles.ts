/**
 * Roles from a pg_auto_failover monitor. The monitor is the arbiter: a node takes writes when it has
 * reported so and the monitor still wants it so. An old primary that says `primary` for ever because
 * it is dead is none once the monitor wants something else of it; while the monitor wants it so, a
 * second one is never chosen beside it. Pure.
 */
import { isFresh } from "../../router/monitor/nodes.ts";
import { inWords, takesReads, takesWrites } from "../../router/monitor/states.ts";
import type { Ahead } from "./lag.ts";
import { whyBehind } from "./lag.ts";
import type { Judgement, MonitorObservation, RoleContext, WatchedNode } from "./observation.ts";

/** After its start, or a gap, a monitor has to hear of its nodes first. */
const settleMs = 10_000;

const isHealthy = (node: WatchedNode): boolean => node.health === 1;

/**
 * The monitor has two witnesses for a node: its own check, and the keeper's report. Where one of them
 * vouches for a primary, its writes work; a standby needs both.
 */
const isAlive = (node: WatchedNode): boolean => isHealthy(node) || (isFresh(node) && node.running);
const isSound = (node: WatchedNode): boolean => isHealthy(node) && isFresh(node) && node.running;

/** The judgement, or why the monitor has too little to say for one: what was so stays so then. */
export function monitorRoles(
  seen: MonitorObservation,
  context: RoleContext,
): Judgement | { readonly silent: string } {
  const primary = primaryOf(seen.nodes, context.members);
  const silent = whySilent(seen, primary, context);
  if (silent !== undefined) return { silent };
  const ahead = aheadOf(primary.node, seen);
  const standbys: string[] = [];
  const reasons = [...primary.reasons, ...strangers(seen.nodes, context.members)];
  for (const name of context.members) {
    const node = seen.nodes.find((one) => one.name === name);
    if (node !== undefined && node === primary.node) continue;
    const why = whyLeftOut(node, ahead, context, name);
    if (why === undefined) standbys.push(name);
    else if (why !== "") reasons.push(`${name} is left out: ${why}`);
  }
  return {
    outcome: primary.outcome,
    reasons,
    primary: primary.outcome === "published" ? (primary.node?.name ?? null) : null,
    standbys,
    writers: seen.nodes
      .filter(({ reported }) => takesWrites(reported))
      .map(({ name, timeline }) => ({ name, timeline })),
  };
}

function whySilent(
  { nodes, steadyMs }: MonitorObservation,
  primary: PrimaryFound,
  { before }: RoleContext,
): string | undefined {
  if (nodes.length === 0) return undefined;
  if (!nodes.some((node) => isFresh(node) || isHealthy(node))) {
    return "no node has reported to the monitor for a while, and it reaches none";
  }
  if (steadyMs >= settleMs) return undefined;
  const published = [before.primary, ...before.standbys];
  const unheard = nodes.filter((node) => !isFresh(node) && published.includes(node.name));
  if (unheard.length === 0 || isNewPrimary(primary, before.primary)) return undefined;
  return `the monitor has just begun to answer and has not heard of ${listOf(unheard)} yet`;
}

/** A new primary is not kept back by those that are not heard of yet. */
function isNewPrimary({ outcome, node }: PrimaryFound, before: string | null): boolean {
  return outcome === "published" && node !== undefined && isFresh(node) && node.name !== before;
}

interface PrimaryFound {
  readonly outcome: "published" | "ambiguous" | "no-primary";
  readonly reasons: readonly string[];
  /** The one member that takes writes, published or not. */
  readonly node: WatchedNode | undefined;
}

function primaryOf(nodes: readonly WatchedNode[], members: readonly string[]): PrimaryFound {
  const wanted = nodes.filter(({ goal }) => takesWrites(goal));
  const leaving = nodes
    .filter(({ reported, goal }) => takesWrites(reported) && !takesWrites(goal))
    .map(({ name, reported, goal }) => `${name} said ${reported} last, and is to be ${goal}`);
  const none = (why: string, node?: WatchedNode): PrimaryFound => ({
    outcome: "no-primary",
    reasons: [why, ...leaving],
    node,
  });
  if (wanted.length > 1) {
    const claims = wanted.map(({ name, reported, goal }) => `${name} (${reported}, to be ${goal})`);
    const reason = `the monitor gives writes to more than one node: ${claims.join(" and ")}`;
    return { outcome: "ambiguous", reasons: [reason, ...leaving], node: undefined };
  }
  const [one] = wanted;
  if (one === undefined) return none("the monitor gives writes to no node");
  if (!takesWrites(one.reported)) {
    return none(`${one.name} is to be ${one.goal} and is not yet: it says ${one.reported}`);
  }
  if (!isAlive(one)) {
    return none(`${one.name} is ${one.goal} to the monitor, which does not reach it`, one);
  }
  if (!members.includes(one.name)) {
    return none(`${one.name} takes writes and is no member of this cluster here`, one);
  }
  return { outcome: "published", reasons: leaving, node: one };
}

function aheadOf(node: WatchedNode | undefined, seen: MonitorObservation): Ahead | undefined {
  return node === undefined ? undefined : { ...node, earlier: seen.earlier[node.name] };
}

/** Why a member is not published as a standby; "" where the primary's reasons say it already. */
function whyLeftOut(
  node: WatchedNode | undefined,
  ahead: Ahead | undefined,
  context: RoleContext,
  name: string,
): string | undefined {
  if (node === undefined) return "the monitor knows no node of this name";
  if (takesWrites(node.reported) || takesWrites(node.goal)) {
    // A node that is being promoted still answers reads.
    if (!takesReads(node.reported)) return "";
  } else if (!takesReads(node.goal)) {
    return `it ${inWords(node.goal)}`;
  }
  if (!takesReads(node.reported)) return `it ${inWords(node.reported)}`;
  if (!isFresh(node)) return "it has not reported to the monitor for a while";
  if (!node.running) return "its Postgres does not run";
  if (!isSound(node)) return "the monitor does not reach its Postgres";
  const isPublished = context.before.standbys.includes(name);
  return whyBehind(node, ahead, { limit: context.lagBytes, isPublished });
}

function strangers(nodes: readonly WatchedNode[], members: readonly string[]): string[] {
  return nodes
    .filter(({ name, goal }) => !members.includes(name) && goal !== "dropped")
    .map(({ name }) => `the monitor has a node ${name} that is no member of this cluster here`);
}

function listOf(nodes: readonly WatchedNode[]): string {
  return nodes.map(({ name }) => name).join(", ");
}
