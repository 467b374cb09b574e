/**
 * The rows of a fence and of an unfence. A fence goes on after a failure, since each of its parts
 * helps by itself and what is not done is reported; an unfence stops, since a member that comes back
 * half is worse than one that is down.
 */
import { formatLsn } from "../../kit/lsn.ts";
import { stepTimes } from "../member/step-times.ts";
import type { Facts, StepRow } from "../operation/step.ts";
import { isFenceSignature } from "./observation.ts";
import type { FenceKind, FenceObservation, FencePlan } from "./observation.ts";
import { whyNotRestore } from "./plan.ts";

type Row = StepRow<FenceKind>;

const ofFence = { needsLock: false, mayFail: true, undo: [], whyNot: () => undefined } as const;
/** The programs of a router's host read, check and write its file. */
const files = { deadlineMs: 30_000, lookEveryMs: 100 } as const;

const isFenced = ({ member: { armed } }: FenceObservation): boolean =>
  armed !== null && armed !== "unknown" && isFenceSignature(armed.by);

const controlFacts = (_plan: FencePlan, { member: { control } }: FenceObservation): Facts =>
  control === null
    ? {}
    : {
        state: control.state,
        timeline: control.timeline,
        checkpoint: formatLsn(control.checkpoint),
      };

const arm: Row = {
  ...ofFence,
  ...stepTimes.file,
  step: "arm",
  looksAt: ["member"],
  describe: ({ member }) => `arm ${member}: any restart of it comes up read-only`,
  isDone: ({ signature }, { member: { armed } }) =>
    armed !== null && armed !== "unknown" && armed.by === signature,
  run: ({ plan, actions }, signal) => actions.arm(plan.signature, signal),
};

const takeDown: Row = {
  ...ofFence,
  ...stepTimes.settle,
  step: "take-down",
  looksAt: ["routers"],
  describe: ({ member }) => `take ${member} out of service in every router`,
  isDone: (_plan, { routers }) => routers.every((one) => one.down),
  run: ({ actions }, signal) => actions.takeDown(signal),
};

const stop: Row = {
  ...ofFence,
  ...stepTimes.shutdown,
  lookEveryMs: 20,
  step: "stop",
  looksAt: ["member"],
  describe: ({ member }) => `stop Postgres on ${member}`,
  whyNot: (plan, seen) =>
    isFenced(seen) ? undefined : `${plan.member} is not armed, and a restart would let it write`,
  isDone: (_plan, { member }) => member.process === "gone",
  waitsFor: (_plan, { member: { processes } }) => {
    const left = processes?.map(({ pid, title }) => `${pid} ${title}`).slice(0, 3);
    return left === undefined || left.length === 0 ? undefined : `waits for ${left.join(", ")}`;
  },
  run: ({ actions }, signal) => actions.stop(signal),
};

const prove: Row = {
  ...ofFence,
  ...stepTimes.prove,
  lookEveryMs: 50,
  step: "prove",
  looksAt: ["member"],
  describe: ({ member }) => `prove that ${member} is stopped and stays read-only`,
  whyNot: (plan, seen) => {
    if (seen.member.process === "unknown") return `nothing is known of the host of ${plan.member}`;
    if (!isFenced(seen)) return `${plan.member} is not armed`;
    return seen.member.process === "gone" ? undefined : `Postgres on ${plan.member} still runs`;
  },
  // Who knocks at what is ending is a process of it for a moment.
  passing: {
    withinMs: stepTimes.prove.deadlineMs,
    may: (_plan, seen) => seen.member.process === "stopping",
  },
  isDone: (_plan, seen) => seen.member.process === "gone" && isFenced(seen),
  factsOf: controlFacts,
  run: () => undefined,
};

const markFiles: Row = {
  ...ofFence,
  ...files,
  step: "mark-files",
  looksAt: ["files"],
  describe: ({ member }) => `keep ${member} down across a reload of every router`,
  isDone: (_plan, seen) => seen.files.every((one) => one.mark !== null),
  run: ({ plan, actions }, signal) => actions.markFiles(plan.mark, signal),
};

