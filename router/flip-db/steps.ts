/**
 * The table of a flip's steps up to the stop; crossing-steps.ts has the stop, the proof and the
 * promotion, finish-steps.ts what follows. The order is the safety: arm before stop, prove before promote, route before
 * release. Each row judges the world as it was seen a moment ago.
 */
import { signatureOf } from "../member/signature.ts";
import { stepTimes } from "../member/step-times.ts";
import type { OperationKind, StepRow } from "../operation/step.ts";
import { awaitShutdown, drain, keepDown, promote, prove, stop } from "./steps/crossing-steps.ts";
import type { Proof } from "./steps/crossing-steps.ts";
import { finishSteps } from "./steps/finish-steps.ts";
import type { FlipKind } from "./flip-actions.ts";
import {
  hasPromoted,
  hostWords,
  isArmed,
  isArmedByUs,
  isHeld,
  memberOf,
  whyNotProven,
  whyNotStandby,
  whyNotWriting,
} from "./proof.ts";
import { beforeTheArming, beforeTheHold, heldPatienceMs, whileSilent } from "./steps/patience.ts";
import { monitoredRows } from "./steps/monitored-steps.ts";
import { closeBack, dropSlot, releaseBack, revive, undivert } from "./steps/undo-steps.ts";
import { waitsForHold, waitsForRecord } from "./report/waiting-words.ts";

type Row = StepRow<FlipKind>;

/** A whole table, forward and back. */
export type FlipTable = readonly Row[];

const locked = { needsLock: true, undo: [] } as const;

const record: Row = {
  ...locked,
  ...stepTimes.short,
  step: "record",
  looksAt: ["from", "to"],
  describe: () => "write the intent into the cluster's journal",
  whyNot: whyNotWriting,
  passing: whileSilent("from"),
  isDone: (plan, seen) => memberOf(seen, plan.to).openOperation === plan.operationId,
  waitsFor: waitsForRecord,
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
  passing: whileSilent("from"),
  run: ({ plan, actions }, signal) => actions.checkpoint(plan.from, signal),
};

const slot: Row = {
  ...locked,
  ...stepTimes.short,
  step: "slot",
  looksAt: ["to"],
  describe: ({ from, to }) => `a slot for ${from} on ${to}`,
  whyNot: whyNotStandby,
  passing: whileSilent("to"),
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
  passing: whileSilent("from"),
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
      return hostWords(seen, plan.from, `whether ${plan.from} is armed cannot be read`);
    }
    return hasPromoted(plan, seen) ? `${plan.to} has been promoted` : undefined;
  },
  passing: beforeTheArming,
  // A run that takes over signs anew: what an earlier run still tries to disarm is then not its own.
  isDone: (plan, seen) =>
    isArmedByUs(plan, seen) || (isArmed(plan, seen) && hasPromoted(plan, seen)),
  run: ({ plan, actions }, signal) => actions.arm(plan.from, signatureOf(plan), signal),
  undo: revive,
};

const hold: Row = {
  ...locked,
  ...stepTimes.hold,
  step: "hold",
  looksAt: ["from", "gates"],
  confirmsBy: ["from", "gates", "routers"],
  describe: () => "let the clients wait",
  waitsFor: waitsForHold,
  whyNot: (plan, seen) => {
    const silent = seen.gates.find((one) => !one.reached);
    if (silent !== undefined) return `gate ${silent.name} does not answer`;
    const foreign = seen.gates.find((one) => ![null, plan.run].includes(one.pausedBy));
    if (foreign !== undefined) return `gate ${foreign.name} is paused by ${foreign.pausedBy}`;
    return whyNotWriting(plan, seen);
  },
  passing: beforeTheHold,
  isDone: isHeld,
  // Once the gates have answered, one that does not hold will not begin to.
  whyLost: (plan, seen) => waitsForHold(plan, seen),
  run: ({ plan, actions }, signal) => actions.holdClients(plan.run, signal),
  undo: [releaseBack],
};

const divert: Row = {
  ...locked,
  ...stepTimes.short,
  step: "divert",
  looksAt: ["from", "routers"],
  confirmsBy: ["from", "to", "routers", "gates"],
  describe: ({ from }) => `routers give ${from} no new connections`,
  whyNot: (plan, seen) => {
    const silent = seen.routers.find((one) => !one.reached);
    return silent === undefined
      ? whyNotWriting(plan, seen)
      : `router ${silent.name} does not answer`;
  },
  // The routers' own checks bring it up again within a second, which a busy machine may take to look.
  fades: true,
  passing: whileSilent("from", heldPatienceMs),
  isDone: (plan, seen) => seen.routers.every((one) => one.reached && !one.up.includes(plan.from)),
  run: ({ plan, actions }, signal) => actions.divertFrom(plan.from, signal),
  undo: [undivert],
};

/** The table, in order. `proof` is whyNotProven; a test hands in a weaker one. */
export function flipSteps(proof: Proof = whyNotProven): FlipTable {
  const before = [record, checkpoint, slot, warm, arm, hold, divert, stop];
  const across = [awaitShutdown, keepDown, drain, prove(proof), promote(proof)];
  return [...before, ...across, ...finishSteps, ...monitoredRows];
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
