/**
 * The steps of a flip after the point of no return: forward only, each safe to repeat. Clients go
 * on only when every router that answers leads to the new primary, and the flip ends only when the
 * routers' own checks agree.
 */
import { stepTimes } from "../../member/step-times.ts";
import type { StepRow } from "../../operation/step.ts";
import type { FlipKind, FlipPlan } from "../flip-actions.ts";
import type { FlipObservation } from "../observation.ts";
import { hasEnded, hasPromoted, memberOf } from "../proof.ts";
import { heldPatienceMs, whileSilent } from "./patience.ts";
import {
  waitsForNewToEnd,
  waitsForOldToEnd,
  waitsForRouters,
  waitsForStreaming,
} from "../report/waiting-words.ts";

type Row = StepRow<FlipKind>;

const locked = { needsLock: true, undo: [] } as const;

function newWrites(plan: FlipPlan, seen: FlipObservation): boolean {
  const { reached, role, writable } = memberOf(seen, plan.to);
  return reached && role === "primary" && writable === true;
}

function whyNotNew(plan: FlipPlan, seen: FlipObservation): string | undefined {
  return newWrites(plan, seen) ? undefined : `${plan.to} does not take writes`;
}

/** Routers that answer lead to the new primary alone. */
function isRouted(plan: FlipPlan, seen: FlipObservation): boolean {
  const answering = seen.routers.filter((one) => one.reached);
  return answering.every((one) => one.up.length === 1 && one.up.includes(plan.to));
}

const awaitNewEnd: Row = {
  ...stepTimes.shutdown,
  step: "await-new-end",
  looksAt: ["to", "processes"],
  needsLock: false,
  undo: [],
  describe: ({ to }) => `wait for a shutdown under way on ${to}`,
  whyNot: () => undefined,
  isDone: (plan, seen) => {
    const to = memberOf(seen, plan.to);
    return to.process === "alive" || hasEnded(to);
  },
  waitsFor: waitsForNewToEnd,
  run: () => undefined,
};

const startNew: Row = {
  ...stepTimes.start,
  step: "start-new",
  looksAt: ["to"],
  needsLock: false,
  undo: [],
  describe: ({ to }) => `start ${to}, which was promoted and is down`,
  whyNot: (plan, seen) =>
    hasPromoted(plan, seen) ? undefined : `${plan.to} has not been promoted`,
  isDone: newWrites,
  run: ({ plan, actions }, signal) => actions.startMember(plan.to, signal),
};

export const verify: Row = {
  ...locked,
  ...stepTimes.short,
  step: "verify",
  looksAt: ["to"],
  keepsLook: true,
  describe: ({ to }) => `commit a row on ${to}`,
  whyNot: whyNotNew,
  passing: whileSilent("to", heldPatienceMs),
  run: async ({ plan, seen, actions, session }, signal) => {
    await actions.verifyWrite(session ?? "", plan.to, plan, signal);
    const { timeline } = memberOf(seen, plan.to);
    return timeline === null ? {} : { timeline };
  },
};

const reconnect: Row = {
  ...locked,
  ...stepTimes.short,
  step: "reconnect",
  looksAt: ["to"],
  keepsLook: true,
  // The routers' way to the primary does not depend on what a pooler has cached.
  mayFail: true,
  describe: ({ to }) => `the node pooler of ${to} opens its connections anew`,
  whyNot: whyNotNew,
  passing: whileSilent("to", heldPatienceMs),
  run: ({ plan, actions }, signal) => actions.reconnectPooler(plan.to, signal),
};

const route: Row = {
  ...locked,
  ...stepTimes.short,
  step: "route",
  looksAt: ["to", "routers"],
  confirmsBy: ["routers", "gates"],
  describe: ({ from, to }) => `routers: ${from} down, ${to} up`,
  whyNot: whyNotNew,
  passing: whileSilent("to", heldPatienceMs),
  isDone: isRouted,
  run: ({ plan, actions }, signal) => actions.route({ down: plan.from, up: plan.to }, signal),
};

const release: Row = {
  ...locked,
  ...stepTimes.short,
  step: "release",
  looksAt: ["routers", "gates"],
  confirmsBy: ["gates"],
  describe: () => "let the clients go on",
  whyNot: (plan, seen) => (isRouted(plan, seen) ? undefined : "a router leads elsewhere"),
  // A gate that cannot be reached lets its clients go when the lease runs out.
  isDone: (plan, seen) => seen.gates.every((one) => !one.reached || one.pausedBy !== plan.run),
  run: ({ plan, actions }, signal) => actions.releaseClients(plan.run, signal),
};

/** Clients go on already: names are for those that come anew, and a resolver away holds up nobody. */
const names: Row = {
  ...stepTimes.names,
  step: "names",
  needsLock: false,
  undo: [],
  looksAt: ["to"],
  keepsLook: true,
  mayFail: true,
  once: true,
  describe: ({ to }) => `the names lead to ${to}, at every resolver that is alive`,
  whyNot: whyNotNew,
  run: ({ plan, actions }, signal) => actions.moveNames(plan, signal),
};

