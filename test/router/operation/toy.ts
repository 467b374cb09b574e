/** The smallest operation there is: its world is a set of words, and each step adds its own. */
import { systemTiming } from "../../../kit/clock.ts";
import type { Operation } from "../../../router/operation/execute.ts";
import type { LockHold } from "../../../router/operation/lock.ts";
import type { JournalRecord, Phase } from "../../../router/operation/records.ts";
import type { StepRow } from "../../../router/operation/step.ts";

export interface Toy {
  readonly plan: string;
  readonly seen: ReadonlySet<string>;
  readonly actions: Set<string>;
  readonly part: "all";
}

export const row = (step: string, more: Partial<StepRow<Toy>> = {}): StepRow<Toy> => ({
  step,
  deadlineMs: 200,
  lookEveryMs: 1,
  looksAt: ["all"],
  needsLock: false,
  describe: () => step,
  whyNot: () => undefined,
  isDone: (_plan, seen) => seen.has(step),
  run: ({ actions }) => void actions.add(step),
  undo: [],
  ...more,
});

export const back = (step: string): StepRow<Toy> =>
  row(`un${step}`, {
    isDone: (_plan, seen) => !seen.has(step),
    run: ({ actions }) => void actions.delete(step),
  });

export const fails = (step: string, isDoneFirst: boolean): StepRow<Toy> =>
  row(step, {
    run: ({ actions }) => {
      if (isDoneFirst) actions.add(step);
      throw new Error("no");
    },
    undo: [back(step)],
  });

/** It must not run until it was looked at `looks` times, and says that this passes `withinMs`. */
export function shyRow(step: string, looks: number, withinMs: number): StepRow<Toy> {
  let looked = 0;
  const whyNot = (): string | undefined => {
    looked += 1;
    return looked < looks ? "not yet" : undefined;
  };
  return row(step, { whyNot, passing: { withinMs, may: () => true } });
}

/** What it did is undone by others, so many times, before it was seen. */
export function fadingRow(step: string, times: number): StepRow<Toy> {
  let acts = 0;
  const run = ({ actions }: { readonly actions: Set<string> }): undefined => {
    acts += 1;
    if (acts > times) actions.add(step);
  };
  return row(step, { fades: true, deadlineMs: 60_000, run });
}

/** A record in the journal of this operation. */
export const record = (
  phase: Phase,
  step = "",
  facts: JournalRecord["facts"] = {},
): JournalRecord => ({ operationId: "one", step, phase, at: 1, facts });

export type Toys = Operation<Toy>;

/** A lock that is silent to so many questions, while its session is open, which it is for so many. */
export function lateHold(silences: number, isOpenFor = Infinity): LockHold {
  let asked = 0;
  return {
    session: "one",
    stillHeld: () => Promise.resolve((asked += 1) > silences),
    answeredWithin: (ms) => ms === Infinity && asked < isOpenFor,
    release: () => Promise.resolve(),
  };
}

/** An operation in which everything works; `more` says what does not. */
export function operationOf(
  rows: Toys["rows"],
  actions: Set<string>,
  more: Partial<Toys> = {},
): Toys {
  const hold = {
    session: null,
    stillHeld: () => Promise.resolve(false),
    release: () => Promise.resolve(),
  };
  return {
    operationId: "one",
    plan: "toy",
    rows,
    direction: "forward",
    crossed: false,
    actions,
    observe: () => Promise.resolve(new Set(actions)),
    hold,
    relock: () => Promise.resolve(hold),
    journal: { append: () => Promise.resolve() },
    timing: systemTiming,
    signal: new AbortController().signal,
    onEvent: () => undefined,
    ...more,
  };
}
