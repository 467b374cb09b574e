/**
 * The table of a flip's steps up to the point of no return; those after it stand in
 * finish-steps.ts. The order is the safety: arm before stop, prove before promote, route before
 * release. Each row judges the world as it was seen a moment ago.
 */
import type { OperationKind, StepRow } from "../operation/step.ts";
import { finishSteps } from "./finish-steps.ts";
import type { FlipKind, FlipPlan } from "./flip-actions.ts";
import type { FlipObservation } from "./observation.ts";
import { hasPromoted, memberOf, oldWrites, whyNotProven } from "./proof.ts";
import { stepTimes } from "./step-times.ts";
import { closeBack, dropSlot, releaseBack, revive, undivert } from "./undo-steps.ts";

type Row = StepRow<FlipKind>;

/** A whole table, forward and back. */
export type FlipTable = readonly Row[];

const locked = { needsLock: true, undo: [] } as const;

function whyNotWriting(plan: FlipPlan, seen: FlipObservation): string | undefined {
  return oldWrites(plan, seen) ? undefined : `${plan.from} does not take writes`;
}

function whyNotStandby(plan: FlipPlan, seen: FlipObservation): string | undefined {
  const { reached, role } = memberOf(seen, plan.to);
  return reached && role === "standby" ? undefined : `${plan.to} does not answer as a standby`;
}

/** The lease or the signature of this very run, on every gate. */
function isHeld(plan: FlipPlan, seen: FlipObservation): boolean {
  return (
    seen.gates.length > 0 && seen.gates.every((one) => one.reached && one.pausedBy === plan.run)
  );
}

const record: Row = {
  ...locked,
  ...stepTimes.short,
  step: "record",
  looksAt: ["from", "to"],
  describe: () => "write the intent into the cluster's journal",
  whyNot: whyNotWriting,
  isDone: (plan, seen) => memberOf(seen, plan.to).openOperation === plan.operationId,
  run: ({ plan, actions }, signal) => actions.recordIntent(plan, signal),
  undo: [closeBack],
};

const checkpoint: Row = {
  ...locked,
  ...stepTimes.checkpoint,
  step: "checkpoint",
  looksAt: ["from"],
  describe: ({ from }) => `checkpoint on ${from}, so that its shutdown has little to write`,
  whyNot: whyNotWriting,
  run: ({ plan, actions }, signal) => actions.checkpoint(plan.from, signal),
};

const slot: Row = {
  ...locked,
  ...stepTimes.short,
  step: "slot",
  looksAt: ["to"],
  describe: ({ from, to }) => `a slot for ${from} on ${to}`,
  whyNot: whyNotStandby,
  isDone: (plan, seen) => memberOf(seen, plan.to).slots?.includes(plan.from) === true,
  run: ({ plan, actions, session }, signal) => actions.createSlot(session ?? "", plan.from, signal),
  undo: [dropSlot],
};

const warm: Row = {
  ...locked,
  ...stepTimes.short,
  step: "warm",
  looksAt: ["from"],
  describe: () => "open every control channel",
  whyNot: whyNotWriting,
  run: ({ plan, actions }, signal) => actions.warmChannels(plan, signal),
};

const arm: Row = {
  ...locked,
  ...stepTimes.file,
  step: "arm",
  looksAt: ["from", "to"],
  describe: ({ from }) => `arm ${from}: any restart of it comes up read-only`,
  whyNot: (plan, seen) => {
    if (memberOf(seen, plan.from).armed === "unknown") {
      return `whether ${plan.from} is armed cannot be read`;
    }
    return hasPromoted(plan, seen) ? `${plan.to} has been promoted` : undefined;
  },
  // A run that takes over signs anew: what an earlier run still tries to disarm is then not its own.
  isDone: (plan, seen) => {
    const { armed } = memberOf(seen, plan.from);
    return armed !== null && armed !== "unknown" && armed.by === plan.run;
  },
  run: ({ plan, actions }, signal) => actions.arm(plan.from, plan.run, signal),
  undo: revive,
};

const hold: Row = {
  ...locked,
  ...stepTimes.hold,
  step: "hold",
  looksAt: ["from", "gates"],
  describe: () => "let the clients wait",
  whyNot: (plan, seen) => {
    const silent = seen.gates.find((one) => !one.reached);
    if (silent !== undefined) return `gate ${silent.name} does not answer`;
    const foreign = seen.gates.find((one) => ![null, plan.run].includes(one.pausedBy));
    if (foreign !== undefined) return `gate ${foreign.name} is paused by ${foreign.pausedBy}`;
    return whyNotWriting(plan, seen);
  },
  isDone: isHeld,
  run: ({ plan, actions }, signal) => actions.holdClients(plan.run, signal),
  undo: [releaseBack],
};

