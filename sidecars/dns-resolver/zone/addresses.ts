/** Addresses as the bytes of A and AAAA records, and the names under which they are asked in reverse. */
import { isIPv4, isIPv6 } from "node:net";

/** The four bytes of an IPv4 address; undefined for what is none. */
export function ipv4Bytes(text: string): Uint8Array | undefined {
  if (!isIPv4(text)) return undefined;
  const bytes = new Uint8Array(4);
  let octet = 0;
  for (let at = 0; at < text.length; at += 1) {
    const digit = text.charCodeAt(at) - 0x30;
    if (digit < 0) octet += 1;
    else bytes[octet] = (bytes[octet] ?? 0) * 10 + digit;
  }
  return bytes;
}

/** The sixteen bytes of an IPv6 address without a scope (RFC 4291, 2.2); undefined for what is none. */
export function ipv6Bytes(text: string): Uint8Array | undefined {
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const [head = "", tail] = text.split("::");
  const front = groupBytes(head);
  const back = groupBytes(tail ?? "");
  const bytes = new Uint8Array(16);
  bytes.set(front);
  bytes.set(back, 16 - back.length);
  return bytes;
}

function groupBytes(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = Number.parseInt(group, 16);
    return [value >>> 8, value & 0xff];
  });
}

const labelled = (label: string): string => String.fromCharCode(label.length) + label;
const octetLabels = Array.from({ length: 256 }, (_, octet) => labelled(String(octet)));
const nibbleLabels = Array.from({ length: 16 }, (_, nibble) => labelled(nibble.toString(16)));

/** The labels, each with its length before it, under which an address is asked (RFC 1035, 3.5; RFC 3596, 2.5). */
export function reverseLabels(address: Uint8Array): string {
  const isOld = address.length === 4;
  let labels = isOld ? "\x07in-addr\x04arpa" : "\x03ip6\x04arpa";
  for (const byte of address) {
    const own = isOld ? octetLabels[byte] : `${nibbleLabels[byte & 15]}${nibbleLabels[byte >>> 4]}`;
    labels = `${own}${labels}`;
  }
  return labels;
}