/** The rows of a fence, in order: the files are for later, and their programs may be slow. */
export const fenceRows: readonly Row[] = [arm, takeDown, stop, prove, markFiles];

const guard = (plan: FencePlan, seen: FenceObservation): string | undefined =>
  whyNotRestore(plan, seen)?.says;

function ofUnfence(needsLock: boolean) {
  const looksAt = ["member", "others"] as const;
  return { needsLock, undo: [], looksAt, whyNot: guard } as const;
}

const isWriting = ({ member }: FenceObservation): boolean =>
  member.role === "primary" && member.writable === true;

function primaryRows(needsLock: boolean): Row[] {
  const row = ofUnfence(needsLock);
  return [
    {
      ...row,
      ...stepTimes.shutdown,
      lookEveryMs: 20,
      step: "stop-read-only",
      describe: ({ member }) => `stop ${member} if it runs as a standby`,
      isDone: (_plan, seen) => seen.member.process === "gone" || isWriting(seen),
      run: ({ actions }, signal) => actions.stop(signal),
    },
    {
      ...row,
      ...stepTimes.file,
      step: "disarm",
      describe: ({ member }) => `disarm ${member}`,
      isDone: (_plan, seen) => seen.member.armed === null,
      run: ({ plan, actions }, signal) => actions.disarm(plan.signature, signal),
    },
    {
      ...row,
      ...stepTimes.start,
      step: "start",
      describe: ({ member }) => `start ${member} as the primary`,
      whyNot: (plan, seen) =>
        seen.member.armed === null ? guard(plan, seen) : `${plan.member} is armed, or may be`,
      isDone: (_plan, seen) => isWriting(seen),
      run: ({ actions }, signal) => actions.start(signal),
    },
  ];
}

function standbyRows(needsLock: boolean, signature: string): Row[] {
  const row = { ...ofUnfence(needsLock), looksAt: ["member"] as const, whyNot: () => undefined };
  return [
    {
      ...row,
      ...stepTimes.file,
      step: "sign",
      describe: ({ member }) => `take the fence's name out of the standby.signal of ${member}`,
      isDone: (_plan, seen) => !isFenced(seen),
      run: ({ actions }, signal) => actions.arm(signature, signal),
    },
    {
      ...row,
      ...stepTimes.start,
      step: "start",
      describe: ({ member }) => `start ${member} as a standby`,
      whyNot: (plan, { member }) =>
        member.armed === null || member.armed === "unknown"
          ? `${plan.member} is not armed, or may not be: it could take writes`
          : undefined,
      isDone: (_plan, { member }) => member.reached && member.role === "standby",
      run: ({ actions }, signal) => actions.start(signal),
    },
  ];
}

/** The file is first, so that a reload in between brings nothing back that is not wanted yet. */
const routerRows: readonly Row[] = [
  {
    ...ofFence,
    ...files,
    step: "unmark-files",
    looksAt: ["files"],
    describe: ({ member }) => `let every router's file have ${member} again`,
    isDone: (_plan, seen) => seen.files.every((one) => one.read && one.mark === null),
    run: ({ actions }, signal) => actions.unmarkFiles(signal),
  },
  {
    ...ofFence,
    ...stepTimes.settle,
    step: "let-up",
    looksAt: ["routers"],
    describe: ({ member }) => `let the routers' own checks decide about ${member}`,
    isDone: (_plan, seen) => seen.routers.every((one) => one.reached && !one.down),
    run: ({ actions }, signal) => actions.letUp(signal),
  },
];

/** The rows of an unfence, in order; `needsLock` where a session could be had that holds it. */
export function unfenceRows(plan: FencePlan, needsLock: boolean, signature: string): Row[] {
  const rows = {
    primary: primaryRows(needsLock),
    standby: standbyRows(needsLock, signature),
    routers: [],
  };
  return [...rows[plan.restores], ...routerRows];
}
