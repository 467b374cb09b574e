/**
 * The two proofs of a flip, and what else is read from a member's looks. Each answers why it does
 * not hold, in words for the operator; what cannot be read is not proven.
 */
import { formatLsn } from "../../kit/lsn.ts";
import { unknownMember } from "../member/seen.ts";
import type { ControlSeen, MemberSeen } from "../member/seen.ts";
import { signatureOf } from "../member/signature.ts";
import { isMeantToWrite, isWriting } from "../monitor/nodes.ts";
import type { MonitorNode } from "../monitor/nodes.ts";
import type { FlipPlan } from "./flip-actions.ts";
import type { FlipObservation } from "./observation.ts";

/** The look at one member; all unknown when it was not looked at. */
export function memberOf(seen: FlipObservation, name: string): MemberSeen {
  return seen.members[name] ?? unknownMember;
}

/** The words of a refusal for want of what only the host of `name` can tell, with the reason. */
export function hostWords(seen: FlipObservation, name: string, says: string): string {
  const { hostFault } = memberOf(seen, name);
  return hostFault === null ? says : `${says} (${hostFault})`;
}

/**
 * Why the standby must not be promoted; undefined when the old primary is stopped for good and the
 * standby has all of its WAL. A checkpoint's location is where its record starts and the replay
 * position is an end, so the shutdown checkpoint is replayed only when the position lies strictly
 * past it.
 */
export function whyNotProven(plan: FlipPlan, seen: FlipObservation): string | undefined {
  if (plan.cause === "lost") return whyNotLost(plan, seen);
  const [from, to] = [memberOf(seen, plan.from), memberOf(seen, plan.to)];
  if (from.process !== "gone") return `Postgres on ${plan.from} is ${from.process}`;
  if (from.control === null) {
    return hostWords(seen, plan.from, `the control file of ${plan.from} cannot be read`);
  }
  const foreign = whyForeign(plan, plan.from, from.control);
  if (foreign !== undefined) return foreign;
  if (from.control.state !== "shut down") {
    return `the control file of ${plan.from} says ${from.control.state}`;
  }
  const unfit = whyNotOurStandby(plan, to);
  if (unfit !== undefined) return unfit;
  if (to.replayLsn === null || to.replayLsn <= from.control.checkpoint) {
    const replayed = to.replayLsn === null ? "an unknown position" : formatLsn(to.replayLsn);
    return `${plan.to} has replayed up to ${replayed}, not past ${formatLsn(from.control.checkpoint)}`;
  }
  return undefined;
}

/**
 * Why the standby of a lost primary must not be promoted; undefined when that primary cannot write:
 * seen stopped and armed, or, where nothing of it can be seen, dead by the operator's word.
 */
function whyNotLost(plan: FlipPlan, seen: FlipObservation): string | undefined {
  const [from, to] = [memberOf(seen, plan.from), memberOf(seen, plan.to)];
  if (from.reached || from.process === "alive" || from.process === "stopping") {
    return `Postgres on ${plan.from} is ${from.reached ? "there and answers" : from.process}`;
  }
  const isWord = plan.operatorSaysDead && from.process === "unknown";
  if (!isWord && !isStoppedAndArmed(from)) {
    return `nothing shows that ${plan.from} is stopped and armed`;
  }
  const unfit = whyNotOurStandby(plan, to);
  if (unfit !== undefined) return unfit;
  if (to.replayLsn === null) return `how far ${plan.to} has replayed is not known`;
  if (to.receiveLsn !== null && to.replayLsn < to.receiveLsn) {
    return `${plan.to} has not replayed all that it has received`;
  }
  return undefined;
}

/** No process of it can write, and whoever starts it gets a standby. */
export function isStoppedAndArmed({ process, armed }: MemberSeen): boolean {
  return process === "gone" && armed !== null && armed !== "unknown";
}

/** Its Postgres has ended altogether, archiver and walsenders included, and can be started. */
export function hasEnded({ process, processes }: MemberSeen): boolean {
  return process === "gone" && processes !== null && processes.length === 0;
}

function whyNotOurStandby(plan: FlipPlan, to: MemberSeen): string | undefined {
  if (!to.reached || to.role !== "standby") return `${plan.to} does not answer as a standby`;
  if (to.systemIdentifier !== plan.systemIdentifier) return `${plan.to} is of another cluster`;
  return to.timeline === plan.timeline
    ? undefined
    : `${plan.to} is on timeline ${to.timeline}, ${plan.from} on ${plan.timeline}`;
}

/**
 * Why the old primary must not be started for writes; undefined when the standby is stopped, was
 * never promoted and cannot be by a request that is still on its way: that one ended with the
 * standby's process, and a leftover `promote` file is gone too.
 */
