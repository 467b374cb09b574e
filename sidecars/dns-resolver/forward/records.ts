/**
 * The records of a kept answer one by one, without compression, for an answer that somebody else
 * puts together.
 */
import { read16, read32 } from "../wire/message.ts";
import { readName } from "../wire/names.ts";
import { walkRdata } from "./rdata.ts";
import type { Stored } from "./stored.ts";

/** Where the record that begins at `start` has its parts. */
function recordAt(
  stored: Stored,
  index: number,
  start: number,
): { readonly owner: Uint8Array; readonly ttlAt: number; readonly end: number } {
  const owner = readName(stored.bytes, start, stored.bytes.length)?.wire ?? Uint8Array.of(0);
  return { owner, ttlAt: stored.ttlsAt[index] ?? 0, end: stored.ends[index] ?? 0 };
}

/**
 * The records of the answer section in their order: owner, type, class, TTL, data, each name whole.
 * @param age seconds since they came, taken off their TTLs
 * @param ttlCap seconds that no TTL may exceed, for what is past its time
 */
export function looseRecords(stored: Stored, age: number, ttlCap?: number): Uint8Array[] {
  const { bytes, answers, questionEnd, ends } = stored;
  return Array.from({ length: answers }, (_, index) => {
    const start = index === 0 ? questionEnd : (ends[index - 1] ?? questionEnd);
    const { owner, ttlAt, end } = recordAt(stored, index, start);
    const came = read32(bytes, ttlAt);
    const ttl = ttlCap === undefined ? Math.max(0, came - age) : Math.min(came, ttlCap);
    const data: number[] = [];
    walkRdata(bytes, read16(bytes, ttlAt - 4), ttlAt + 6, end, data);
    return Uint8Array.from([
      ...owner,
      ...bytes.subarray(ttlAt - 4, ttlAt),
      ...[ttl >>> 24, ttl >>> 16, ttl >>> 8, ttl],
      ...[data.length >> 8, data.length],
      ...data,
    ]);
  });
}
