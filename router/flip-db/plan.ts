/**
 * What to do, decided from what is seen. The journal says what was tried and between whom; where
 * the world says otherwise, the world is believed. A refusal is an answer as well.
 */
import { unfinished } from "../operation/records.ts";
import type { OperationState } from "../operation/records.ts";
import type { FlipPlan } from "./flip-actions.ts";
import type { FlipObservation, MemberSeen } from "./observation.ts";
import { hasPromoted, memberOf, oldWrites } from "./proof.ts";

export interface FlipRequest {
  readonly goal: "flip" | "resume" | "abort";
  /** Signs this run; new for every start of the tool. */
  readonly run: string;
  /** The id of a new flip, or of the one to resume or abort. */
  readonly operationId?: string;
  readonly to?: string;
  readonly mode: "seamless" | "fast";
  /** All members, by name. */
  readonly members: readonly string[];
}

export interface Refusal {
  readonly refused: string;
}

const opening = ["record", "checkpoint", "slot", "warm", "arm"];
const crossing = ["prove", "promote"];
const finish = ["verify", "reconnect", "route", "release", "repoint", "rejoin", "settle", "close"];

/** The steps whose traces an undo looks for, latest first. */
const undoable = ["stop", "divert", "hold", "arm", "slot", "record"];

/** Plans a new flip, the rest of an unfinished one, or its undoing. */
export function plan(
  seen: FlipObservation,
  states: readonly OperationState[],
  request: FlipRequest,
): FlipPlan | Refusal {
  const open = unfinished(states, request.goal === "flip" ? undefined : request.operationId);
  if (request.goal === "flip") {
    return open === undefined
      ? planNew(seen, request)
      : { refused: `flip ${open.operationId} is unfinished: --resume or --abort it` };
  }
  const begun = open === undefined ? fromTraces(seen, request) : fromIntent(open, request);
  if ("refused" in begun) return begun;
  return request.goal === "resume" ? planResume(seen, begun) : planAbort(seen, begun);
}

type Base = Omit<FlipPlan, "goal" | "crossed" | "steps">;

function planNew(seen: FlipObservation, request: FlipRequest): FlipPlan | Refusal {
  const { members, mode, run, operationId = run } = request;
  const silent = members.find((name) => !memberOf(seen, name).reached);
  if (silent !== undefined) return { refused: `${silent} does not answer` };
  const writing = members.filter((name) => memberOf(seen, name).writable === true);
  const [from] = writing;
  if (from === undefined || writing.length > 1) {
    return { refused: `one member must take writes; now ${writing.join(", ") || "none"} do` };
  }
  const standbys = members.filter((name) => name !== from);
  const to = request.to ?? (standbys.length === 1 ? standbys[0] : undefined);
  if (to === undefined) return { refused: `say which: --to ${standbys.join(", --to ")}` };
  if (to === from) return { refused: `${to} is the primary already` };
  if (!standbys.includes(to)) return { refused: `there is no member ${to}` };
  const { timeline, systemIdentifier } = memberOf(seen, from);
  if (timeline === null || systemIdentifier === null) return { refused: `${from} is not known` };
  const base: Base = {
    operationId,
    run,
    from,
    to,
    others: standbys.filter((name) => name !== to),
    mode,
    timeline,
    systemIdentifier,
    hadSlot: memberOf(seen, to).slots?.includes(from) === true,
  };
  return whole(seen, base);
}

/** All steps, from a primary that writes and a standby that streams from it. */
function whole(seen: FlipObservation, base: Base): FlipPlan | Refusal {
  const why = whyNotFit(seen, base);
  if (why !== undefined) return { refused: why };
  const gate = base.mode === "seamless" ? ["hold"] : [];
  const steps = [...opening, ...gate, "divert", "stop", ...crossing, ...finish];
  return { ...base, goal: "forward", crossed: false, steps };
}