const divert: Row = {
  ...locked,
  ...stepTimes.short,
  step: "divert",
  looksAt: ["from", "routers"],
  describe: ({ from }) => `routers give ${from} no new connections`,
  whyNot: (plan, seen) => {
    const silent = seen.routers.find((one) => !one.reached);
    return silent === undefined
      ? whyNotWriting(plan, seen)
      : `router ${silent.name} does not answer`;
  },
  isDone: (plan, seen) => seen.routers.every((one) => one.reached && !one.up.includes(plan.from)),
  run: ({ plan, actions }, signal) => actions.divertFrom(plan.from, signal),
  undo: [undivert],
};

const stop: Row = {
  ...locked,
  ...stepTimes.shutdown,
  step: "stop",
  looksAt: ["from", "to", "gates"],
  describe: ({ from }) => `stop Postgres on ${from}`,
  whyNot: (plan, seen) => {
    const { armed } = memberOf(seen, plan.from);
    const isOurs = armed !== null && armed !== "unknown" && armed.by === plan.run;
    if (!isOurs) return `${plan.from} is not armed by this run`;
    if (plan.mode === "seamless" && !isHeld(plan, seen)) return "the clients do not wait any more";
    const why = whyNotWriting(plan, seen) ?? whyNotStandby(plan, seen);
    if (why !== undefined) return why;
    return memberOf(seen, plan.to).streamsFrom === plan.from
      ? undefined
      : `${plan.to} does not stream from ${plan.from}`;
  },
  isDone: (plan, seen) => {
    const { process, control } = memberOf(seen, plan.from);
    return process === "gone" && control?.state === "shut down";
  },
  whyLost: (plan, seen) => {
    const { process, role, control } = memberOf(seen, plan.from);
    if (role === "standby") return `${plan.from} was restarted, read-only`;
    return process === "gone" && control !== null && control.state !== "shut down"
      ? `${plan.from} went down in disorder: ${control.state}`
      : undefined;
  },
  run: ({ plan, actions }, signal) => actions.stopOld(plan.from, signal),
  undo: revive,
};

type Proof = (plan: FlipPlan, seen: FlipObservation) => string | undefined;

function prove(proof: Proof): Row {
  return {
    ...locked,
    ...stepTimes.prove,
    step: "prove",
    looksAt: ["from", "to"],
    describe: ({ from, to }) => `prove that ${from} is stopped and ${to} has everything`,
    whyNot: () => undefined,
    isDone: (plan, seen) => proof(plan, seen) === undefined,
    whyLost: (plan, seen) => {
      const { process, control } = memberOf(seen, plan.from);
      const isAlive = process === "alive" || (control !== null && control.state !== "shut down");
      return isAlive ? proof(plan, seen) : undefined;
    },
    run: () => undefined,
  };
}

function promote(proof: Proof): Row {
  return {
    ...locked,
    ...stepTimes.promote,
    step: "promote",
    pointOfNoReturn: true,
    looksAt: ["from", "to"],
    describe: ({ to }) => `promote ${to}`,
    whyNot: (plan, seen) => {
      const { armed } = memberOf(seen, plan.from);
      if (armed === null || armed === "unknown") return `${plan.from} is not armed, or may not be`;
      return proof(plan, seen);
    },
    isDone: (plan, seen) => {
      const { writable, role } = memberOf(seen, plan.to);
      return role === "primary" && writable === true;
    },
    run: ({ plan, seen, actions, session }, signal) => {
      const past = memberOf(seen, plan.from).control?.checkpoint;
      if (past === undefined) throw new TypeError(`nothing is known of ${plan.from}`);
      const { timeline, systemIdentifier } = plan;
      const terms = { timeline, systemIdentifier, past };
      return actions.promote(session ?? "", plan.to, terms, signal);
    },
  };
}

/** The table, in order. `proof` is whyNotProven; a test hands in a weaker one. */
export function flipSteps(proof: Proof = whyNotProven): FlipTable {
  const before = [record, checkpoint, slot, warm, arm, hold, divert, stop];
  return [...before, prove(proof), promote(proof), ...finishSteps];
}

/** The rows that are called so, in the order of `names`. @throws TypeError for an unknown name */
export function rowsNamed<K extends OperationKind>(
  table: readonly StepRow<K>[],
  names: readonly string[],
): StepRow<K>[] {
  return names.map((name) => {
    const row = table.find((one) => one.step === name);
    if (row === undefined) throw new TypeError(`there is no step ${name}`);
    return row;
  });
}
