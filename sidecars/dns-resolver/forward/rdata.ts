/**
 * The data of a record that an upstream sent: whether it is as long as its type needs, and how it
 * reads with its names uncompressed. Types that may not compress (RFC 3597, 4) are left as they are.
 */
import { expandName, nameBytesMax, nameLength } from "../wire/names.ts";
import { types as namedTypes } from "../wire/numbers.ts";

/** Parts of a record's data: a number of bytes, a name, a character string, or all that is left. */
const name = 0;
const text = -1;
const rest = -2;

export const types = { ...namedTypes, DNAME: 39, RRSIG: 46, NSEC: 47, NSEC3: 50 } as const;

/** RFC 1035 3.3 and RFC 3597 4: every type in which a name may be compressed, and fixed sizes. */
const layouts: ReadonlyMap<number, readonly number[]> = new Map([
  [types.A, [4]],
  [types.NS, [name]],
  [3, [name]],
  [4, [name]],
  [types.CNAME, [name]],
  [types.SOA, [name, name, 20]],
  [7, [name]],
  [8, [name]],
  [9, [name]],
  [12, [name]],
  [14, [name, name]],
  [15, [2, name]],
  [17, [name, name]],
  [18, [2, name]],
  [21, [2, name]],
  [24, [18, name, rest]],
  [26, [2, name, name]],
  [types.AAAA, [16]],
  [30, [name, rest]],
  [33, [6, name]],
  [35, [4, text, text, text, name]],
  [36, [2, name]],
  [types.DNAME, [name]],
]);

const scratch = new Uint8Array(nameBytesMax);

function append(bytes: Uint8Array, from: number, to: number, into: number[]): void {
  for (let at = from; at < to; at += 1) into.push(bytes[at] ?? 0);
}

/** Where `part` of the data that lies from `at` to `end` ends; -1 where it is cut or no name. */
function takePart(
  message: Uint8Array,
  part: number,
  at: number,
  end: number,
  into: number[] | undefined,
): number {
  if (part === name) {
    const next = expandName(message, at, end, scratch);
    if (next >= 0 && into !== undefined) append(scratch, 0, nameLength(scratch), into);
    return next;
  }
  const textEnd = at < end ? at + (message[at] ?? 0) + 1 : -1;
  const next = part === rest ? end : part === text ? textEnd : at + part;
  if (next > end) return -1;
  if (into !== undefined) append(message, at, next, into);
  return next;
}

const unknown = [rest];

/**
 * Walks through the data of a record that lies from `at` to `end` of the message, and appends it
 * with uncompressed names to `into` where that is given.
 * @returns false when the data is not as its type has it
 */
export function walkRdata(
  message: Uint8Array,
  type: number,
  at: number,
  end: number,
  into?: number[],
): boolean {
  let from = at;
  for (const part of layouts.get(type) ?? unknown) {
    from = takePart(message, part, from, end, into);
    if (from < 0) return false;
  }
  return from === end;
}

/** Networks that are nobody's on the Internet (RFC 6890): the first bytes, and how many bits count. */
const privateNetworks: readonly { readonly first: readonly number[]; readonly bits: number }[] = [
  { first: [0], bits: 8 },
  { first: [10], bits: 8 },
  { first: [100, 64], bits: 10 },
  { first: [127], bits: 8 },
  { first: [169, 254], bits: 16 },
  { first: [172, 16], bits: 12 },
  { first: [192, 168], bits: 16 },
];
const privateNetworks6: typeof privateNetworks = [
  { first: [0xfc], bits: 7 },
  { first: [0xfe, 0x80], bits: 10 },
];

function isIn(bytes: Uint8Array, network: { first: readonly number[]; bits: number }): boolean {
  return network.first.every((byte, index) => {
    const bits = Math.min(8, network.bits - 8 * index);
    return (bytes[index] ?? 0) >> (8 - bits) === byte >> (8 - bits);
  });
}

/** True for an A or AAAA record at `at` whose address is one of a private network or this host's. */
export function isPrivateAddress(message: Uint8Array, type: number, at: number): boolean {
  if (type === types.A) {
    const bytes = message.subarray(at, at + 4);
    return privateNetworks.some((network) => isIn(bytes, network));
  }
  if (type !== types.AAAA) return false;
  const bytes = message.subarray(at, at + 16);
  const head = bytes.subarray(0, 10).every((byte) => byte === 0);
  const isMapped = head && bytes[10] === 0xff && bytes[11] === 0xff;
  if (isMapped) return isPrivateAddress(bytes, types.A, 12);
  const isLowest = head && bytes.subarray(10, 15).every((byte) => byte === 0);
  return isLowest || privateNetworks6.some((network) => isIn(bytes, network));
}
