/**
 * What a maintenance window is, and what its journal says about its steps. A window carries its own
 * steps, as they were declared when it was opened: what was done is what has to be undone, whatever
 * became of the environment file since.
 */
import type { MaintenanceStep } from "../../config/schema.ts";
import type { JournalRecord } from "../operation/records.ts";

export interface MaintenanceWindow {
  readonly id: string;
  readonly environment: string;
  /** ISO 8601. */
  readonly since: string;
  /** A person and a host. */
  readonly by: string;
  /** One line; "" when nobody said. */
  readonly reason: string;
  readonly steps: readonly MaintenanceStep[];
}

/** A window as topology, status and reports show it. */
export interface WindowView {
  readonly id: string;
  readonly since: string;
  readonly by: string;
  readonly reason: string;
  readonly steps: readonly { readonly name: string; readonly state: StepState }[];
}

/**
 * stands: done and not undone; begun: begun, and whether it was done is not known; undone: taken
 * back; waiting: not begun.
 */
export type StepState = "stands" | "begun" | "failed" | "undone" | "waiting";

/** The name under which the undoing of a step stands in the journal. */
export function undoName(step: string): string {
  return `${step}:undo`;
}

/** What the journal says of each step, in the order of the window. */
export function stepStates(
  window: MaintenanceWindow,
  records: readonly JournalRecord[],
): WindowView["steps"] {
  const own = records.filter((one) => one.operationId === window.id);
  return window.steps.map(({ name }) => ({ name, state: stateOf(name, own) }));
}

function stateOf(name: string, records: readonly JournalRecord[]): StepState {
  let state: StepState = "waiting";
  for (const { step, phase } of records) {
    if (step === name && phase === "started") state = "begun";
    if (step === name && phase === "done") state = "stands";
    if (step === name && phase === "failed" && state !== "waiting") state = "failed";
    if (step === undoName(name) && phase === "done") state = "undone";
  }
  return state;
}

/** The window with the state of its steps. */
export function windowView(
  window: MaintenanceWindow,
  records: readonly JournalRecord[],
): WindowView {
  const { id, since, by, reason } = window;
  return { id, since, by, reason, steps: stepStates(window, records) };
}

/** The states from which a step is to be undone: half of a step may have been done, too. */
export const mayStand: readonly StepState[] = ["stands", "begun", "failed"];
