/**
 * The steps of a flip after the point of no return: forward only, each safe to repeat. Clients go
 * on only when every router that answers leads to the new primary, and the flip ends only when the
 * routers' own checks agree.
 */
import type { StepRow } from "../operation/step.ts";
import type { FlipKind, FlipPlan } from "./flip-actions.ts";
import type { FlipObservation } from "./observation.ts";
import { hasPromoted, memberOf } from "./proof.ts";
import { stepTimes } from "./step-times.ts";

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

const verify: Row = {
  ...locked,
  ...stepTimes.short,
  step: "verify",
  looksAt: ["to"],
  describe: ({ to }) => `commit a row on ${to}`,
  whyNot: whyNotNew,
  run: ({ plan, actions, session }, signal) =>
    actions.verifyWrite(session ?? "", plan.to, plan, signal),
};

const reconnect: Row = {
  ...locked,
  ...stepTimes.short,
  step: "reconnect",
  looksAt: ["to"],
  // The routers' way to the primary does not depend on what a pooler has cached.
  mayFail: true,
  describe: ({ to }) => `the node pooler of ${to} opens its connections anew`,
  whyNot: whyNotNew,
  run: ({ plan, actions }, signal) => actions.reconnectPooler(plan.to, signal),
};

const route: Row = {
  ...locked,
  ...stepTimes.short,
  step: "route",
  looksAt: ["to", "routers"],
  describe: ({ from, to }) => `routers: ${from} down, ${to} up`,
  whyNot: whyNotNew,
  isDone: isRouted,
  run: ({ plan, actions }, signal) => actions.route({ down: plan.from, up: plan.to }, signal),
};

const release: Row = {
  ...locked,
  ...stepTimes.short,
  step: "release",
  looksAt: ["routers", "gates"],
  describe: () => "let the clients go on",
  whyNot: (plan, seen) => (isRouted(plan, seen) ? undefined : "a router leads elsewhere"),
  // A gate that cannot be reached lets its clients go when the lease runs out.
  isDone: (plan, seen) => seen.gates.every((one) => !one.reached || one.pausedBy !== plan.run),
  run: ({ plan, actions }, signal) => actions.releaseClients(plan.run, signal),
};

const repoint: Row = {
  ...locked,
  ...stepTimes.start,
  step: "repoint",
  looksAt: ["to", "others"],
  describe: ({ others, to }) => `${others.join(", ") || "nobody else"} follows ${to}`,
  whyNot: whyNotNew,
  isDone: (plan, seen) => plan.others.every((name) => memberOf(seen, name).streamsFrom === plan.to),
  run: ({ plan, actions }, signal) => actions.repoint(plan.others, plan.to, signal),
};

const rejoin: Row = {
  ...locked,
  ...stepTimes.start,
  step: "rejoin",
  looksAt: ["from", "to"],
  mayFail: true,
  describe: ({ from, to }) => `start ${from} on its own data, to follow ${to}`,
  whyNot: (plan, seen) => {
    const { armed } = memberOf(seen, plan.from);
    if (armed === null || armed === "unknown") return `${plan.from} is not armed, or may not be`;
    return whyNotNew(plan, seen);
  },
  isDone: (plan, seen) => {
    const { role, streamsFrom } = memberOf(seen, plan.from);
    return role === "standby" && streamsFrom === plan.to;
  },
  run: ({ plan, actions }, signal) => actions.startMember(plan.from, signal),
};

const settle: Row = {
  ...locked,
  ...stepTimes.settle,
  step: "settle",
  looksAt: ["to", "routers"],
  describe: () => "wait until the routers' own checks agree",
  whyNot: whyNotNew,
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
  isDone: (plan, seen) => {
    const { reached, openOperation } = memberOf(seen, plan.to);
    return reached && openOperation !== plan.operationId;
  },
  run: ({ plan, actions }, signal) => actions.recordOutcome(plan.to, plan, "done", signal),
};

/** In order. start-new is planned only where the new primary was found down. */
export const finishSteps: readonly Row[] = [
  startNew,
  verify,
  reconnect,
  route,
  release,
  repoint,
  rejoin,
  settle,
  close,
];
