/**
 * The steps that prepare the member's new data, up to what cannot be undone: its old data is left
 * as it is, or moved aside and back.
 */
import { parseLsn } from "../../kit/lsn.ts";
import type { SourceSeen, SourceSlot } from "./observation.ts";
import type { RebuildPlan } from "./rebuild-actions.ts";
import { isSurelyStandby, walIsGone } from "./refusals.ts";
import { act, dataIs, has, whyNotDown, whyNotSafe } from "./step-row.ts";
import type { Row } from "./step-row.ts";

const startAgain: Row = {
  ...act(
    "start-again",
    "start",
    ({ member }) => `start ${member} again, as it was`,
    (actions, _plan, signal) => actions.start(signal),
  ),
  needsLock: false,
  whyNot: (plan, seen) => {
    if (!dataIs(seen, "cluster")) return `the data directory of ${plan.member} is not in place`;
    return seen.member.armed === true ? undefined : `${plan.member} is not armed`;
  },
  isDone: (plan, { member }) => !plan.wasRunning || member.process === "alive",
};

const removeCopy: Row = {
  ...act(
    "remove-copy",
    "long",
    ({ member }) => `remove the copy on ${member}`,
    (actions, plan, signal) => actions.removeCopy(plan, signal),
  ),
  needsLock: false,
  whyNot: () => undefined,
  // The work folder holds a password file.
  isDone: (plan, seen) =>
    (["new", "ready", "work"] as const).every((kind) => !has(plan, seen, kind)),
};

/** Also a step of its own, for what an earlier run moved aside. */
export const putBack: Row = {
  ...act(
    "put-back",
    "short",
    ({ member }) => `put the data of ${member} back in its place`,
    (actions, plan, signal) => actions.putBack(plan, signal),
  ),
  needsLock: false,
  whyNot: (plan, seen) => {
    if (!dataIs(seen, "missing", "cluster")) return "something else lies in its place";
    return has(plan, seen, "old") || dataIs(seen, "cluster")
      ? undefined
      : `its data is not at .old-${plan.copyId}`;
  },
  isDone: (_plan, seen) => dataIs(seen, "cluster"),
};

const dropSlot: Row = {
  ...act(
    "drop-slot",
    "short",
    ({ slot, source }) => `drop slot ${slot} on ${source}`,
    (actions, { slot }, signal) => actions.dropSlot(slot ?? "", signal),
  ),
  whyNot: () => undefined,
  isDone: (plan, { source }) =>
    plan.hadSlot || source.slots.every((one) => one.name !== plan.slot || one.active),
};

/**
 * It keeps the WAL that the member needs. One that was made just now keeps all that a slot can: the
 * plan has seen that what the member needs is there.
 */
function isEarlyEnough(
  { walStatus, restartLsn }: SourceSlot,
  { needsFrom }: RebuildPlan,
  { madeSlot }: SourceSeen,
): boolean {
  if (walStatus === null || walStatus === "lost" || restartLsn === null) return false;
  return madeSlot || needsFrom === null || restartLsn <= parseLsn(needsFrom);
}

/** Why the source has removed what the member needs since this was planned. */
function whyNotKeptSince(plan: RebuildPlan, { oldestWal }: SourceSeen): string | undefined {
  const { needsFrom, restores } = plan;
  if (restores || needsFrom === null || oldestWal === null) return undefined;
  const lsn = parseLsn(needsFrom);
  return oldestWal > lsn ? walIsGone(plan, lsn) : undefined;
}

export const preparing: readonly Row[] = [
  act(
    "sweep",
    "long",
    () => "end and remove what an earlier rebuild left half done",
    (actions, plan, signal) => actions.sweep(plan, signal),
  ),
  {
    ...act(
      "arm",
      "short",
      ({ member }) => `arm ${member}: any start of it comes up read-only`,
      (actions, plan, signal) => actions.arm(plan, signal),
    ),
    isDone: (_plan, { member }) => member.armed === true,
  },
  {
    ...act(
      "slot",
      "short",
      ({ slot, source }) => `slot ${slot} on ${source} keeps WAL from now on`,
      (actions, { slot }, signal) => actions.makeSlot(slot ?? "", signal),
    ),
    isDone: (plan, { source }) =>
      source.slots.some((one) => one.name === plan.slot && isEarlyEnough(one, plan, source)),
    undo: [dropSlot],
  },
  // pg_rewind reads the source's timeline from its control file, where a checkpoint writes it; one
  // more than that would only remove WAL.
  {
    ...act(
      "checkpoint",
      "long",
      ({ source }) => `checkpoint on ${source}`,
      (actions, _plan, signal) => actions.checkpoint(signal),
    ),
    isDone: (_plan, { source }) =>
      source.timeline !== null && source.controlTimeline === source.timeline,
  },
  {
    ...act(
      "stop",
      "stop",
      ({ member }) => `stop Postgres on ${member}`,
      (actions, _plan, signal) => actions.stop(signal),
    ),
    whyNot: (plan, seen) => {
      const why = whyNotSafe(plan, seen);
      if (why !== undefined) return why;
      return isSurelyStandby(seen.member) ? undefined : `${plan.member} is not surely a standby`;
    },
    isDone: (_plan, { member }) => member.process === "gone",
    undo: [startAgain],
  },
];

export const rewinding: readonly Row[] = [
  {
    ...act(
      "aside",
      "short",
      ({ member }) => `move the data of ${member} aside, so that nothing starts it`,
      (actions, plan, signal) => actions.moveAside(plan, signal),
    ),
    whyNot: whyNotDown,
    isDone: (plan, seen) => has(plan, seen, "old") && dataIs(seen, "missing"),
    undo: [putBack],
  },
  act(
    "recover",
    "long",
    ({ member }) => `let ${member} recover from its crash, alone`,
    (actions, plan, signal) => actions.recover(plan, signal),
  ),
  {
    ...act(
      "archive",
      "long",
      ({ member }) => `archive what waits on ${member}`,
      (actions, plan, signal) => actions.archive(plan, signal),
    ),
    mayFail: true,
  },
  {
    ...act(
      "rehearse",
      "long",
      () => "rehearse the rewind, changing nothing",
      (actions, plan, signal) => actions.rehearse(plan, signal),
    ),
    undo: [removeCopy],
  },
  {
    ...act(
      "rewind",
      "long",
      ({ member, source }) => `rewind ${member} to ${source}`,
      (actions, plan, signal) => actions.rewind(plan, signal),
    ),
    pointOfNoReturn: true,
    whyNot: (plan, seen) => whyNotDown(plan, seen) ?? whyNotKeptSince(plan, seen.source),
    isDone: (plan, seen) => has(plan, seen, "ready"),
    whyLost: (plan, seen) =>
      has(plan, seen, "rewind") ? "the rewind did not end well" : undefined,
  },
];

export const copying: readonly Row[] = [
  {
    ...act(
      "copy",
      "long",
      ({ source, member }) => `copy ${source} beside the data of ${member}`,
      (actions, plan, signal) => actions.copy(plan, signal),
    ),
    undo: [removeCopy],
  },
  act(
    "verify",
    "long",
    () => "verify the copy by its manifest",
    (actions, plan, signal) => actions.verify(plan, signal),
  ),
  {
    ...act(
      "prepare",
      "long",
      ({ member }) => `make the copy the one of ${member}, armed`,
      (actions, plan, signal) => actions.prepare(plan, signal),
    ),
    isDone: (plan, seen) => has(plan, seen, "ready"),
    undo: [removeCopy],
  },
];
