/** The addresses of an answer as a set: each once, as one text, in one order, and not too many. */
import { compareIps, readIp } from "./ip.ts";
import { failedWith } from "./outcome.ts";
import type { FoundAddress, Lookup } from "./outcome.ts";

/** A name with more addresses is cut to so many, the lowest: a bound for whatever is told of them. */
export const mostAddresses = 256;

/** What two addresses must have alike to be one. */
export function addressKey(ip: string, port: number | undefined): string {
  return port === undefined ? ip : `${ip} ${port}`;
}

/**
 * Merges addresses as a name server wrote them: IPv4-mapped ones are IPv4, of two alike the shares
 * are added, and what is no address is left out.
 */
export function merged(
  raw: readonly Pick<FoundAddress, "ip" | "port" | "share">[],
): FoundAddress[] {
  const all = new Map<string, FoundAddress>();
  for (const { ip: written, port, share } of raw) {
    const ip = readIp(written);
    if (ip === undefined) continue;
    const key = addressKey(ip.text, port);
    // A name that gives one address twice does not want more for it; a second SRV record does.
    const before = port === undefined ? 0 : (all.get(key)?.share ?? 0);
    all.set(key, { ip: ip.text, family: ip.family, port, share: before + share });
  }
  return [...all.values()]
    .toSorted((left, right) => compareIps(left.ip, right.ip) || portOf(left) - portOf(right))
    .slice(0, mostAddresses);
}

const portOf = ({ port = 0 }: FoundAddress): number => port;

/** A lookup of somebody else's, its answers brought into the form that `Found` promises. */
export function formed(lookup: Lookup): Lookup {
  return async (question, signal) => {
    const outcome = await lookup(question, signal);
    if (outcome.kind === "failed") return outcome;
    const addresses = merged(outcome.addresses);
    const nothing = (): ReturnType<typeof failedWith> =>
      failedWith(`look up ${question.hostname}`, { code: "ENODATA" });
    return addresses.length === 0 ? nothing() : { ...outcome, addresses };
  };
}
