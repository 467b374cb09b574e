/** Conditions about operations on the cluster that were begun and have not ended. */
import type { UnfinishedOperation } from "../observation.ts";
import type { Condition } from "./condition.ts";

/** A flip without an end; its part is the id that --resume and --abort take. */
export const flipUnfinished: Condition = ({ unfinished }) =>
  unfinished.map((one) => ({ part: one.operationId, says: words(one) }));

function words({ from, to, startedAt, holder }: UnfinishedOperation): string {
  const ends = from === null || to === null ? "a flip" : `the flip from ${from} to ${to}`;
  const when = startedAt === null ? "" : `, begun at ${startedAt},`;
  const now =
    holder === null
      ? "nobody holds the cluster's lock, so nobody works on it"
      : `${holder} holds the cluster's lock`;
  return `${ends}${when} has no end; ${now}`;
}

/**
 * Chooses the unfinished ones of past operations.
 * @param holder who holds the lock of the cluster now; null when nobody does
 */
export function unfinishedOf(
  operations: readonly (Omit<UnfinishedOperation, "holder"> & { readonly result: string })[],
  holder: string | null,
): readonly UnfinishedOperation[] {
  return operations
    .filter(({ result }) => result === "stuck" || result === "unfinished")
    .map(({ operationId, from, to, startedAt }) => ({ operationId, from, to, startedAt, holder }));
}
