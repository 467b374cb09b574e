/** Steps of a toy, and how they end; these are about what is waited for, asked again or done again. */
import type { LockHold } from "../../../router/operation/lock.ts";
import type { StepRow } from "../../../router/operation/step.ts";
import { back, fadingRow, lateHold, row, shyRow } from "./toy.ts";
import type { Toy } from "./toy.ts";

export interface StepCase {
  readonly name: string;
  readonly rows: readonly StepRow<Toy>[];
  readonly result: string;
  /** The first step alone where not given. */
  readonly world?: readonly string[];
  readonly hold?: () => LockHold;
}

export const patience: readonly StepCase[] = [
  {
    name: "what passes is waited for",
    rows: [shyRow("a", 3, 60_000)],
    result: "done",
    world: ["a"],
  },
  {
    name: "and not for ever",
    rows: [row("a", { undo: [back("a")] }), shyRow("b", Infinity, 50)],
    result: "undone",
    world: [],
  },
  {
    name: "an effect that fades before it was seen is brought about again",
    rows: [fadingRow("a", 2)],
    result: "done",
  },
  {
    name: "a lock that answers late is asked again where that may pass",
    rows: [{ ...shyRow("a", 1, 60_000), needsLock: true }],
    hold: () => lateHold(2),
    result: "done",
  },
  {
    name: "a lock that never answers is not asked for ever",
    rows: [{ ...shyRow("a", 1, 50), needsLock: true }],
    hold: () => lateHold(Infinity),
    result: "undone",
    world: [],
  },
  {
    name: "a lock whose session has ended is not asked again",
    rows: [{ ...shyRow("a", 1, Infinity), needsLock: true }],
    hold: () => lateHold(Infinity, 2),
    result: "undone",
    world: [],
  },
];
