/**
 * What a flip's rows have patience with before they act. No flip is given up, nor left half-way, for
 * one look that a member was silent to, as on a machine that stood still for a moment. Pure.
 */
import { stepTimes } from "../../member/step-times.ts";
import type { StepRow } from "../../operation/step.ts";
import type { FlipKind, FlipPlan } from "../flip-actions.ts";
import type { FlipObservation } from "../observation.ts";
import { memberOf } from "../proof.ts";

type Passing = NonNullable<StepRow<FlipKind>["passing"]>;

/**
 * Where clients wait they are let go after what a pause may take. After the promotion the lock is
 * taken anew then, and the step begins again.
 */
export const heldPatienceMs = 2000;

/** It has said nothing, and is not known to have ended. */
export function isSilent(plan: FlipPlan, seen: FlipObservation, end: "from" | "to"): boolean {
  const { reached, process } = memberOf(seen, plan[end]);
  return !reached && process !== "gone";
}

/** Patience with a member that is silent. */
export function whileSilent(
  end: "from" | "to",
  withinMs: number = stepTimes.short.deadlineMs,
): Passing {
  return { withinMs, may: (plan, seen) => isSilent(plan, seen, end) };
}

/** Patience with the old primary, and with gates that are silent: nobody waits yet. */
export const beforeTheHold: Passing = {
  withinMs: stepTimes.short.deadlineMs,
  may: (plan, seen) => isSilent(plan, seen, "from") || seen.gates.some(({ reached }) => !reached),
};

/** Patience with a host that does not say whether its member is armed. */
export const beforeTheArming: Passing = {
  withinMs: stepTimes.file.deadlineMs,
  may: (plan, seen) => memberOf(seen, plan.from).armed === "unknown",
};

/**
 * The old primary's control file is final; who still knocks at it is a process for a moment, which is
 * turned away and writes nothing, but is not told apart from one that can.
 */
export const knockedAt: Passing = {
  withinMs: stepTimes.prove.deadlineMs,
  may: (plan, seen) => {
    const { reached, control } = memberOf(seen, plan.from);
    return !reached && control?.state === "shut down";
  },
};
