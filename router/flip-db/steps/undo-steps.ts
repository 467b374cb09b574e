/**
 * The rows that take a flip back. Reviving the old primary is the delicate one: a promotion that
 * was sent cannot be seen until it happens, so the standby is stopped first, its control file has
 * to show that it never was promoted, and only then may the old primary be disarmed and started.
 */
import { armedByOther } from "../../member/signature.ts";
import { stepTimes } from "../../member/step-times.ts";
import type { FlipKind } from "../flip-actions.ts";
import type { StepRow } from "../../operation/step.ts";
import {
  hasEnded,
  hasPromoted,
  isCleanStandby,
  memberOf,
  oldWrites,
  whyNotSecured,
} from "../proof.ts";
import { waitsForNewToEnd, waitsForOldToEnd } from "../report/waiting-words.ts";

type Row = StepRow<FlipKind>;

const bothEnds = { looksAt: ["from", "to", "processes"], undo: [] } as const;
const briefly = { ...stepTimes.short, undo: [] } as const;

const stopWhatIsArmed: Row["run"] = ({ plan, seen, actions }, signal) => {
  const { armed } = memberOf(seen, plan.from);
  // Who restarts it by himself may do so just before it is disarmed: then it has none, and follows.
  return armed === "unknown" ? undefined : actions.stopOld(plan.from, armed?.by ?? null, signal);
};

export const awaitStop: Row = {
  ...bothEnds,
  ...stepTimes.shutdown,
  step: "await-stop",
  needsLock: false,
  describe: ({ from }) => `wait for a shutdown under way on ${from}`,
  whyNot: () => undefined,
  waitsFor: waitsForOldToEnd,
  // What can no longer write may still archive and send: nothing can be started beside it.
  isDone: (plan, seen) => {
    const from = memberOf(seen, plan.from);
    return from.process === "gone" ? hasEnded(from) : from.process !== "stopping";
  },
  run: () => undefined,
};

/** The standby would not end before an old primary that was restarted, and follows it, has all. */
const stopFollowingOld: Row = {
  ...bothEnds,
  ...stepTimes.shutdown,
  step: "stop-following-old",
  needsLock: true,
  describe: ({ from, to }) => `stop ${from} if it follows ${to}, which would wait for it`,
  whyNot: () => undefined,
  isDone: (plan, seen) => {
    const { role, process, armed } = memberOf(seen, plan.from);
    const isOurs = armed !== null && armed !== "unknown" && armedByOther(armed) === undefined;
    const isFollowing = role === "standby" && process === "alive" && isOurs;
    return !isFollowing || !memberOf(seen, plan.to).reached || hasPromoted(plan, seen);
  },
  run: stopWhatIsArmed,
};

/** Of the standby, stopped by this or an earlier run: before it is stopped, and once more after. */
const awaitStandby: Row = {
  ...bothEnds,
  ...stepTimes.shutdown,
  step: "await-standby-end",
  needsLock: false,
  describe: ({ to }) => `wait for a shutdown under way on ${to}`,
  whyNot: () => undefined,
  waitsFor: waitsForNewToEnd,
  isDone: (plan, seen) => {
    const to = memberOf(seen, plan.to);
    const isStill = to.process === "gone" ? hasEnded(to) : to.process !== "stopping";
    return oldWrites(plan, seen) || isStill;
  },
  run: () => undefined,
};

const wakeStandby: Row = {
  ...bothEnds,
  ...stepTimes.start,
  step: "wake-standby",
  needsLock: false,
  describe: ({ to }) => `start ${to}, which was not shut down in good order`,
  whyNot: (plan, seen) => {
    const { process, control } = memberOf(seen, plan.to);
    if (process === "unknown") return `nothing is known of Postgres on ${plan.to}`;
    return control === null ? `the control file of ${plan.to} cannot be read` : undefined;
  },
  isDone: (plan, seen) => {
    const { process, control } = memberOf(seen, plan.to);
    const isDown = process === "gone" && control !== null;
    const mustWake = isDown && !isCleanStandby(control) && !hasPromoted(plan, seen);
    return oldWrites(plan, seen) || (process !== "unknown" && !mustWake);
  },
  run: ({ plan, actions }, signal) => actions.startMember(plan.to, signal),
};