export function whyNotSecured(plan: FlipPlan, seen: FlipObservation): string | undefined {
  const to = memberOf(seen, plan.to);
  if (hasPromoted(plan, seen)) return `${plan.to} has been promoted; --resume finishes the flip`;
  if (to.process !== "gone") return `Postgres on ${plan.to} is ${to.process}`;
  if (to.control === null) {
    return hostWords(seen, plan.to, `the control file of ${plan.to} cannot be read`);
  }
  const foreign = whyForeign(plan, plan.to, to.control);
  if (foreign !== undefined) return foreign;
  if (!isCleanStandby(to.control)) {
    return `the control file of ${plan.to} says ${to.control.state}`;
  }
  if (to.promoteFile !== false) return `a promote file may lie on ${plan.to}`;
  return undefined;
}

/** Its Postgres was shut down as a standby. */
export function isCleanStandby(control: ControlSeen | null): boolean {
  return control?.state === "shut down in recovery";
}

/** The standby is known to be a primary, or to have been one. */
export function hasPromoted(plan: FlipPlan, seen: FlipObservation): boolean {
  const { role, timeline, control } = memberOf(seen, plan.to);
  const wasPrimary = control?.state === "shut down" || control?.state === "in production";
  return (
    role === "primary" ||
    wasPrimary ||
    (timeline ?? 0) > plan.timeline ||
    (control?.timeline ?? 0) > plan.timeline
  );
}

/** The old primary runs and takes writes. */
export function oldWrites(plan: FlipPlan, seen: FlipObservation): boolean {
  const { reached, writable, process } = memberOf(seen, plan.from);
  return reached && writable === true && process !== "gone";
}

function whyForeign(plan: FlipPlan, name: string, control: ControlSeen): string | undefined {
  if (control.systemIdentifier !== plan.systemIdentifier) return `${name} is of another cluster`;
  if (control.timeline !== plan.timeline) {
    return `the control file of ${name} is on timeline ${control.timeline}, not ${plan.timeline}`;
  }
  return undefined;
}

/** Why the old primary cannot be acted on as the one that takes writes. */
export function whyNotWriting(plan: FlipPlan, seen: FlipObservation): string | undefined {
  return oldWrites(plan, seen) ? undefined : `${plan.from} does not take writes`;
}

/** Why the new primary-to-be cannot be acted on as a standby. */
export function whyNotStandby(plan: FlipPlan, seen: FlipObservation): string | undefined {
  const { reached, role } = memberOf(seen, plan.to);
  return reached && role === "standby" ? undefined : `${plan.to} does not answer as a standby`;
}

/** The old primary is armed, by whomever. */
export function isArmed(plan: FlipPlan, seen: FlipObservation): boolean {
  const { armed } = memberOf(seen, plan.from);
  return armed !== null && armed !== "unknown";
}

/** The old primary is armed, by this very run. */
export function isArmedByUs(plan: FlipPlan, seen: FlipObservation): boolean {
  const { armed } = memberOf(seen, plan.from);
  return armed !== null && armed !== "unknown" && armed.by === signatureOf(plan);
}

/** What a step says that failed for want of the monitor; the report knows it by these words. */
export const silentMonitor = "the monitor does not answer";

/** The monitor's nodes; undefined where it was not asked, or did not answer. */
export function nodesSeen({ monitor }: FlipObservation): readonly MonitorNode[] | undefined {
  return monitor !== undefined && "nodes" in monitor ? monitor.nodes : undefined;
}

/**
 * Why the change that a monitor was asked for is not through: the new primary takes writes, the
 * monitor gives them to it and to nobody else, and nothing shows that the old one still does.
 */
export function whyNotSwitched(plan: FlipPlan, seen: FlipObservation): string | undefined {
  const [from, to] = [memberOf(seen, plan.from), memberOf(seen, plan.to)];
  if (from.writable === true) return `${plan.from} takes writes`;
  const nodes = nodesSeen(seen);
  if (nodes === undefined) return silentMonitor;
  const writer = nodes.find(isWriting);
  if (writer?.name !== plan.to) return `the monitor has ${writer?.name ?? "nobody"} take writes`;
  const other = nodes.find((one) => one.name !== plan.to && isMeantToWrite(one));
  if (other !== undefined) return `the monitor gives writes to ${other.name} as well`;
  if (!to.reached || to.role !== "primary") return `${plan.to} does not answer as a primary`;
  if (to.writable !== true) return `${plan.to} is read-only`;
  if (to.systemIdentifier !== plan.systemIdentifier) return `${plan.to} is of another cluster`;
  // A failover may have been seen first when the monitor had begun it by itself.
  const least = plan.cause === "lost" ? plan.timeline : plan.timeline + 1;
  return to.timeline !== null && to.timeline >= least
    ? undefined
    : `${plan.to} is on timeline ${to.timeline ?? "unknown"}, not past ${plan.timeline}`;
}

/** The change that a monitor was asked for is through. */
export function hasSwitched(plan: FlipPlan, seen: FlipObservation): boolean {
  return whyNotSwitched(plan, seen) === undefined;
}

/** The lease of this very run, on every gate. */
export function isHeld(plan: FlipPlan, seen: FlipObservation): boolean {
  return (
    seen.gates.length > 0 && seen.gates.every((one) => one.reached && one.pausedBy === plan.run)
  );
}
