/** Addresses as the kernel has them (ip(7), ipv6(7)): sockaddr_in and sockaddr_in6, on little-endian machines. */
import { isIPv4 } from "node:net";
import type { Address } from "../../../kit/address.ts";
import { ipv4Bytes, ipv6Bytes } from "../zone/addresses.ts";

const version4 = { family: 2, bytes: 16, addressAt: 4 } as const;
const version6 = { family: 10, bytes: 28, addressAt: 8 } as const;

/** The length of an address of a kind. */
export function socketAddressBytes(host: string): number {
  return isIPv4(host) ? version4.bytes : version6.bytes;
}

/** @throws TypeError for a host that is no IP address */
export function socketAddress({ host, port }: Address): Uint8Array {
  const address = ipv4Bytes(host) ?? ipv6Bytes(host);
  if (address === undefined) throw new TypeError(`${host} is no IP address`);
  const kind = address.length === 4 ? version4 : version6;
  const bytes = new Uint8Array(kind.bytes);
  bytes[0] = kind.family;
  bytes[2] = port >>> 8;
  bytes[3] = port;
  bytes.set(address, kind.addressAt);
  return bytes;
}

/** The IP address in it as text; all groups of an IPv6 address are written out. */
export function hostOf(bytes: Uint8Array): string {
  if (bytes.length === version4.bytes) return bytes.subarray(4, 8).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => {
    const at = version6.addressAt + 2 * index;
    return (((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)).toString(16);
  });
  return groups.join(":");
}
