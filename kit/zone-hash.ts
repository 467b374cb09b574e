/**
 * The hash of a zone's records, by which the registry and a resolver know that they have the same:
 * the sum of the records' own hashes modulo 2^256. The order does not matter, and a record that comes
 * or goes costs one addition.
 */
import { createHash } from "node:crypto";

/** What of a record the hash covers: what an answer is made of, and neither id nor owner. */
export interface HashedRecord {
  /** Without trailing dot; its case does not matter. */
  readonly fqdn: string;
  readonly record_type: string;
  readonly target_ip: string | null;
  readonly target_port: number | null;
  /** Seconds. */
  readonly ttl: number;
}

const modulus = 1n << 256n;

/** The hash of one record: SHA-256 of its canonical line. */
export function recordHash(record: HashedRecord): bigint {
  const { fqdn, record_type: type, target_ip: target, target_port: port, ttl } = record;
  const line = [fqdn.toLowerCase(), type, target?.toLowerCase() ?? "", port ?? "", ttl].join(" ");
  return BigInt(`0x${createHash("sha256").update(line, "utf8").digest("hex")}`);
}

/** The hash once a record has come. */
export function withRecord(hash: bigint, record: HashedRecord): bigint {
  return (hash + recordHash(record)) % modulus;
}

/** The hash once a record has gone. */
export function withoutRecord(hash: bigint, record: HashedRecord): bigint {
  return (hash - recordHash(record) + modulus) % modulus;
}

/** The hash of these records. An empty zone's is 0. */
export function hashOf(records: Iterable<HashedRecord>): bigint {
  let hash = 0n;
  for (const record of records) hash = withRecord(hash, record);
  return hash;
}

/** As it goes over the wire: 64 hexadecimal digits. */
export function formatHash(hash: bigint): string {
  return hash.toString(16).padStart(64, "0");
}
