/**
 * Broken planners and step tables, by name. Each drops one thing that the safety of a flip hangs
 * on; the simulator must notice every one of them.
 */
import { flipMachine } from "../../router/flip-db/flip.ts";
import type { FlipMachine } from "../../router/flip-db/flip.ts";
import type { FlipKind, FlipPlan } from "../../router/flip-db/flip-actions.ts";
import type { FlipObservation } from "../../router/flip-db/observation.ts";
import { hasPromoted, memberOf, oldWrites, whyNotProven } from "../../router/flip-db/proof.ts";
import { flipSteps } from "../../router/flip-db/steps.ts";
import type { StepRow } from "../../router/operation/step.ts";

type Row = StepRow<FlipKind>;
type Change = (row: Row) => Partial<Row>;

export interface Mutant {
  readonly name: string;
  /** Where to begin: most seeds tell nothing of a rare fault, and each costs milliseconds. */
  readonly firstSeed?: number;
  readonly machine: () => FlipMachine;
}

const holds = (): undefined => undefined;

/** The rows called so are changed, also where they undo. */
function changed(changes: Readonly<Record<string, Change>>, table = flipSteps()): FlipMachine {
  const mend = (row: Row): Row => ({
    ...row,
    ...changes[row.step]?.(row),
    undo: row.undo.map(mend),
  });
  return { ...flipMachine, table: table.map(mend) };
}

/** Terms that any standby meets, for those that do not look at what the terms are about. */
const blindPromote =
  (past: (plan: FlipPlan, seen: FlipObservation) => bigint): Change =>
  () => ({
    run: ({ plan, seen, actions, session }, signal) => {
      const { timeline, systemIdentifier } = memberOf(seen, plan.to);
      const terms = {
        timeline: timeline ?? 0,
        systemIdentifier: systemIdentifier ?? "",
        past: past(plan, seen),
      };
      return actions.promote(session ?? "", plan.to, terms, signal);
    },
  });

const checkpointOf = (plan: FlipPlan, seen: FlipObservation): bigint =>
  memberOf(seen, plan.from).control?.checkpoint ?? 0n;

/** Replayed up to the start of the checkpoint's record counts as replayed. */
const greaterOrEqual = (plan: FlipPlan, seen: FlipObservation): string | undefined => {
  const from = memberOf(seen, plan.from);
  if (from.control === null) return whyNotProven(plan, seen);
  const control = { ...from.control, checkpoint: from.control.checkpoint - 1n };
  const members = { ...seen.members, [plan.from]: { ...from, control } };
  return whyNotProven(plan, { ...seen, members });
};

const withoutTimeline = (plan: FlipPlan, seen: FlipObservation): string | undefined => {
  const to = memberOf(seen, plan.to);
  const members = { ...seen.members, [plan.to]: { ...to, timeline: plan.timeline } };
  return whyNotProven(plan, { ...seen, members });
};

/** The old primary is started as soon as it is down. */
const rashRevive: Readonly<Record<string, Change>> = {
  "wake-standby": () => ({ isDone: () => true }),
  "secure-standby": () => ({ isDone: () => true }),
  "restart-promoted": () => ({ isDone: () => true }),
  "remove-promote-file": () => ({ isDone: () => true }),
  "stop-read-only-old": () => ({ whyNot: holds }),
  disarm: () => ({ whyNot: holds }),
  "start-old": () => ({ whyNot: holds }),
};

function undoOnlyDone(): FlipMachine {
  const succeeded = new WeakMap<object, Set<string>>();
  const table = flipSteps().map((row): Row => ({
    ...row,
    run: async (context, signal) => {
      const facts = await row.run(context, signal);
      const set = succeeded.get(context.plan) ?? new Set<string>();
      succeeded.set(context.plan, set.add(row.step));
      return facts;
    },
    undo: row.undo.map((back) => ({
      ...back,
      isDone: (plan, seen) =>
        (plan.goal === "forward" && succeeded.get(plan)?.has(row.step) !== true) ||
        back.isDone?.(plan, seen) === true,
    })),
  }));
  return { ...flipMachine, table };
}

export const mutants: readonly Mutant[] = [
  {
    name: "promote before proof",
    machine: () =>
      changed({
        prove: () => ({ isDone: () => true }),
        promote: (row) => ({ ...blindPromote(() => -1n)(row), whyNot: holds }),
      }),
  },
  {
    name: ">= for >",
    machine: () =>
      changed(
        { promote: blindPromote((plan, seen) => checkpointOf(plan, seen) - 1n) },
        flipSteps(greaterOrEqual),
      ),
  },
  {
    name: "no arm",
    machine: () =>
      changed({
        arm: () => ({ isDone: () => true }),
        stop: () => ({
          whyNot: (plan, seen) => (oldWrites(plan, seen) ? undefined : "it does not write"),
        }),
        promote: () => ({ whyNot: whyNotProven }),
      }),
  },
  {
    name: "a resume that starts the old primary",
    machine: () => ({
      ...changed(rashRevive),
      plan: (seen, states, request) => {
        const chosen = flipMachine.plan(seen, states, request);
        const isOldDown = "run" in chosen && memberOf(seen, chosen.from).process === "gone";
        if (request.goal !== "resume" || !isOldDown || hasPromoted(chosen, seen)) return chosen;
        return { ...chosen, goal: "back", steps: ["arm"] };
      },
    }),
  },
  {
    name: "release before routers agree",
    machine: () => ({
      ...changed({ release: () => ({ whyNot: holds }) }),
      plan: (...words) => {
        const chosen = flipMachine.plan(...words);
        if (!("steps" in chosen) || chosen.goal === "back") return chosen;
        const steps = chosen.steps.filter((step) => step !== "release");
        const at = steps.indexOf("route");
        return { ...chosen, steps: steps.toSpliced(at, 0, "release") };
      },
    }),
  },
  { name: "abort after promotion", machine: () => changed(rashRevive) },
  {
    name: "promote not over the lock's session",
    firstSeed: 530,
    machine: () =>
      changed({
        promote: (row) => ({
          run: (context, signal) => row.run({ ...context, session: "fresh" }, signal),
        }),
      }),
  },
  {
    name: "proof that ignores the timeline",
    firstSeed: 140,
    machine: () => changed({ promote: blindPromote(checkpointOf) }, flipSteps(withoutTimeline)),
  },
  {
    name: "proof from the journal instead of the world",
    machine: () => ({
      ...changed({
        prove: () => ({ isDone: () => true }),
        promote: (row) => ({ ...blindPromote(() => -1n)(row), whyNot: holds }),
      }),
      plan: (seen, states, request) => {
        const chosen = flipMachine.plan(seen, states, request);
        const proven = states.some((one) => one.outcome === null && one.done.includes("prove"));
        if (request.goal !== "resume" || !proven || "refused" in chosen) return chosen;
        return { ...chosen, steps: ["promote", ...chosen.steps.slice(-8)] };
      },
    }),
  },
  { name: "undo only what was done", firstSeed: 110, machine: undoOnlyDone },
];
