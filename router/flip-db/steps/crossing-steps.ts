/**
 * The steps that cross the point of no return: stop the old primary, prove it, promote the standby;
 * or, where the old primary is lost, keep it down and drain the standby first.
 */
import { formatLsn } from "../../../kit/lsn.ts";
import type { Lsn } from "../../../kit/lsn.ts";
import { signatureOf } from "../../member/signature.ts";
import { stepTimes } from "../../member/step-times.ts";
import type { Facts, StepRow } from "../../operation/step.ts";
import type { FlipKind, FlipPlan } from "../flip-actions.ts";
import type { FlipObservation } from "../observation.ts";
import {
  hasPromoted,
  hostWords,
  isArmedByUs,
  isHeld,
  isStoppedAndArmed,
  memberOf,
  whyNotStandby,
  whyNotWriting,
} from "../proof.ts";
import { awaitStop, releaseEarly, revive, undivert } from "./undo-steps.ts";
import { heldPatienceMs, isSilent, knockedAt } from "./patience.ts";
import { waitsForOldToEnd, waitsForPromotion, waitsForReplay } from "../report/waiting-words.ts";

type Row = StepRow<FlipKind>;

const locked = { needsLock: true, undo: [] } as const;

export const stop: Row = {
  ...locked,
  ...stepTimes.shutdown,
  step: "stop",
  looksAt: ["from", "to", "gates"],
  confirmsBy: ["from", "to"],
  waitsLookAt: ["processes"],
  describe: ({ from }) => `stop Postgres on ${from}`,
  waitsFor: waitsForOldToEnd,
  factsOf: checkpointFacts,
  whyNot: (plan, seen) => {
    if (!isArmedByUs(plan, seen)) return `${plan.from} is not armed by this run`;
    if (plan.mode === "seamless" && !isHeld(plan, seen)) return "the clients do not wait any more";
    const why = whyNotWriting(plan, seen) ?? whyNotStandby(plan, seen);
    if (why !== undefined) return why;
    return memberOf(seen, plan.to).streamsFrom === plan.from
      ? undefined
      : `${plan.to} does not stream from ${plan.from}`;
  },
  // Who knocks is a process for a moment, also where a resume finds the shutdown done.
  passing: {
    withinMs: heldPatienceMs,
    may: (plan, seen) => knockedAt.may(plan, seen) || isSilent(plan, seen, "from"),
  },
  isDone: (plan, seen) => {
    const { process, control } = memberOf(seen, plan.from);
    return process === "gone" && control?.state === "shut down";
  },
  whyLost: (plan, seen) => {
    const { process, role, control, armed } = memberOf(seen, plan.from);
    if (role === "standby") return `${plan.from} was restarted, read-only`;
    // Another run has taken over, while this one was frozen or had lost the lock.
    if (armed !== "unknown" && !isArmedByUs(plan, seen)) {
      return `${plan.from} is not armed by this run any more`;
    }
    return process === "gone" && control !== null && control.state !== "shut down"
      ? `${plan.from} went down in disorder: ${control.state}`
      : undefined;
  },
  run: ({ plan, actions }, signal) => actions.stopOld(plan.from, signatureOf(plan), signal),
  undo: [undivert, releaseEarly, ...revive],
};

/**
 * A shutdown that an earlier run has asked for is still on its way. It is done sooner than awaitStop:
 * on the way back the old primary is to be started, so its archiver and walsenders must have ended
 * too; here clients wait, and their lease would run out before an archiver does. And what is unknown
 * is waited for here, since the flip cannot go on without it; the way back has to get past a host
 * that does not answer.
 */
export const awaitShutdown: Row = {
  ...awaitStop,
  ...locked,
  step: "await-shutdown",
  looksAt: ["from", "to"],
  waitsLookAt: ["processes"],
  isDone: (plan, seen) => !["stopping", "unknown"].includes(memberOf(seen, plan.from).process),
};

/** What the proof is made of, as LSN text; only an orderly shutdown has ended at its checkpoint. */
function checkpointFacts(plan: FlipPlan, seen: FlipObservation): Facts {
  const { control } = memberOf(seen, plan.from);
  return control?.state === "shut down" ? { checkpoint: formatLsn(control.checkpoint) } : {};
}

function replayFacts(plan: FlipPlan, seen: FlipObservation): Facts {
  const { replayLsn } = memberOf(seen, plan.to);
  return replayLsn === null ? {} : { replayed: formatLsn(replayLsn) };
}

function proofFacts(plan: FlipPlan, seen: FlipObservation): Facts {
  return { ...checkpointFacts(plan, seen), ...replayFacts(plan, seen) };
}

