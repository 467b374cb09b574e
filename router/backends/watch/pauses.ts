/** How long until the next lookup of a target. Pure: chance is a parameter, 0 to below 1. */
import type { Outcome } from "../lookup/outcome.ts";
import type { TargetSettings } from "../target.ts";

/** The shortest part of a first pause, so that many targets do not come at once ever after. */
const leastOfFirst = 0.1;

/** What the pause after an outcome depends on. */
export interface PauseFacts {
  readonly outcome: Outcome;
  /** Failures in a row, this one included. */
  readonly failures: number;
  /** In how many milliseconds the time alone would change what stands; undefined: never. */
  readonly dueInMs: number | undefined;
  readonly isFirst: boolean;
}

/**
 * The pause in milliseconds: after an answer the target's refresh, or the answer's time to live within
 * its limits; after a failure doubled from the backoff's base to its most. Chance only shortens it, so
 * that no answer gets older than was asked for.
 */
export function pauseAfter(settings: TargetSettings, facts: PauseFacts, chance: number): number {
  const { jitter, minRefreshMs } = settings;
  const whole = plainPause(settings, facts);
  const isSpread = facts.isFirst && facts.outcome.kind === "found" && jitter > 0;
  const share = isSpread ? 1 - leastOfFirst : jitter;
  const pause = whole * (1 - share * chance);
  const { dueInMs } = facts;
  return dueInMs === undefined ? pause : Math.min(pause, Math.max(dueInMs, minRefreshMs));
}

function plainPause(settings: TargetSettings, { outcome, failures }: PauseFacts): number {
  const { backoff, refresh, refreshMs, minRefreshMs, maxRefreshMs } = settings;
  if (outcome.kind === "failed") {
    return Math.min(backoff.maxMs, backoff.baseMs * 2 ** Math.min(failures - 1, 30));
  }
  if (refresh === "fixed" || outcome.ttlSeconds === undefined) return refreshMs;
  return Math.min(maxRefreshMs, Math.max(minRefreshMs, outcome.ttlSeconds * 1000));
}
