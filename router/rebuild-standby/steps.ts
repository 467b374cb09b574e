/**
 * The table of a rebuild's steps: what make-steps.ts has, and from the exchange of the data on.
 * What is not the member's last hope is undone on failure; once its data is overwritten or
 * exchanged there is only forward, and the next run goes on from what it sees.
 */
import { copying, preparing, putBack, rewinding } from "./make-steps.ts";
import { streamsFromSource } from "./plan.ts";
import { whyNeverFollows } from "./refusals.ts";
import { act, dataIs, has, whyNotDown, whyNotSafe } from "./step-row.ts";
import type { Row } from "./step-row.ts";

const exchanging: readonly Row[] = [
  act(
    "export",
    "long",
    ({ exportTo }) => `export what is thrown away to ${exportTo}`,
    (actions, plan, signal) => actions.exportWal(plan, signal),
  ),
  act(
    "snapshot",
    "long",
    ({ member }) => `snapshot of the storage of ${member}`,
    (actions, _plan, signal) => actions.snapshot(signal),
  ),
  {
    ...act(
      "swap",
      "short",
      ({ member }) => `exchange the data directory of ${member}`,
      (actions, plan, signal) => actions.swap(plan, signal),
    ),
    pointOfNoReturn: true,
    whyNot: (plan, seen) => {
      if (!has(plan, seen, "ready")) return `there is no finished data at .ready-${plan.copyId}`;
      return whyNotDown(plan, seen);
    },
    isDone: (plan, seen) => !has(plan, seen, "ready") && dataIs(seen, "cluster"),
  },
];

const following: readonly Row[] = [
  {
    ...act(
      "start",
      "start",
      ({ member }) => `start Postgres on ${member}`,
      (actions, _plan, signal) => actions.start(signal),
    ),
    whyNot: (plan, seen) => {
      const why = whyNotSafe(plan, seen);
      if (why !== undefined) return why;
      return seen.member.armed === true ? undefined : `${plan.member} is not armed`;
    },
    isDone: (_plan, { member }) => member.reached && member.role === "standby",
    whyLost: (plan, seen) =>
      seen.member.role === "primary"
        ? `${plan.member} came up as a primary`
        : whyNeverFollows(plan, seen),
    waitsFor: (plan, { member }) =>
      member.process === "alive"
        ? `${plan.member} runs and does not answer yet`
        : `Postgres on ${plan.member} is ${member.process}`,
  },
  {
    ...act(
      "stream",
      "follow",
      ({ member, source }) => `${member} streams from ${source} and replays`,
      (actions, _plan, signal) => actions.mark(signal),
    ),
    isDone: (plan, seen) => {
      const { mark } = seen.source;
      const { replayLsn } = seen.member;
      const hasReplayed = mark !== null && replayLsn !== null && replayLsn >= mark;
      const slot = seen.source.slots.find((one) => one.name === plan.slot);
      const isHeld = plan.slot === null || slot?.active === true;
      return hasReplayed && isHeld && streamsFromSource(seen, plan.member, plan.slot);
    },
    whyLost: (plan, seen) =>
      seen.member.process === "gone"
        ? `Postgres on ${plan.member} has ended by itself`
        : whyNeverFollows(plan, seen),
    waitsFor: (plan, seen) =>
      streamsFromSource(seen, plan.member, plan.slot)
        ? `${plan.member} replays what it has missed`
        : `${plan.member} is not connected to ${plan.source}`,
  },
  {
    ...act(
      "slots",
      "short",
      ({ member }) => `slots on ${member} keep no WAL`,
      (actions, _plan, signal) => actions.freshenSlots(signal),
    ),
    mayFail: true,
  },
  {
    ...act(
      "pooler",
      "start",
      ({ member }) => `restart the PgBouncer of ${member}`,
      (actions, _plan, signal) => actions.restartPooler(signal),
    ),
    mayFail: true,
  },
  {
    ...act(
      "health",
      "short",
      ({ member }) => `pg-health of ${member} says standby`,
      (actions, _plan, signal) => actions.askHealth(signal),
    ),
    mayFail: true,
  },
  {
    ...act(
      "clean",
      "long",
      ({ member, keepOld }) => `${keepOld ? "keep" : "remove"} the old data of ${member}`,
      (actions, plan, signal) => actions.clean(plan, signal),
    ),
    mayFail: true,
    // Nothing old is removed before the new data has been seen to follow.
    whyNot: (plan, seen) =>
      streamsFromSource(seen, plan.member, plan.slot)
        ? undefined
        : `${plan.member} does not stream from ${plan.source}`,
  },
];

/** All rows; a plan names the ones that it takes, in its own order. */
export const rebuildSteps: readonly Row[] = [
  ...preparing,
  ...rewinding,
  ...copying,
  ...exchanging,
  ...following,
  { ...putBack, needsLock: true },
];
