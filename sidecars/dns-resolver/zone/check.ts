/**
 * Records as the registry gives them, checked one by one: what cannot be served is left out with a
 * reason, and the rest of the zone stands. Names may lie in the zone alone; targets may lie anywhere.
 */
import type { ZoneRecord } from "../parts.ts";
import { nameBytesMax } from "../wire/names.ts";
import { types } from "../wire/numbers.ts";
import { ipv4Bytes, ipv6Bytes } from "./addresses.ts";
import type { RecordData, TargetName } from "./tree.ts";

/** A record that can be served. */
export interface CheckedRecord {
  /** Relative to the zone. */
  readonly labels: string;
  readonly type: number;
  readonly data: RecordData;
}

/** The zone's own names, as labels with their length before them: the zone first, then its aliases. */
export type Origins = readonly [string, ...string[]];

const ttlMax = 2_147_483_647;
const noBytes = new Uint8Array(0);

/** Checks a record. @returns why it cannot be served, as text, when it cannot */
export function checkRecord(record: ZoneRecord, origins: Origins): CheckedRecord | string {
  const name = labelsOf(record.fqdn);
  if (name === undefined) return "its name is no domain name";
  const labels = relativeTo(name, origins[0]);
  if (labels === undefined) return "its name lies outside the zone";
  if (origins.some((origin) => labels.length + origin.length + 1 > nameBytesMax)) {
    return "its name is too long under an alias of the zone";
  }
  const { ttl } = record;
  if (!Number.isInteger(ttl) || ttl < 0 || ttl > ttlMax) return `its TTL is ${ttl}`;
  const data = dataOf(record, origins);
  if (typeof data === "string") return data;
  return { labels, type: types[record.record_type], data };
}

function dataOf(record: ZoneRecord, origins: Origins): RecordData | string {
  const { id, ttl, record_type: type, target_ip: target, target_port: port } = record;
  if (target === null || target === "") return "it has no target";
  if (type === "A" || type === "AAAA") {
    const bytes = type === "A" ? ipv4Bytes(target) : ipv6Bytes(target);
    return bytes === undefined
      ? `its target ${target.slice(0, 60)} is no IPv${type === "A" ? 4 : 6} address`
      : { id, ttl, bytes, target: undefined };
  }
  const labels = labelsOf(target);
  if (labels === undefined) return "its target is no domain name";
  const name = targetOf(labels, origins);
  if (type === "CNAME") return { id, ttl, bytes: noBytes, target: name };
  if (port === null || !Number.isInteger(port) || port < 1 || port > 65_535) {
    return `its port is ${port}`;
  }
  return { id, ttl, bytes: Uint8Array.of(0, 0, 0, 0, port >>> 8, port & 0xff), target: name };
}

function targetOf(labels: string, origins: Origins): TargetName {
  for (const origin of origins) {
    const relative = relativeTo(labels, origin);
    if (relative !== undefined) return { isInZone: true, labels: relative };
  }
  return { isInZone: false, labels };
}

/** What stands before `origin` in a name; undefined where the name does not lie there. */
export function relativeTo(labels: string, origin: string): string | undefined {
  if (!labels.endsWith(origin)) return undefined;
  const cut = labels.length - origin.length;
  let at = 0;
  while (at < cut) at += labels.charCodeAt(at) + 1;
  return at === cut ? labels.slice(0, cut) : undefined;
}

/**
 * A dotted name as labels with their length before them, in lower case; undefined for what cannot be
 * served as a name: letters, digits, hyphens and underscores alone.
 */
export function labelsOf(text: string): string | undefined {
  const parts = (text.endsWith(".") ? text.slice(0, -1) : text).toLowerCase().split(".");
  let labels = "";
  for (const part of parts) {
    if (!/^[a-z0-9_-]{1,63}$/.test(part)) return undefined;
    labels += String.fromCharCode(part.length) + part;
  }
  return labels.length + 1 <= nameBytesMax ? labels : undefined;
}
