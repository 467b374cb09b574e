/** The addresses of an answer as a set: each once, as one text, in one order, and not too many. */
import { isHostAddress } from "../../../config/host-address.ts";
import { compareIps, readIp } from "./ip.ts";
import { failedWith } from "./outcome.ts";
import type { Failed, Found, FoundAddress, Lookup } from "./outcome.ts";

/** A name with more addresses is cut to so many, the lowest: a bound for whatever is told of them. */
export const mostAddresses = 256;

/** What two addresses must have alike to be one. */
export function addressKey(ip: string, port: number | undefined): string {
  return port === undefined ? ip : `${ip} ${port}`;
}

/** An address as a name server wrote it. */
export type RawAddress = Pick<FoundAddress, "ip" | "port" | "share">;

/** Whether a server can listen there. */
export function isPort(port: unknown): port is number {
  return Number.isInteger(port) && Number(port) >= 1 && Number(port) <= 65_535;
}

/**
 * Merges addresses as a name server wrote them: IPv4-mapped ones are IPv4, of two alike the shares
 * are added, and what no server can have is left out: what is no address, or none of a host, or has a
 * port that there is not.
 */
export function merged(raw: readonly RawAddress[]): FoundAddress[] {
  const all = new Map<string, FoundAddress>();
  for (const { ip: written, port, share } of raw) {
    const ip = readIp(written);
    if (ip === undefined || !isHostAddress(ip.text) || (port !== undefined && !isPort(port)))
      continue;
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

/**
 * What was found, merged; a failure where `what`, such as `look up db.example`, came to nothing that a
 * server can have.
 */
export function foundOrEmpty(
  what: string,
  raw: readonly RawAddress[],
  rest: Pick<Found, "ttlSeconds" | "source" | "unknown">,
): Found | Failed {
  const addresses = merged(raw);
  const leftOut = noHostsOf(raw);
  const noted = leftOut.length === 0 ? {} : { leftOut };
  if (addresses.length > 0) return { kind: "found", addresses, ...rest, ...noted };
  return { ...failedWith(what, { code: "ENODATA" }), ...noted };
}

/** The addresses that are none of a host, each once. */
function noHostsOf(raw: readonly RawAddress[]): string[] {
  const ips = raw.flatMap(({ ip }) => readIp(ip) ?? []).map(({ text }) => text);
  return [...new Set(ips.filter((ip) => !isHostAddress(ip)))].toSorted();
}

/** A lookup of somebody else's, its answers brought into the form that `Found` promises. */
export function formed(lookup: Lookup): Lookup {
  return async (question, signal) => {
    const outcome = await lookup(question, signal);
    if (outcome.kind === "failed") return outcome;
    const { addresses, ...rest } = outcome;
    return foundOrEmpty(`look up ${question.hostname}`, addresses, rest);
  };
}
