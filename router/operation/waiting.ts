/**
 * Says what a slow step waits for: first after half a second, then every second, so that nobody
 * has to guess whether it hangs.
 */
import type { Timing } from "../../kit/clock.ts";
import type { Looks } from "./looks.ts";
import type { OperationKind, StepRow } from "./step.ts";

const firstAfterMs = 500;
const againAfterMs = 1000;

/** The two ways of waiting in one step. */
export interface Waiting {
  /** Tells by the clock while the act has not come back. @returns what ends it */
  duringAct(seen: unknown): () => void;
  /** Tells if it is time, after one more look where the row's own look shows too little. */
  duringConfirm(): Promise<void>;
}

interface WaitingRun<K extends OperationKind> {
  readonly row: StepRow<K>;
  readonly plan: K["plan"];
  readonly looks: Looks<K>;
  readonly timing: Timing;
  readonly signal: AbortSignal;
  readonly tell: (words: string) => void;
}

/** Keeps the time of one step, from now on. */
export function waitingWords<K extends OperationKind>(run: WaitingRun<K>): Waiting {
  const { row, plan, looks, timing, tell } = run;
  let next = timing.clock.monotonic() + firstAfterMs;
  const isTime = (): boolean => {
    const now = timing.clock.monotonic();
    if (now < next) return false;
    next = now + againAfterMs;
    return true;
  };
  return {
    duringAct: (seen) => {
      const stop = timing.every?.(firstAfterMs / 2, () => {
        if (isTime()) tell(row.waitsFor?.(plan, seen) ?? row.describe(plan));
      });
      return stop ?? (() => undefined);
    },
    duringConfirm: async () => {
      if (row.waitsFor === undefined || !isTime()) return;
      try {
        const parts = [...row.looksAt, ...(row.waitsLookAt ?? [])];
        const words = row.waitsFor(plan, await looks.fresh(row.step, parts, run.signal));
        if (words !== undefined) tell(words);
      } catch {
        // The next look that confirms meets the same fault and counts it.
      }
    },
  };
}
