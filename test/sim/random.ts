/** Repeatable chance: one number decides a whole run (mulberry32). */

export interface Chance {
  /** From 0 up to, not including, 1. */
  next(): number;
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  /** True with probability `p`. */
  hit(p: number): boolean;
  pick<T>(list: readonly [T, ...T[]]): T;
}

/** The generator for `seed`. */
export function chanceOf(seed: number): Chance {
  let state = Math.trunc(seed) >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (low: number, high: number): number =>
    low + Math.floor(next() * (high - low + 1));
  return {
    next,
    between,
    hit: (p) => next() < p,
    pick: (list) => list[between(0, list.length - 1)] ?? list[0],
  };
}