const secureStandby: Row = {
  ...bothEnds,
  ...stepTimes.shutdown,
  step: "secure-standby",
  needsLock: true,
  describe: ({ to }) => `stop ${to}, so that no promotion is on its way`,
  whyNot: (plan, seen) => {
    const { reached, role } = memberOf(seen, plan.to);
    if (hasPromoted(plan, seen)) return `${plan.to} has been promoted; --resume finishes the flip`;
    const { process, control, armed } = memberOf(seen, plan.from);
    // The standby is stopped only where the old primary can then be started.
    if (process === "unknown" || control === null) return `nothing is known of ${plan.from}`;
    const other = armedByOther(armed);
    if (other !== undefined) return `${plan.from} is armed by ${other}, not by a flip`;
    return reached && role === "standby" ? undefined : `${plan.to} does not answer as a standby`;
  },
  isDone: (plan, seen) => {
    const { process, control } = memberOf(seen, plan.to);
    return oldWrites(plan, seen) || (process === "gone" && isCleanStandby(control));
  },
  whyLost: (plan, seen) =>
    memberOf(seen, plan.to).process === "gone" && hasPromoted(plan, seen)
      ? `${plan.to} was promoted before it stopped; --resume finishes the flip`
      : undefined,
  run: ({ plan, actions, session }, signal) => actions.stopStandby(session ?? "", plan.to, signal),
};

/** What secureStandby stopped too late takes writes again: it alone may. */
const restartPromoted: Row = {
  ...bothEnds,
  ...stepTimes.start,
  step: "restart-promoted",
  needsLock: false,
  describe: ({ to }) => `start ${to} again if it was promoted before it stopped`,
  whyNot: () => undefined,
  isDone: (plan, seen) => !(memberOf(seen, plan.to).process === "gone" && hasPromoted(plan, seen)),
  run: ({ plan, actions }, signal) => actions.startMember(plan.to, signal),
};

const removePromoteFile: Row = {
  ...bothEnds,
  ...stepTimes.file,
  step: "remove-promote-file",
  needsLock: false,
  describe: ({ to }) => `remove a leftover promote file on ${to}`,
  whyNot: (plan, seen) =>
    memberOf(seen, plan.to).process === "gone" ? undefined : `${plan.to} is not stopped`,
  isDone: (plan, seen) => oldWrites(plan, seen) || memberOf(seen, plan.to).promoteFile === false,
  run: ({ plan, actions }, signal) => actions.removePromoteFile(plan.to, signal),
};

/** An armed primary that was restarted follows as a standby: it is stopped before it is disarmed. */
const stopReadOnlyOld: Row = {
  ...bothEnds,
  ...stepTimes.shutdown,
  step: "stop-read-only-old",
  needsLock: false,
  describe: ({ from }) => `stop ${from} if it runs as a standby`,
  whyNot: whyNotSecured,
  isDone: (plan, seen) => oldWrites(plan, seen) || hasEnded(memberOf(seen, plan.from)),
  run: stopWhatIsArmed,
};

const disarm: Row = {
  ...bothEnds,
  ...stepTimes.file,
  step: "disarm",
  needsLock: false,
  describe: ({ from }) => `disarm ${from}`,
  whyNot: (plan, seen) => {
    const { armed, process } = memberOf(seen, plan.from);
    if (armed === "unknown") return `whether ${plan.from} is armed cannot be read`;
    const other = armedByOther(armed);
    if (other !== undefined) return `${plan.from} is armed by ${other}, not by a flip`;
    if (oldWrites(plan, seen)) return undefined;
    return process === "gone" ? whyNotSecured(plan, seen) : `${plan.from} is ${process}`;
  },
  isDone: (plan, seen) => memberOf(seen, plan.from).armed === null,
  run: ({ plan, seen, actions }, signal) => {
    const { armed } = memberOf(seen, plan.from);
    return armed === null || armed === "unknown"
      ? undefined
      : actions.disarm(plan.from, armed.by, signal);
  },
};

