/**
 * What to do, decided from what is seen. The journal says what was tried and between whom; where
 * the world says otherwise, the world is believed. A refusal is an answer as well, and names the
 * command that helps.
 */
import type { MemberSeen } from "../member/seen.ts";
import { armedByOther } from "../member/signature.ts";
import { unfinished } from "../operation/records.ts";
import type { OperationState } from "../operation/records.ts";
import type { FlipPlan } from "./flip-actions.ts";
import type { FlipObservation } from "./observation.ts";
import { fromIntent, fromTraces } from "./plan/plan-begun.ts";
import { planFailover } from "./plan/plan-failover.ts";
import { whyHeld, whyNotReachable } from "./plan/plan-clients.ts";
import { cutOff } from "./plan/plan-cut-off.ts";
import {
  planMonitored,
  planMonitoredAbort,
  planMonitoredFailover,
  planMonitoredRest,
} from "./plan/plan-monitored.ts";
import { commandFor, namesWish, synchronousOf } from "./plan/plan-request.ts";
import type { Base, FlipRequest, Refusal } from "./plan/plan-request.ts";
import { finishAfter, startNewFirst, wholeSteps } from "./plan/plan-steps.ts";
import { hasPromoted, hostWords, memberOf, oldWrites } from "./proof.ts";

/** Plans a new flip, the rest of an unfinished one, its undoing, or a failover. */
export function plan(
  seen: FlipObservation,
  states: readonly OperationState[],
  request: FlipRequest,
): FlipPlan | Refusal {
  const { goal, members } = request;
  const isMonitored = request.manager === "pg_auto_failover";
  if (!isMonitored && members.length !== 2) {
    const words = "a flip is between two data members; with more, change the primary by hand: ";
    const page = "docs/runbooks/flip-db.md";
    return { refused: `${words}${page} (there are ${members.length}: ${members.join(", ")})` };
  }
  const isNew = goal === "flip" || goal === "failover";
  const open = unfinished(states, isNew ? undefined : request.operationId);
  if (isNew && open !== undefined) {
    const [resume, abort] = ["resume", "abort"].map((word) =>
      commandFor(request, `flip-db --${word} ${open.operationId}`),
    );
    return { refused: `flip ${open.operationId} is unfinished: ${resume} or ${abort}` };
  }
  if (goal === "flip") return isMonitored ? planMonitored(seen, request) : planNew(seen, request);
  if (goal === "failover") {
    return isMonitored ? planMonitoredFailover(seen, request) : planFailover(seen, request);
  }
  const begun = open === undefined ? fromTraces(seen, request) : fromIntent(open, request);
  if ("refused" in begun) return begun;
  if (begun.manager !== "none") {
    const rest = goal === "abort" ? planMonitoredAbort : planMonitoredRest;
    return rest(seen, begun, request);
  }
  if (goal === "abort") return planAbort(seen, begun, request);
  return begun.cause === "lost"
    ? planFailover(seen, request, begun)
    : planResume(seen, begun, request);
}

function planNew(seen: FlipObservation, request: FlipRequest): FlipPlan | Refusal {
  const { members, mode, run, operationId = run } = request;
  const topology = commandFor(request, "topology");
  const writing = members.filter((name) => memberOf(seen, name).writable === true);
  const silent = members.find((name) => !memberOf(seen, name).reached);
  if (silent !== undefined) {
    const help = writing.includes(silent) || writing.length > 0 ? topology : failoverWords(request);
    return { refused: `${silent} does not answer: ${help}` };
  }
  const [from] = writing;
  if (from === undefined || writing.length > 1) {
    const who = writing.join(" and ") || "none";
    const help = writing.length > 1 ? commandFor(request, "fence MEMBER") : topology;
    return { refused: `one member must take writes, and ${who} do: ${help}` };
  }
  const [standby = ""] = members.filter((name) => name !== from);
  const { to = standby } = request;
  if (to === from) return { refused: `${to} is the primary already: ${topology}` };
  if (to !== standby) {
    return {
      refused: `there is no member ${to}: ${commandFor(request, `flip-db --to ${standby}`)}`,
    };
  }
  const { timeline, systemIdentifier } = memberOf(seen, from);
  if (timeline === null || systemIdentifier === null) {
    return { refused: `timeline and identity of ${from} are not known: ${topology}` };
  }
  const [cause, operatorSaysDead, loss] = ["planned", false, "none"] as const;
  const synchronous = synchronousOf(seen, request, to);
  const names = namesWish(request);
  const ends = {
    from,
    to,
    mode,
    cause,
    operatorSaysDead,
    synchronous,
    names,
    manager: "none",
  } as const;
  const hadSlot = memberOf(seen, to).slots?.includes(from) === true;
  const identity = { timeline, systemIdentifier, hadSlot, loss };
  const leftOut = cutOff(seen, request);
  return whole(seen, { operationId, run, asked: "flip", ...ends, ...identity, leftOut }, request);
}

