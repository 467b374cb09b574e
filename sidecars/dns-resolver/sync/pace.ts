/**
 * The rhythm of a conversation with the registry: what is asked next and when, how long to wait after
 * a fault, and a bell that ends a wait.
 */
import { randomInt } from "node:crypto";
import { DeadlineError, withDeadline } from "../../../kit/clock.ts";
import type { Verdict } from "./sync-merge.ts";

/** An answer without news that comes sooner was not held. */
export const quickAnswerMs = 1000;

const quickPauseMs = { first: 50, most: 1000 } as const;
/**
 * After an outage names stay old for the longest of these waits, so it is short: a thousand resolvers
 * that wait 2.5 s on the average ask a few hundred times a second, which a registry takes.
 */
const backoffMs = { first: 200, most: 5000 } as const;
/** Whole zones in a row that each contradict the one before are large, and no names wait for them. */
const resyncMostMs = 30_000;

/**
 * How long to wait after the n-th failure in a row, in milliseconds: a random part of what is twice
 * as long each time, from 0.2 s to `mostMs`, so that many resolvers do not come back at once.
 */
export function backoff(failures: number, mostMs: number = backoffMs.most): number {
  const doubled = backoffMs.first * 2 ** Math.min(failures - 1, 20);
  return randomInt(backoffMs.first / 4, Math.max(backoffMs.first, Math.min(doubled, mostMs)));
}

/** Wakes the one that waits for it; rung while nobody waits, the next wait ends at once. */
export interface Bell {
  ring(): void;
  /** Resolves when it is rung, or after `ms`. @throws the signal's reason */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** A bell that has not been rung. */
export function createBell(): Bell {
  let isRung = false;
  let wake = (): void => undefined;
  return {
    ring: () => {
      isRung = true;
      wake();
    },
    wait: async (ms, signal) => {
      // One for each wait: what waits for a promise that outlives it is never forgotten.
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      if (isRung) resolve();
      try {
        await withDeadline("the bell", ms, () => promise, signal);
      } catch (error) {
        if (!(error instanceof DeadlineError)) throw error;
      }
      isRung = false;
    },
  };
}

/** How the registry is asked next. */
export interface Ask {
  /** Asks for the whole zone. */
  readonly whole: boolean;
  /** The registry may hold the answer back until there is news. */
  readonly isHeld: boolean;
  /** How many answers without news came at once, in a row. */
  readonly quick: number;
  /** How many times in a row a change led to the whole zone. */
  readonly resyncs: number;
}

/** What is asked after a verdict; `isQuick` when the answer came though it might have been held. */
export function askAfter(verdict: Verdict, before: Ask, isQuick: boolean): Ask {
  if (verdict.kind === "resync") {
    return { whole: true, isHeld: false, quick: 0, resyncs: before.resyncs + 1 };
  }
  const quick = verdict.kind === "same" && isQuick ? before.quick + 1 : 0;
  return { whole: false, isHeld: true, quick, resyncs: before.whole ? before.resyncs : 0 };
}

/**
 * How long to wait before it, in milliseconds: a registry that contradicts itself, or holds nothing
 * back, is not asked without a pause.
 */
export function pauseBefore({ quick, resyncs, whole }: Ask): number {
  if (whole && resyncs > 1) return backoff(resyncs, resyncMostMs);
  return quick === 0
    ? 0
    : Math.min(quickPauseMs.most, quickPauseMs.first * 2 ** Math.min(quick, 10));
}