const sweep: Row = {
  ...locked,
  ...stepTimes.short,
  step: "sweep",
  looksAt: ["routers", "sessions"],
  mayFail: true,
  describe: ({ from }) => `close what is still open to ${from}`,
  whyNot: (plan, seen) => (isRouted(plan, seen) ? undefined : "a router leads elsewhere"),
  isDone: (plan, seen) => seen.routers.every((one) => (one.sessions[plan.from] ?? 0) === 0),
  run: ({ plan, actions }, signal) => actions.sweepSessions(plan.from, signal),
};

const awaitEnd: Row = {
  ...locked,
  ...stepTimes.shutdown,
  step: "await-end",
  looksAt: ["from", "processes"],
  mayFail: true,
  describe: ({ from }) => `wait until nothing of Postgres runs on ${from} any more`,
  whyNot: () => undefined,
  isDone: (plan, seen) => {
    const from = memberOf(seen, plan.from);
    return from.process === "alive" || hasEnded(from);
  },
  waitsFor: waitsForOldToEnd,
  run: () => undefined,
};

/** The old primary streams from the new one. */
export function isFollowing(plan: FlipPlan, seen: FlipObservation): boolean {
  const { role, streamsFrom } = memberOf(seen, plan.from);
  return role === "standby" && streamsFrom === plan.to;
}

const rejoin: Row = {
  ...locked,
  ...stepTimes.start,
  step: "rejoin",
  looksAt: ["from", "to", "processes"],
  confirmsBy: ["from", "to"],
  mayFail: true,
  describe: ({ from, to }) => `start ${from} on its own data, to follow ${to}`,
  whyNot: (plan, seen) => {
    const from = memberOf(seen, plan.from);
    if (from.armed === null || from.armed === "unknown") {
      return `${plan.from} is not armed, or may not be`;
    }
    if (from.process === "gone" && !hasEnded(from)) return waitsForOldToEnd(plan, seen);
    return whyNotNew(plan, seen);
  },
  isDone: isFollowing,
  waitsFor: waitsForStreaming,
  run: ({ plan, actions }, signal) => actions.startMember(plan.from, signal),
};

/**
 * The node pooler of the old primary has cached that its Postgres takes writes, and would pass for a
 * primary with every libpq that asks for one.
 */
const reconnectOld: Row = {
  ...reconnect,
  step: "reconnect-old",
  looksAt: ["from"],
  describe: ({ from }) => `the node pooler of ${from} opens its connections anew`,
  passing: whileSilent("from"),
  whyNot: (plan, seen) =>
    memberOf(seen, plan.from).role === "standby"
      ? undefined
      : `${plan.from} does not answer as a standby`,
  run: ({ plan, actions }, signal) => actions.reconnectPooler(plan.from, signal),
};

/** Before clients go on: they would wait for its confirmation in the middle of their commits. */
const streamFirst: Row = {
  ...rejoin,
  ...stepTimes.synchronous,
  step: "stream-first",
  describe: ({ from, to }) => `start ${from}, which ${to} needs as its synchronous standby`,
};

const awaitEndBriefly: Row = { ...awaitEnd, ...stepTimes.briefly, step: "await-end-briefly" };
const streamBriefly: Row = { ...streamFirst, ...stepTimes.briefly, step: "stream-briefly" };

const relax: Row = {
  ...locked,
  ...stepTimes.short,
  step: "relax",
  looksAt: ["from", "to"],
  mayFail: true,
  describe: ({ to }) => `${to} commits without a synchronous standby`,
  whyNot: whyNotNew,
  passing: whileSilent("to", heldPatienceMs),
  isDone: (plan, seen) =>
    isFollowing(plan, seen) || memberOf(seen, plan.to).synchronousNames === "",
  run: ({ actions, session }, signal) => actions.relaxSynchronous(session ?? "", signal),
};

const settle: Row = {
  ...locked,
  ...stepTimes.settle,
  step: "settle",
  looksAt: ["to", "routers"],
  describe: () => "wait until the routers' own checks agree",
  waitsFor: waitsForRouters,
  whyNot: whyNotNew,
  passing: whileSilent("to"),
  isDone: (plan, seen) =>
    isRouted(plan, seen) &&
    seen.routers.every(
      (one) => one.reached && one.passing.includes(plan.to) && !one.passing.includes(plan.from),
    ),
  run: () => undefined,
};

const close: Row = {
  ...locked,
  ...stepTimes.short,
  step: "close",
  looksAt: ["to"],
  describe: () => "write the outcome into the cluster's journal",
  whyNot: whyNotNew,
  passing: whileSilent("to", heldPatienceMs),
  isDone: (plan, seen) => {
    const { reached, openOperation } = memberOf(seen, plan.to);
    return reached && openOperation !== plan.operationId;
  },
  run: ({ plan, actions }, signal) => actions.recordOutcome(plan.to, plan, "done", signal),
};

/** In order. The first two are planned only where the new primary was found down. */
export const finishSteps: readonly Row[] = [
  awaitNewEnd,
  startNew,
  verify,
  awaitEndBriefly,
  streamFirst,
  streamBriefly,
  relax,
  reconnect,
  route,
  release,
  names,
  sweep,
  awaitEnd,
  rejoin,
  reconnectOld,
  settle,
  close,
];
