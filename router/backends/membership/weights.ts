/**
 * One weight shared out among several addresses: each gets at least 1, the sum is the whole where
 * that is possible, and the same addresses get the same shares in whatever order they come.
 */
import { compareIps } from "../lookup/ip.ts";

export interface Share {
  readonly ip: string;
  readonly port: number;
  /** How much of the whole it wants beside the others, as SRV records say it; 1 for all: alike. */
  readonly share: number;
}

/** Negative, zero or positive as `left` stands before, with or behind `right`: by address, then port. */
export function compareShares(left: Omit<Share, "share">, right: Omit<Share, "share">): number {
  return compareIps(left.ip, right.ip) || left.port - right.port;
}

/**
 * Shares `total` out by the shares asked for (largest remainder; of equals the lower address first).
 * @param addresses no two alike
 * @returns the weights, sorted by address and port; their sum is `total` unless there are more
 * addresses than that: then each is 1
 */
export function splitWeight<Address extends Share>(
  total: number,
  addresses: readonly Address[],
): { readonly address: Address; readonly weight: number }[] {
  const sorted = addresses.toSorted(compareShares);
  // Each has 1 beforehand, and what is left over is what is shared out.
  const rest = Math.max(0, total - sorted.length);
  const asked = sorted.reduce((sum, { share }) => sum + share, 0);
  const parts = sorted.map(({ share }, at) => {
    // What it has beforehand counts as part of what it asks for.
    const exact = asked === 0 ? total / sorted.length : (total * share) / asked;
    return { at, wants: Math.max(0, exact - 1) };
  });
  const wanted = parts.reduce((sum, { wants }) => sum + wants, 0);
  const exact = parts.map(({ wants }) => (wanted === 0 ? 0 : (rest * wants) / wanted));
  const weights = exact.map((part) => 1 + Math.floor(part));
  let left = rest - weights.reduce((sum, weight) => sum + weight - 1, 0);
  const byRemainder = parts.toSorted(
    (one, other) => remainder(exact[other.at]) - remainder(exact[one.at]) || one.at - other.at,
  );
  for (const { at } of byRemainder) {
    if (left <= 0) break;
    weights[at] = (weights[at] ?? 1) + 1;
    left -= 1;
  }
  return sorted.map((address, at) => ({ address, weight: weights[at] ?? 1 }));
}

/** What is left of a part behind its whole number; rounded, so that equal parts have equal ones. */
function remainder(part = 0): number {
  return Math.round((part - Math.floor(part)) * 1e6);
}
