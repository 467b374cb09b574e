/**
 * The addresses that are meant by those of the settings. A wildcard stands for every address of the
 * host: each gets sockets of its own, since an answer over UDP must leave from the address that was
 * asked, and a socket bound to the wildcard sends from whichever the route prefers. An address that
 * somebody else listens at, such as a stub resolver's on loopback, is then in nobody's way.
 */
import { networkInterfaces } from "node:os";
import { formatAddress } from "../../../kit/address.ts";
import type { Address } from "../../../kit/address.ts";

const families: Readonly<Record<string, "IPv4" | "IPv6">> = { "0.0.0.0": "IPv4", "::": "IPv6" };

/** True where what is meant can change while the process runs. */
export function hasWildcard(addresses: readonly Address[]): boolean {
  return addresses.some(({ host }) => families[host] !== undefined);
}

/**
 * The addresses to listen at now, each once: wildcards as the addresses that the host has at this
 * moment, without those that are valid on one link alone.
 */
export function meantAddresses(addresses: readonly Address[]): Address[] {
  const all = addresses.flatMap(({ host, port }) => {
    const family = families[host];
    if (family === undefined) return [{ host, port }];
    return Object.values(networkInterfaces()).flatMap((ofInterface = []) =>
      ofInterface.flatMap((one) => {
        const isMeant = one.family === family && !/^fe[89ab]/i.test(one.address);
        return isMeant ? [{ host: one.address, port }] : [];
      }),
    );
  });
  return [...new Map(all.map((address) => [formatAddress(address), address])).values()];
}
