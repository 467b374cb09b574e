/**
 * The steps of a flip around a monitor of pg_auto_failover: it is asked, it is waited for while the
 * clients are held, and what it did is looked at before they go on. It goes on by itself whatever
 * becomes of this tool, and the gates' leases end by themselves.
 */
import { formatLsn } from "../../../kit/lsn.ts";
import { stepTimes } from "../../member/step-times.ts";
import { hasTakenUp, statesOf, whyNotFailover, whyNotPromote } from "../../monitor/nodes.ts";
import type { Facts, StepRow } from "../../operation/step.ts";
import { isFollowing, verify } from "./finish-steps.ts";
import type { FlipKind, FlipPlan } from "../flip-actions.ts";
import type { FlipObservation } from "../observation.ts";
import {
  hasSwitched,
  isHeld,
  memberOf,
  nodesSeen,
  silentMonitor,
  whyNotSwitched,
} from "../proof.ts";
import { waitsForStreaming } from "../report/waiting-words.ts";

type Row = StepRow<FlipKind>;

const locked = { needsLock: true, undo: [] } as const;

/** It has begun, or it is through with it; a standby that joins meanwhile is neither. */
function isAsked(plan: FlipPlan, seen: FlipObservation): boolean {
  return hasTakenUp(nodesSeen(seen) ?? [], plan.to);
}

function whyNotAsk(plan: FlipPlan, seen: FlipObservation): string | undefined {
  const nodes = nodesSeen(seen);
  if (nodes === undefined) return silentMonitor;
  if (plan.mode === "seamless" && !isHeld(plan, seen)) return "the clients do not wait any more";
  return plan.cause === "lost" ? whyNotFailover(nodes, plan) : whyNotPromote(nodes, plan);
}

/** How far the old primary had written while nobody behind a gate could. */
function writtenFacts(plan: FlipPlan, seen: FlipObservation): Facts {
  const { writeLsn } = memberOf(seen, plan.from);
  return writeLsn === null ? {} : { written: formatLsn(writeLsn) };
}

const ask: Row = {
  ...locked,
  ...stepTimes.short,
  step: "ask",
  looksAt: ["from", "to", "monitor", "gates"],
  confirmsBy: ["monitor", "to"],
  describe: ({ to, cause }) =>
    cause === "lost" ? "ask the monitor to fail over" : `ask the monitor to promote ${to}`,
  whyNot: whyNotAsk,
  isDone: isAsked,
  run: async ({ plan, seen, actions }, signal) => {
    await actions.askMonitor(plan, signal);
    return writtenFacts(plan, seen);
  },
};

/** What the monitor and its keepers are at. */
function waitsForMonitor(plan: FlipPlan, seen: FlipObservation): string {
  const nodes = nodesSeen(seen);
  const why = whyNotSwitched(plan, seen) ?? "";
  const states = nodes === undefined ? silentMonitor : statesOf(nodes);
  return why === states ? why : `${why} (${states})`;
}

const switched: Row = {
  ...stepTimes.monitor,
  step: "switch",
  needsLock: false,
  // A keeper may restart its Postgres.
  mayEndLock: true,
  undo: [],
  looksAt: ["from", "to", "monitor"],
  describe: ({ from, to }) => `the monitor moves writes from ${from} to ${to}`,
  whyNot: () => undefined,
  isDone: hasSwitched,
  // Stable again as it was: it has given the change up.
  whyLost: (plan, seen) => {
    const nodes = nodesSeen(seen);
    if (nodes === undefined || plan.cause === "lost") return undefined;
    return whyNotPromote(nodes, plan) === undefined
      ? `the monitor has given it up: ${statesOf(nodes)}`
      : undefined;
  },
  waitsFor: waitsForMonitor,
  factsOf: (plan, seen) => {
    const { timeline } = memberOf(seen, plan.to);
    return timeline === null ? {} : { timeline };
  },
  run: () => undefined,
};

/** Nobody is held meanwhile, and the monitor gives a dead keeper half a minute to be sure of it. */
const failedOver: Row = {
  ...switched,
  ...stepTimes.monitorFailover,
  step: "await-failover",
  describe: ({ from, to }) => `the monitor gives the writes of ${from} to ${to}`,
};

const verifyNew: Row = {
  ...verify,
  step: "verify-new",
  looksAt: ["from", "to", "monitor", "gates"],
  needsLock: false,
  pointOfNoReturn: true,
  whyNot: whyNotSwitched,
  run: async ({ plan, seen, actions, session }, signal) => {
    await actions.verifyWrite(session ?? "", plan.to, plan, signal);
    const { timeline } = memberOf(seen, plan.to);
    // A gate that let its clients go on meanwhile let them write to the old primary.
    return { ...(timeline === null ? {} : { timeline }), held: isHeld(plan, seen) };
  },
};

const compare: Row = {
  ...stepTimes.short,
  step: "compare",
  needsLock: false,
  undo: [],
  looksAt: ["to"],
  keepsLook: true,
  mayFail: true,
  once: true,
  describe: ({ to }) => `compare what was written with where ${to} was promoted`,
  whyNot: () => undefined,
  run: ({ plan, actions }, signal) => actions.forkOf(plan.to, signal),
};

/** The keeper of the old primary makes it a standby again. */
const follow: Row = {
  ...stepTimes.start,
  step: "follow",
  needsLock: false,
  undo: [],
  looksAt: ["from", "to"],
  mayFail: true,
  once: true,
  describe: ({ from, to }) => `wait until ${from} follows ${to}`,
  whyNot: () => undefined,
  isDone: isFollowing,
  waitsFor: waitsForStreaming,
  run: () => undefined,
};

/** In order, with the rows of other flips between them. */
export const monitoredRows: readonly Row[] = [
  ask,
  switched,
  failedOver,
  verifyNew,
  compare,
  follow,
];