function failoverWords(request: FlipRequest): string {
  return `${commandFor(request, "topology")}, and if it is lost ${commandFor(request, "failover")}`;
}

/** All steps, from a primary that writes and a standby that streams from it. */
function whole(seen: FlipObservation, base: Base, request: FlipRequest): FlipPlan | Refusal {
  const why = whyNotFit(seen, base, request);
  if (why !== undefined) return { refused: why };
  const held = whyHeld(seen, base, request);
  if (held !== undefined) return { refused: held, passing: true };
  return { ...base, goal: "forward", crossed: false, steps: wholeSteps(base) };
}

function whyNotFit(seen: FlipObservation, base: Base, request: FlipRequest): string | undefined {
  const { from, to } = base;
  const standby = memberOf(seen, to);
  const rebuild = commandFor(request, `rebuild-standby --member ${to}`);
  if (standby.role !== "standby") return `${to} does not answer as a standby: ${rebuild}`;
  if (standby.systemIdentifier !== base.systemIdentifier) {
    return `${to} is of another cluster: ${rebuild}`;
  }
  if (standby.timeline !== base.timeline) {
    return `${to} is on timeline ${standby.timeline}, ${from} on ${base.timeline}: ${rebuild}`;
  }
  if (standby.streamsFrom !== from) return `${to} does not stream from ${from}: ${rebuild}`;
  const { armed } = memberOf(seen, from);
  if (armed === "unknown") {
    const says = hostWords(seen, from, `whether ${from} is armed cannot be read`);
    return `${says}: ${commandFor(request, "topology")}`;
  }
  const other = armedByOther(armed);
  if (other !== undefined) {
    return `${from} is armed by ${other}: ${commandFor(request, `unfence ${from}`)}`;
  }
  return whyNotReachable(seen, base, request);
}

function planResume(seen: FlipObservation, base: Base, request: FlipRequest): FlipPlan | Refusal {
  const [from, to] = [memberOf(seen, base.from), memberOf(seen, base.to)];
  const forward: FlipPlan = { ...base, goal: "forward", crossed: true, steps: [] };
  const abort = commandFor(request, `flip-db --abort ${base.operationId}`);
  if (hasPromoted(forward, seen)) {
    if (from.writable === true) {
      const fence = commandFor(request, `fence ${base.from}`);
      return { refused: `${base.from} takes writes, and ${base.to} has been promoted: ${fence}` };
    }
    const start = to.process === "gone" ? startNewFirst : [];
    return { ...forward, steps: [...start, ...finishAfter(base)] };
  }
  if (oldWrites(forward, seen)) return whole(seen, base, request);
  if (!to.reached) return { refused: `${base.to} does not answer; if it is stopped: ${abort}` };
  const isEnding = from.process === "stopping";
  if (from.process !== "gone" && !isEnding) {
    return { refused: `${base.from} is ${roleWords(from)}: ${abort}` };
  }
  const ended = isEnding ? ["await-shutdown"] : [];
  const steps = [...ended, "arm", "stop", "prove", "promote", ...finishAfter(base)];
  return { ...forward, steps };
}

function roleWords({ role, process }: MemberSeen): string {
  if (process === "unknown") return "not known";
  return role === "standby" ? "running as a standby" : process;
}

/** The steps whose traces an undo looks for, latest first. */
export const undoable = ["stop", "divert", "hold", "arm", "slot", "record"] as const;

function planAbort(seen: FlipObservation, base: Base, request: FlipRequest): FlipPlan | Refusal {
  const back: FlipPlan = { ...base, goal: "back", crossed: true, steps: undoable };
  if (hasPromoted(back, seen)) {
    const resume = commandFor(request, `flip-db --resume ${base.operationId}`);
    return { refused: `${base.to} has been promoted: ${resume}` };
  }
  if (base.cause === "lost" && memberOf(seen, base.from).process === "unknown") {
    const resume = commandFor(request, `flip-db --resume ${base.operationId}`);
    return { refused: `nothing can be started on ${base.from}, which does not answer: ${resume}` };
  }
  const other = armedByOther(memberOf(seen, base.from).armed);
  if (other !== undefined && !oldWrites(back, seen)) {
    const unfence = commandFor(request, `unfence ${base.from}`);
    return { refused: `${base.from} is armed by ${other}: ${unfence}` };
  }
  // Another host may have gone on with it: no journal knows all, and every row judges by the world.
  return back;
}

/** The intent as the journal keeps it; fromIntent reads it back. */
export function intentFacts(flip: FlipPlan): Readonly<Record<string, string | number | boolean>> {
  const { from, to, mode, cause, operatorSaysDead, synchronous, names, manager, loss } = flip;
  const { timeline, systemIdentifier, hadSlot, run, goal, asked } = flip;
  const ends = { from, to, mode, cause, operatorSaysDead, synchronous, names, manager, loss };
  const leftOut = flip.leftOut.join(", ");
  return { ...ends, timeline, systemIdentifier, hadSlot, leftOut, run, goal, asked };
}
