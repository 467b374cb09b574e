/**
 * How an upstream does: how long its answers take, and whether it answers at all. After two failures
 * in a row it is out, until it answers anything again. A pure state machine over values.
 */

export interface Health {
  /** Smoothed time of an answer in milliseconds; undefined before the first. */
  readonly srttMs: number | undefined;
  readonly failuresInRow: number;
}

export const unknownHealth: Health = { srttMs: undefined, failuresInRow: 0 };

const failuresUntilOut = 2;
/** Weight of a new time (RFC 6298, 2.3), and what a late upstream is thought to take at most. */
const newWeight = 1 / 8;
const srttMaxMs = 1000;

/** True when the upstream should be asked only if no other is left. */
export function isOut(health: Health): boolean {
  return health.failuresInRow >= failuresUntilOut;
}

/** An answer came, whatever it says, after `tookMs`. */
export function afterAnswer(health: Health, tookMs: number): Health {
  const { srttMs } = health;
  const next = srttMs === undefined ? tookMs : srttMs + (tookMs - srttMs) * newWeight;
  return { srttMs: Math.min(next, srttMaxMs), failuresInRow: 0 };
}

/** No answer came within `waitedMs`, or none can come. */
export function afterFailure(health: Health, waitedMs: number): Health {
  const slower = Math.max((health.srttMs ?? 0) * 1.5, waitedMs);
  return { srttMs: Math.min(slower, srttMaxMs), failuresInRow: health.failuresInRow + 1 };
}

/** How long to wait for this upstream before the next is asked as well, in milliseconds. */
export function hedgeDelay(health: Health, leastMs: number, mostMs: number): number {
  return Math.min(Math.max(2 * (health.srttMs ?? 0), leastMs), mostMs);
}

/** Another upstream was asked instead: what is remembered of this one counts a little less. */
export function afterRest(health: Health): Health {
  const { srttMs } = health;
  return srttMs === undefined ? health : { ...health, srttMs: srttMs * 0.98 };
}

/**
 * The order in which upstreams are asked: the quickest first, those never asked before them, those
 * that are out last. `draw` gives a number from 0 to below its argument, for the order of the last.
 */
export function askingOrder<T extends { readonly health: Health }>(
  upstreams: readonly T[],
  draw: (below: number) => number,
): T[] {
  const up = upstreams.filter(({ health }) => !isOut(health));
  const out = upstreams.filter(({ health }) => isOut(health));
  const first = out.length > 1 ? draw(out.length) : 0;
  const quickness = ({ health }: T): number => health.srttMs ?? -1;
  return [
    ...up.sort((one, other) => quickness(one) - quickness(other)),
    ...out.slice(first),
    ...out.slice(0, first),
  ];
}
