/**
 * Counters of one engine, in memory that threads share: the engine alone writes, anybody reads. Whole
 * numbers up to 2^53, since the start.
 */
import { bits } from "../wire/numbers.ts";

export const tallyNames = [
  "noerror",
  "formerr",
  "servfail",
  "nxdomain",
  "notimp",
  "refused",
  "other_rcodes",
  "udp_queries",
  "tcp_queries",
  "ignored",
  "truncated",
  "forwarded",
  "forward_drops",
  "send_failures",
  "tcp_connections",
  "tcp_evictions",
] as const;
export type TallyName = (typeof tallyNames)[number];

export interface Tally {
  readonly slots: Float64Array;
}

const slotOf = Object.fromEntries(tallyNames.map((name, index) => [name, index])) as Readonly<
  Record<TallyName, number>
>;

/** Counters at 0, or those that lie in `memory` already. */
export function newTally(memory = new SharedArrayBuffer(tallyNames.length * 8)): Tally {
  return { slots: new Float64Array(memory) };
}

/** Counts one more. */
export function count(tally: Tally, name: TallyName): void {
  const slot = slotOf[name];
  tally.slots[slot] = (tally.slots[slot] ?? 0) + 1;
}

/** Counts an answer by its rcode, and that it was cut. */
export function countAnswer(tally: Tally, answer: Uint8Array): void {
  const rcode = (answer[3] ?? 0) & 15;
  const slot = rcode < slotOf.other_rcodes ? rcode : slotOf.other_rcodes;
  tally.slots[slot] = (tally.slots[slot] ?? 0) + 1;
  if (((answer[2] ?? 0) & bits.TC) !== 0) count(tally, "truncated");
}

/** The sums of several tallies by name. */
export function totals(tallies: readonly Tally[]): Record<TallyName, number> {
  return Object.fromEntries(
    tallyNames.map((name, slot) => [
      name,
      tallies.reduce((sum, tally) => sum + (tally.slots[slot] ?? 0), 0),
    ]),
  ) as Record<TallyName, number>;
}
