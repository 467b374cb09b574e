/**
 * The rows of a maintenance window for the executor: what `up` still has to do, and what `down`
 * still has to undo, given what the journal says. A step with a check is judged by the check, one
 * without by the journal.
 */
import type { MaintenanceStep } from "../../config/schema.ts";
import type { StepRow } from "../operation/step.ts";
import { deedsOf } from "./deeds.ts";
import type { MaintenanceKind } from "./deeds.ts";
import { mayStand, undoName } from "./window.ts";
import type { MaintenanceWindow, WindowView } from "./window.ts";

type Row = StepRow<MaintenanceKind>;

const lookEveryMs = 250;

function upRow(step: MaintenanceStep): Row {
  const deeds = deedsOf(step);
  return {
    step: step.name,
    deadlineMs: step.deadline,
    lookEveryMs,
    looksAt: deeds.check === undefined ? [] : [step.name],
    needsLock: false,
    describe: () => deeds.words,
    whyNot: () => undefined,
    ...(deeds.check === undefined ? {} : { isDone: (_plan, seen) => seen[step.name] === true }),
    run: ({ actions }, signal) =>
      deeds.wait === undefined ? actions.run(step, "run", signal) : actions.wait(step, signal),
    undo: [],
  };
}

function downRow(step: MaintenanceStep): Row {
  const deeds = deedsOf(step);
  return {
    step: undoName(step.name),
    deadlineMs: step.deadline,
    lookEveryMs,
    looksAt: deeds.check === undefined ? [] : [step.name],
    needsLock: false,
    describe: () => deeds.undoWords,
    whyNot: () => undefined,
    ...(deeds.check === undefined ? {} : { isDone: (_plan, seen) => seen[step.name] === false }),
    run: ({ actions }, signal) => actions.run(step, "undo", signal),
    undo: [],
  };
}

type States = WindowView["steps"];

const stateIn = (states: States, step: MaintenanceStep): States[number]["state"] =>
  states.find((one) => one.name === step.name)?.state ?? "waiting";

/** The rows of `up`, in the order of the window. */
export function upRows(window: MaintenanceWindow, states: States): Row[] {
  return window.steps
    .filter((step) => deedsOf(step).check !== undefined || stateIn(states, step) !== "stands")
    .map(upRow);
}

/** The rows of `down`, latest step first. */
export function downRows(window: MaintenanceWindow, states: States): Row[] {
  return window.steps
    .filter((step) => mayStand.includes(stateIn(states, step)))
    .filter((step) => deedsOf(step).undo !== undefined)
    .toReversed()
    .map(downRow);
}