function whyNotFit(seen: FlipObservation, base: Base): string | undefined {
  const { from, to } = base;
  const standby = memberOf(seen, to);
  if (standby.role !== "standby") return `${to} does not answer as a standby`;
  if (standby.systemIdentifier !== base.systemIdentifier) return `${to} is of another cluster`;
  if (standby.timeline !== base.timeline) return `${to} is not on the timeline of ${from}`;
  for (const name of [to, ...base.others]) {
    if (memberOf(seen, name).streamsFrom !== from) return `${name} does not stream from ${from}`;
  }
  if (memberOf(seen, from).armed === "unknown") return `whether ${from} is armed cannot be read`;
  const router = seen.routers.find((one) => !one.reached);
  if (router !== undefined) return `router ${router.name} does not answer`;
  if (base.mode === "fast") return undefined;
  const gate = seen.gates.find((one) => !one.reached || one.pausedBy !== null);
  if (gate !== undefined) return `gate ${gate.name} does not answer or is paused`;
  return seen.gates.length === 0 ? "no gate holds the clients; --mode fast" : undefined;
}

function planResume(seen: FlipObservation, base: Base): FlipPlan | Refusal {
  const [from, to] = [memberOf(seen, base.from), memberOf(seen, base.to)];
  const forward: FlipPlan = { ...base, goal: "forward", crossed: true, steps: [] };
  if (hasPromoted(forward, seen)) {
    if (from.writable === true) return { refused: `${base.from} takes writes as well: fence one` };
    const start = to.process === "gone" ? ["start-new"] : [];
    return { ...forward, steps: [...start, ...finish] };
  }
  if (oldWrites(forward, seen)) return whole(seen, base);
  if (!to.reached) return { refused: `${base.to} does not answer; if it is stopped, --abort` };
  if (from.process !== "gone") return { refused: `${base.from} is ${roleWords(from)}; --abort` };
  return { ...forward, steps: ["arm", "stop", ...crossing, ...finish] };
}

function roleWords({ role, process }: MemberSeen): string {
  return role === "standby" ? "running as a standby" : process;
}

function planAbort(seen: FlipObservation, base: Base): FlipPlan | Refusal {
  const back: FlipPlan = { ...base, goal: "back", crossed: true, steps: [] };
  if (hasPromoted(back, seen)) return { refused: `${base.to} has been promoted: --resume` };
  // Another host may have gone on with it: no journal knows all, and every row judges by the world.
  return { ...back, steps: undoable };
}

function fromIntent(open: OperationState, request: FlipRequest): Base | Refusal {
  const { intent } = open;
  if (intent === null) return { refused: `the intent of ${open.operationId} is not known` };
  const text = (key: string): string => String(intent[key] ?? "");
  const [from, to] = [text("from"), text("to")];
  if (!request.members.includes(from) || !request.members.includes(to)) {
    return { refused: `flip ${open.operationId} is between ${from} and ${to}: not members here` };
  }
  return {
    operationId: open.operationId,
    run: request.run,
    from,
    to,
    others: request.members.filter((name) => name !== from && name !== to),
    mode: intent["mode"] === "seamless" ? "seamless" : "fast",
    timeline: Number(intent["timeline"]),
    systemIdentifier: text("systemIdentifier"),
    hadSlot: intent["hadSlot"] === true,
  };
}

/** Without any journal: an armed, stopped primary beside one other member tells what was begun. */
function fromTraces(seen: FlipObservation, request: FlipRequest): Base | Refusal {
  const armed = request.members.filter((name) => {
    const { armed: signature, control, process } = memberOf(seen, name);
    const isStopped = process === "gone" && control?.state === "shut down";
    return isStopped && signature !== null && signature !== "unknown";
  });
  const [from] = armed;
  const standbys = request.members.filter((name) => name !== from);
  const to = request.to ?? (standbys.length === 1 ? standbys[0] : undefined);
  const control = from === undefined ? null : memberOf(seen, from).control;
  if (from === undefined || armed.length > 1 || to === undefined || control === null) {
    return { refused: "no unfinished flip is known" };
  }
  const { timeline, systemIdentifier } = control;
  const others = standbys.filter((name) => name !== to);
  const { run, mode, operationId = run } = request;
  const ends = { from, to, others, mode };
  return { operationId, run, ...ends, timeline, systemIdentifier, hadSlot: true };
}

/** The intent as the journal keeps it; fromIntent reads it back. */
export function intentFacts(flip: FlipPlan): Readonly<Record<string, string | number | boolean>> {
  const { from, to, mode, timeline, systemIdentifier, hadSlot, run, goal } = flip;
  return { from, to, mode, timeline, systemIdentifier, hadSlot, run, goal };
}
