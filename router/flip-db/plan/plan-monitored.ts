/**
 * The plan where a monitor of pg_auto_failover runs the cluster: it is asked for the change, and all
 * that is done here is done around it. Nothing is armed, stopped or promoted by this tool, so
 * nothing of it has to be taken back but what holds the clients. Pure.
 */
import {
  hasTakenUp,
  isDemoting,
  isMeantToWrite,
  isMovingWrites,
  isNotGivenUp,
  isPromoting,
  isUnderWay,
  isWriting,
  statesOf,
  whyNotFailover,
  whyNotPromote,
  whyUnsound,
} from "../../monitor/nodes.ts";
import type { MonitorNode } from "../../monitor/nodes.ts";
import type { FlipPlan } from "../flip-actions.ts";
import type { FlipObservation } from "../observation.ts";
import { whyHeld, whyNotReachable } from "./plan-clients.ts";
import { cutOff } from "./plan-cut-off.ts";
import { commandFor, namesWish, synchronousOf } from "./plan-request.ts";
import type { Base, FlipRequest, Refusal } from "./plan-request.ts";
import { monitoredAfter, monitoredSteps } from "./plan-steps.ts";
import { hasSwitched, memberOf, nodesSeen } from "../proof.ts";

/** The steps whose traces are taken back, latest first. */
export const monitoredUndoable = ["hold", "record"] as const;

const loss = "none";

/** What the monitor says, or why it is not asked. */
function heard(seen: FlipObservation): readonly MonitorNode[] | Refusal {
  const nodes = nodesSeen(seen);
  if (nodes !== undefined) return nodes;
  const fault = seen.monitor !== undefined && "fault" in seen.monitor ? seen.monitor.fault : "";
  const why = fault === "" ? "" : ` (${fault})`;
  return {
    refused: `the monitor does not answer${why}: start it with pg_autoctl run; if its host is lost, see The monitor is lost for good in docs/names.md`,
  };
}

/** A planned flip, from its beginning. */
export function planMonitored(seen: FlipObservation, request: FlipRequest): FlipPlan | Refusal {
  const { members } = request;
  const topology = commandFor(request, "topology");
  const nodes = heard(seen);
  if ("refused" in nodes) return nodes;
  const writing = members.filter((name) => memberOf(seen, name).writable === true);
  const [from] = writing;
  if (from === undefined || writing.length > 1) {
    const help = writing.length > 1 ? topology : commandFor(request, "failover");
    return {
      refused: `one member must take writes, and ${writing.join(" and ") || "none"} do: ${help}`,
    };
  }
  const others = members.filter((name) => name !== from);
  const { to = others.length === 1 ? others[0] : undefined } = request;
  if (to === undefined) return { refused: `say which: ${flipWords(request, others)}` };
  if (to === from) return { refused: `${to} is the primary already: ${topology}` };
  if (!others.includes(to)) {
    return { refused: `there is no member ${to}: ${flipWords(request, others)}` };
  }
  const why = whyNotPromote(nodes, { from, to });
  if (why !== undefined) return { refused: why, passing: isUnderWay(nodes) };
  const base = baseOf(seen, request, { from, to, cause: "planned" });
  return "refused" in base ? base : whole(seen, base, request);
}

function flipWords(request: FlipRequest, names: readonly string[]): string {
  return names.map((name) => commandFor(request, `flip-db --to ${name}`)).join(" or ");
}

type Ends = Pick<FlipPlan, "from" | "to" | "cause">;

function baseOf(
  seen: FlipObservation,
  request: FlipRequest,
  { from, to, cause }: Ends,
): Base | Refusal {
  const { goal, run, operationId = run } = request;
  const known = memberOf(seen, cause === "lost" ? to : from);
  const { timeline, systemIdentifier } = known;
  if (timeline === null || systemIdentifier === null) {
    const who = cause === "lost" ? to : from;
    return {
      refused: `timeline and identity of ${who} are not known: ${commandFor(request, "topology")}`,
    };
  }
  return {
    operationId,
    run,
    asked: goal,
    from,
    to,
    // Whoever was connected to a primary that is lost has been cut off already.
    mode: cause === "lost" ? "fast" : request.mode,
    cause,
    operatorSaysDead: false,
    synchronous: synchronousOf(seen, request, to),
    names: namesWish(request),
    manager: "pg_auto_failover",
    timeline,
    systemIdentifier,
    hadSlot: true,
    leftOut: cutOff(seen, request),
    loss: cause === "lost" ? lostWords(from, to) : loss,
  };
}