const startOld: Row = {
  ...bothEnds,
  ...stepTimes.start,
  step: "start-old",
  needsLock: false,
  describe: ({ from }) => `start ${from} as the primary`,
  whyNot: (plan, seen) => {
    const { armed, process, control } = memberOf(seen, plan.from);
    if (process !== "gone") return `Postgres on ${plan.from} is ${process}`;
    if (!hasEnded(memberOf(seen, plan.from))) return waitsForOldToEnd(plan, seen);
    if (armed !== null) return `${plan.from} is armed, or may be`;
    if (control?.timeline !== plan.timeline) {
      return `the control file of ${plan.from} does not show timeline ${plan.timeline}`;
    }
    return whyNotSecured(plan, seen);
  },
  isDone: oldWrites,
  run: ({ plan, actions }, signal) => actions.startMember(plan.from, signal),
};

const startStandby: Row = {
  ...bothEnds,
  ...stepTimes.start,
  step: "start-standby",
  needsLock: false,
  describe: ({ to }) => `start ${to} as its standby`,
  whyNot: (plan, seen) => (oldWrites(plan, seen) ? undefined : `${plan.from} does not take writes`),
  isDone: (plan, seen) => memberOf(seen, plan.to).process === "alive",
  run: ({ plan, actions }, signal) => actions.startMember(plan.to, signal),
};

/** Brings the old primary back, from wherever the flip stopped. */
export const revive: readonly Row[] = [
  awaitStop,
  stopFollowingOld,
  awaitStandby,
  wakeStandby,
  secureStandby,
  awaitStandby,
  restartPromoted,
  removePromoteFile,
  stopReadOnlyOld,
  disarm,
  startOld,
  startStandby,
];

export const undivert: Row = {
  ...briefly,
  step: "undivert",
  looksAt: ["from", "routers"],
  needsLock: false,
  describe: ({ from }) => `tell the routers that ${from} takes writes again`,
  whyNot: () => undefined,
  // Without a primary there is nothing to tell, and an unreachable router's own checks will see.
  isDone: (plan, seen) =>
    !oldWrites(plan, seen) ||
    seen.routers.every((one) => !one.reached || one.up.includes(plan.from)),
  run: ({ plan, actions }, signal) => actions.undivert(plan.from, signal),
};

export const releaseBack: Row = {
  ...briefly,
  step: "release-back",
  looksAt: ["gates"],
  needsLock: false,
  describe: () => "let the clients go on",
  whyNot: () => undefined,
  // A gate that cannot be reached lets them go when its lease runs out.
  isDone: (plan, seen) => seen.gates.every((one) => !one.reached || one.pausedBy !== plan.run),
  run: ({ plan, actions }, signal) => actions.releaseClients(plan.run, signal),
};

/** Whatever else there is to take back: while the old primary still takes writes, nobody waits. */
export const releaseEarly: Row = {
  ...releaseBack,
  step: "release-early",
  looksAt: ["from", "gates"],
  isDone: (plan, seen) =>
    !oldWrites(plan, seen) ||
    memberOf(seen, plan.from).process !== "alive" ||
    releaseBack.isDone?.(plan, seen) === true,
};

export const dropSlot: Row = {
  ...briefly,
  step: "drop-slot",
  looksAt: ["to"],
  needsLock: true,
  describe: ({ from, to }) => `drop the slot of ${from} on ${to}`,
  whyNot: (plan, seen) =>
    memberOf(seen, plan.to).reached ? undefined : `${plan.to} does not answer`,
  isDone: (plan, seen) =>
    plan.hadSlot || memberOf(seen, plan.to).slots?.includes(plan.from) === false,
  run: ({ plan, actions, session }, signal) => actions.dropSlot(session ?? "", plan.from, signal),
};

export const closeBack: Row = {
  ...briefly,
  closes: true,
  step: "close-undone",
  // A monitor that was asked goes on: for seconds nobody takes writes who could have it written.
  mayFailAborted: ({ manager }) => manager !== "none",
  looksAt: ["from"],
  needsLock: false,
  describe: () => "write into the cluster's journal that the flip was undone",
  whyNot: (plan, seen) => (oldWrites(plan, seen) ? undefined : `${plan.from} does not take writes`),
  isDone: (plan, seen) => {
    const { reached, openOperation } = memberOf(seen, plan.from);
    return reached && openOperation !== plan.operationId;
  },
  run: ({ plan, actions }, signal) => actions.recordOutcome(plan.from, plan, "undone", signal),
};