/** A primary that is down and is to stay down: its supervisor may start it, read-only. */
export const keepDown: Row = {
  ...locked,
  ...stepTimes.file,
  step: "keep-down",
  looksAt: ["from"],
  describe: ({ from }) => `arm ${from}, which is stopped: any restart of it comes up read-only`,
  whyNot: (plan, seen) => {
    const { process, armed } = memberOf(seen, plan.from);
    if (armed === "unknown") {
      return hostWords(seen, plan.from, `whether ${plan.from} is armed cannot be read`);
    }
    return process === "gone" ? undefined : `Postgres on ${plan.from} is ${process}`;
  },
  isDone: (plan, seen) => isStoppedAndArmed(memberOf(seen, plan.from)),
  run: ({ plan, actions }, signal) => actions.arm(plan.from, signatureOf(plan), signal),
};

export const drain: Row = {
  ...locked,
  ...stepTimes.replay,
  step: "drain",
  looksAt: ["from", "to"],
  describe: ({ to }) => `${to} replays all that it has received`,
  whyNot: whyNotStandby,
  isDone: (plan, seen) => {
    const { reached, replayLsn, receiveLsn } = memberOf(seen, plan.to);
    return reached && replayLsn !== null && (receiveLsn === null || replayLsn >= receiveLsn);
  },
  whyLost: (plan, seen) => {
    const { reached } = memberOf(seen, plan.from);
    return reached ? `${plan.from} answers again` : undefined;
  },
  waitsFor: waitsForReplay,
  factsOf: proofFacts,
  run: () => undefined,
};

/** Why the standby must not be promoted; a test hands in a weaker one than whyNotProven. */
export type Proof = (plan: FlipPlan, seen: FlipObservation) => string | undefined;

/** The row that waits for the proof. */
export function prove(proof: Proof): Row {
  return {
    ...locked,
    ...stepTimes.prove,
    step: "prove",
    looksAt: ["from", "to"],
    describe: ({ from, to }) => `prove that ${from} is stopped and ${to} has everything`,
    whyNot: () => undefined,
    // A promotion that an earlier run has sent may come about meanwhile; it was proven there.
    isDone: (plan, seen) => hasPromoted(plan, seen) || proof(plan, seen) === undefined,
    waitsFor: proof,
    factsOf: proofFacts,
    whyLost: (plan, seen) => {
      const { process, control } = memberOf(seen, plan.from);
      const isAlive = process === "alive" || (control !== null && control.state !== "shut down");
      return isAlive ? proof(plan, seen) : undefined;
    },
    run: () => undefined,
  };
}

/** The row that promotes, and only on the proof. */
export function promote(proof: Proof): Row {
  return {
    ...locked,
    ...stepTimes.promote,
    step: "promote",
    pointOfNoReturn: true,
    looksAt: ["from", "to"],
    confirmsBy: ["to"],
    waitsLookAt: ["processes"],
    describe: ({ to }) => `promote ${to}`,
    whyNot: (plan, seen) => {
      if (hasPromoted(plan, seen)) return undefined;
      const { armed } = memberOf(seen, plan.from);
      const isWord = plan.operatorSaysDead && armed === "unknown";
      if (!isWord && (armed === null || armed === "unknown")) {
        return `${plan.from} is not armed, or may not be`;
      }
      return proof(plan, seen);
    },
    passing: knockedAt,
    waitsFor: waitsForPromotion,
    factsOf: (plan, seen) => {
      const { timeline } = memberOf(seen, plan.to);
      return timeline === null ? {} : { timeline };
    },
    isDone: (plan, seen) => {
      const { writable, role } = memberOf(seen, plan.to);
      return role === "primary" && writable === true;
    },
    run: ({ plan, seen, actions, session }, signal) => {
      if (hasPromoted(plan, seen)) return undefined;
      const past = pastOf(plan, seen);
      const { timeline, systemIdentifier } = plan;
      const terms = { timeline, systemIdentifier, past };
      return actions.promote(session ?? "", plan.to, terms, signal);
    },
  };
}

/** What the standby must have replayed past; of a lost primary, all that it had when looked at. */
function pastOf(plan: FlipPlan, seen: FlipObservation): Lsn {
  const [from, to] = [memberOf(seen, plan.from), memberOf(seen, plan.to)];
  if (plan.cause === "planned" && from.control !== null) return from.control.checkpoint;
  if (plan.cause === "lost" && to.replayLsn !== null) return to.replayLsn - 1n;
  throw new TypeError(`it is not known what ${plan.to} must have replayed`);
}