function lostWords(from: string, to: string): string {
  return `not known: the monitor promotes ${to}, which has all that waited for a standby; what ${from} had acknowledged without one is lost`;
}

function whole(seen: FlipObservation, base: Base, request: FlipRequest): FlipPlan | Refusal {
  const why = whyNotReachable(seen, base, request);
  if (why !== undefined) return { refused: why };
  const held = whyHeld(seen, base, request);
  if (held !== undefined) return { refused: held, passing: true };
  return { ...base, goal: "forward", crossed: false, steps: monitoredSteps(base) };
}

/** After a loss of the primary: the monitor is asked to fail over, or has begun to by itself. */
export function planMonitoredFailover(
  seen: FlipObservation,
  request: FlipRequest,
): FlipPlan | Refusal {
  const nodes = heard(seen);
  if ("refused" in nodes) return nodes;
  const { members } = request;
  const writing = members.find((name) => memberOf(seen, name).writable === true);
  const flip = commandFor(request, "flip-db");
  if (writing !== undefined && !isMovingWrites(nodes)) {
    return { refused: `${writing} takes writes; a planned change loses nothing: ${flip}` };
  }
  const { to = successorIn(nodes, members) } = request;
  const from = nodes.find((node) => node.name !== to && members.includes(node.name))?.name;
  if (to === undefined || from === undefined) {
    return {
      refused: `no standby is sound for the monitor (${statesOf(nodes)}): pg_autoctl show state`,
    };
  }
  const primary = primaryOf(nodes, to) ?? from;
  const why = isMovingWrites(nodes) ? undefined : whyNotFailover(nodes, { from: primary, to });
  if (why !== undefined) {
    const passing = nodes.some((one) => one.name === primary && isNotGivenUp(one));
    return { refused: why, passing };
  }
  const base = baseOf(seen, request, { from: primary, to, cause: "lost" });
  return "refused" in base ? base : whole(seen, base, request);
}

/** Whom the monitor has chosen by itself, or else could be asked for. */
function successorIn(
  nodes: readonly MonitorNode[],
  members: readonly string[],
): string | undefined {
  const sound = nodes.filter(
    (node) => members.includes(node.name) && whyUnsound(node) === undefined,
  );
  const chosen = isMovingWrites(nodes)
    ? sound.find((node) => isMeantToWrite(node) || isPromoting(node))
    : undefined;
  return (chosen ?? sound.find((node) => !isWriting(node)))?.name;
}

/** The node that says it is the primary, or is on its way out of it. */
function primaryOf(nodes: readonly MonitorNode[], to: string): string | undefined {
  const others = nodes.filter(({ name }) => name !== to);
  return others.find((node) => isWriting(node) || isDemoting(node))?.name;
}

/** The rest of a flip that was begun: where the monitor is by now, counts. */
export function planMonitoredRest(
  seen: FlipObservation,
  base: Base,
  request: FlipRequest,
): FlipPlan | Refusal {
  const nodes = heard(seen);
  if ("refused" in nodes) return nodes;
  const rest: FlipPlan = { ...base, goal: "forward", crossed: true, steps: monitoredAfter(base) };
  const { from, to } = base;
  if (hasSwitched(rest, seen) || hasTakenUp(nodes, to)) return rest;
  if (memberOf(seen, to).writable === true) return rest;
  const why =
    base.cause === "lost"
      ? whyNotFailover(nodes, { from, to })
      : whyNotPromote(nodes, { from, to });
  return why === undefined
    ? whole(seen, base, request)
    : { refused: why, passing: isUnderWay(nodes) };
}

/** Lets the clients go, and closes the operation: the change itself is the monitor's. */
export function planMonitoredAbort(
  seen: FlipObservation,
  base: Base,
  request: FlipRequest,
): FlipPlan | Refusal {
  const nodes = heard(seen);
  if ("refused" in nodes) return nodes;
  const resume = commandFor(request, `flip-db --resume ${base.operationId}`);
  const back: FlipPlan = { ...base, goal: "back", crossed: true, steps: monitoredUndoable };
  if (hasSwitched(back, seen)) return { refused: `${base.to} has been promoted: ${resume}` };
  return hasTakenUp(nodes, base.to)
    ? { refused: `the monitor is at it (${statesOf(nodes)}): ${resume}`, passing: true }
    : back;
}
