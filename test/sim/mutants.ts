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
import type { FlipTable } from "../../router/flip-db/steps.ts";
import type { StepRow } from "../../router/operation/step.ts";
import { tellLoss } from "./failover.ts";
import { tellJournalAgainstWorld, tellLateStop } from "./scripted.ts";
import type { Story } from "./stage.ts";

type Row = StepRow<FlipKind>;
type Change = (row: Row) => Partial<Row>;

export interface Mutant {
  readonly name: string;
  /** What it does wrong, as the simulator says it; any other violation does not count. */
  readonly reason: RegExp;
  /** Whose story catches it; left out: that of a planned flip. */
  readonly story?: (seed: number, machine: FlipMachine) => Promise<Story>;
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

const lostRows = /takes writes and lacks \d+ acknowledged rows|two members take writes/;

/** The steps of a forward plan, in another order. */
function reordered(change: (steps: readonly string[]) => readonly string[]): FlipMachine["plan"] {
  return (...words) => {
    const chosen = flipMachine.plan(...words);
    return "steps" in chosen && chosen.goal === "forward"
      ? { ...chosen, steps: change(chosen.steps) }
      : chosen;
  };
}

/** `step` stands right before `other`. */
const moved =
  (step: string, other: string) =>
  (steps: readonly string[]): readonly string[] => {
    if (!steps.includes(step)) return steps;
    const rest = steps.filter((one) => one !== step);
    return rest.toSpliced(rest.indexOf(other), 0, step);
  };

const blindProof = {
  prove: () => ({ isDone: () => true }),
  promote: (row: Row) => ({ ...blindPromote(() => -1n)(row), whyNot: holds }),
} satisfies Readonly<Record<string, Change>>;

/** The rest of a flip whose proof the journal says was had, on that word alone. */
const trustJournal: FlipMachine["plan"] = (seen, states, request) => {
  const chosen = flipMachine.plan(seen, states, request);
  const proven = states.some((one) => one.outcome === null && one.done.includes("prove"));
  if (request.goal !== "resume" || !proven || "refused" in chosen) return chosen;
  const at = chosen.steps.indexOf("promote");
  return { ...chosen, crossed: true, steps: chosen.steps.slice(at) };
};

/** Whoever asks for a failover is believed. */
const believing: FlipMachine["plan"] = (seen, states, request) =>
  flipMachine.plan(seen, states, { ...request, operatorSaysDead: true });

/** An abort, whatever has become of the standby. */
const abortAnyhow: FlipMachine["plan"] = (seen, states, request) => {
  const chosen = flipMachine.plan(seen, states, request);
  if (request.goal !== "abort" || !("refused" in chosen)) return chosen;
  if (!chosen.refused.includes("has been promoted")) return chosen;
  const resumed = flipMachine.plan(seen, states, { ...request, goal: "resume" });
  return "refused" in resumed ? chosen : { ...resumed, goal: "back", steps: ["stop"] };
};

const noTakeBack = (): FlipTable | undefined => undefined;

export const mutants: readonly Mutant[] = [
  {
    name: "promote before proof",
    reason: /was promoted without all WAL/,
    firstSeed: 140,
    machine: () => changed(blindProof),
  },
  {
    name: ">= for >",
    reason: /was promoted exactly at the start of the shutdown checkpoint/,
    machine: () =>
      changed(
        { promote: blindPromote((plan, seen) => checkpointOf(plan, seen) - 1n) },
        flipSteps(greaterOrEqual),
      ),
  },
  {
    name: "no arm",
    reason: lostRows,
    machine: () =>
      changed({
        arm: () => ({ isDone: () => true }),
        stop: () => ({
          whyNot: (plan, seen) => (oldWrites(plan, seen) ? undefined : "it does not write"),
          run: ({ plan, actions }, signal) => actions.stopOld(plan.from, null, signal),
        }),
        promote: () => ({ whyNot: whyNotProven }),
      }),
  },
  {
    name: "a resume that starts the old primary",
    reason: /starts for writes while chi-02 may be promoted/,
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
    reason: /lets its clients go, and app-0\d leads to/,
    machine: () => ({
      ...changed({ release: () => ({ whyNot: holds }) }),
      plan: reordered(moved("release", "route")),
    }),
  },
  {
    name: "abort after promotion",
    reason: lostRows,
    machine: () => ({ ...changed(rashRevive), plan: abortAnyhow }),
  },
  {
    name: "promote not over the lock's session",
    reason: lostRows,
    firstSeed: 740,
    machine: () =>
      changed({
        promote: (row) => ({
          run: (context, signal) => row.run({ ...context, session: "fresh" }, signal),
        }),
      }),
  },
  {
    name: "proof that ignores the timeline",
    reason: lostRows,
    firstSeed: 150,
    machine: () => changed({ promote: blindPromote(checkpointOf) }, flipSteps(withoutTimeline)),
  },
  {
    name: "a resume that trusts the local journal over the world",
    reason: lostRows,
    story: tellJournalAgainstWorld,
    machine: () => ({
      ...changed({ promote: (row) => ({ ...blindPromote(() => -1n)(row), whyNot: holds }) }),
      plan: trustJournal,
    }),
  },
  {
    name: "undo only what was done",
    reason: /was undone and left dal-01 armed/,
    firstSeed: 140,
    machine: undoOnlyDone,
  },
  {
    name: "undo only what this run has started",
    reason: /was undone and left dal-01 armed/,
    firstSeed: 650,
    machine: () => ({ ...flipMachine, takeBack: noTakeBack }),
  },
  {
    name: "clients of a synchronous pair go on before it streams",
    reason: /lets its clients go before the synchronous standby streams/,
    firstSeed: 1100,
    machine: () => ({ ...flipMachine, plan: reordered(moved("release", "stream-first")) }),
  },
  {
    name: "failover without proof",
    reason: /two members take writes/,
    story: tellLoss,
    machine: () => ({ ...flipMachine, plan: believing }),
  },
  {
    name: "a stop that does not ask whether it is still armed by this flip",
    reason: /dal-01 was stopped after the flip was taken back/,
    story: tellLateStop,
    machine: () =>
      changed({
        stop: () => ({
          run: ({ plan, actions }, signal) => actions.stopOld(plan.from, "*", signal),
        }),
      }),
  },
];
