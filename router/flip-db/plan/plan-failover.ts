/**
 * The plan after an unplanned loss of the primary: only with proof that it cannot write any more,
 * or with the operator's word, and honest about what may be lost.
 */
import { formatLsn, lsnDistance } from "../../../kit/lsn.ts";
import type { MemberSeen } from "../../member/seen.ts";
import type { FlipPlan } from "../flip-actions.ts";
import type { FlipObservation } from "../observation.ts";
import { cutOff } from "./plan-cut-off.ts";
import { commandFor, namesWish, synchronousOf } from "./plan-request.ts";
import type { Base, FlipRequest, Refusal } from "./plan-request.ts";
import { finishAfter, startNewFirst } from "./plan-steps.ts";
import { hasPromoted, isStoppedAndArmed, memberOf } from "../proof.ts";

/** A failover from its beginning, or the rest of one that was begun. */
export function planFailover(
  seen: FlipObservation,
  request: FlipRequest,
  begun?: Base,
): FlipPlan | Refusal {
  const base = begun ?? newFailover(seen, request);
  if ("refused" in base) return base;
  const [from, to] = [memberOf(seen, base.from), memberOf(seen, base.to)];
  const forward: FlipPlan = { ...base, goal: "forward", crossed: begun !== undefined, steps: [] };
  if (hasPromoted(forward, seen)) {
    if (from.writable === true || begun === undefined) {
      const fence = commandFor(request, `fence ${base.from}`);
      return { refused: `${base.to} has been promoted already; ${base.from}: ${fence}` };
    }
    const start = to.process === "gone" ? startNewFirst : [];
    return { ...forward, steps: [...start, ...finishAfter(base)] };
  }
  const why = whyNotLost(base, from, to, request);
  if (why !== undefined) return { refused: why };
  const keepDown = from.process === "gone" ? ["keep-down"] : [];
  return { ...forward, steps: [...keepDown, "drain", "promote", ...finishAfter(base)] };
}

function newFailover(seen: FlipObservation, request: FlipRequest): Base | Refusal {
  const { members, run, mode, operationId = run, operatorSaysDead = false } = request;
  const writing = members.find((name) => memberOf(seen, name).writable === true);
  if (writing !== undefined) {
    const flip = commandFor(request, "flip-db");
    return { refused: `${writing} takes writes; a planned change loses nothing: ${flip}` };
  }
  const standbys = members.filter((name) => {
    const { reached, role } = memberOf(seen, name);
    return reached && role === "standby";
  });
  const { to = standbys[0] } = request;
  const [from] = members.filter((name) => name !== to);
  const topology = commandFor(request, "topology");
  if (to === undefined || from === undefined || !standbys.includes(to)) {
    const who = to === undefined ? "no member answers" : `${to} does not answer`;
    return { refused: `${who} as a standby that could take over: ${topology}` };
  }
  const { timeline, systemIdentifier, slots } = memberOf(seen, to);
  if (timeline === null || systemIdentifier === null) {
    return { refused: `timeline and identity of ${to} are not known: ${topology}` };
  }
  const fork = whyForked(from, to, seen);
  if (fork !== undefined && !operatorSaysDead) {
    return { refused: `${fork}: ${commandFor(request, `fence ${from}`)}, and ${topology}` };
  }
  const ends = { from, to, mode, cause: "lost", operatorSaysDead } as const;
  const identity = { timeline, systemIdentifier, hadSlot: slots?.includes(from) === true };
  const synchronous = synchronousOf(seen, request, to);
  const loss =
    fork === undefined
      ? lossWords(from, memberOf(seen, from), memberOf(seen, to))
      : `certain: ${fork}, and what only ${from} has is lost`;
  const leftOut = cutOff(seen, request);
  const names = namesWish(request);
  const who = { operationId, run, asked: "failover", names, manager: "none" } as const;
  return { ...who, ...ends, synchronous, ...identity, leftOut, loss };
}

/** The control file of the lost primary shows a history that the standby does not share. */
function whyForked(from: string, to: string, seen: FlipObservation): string | undefined {
  const { control } = memberOf(seen, from);
  const { timeline, systemIdentifier } = memberOf(seen, to);
  if (control === null) return undefined;
  if (control.systemIdentifier !== systemIdentifier)
    return `${to} is of another cluster than ${from}`;
  return control.timeline === timeline
    ? undefined
    : `${to} is on timeline ${timeline}, ${from} on ${control.timeline}`;
}

function whyNotLost(
  { from: name, to: standby }: Base,
  from: MemberSeen,
  to: MemberSeen,
  request: FlipRequest,
): string | undefined {
  const fence = commandFor(request, `fence ${name}`);
  if (from.reached || from.process === "alive" || from.process === "stopping") {
    return `Postgres on ${name} runs: ${fence}, then failover again`;
  }
  if (!to.reached || to.role !== "standby") {
    return `${standby} does not answer as a standby: ${commandFor(request, "topology")}`;
  }
  if (isStoppedAndArmed(from) || request.operatorSaysDead === true) return undefined;
  if (from.process === "gone") {
    return `${name} is stopped, but not armed: ${fence}, then failover again`;
  }
  return `nothing shows that ${name} cannot write: ${fence}, or type its name when failover asks`;
}

/** What the standby may lack of the acknowledged rows, in bytes of WAL where that can be told. */
export function lossWords(name: string, from: MemberSeen, to: MemberSeen): string {
  const { control } = from;
  const { replayLsn, receiveLsn } = to;
  const has = receiveLsn !== null && (replayLsn ?? 0n) < receiveLsn ? receiveLsn : replayLsn;
  if (has === null) return `not known: how far the standby has come cannot be read`;
  const up = `the standby has everything up to ${formatLsn(has)}`;
  if (control === null || from.process !== "gone") {
    return `possible: ${up}; what ${name} wrote after that is lost`;
  }
  if (control.state === "shut down") {
    if (has > control.checkpoint) {
      return `none: ${name} was shut down at ${formatLsn(control.checkpoint)}, and ${up}`;
    }
    const bytes = lsnDistance(control.checkpoint, has);
    return `likely: ${name} was shut down at ${formatLsn(control.checkpoint)}, and ${up}: at least ${bytes} bytes of WAL are lost`;
  }
  return `possible: ${name} crashed, and ${up}; what ${name} wrote after that is lost`;
}
