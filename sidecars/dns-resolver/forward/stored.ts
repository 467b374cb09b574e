/**
 * What is kept of an upstream's reply: the records that the question asked for, as the bytes they
 * came in, with what is needed to send them again later. Whatever else the reply holds is dropped,
 * or an answer for one name could plant an address for another (RFC 5452, 6).
 */
import { read32, write16, write32 } from "../wire/message.ts";
import { readName } from "../wire/names.ts";
import { headerBytes, rcodes } from "../wire/numbers.ts";
import { isWithin, readKey } from "./names.ts";
import { isPrivateAddress, types, walkRdata } from "./rdata.ts";
import type { Reply, ReplyRecord } from "./reply.ts";

/** A reply as it is kept. */
export interface Stored {
  /** A whole message with the flags and the id zero, without an OPT record. */
  readonly bytes: Uint8Array;
  readonly questionEnd: number;
  readonly rcode: number;
  readonly isAuthentic: boolean;
  /** Offsets of each record's TTL and of its end, in the order of the message. */
  readonly ttlsAt: readonly number[];
  readonly ends: readonly number[];
  /** How many of the records stand in the answer section; the rest is the authority section. */
  readonly answers: number;
  /** Seconds for which it may be given again; 0: not at all. */
  readonly ttl: number;
}

/** What was asked, as far as it decides what is kept. */
export interface AskedFor {
  /** The name's key. */
  readonly key: string;
  readonly type: number;
  readonly class: number;
  /** DO: the asker wants the records of DNSSEC. */
  readonly wantsProof: boolean;
  /** Addresses of private networks are left out: the upstream has no business to name them. */
  readonly hidesPrivate: boolean;
}

/** Seconds: bounds on what upstreams say (RFC 8767, 4; RFC 2308, 5). */
export interface TtlBounds {
  readonly ttlMax: number;
  readonly negativeTtlMax: number;
}

const linksMax = 16;
const messageMax = 65_535;
/** What may stand above a name on the chain: the alias of a whole tree, and its signature. */
const heirTypes = new Set<number>([types.DNAME, types.RRSIG]);
const proofTypes = new Set<number>([types.RRSIG, types.NSEC, types.NSEC3]);

interface Chain {
  readonly kept: Set<ReplyRecord>;
  /** The key of the name at the end of the chain. */
  readonly end: string;
  /** True when records of the type asked for stand at the end. */
  readonly isAnswered: boolean;
}

/** The name that a record leads on to, if it is the alias of `name`. */
function aliasOf(message: Uint8Array, record: ReplyRecord, asked: AskedFor): string | undefined {
  const isAlias = record.type === types.CNAME && asked.type !== types.CNAME;
  if (!isAlias || asked.type === types.ANY) return undefined;
  return readKey(message, record.rdataAt)?.key;
}

/** Follows the chain of aliases from the question, and keeps what lies on it. */
function followChain(message: Uint8Array, reply: Reply, asked: AskedFor): Chain {
  const answers = reply.records.filter(
    ({ section, class: its }) => section === "answer" && its === asked.class,
  );
  const kept = new Set<ReplyRecord>();
  let [name, isAnswered]: [string, boolean] = [asked.key, false];
  for (let links = 0; links <= linksMax; links += 1) {
    let next: string | undefined;
    for (const record of answers) {
      if (record.owner === name) {
        const alias = aliasOf(message, record, asked);
        const isFinal = record.type === asked.type || asked.type === types.ANY;
        next ??= alias;
        isAnswered ||= isFinal;
        if (alias !== undefined || isFinal || record.type === types.RRSIG) kept.add(record);
      } else if (heirTypes.has(record.type) && isWithin(name, record.owner)) kept.add(record);
    }
    if (next === undefined || isAnswered) break;
    name = next;
  }
  return { kept, end: name, isAnswered };
}

/** The zone's SOA record of a negative answer, if the zone can be that of the name. */
function soaOf(reply: Reply, chain: Chain, asked: AskedFor): ReplyRecord | undefined {
  return reply.records.find(
    (record) =>
      record.section === "authority" &&
      record.type === types.SOA &&
      record.class === asked.class &&
      isWithin(chain.end, record.owner),
  );
}

/** Seconds for which a negative answer holds: the lesser of the SOA's TTL and its MINIMUM. */
function negativeTtl(message: Uint8Array, soa: ReplyRecord, bounds: TtlBounds): number {
  const minimum = read32(message, soa.end - 4);
  return Math.min(soa.ttl, minimum > 0x7fff_ffff ? 0 : minimum, bounds.negativeTtlMax);
}

function writeHeader(bytes: Uint8Array, answers: number, authorities: number): void {
  bytes.fill(0, 0, headerBytes);
  write16(bytes, 4, 1);
  write16(bytes, 6, answers);
  write16(bytes, 8, authorities);
}

type Placed = Pick<Stored, "bytes" | "ttlsAt" | "ends">;

/** The records as they came, when nothing that goes stands before something that stays. */
function placeAsSent(message: Uint8Array, records: readonly ReplyRecord[], from: number): Placed {
  return {
    bytes: new Uint8Array(message.subarray(0, records.at(-1)?.end ?? from)),
    ttlsAt: records.map(({ ttlAt }) => ttlAt),
    ends: records.map(({ end }) => end),
  };
}

/** The records without the others between them: no pointer may lead to what is gone. */
function placeAnew(
  message: Uint8Array,
  records: readonly ReplyRecord[],
  from: number,
  owner: string,
): Placed | undefined {
  const bytes = [...message.subarray(0, from)];
  const [ttlsAt, ends]: [number[], number[]] = [[], []];
  for (const record of records) {
    const { start, ttlAt, rdataAt, end, type } = record;
    if (record.owner === owner) bytes.push(0xc0, headerBytes);
    else bytes.push(...(readName(message, start, message.length)?.wire ?? []));
    ttlsAt.push(bytes.length + 4);
    bytes.push(...message.subarray(ttlAt - 4, rdataAt));
    const dataAt = bytes.length;
    walkRdata(message, type, rdataAt, end, bytes);
    const size = bytes.length - dataAt;
    bytes[dataAt - 2] = size >> 8;
    bytes[dataAt - 1] = size & 0xff;
    ends.push(bytes.length);
    if (bytes.length > messageMax) return undefined;
  }
  return { bytes: Uint8Array.from(bytes), ttlsAt, ends };
}

/**
 * Keeps of a reply what the question asked for.
 * @returns undefined when that does not fit into a message
 */
export function keepReply(
  message: Uint8Array,
  reply: Reply,
  asked: AskedFor,
  bounds: TtlBounds,
): Stored | undefined {
  const { records, questionEnd, rcode, isAuthentic } = reply;
  const chain = followChain(message, reply, asked);
  const isNegative = !chain.isAnswered || rcode === rcodes.NXDOMAIN;
  const soa = isNegative ? soaOf(reply, chain, asked) : undefined;
  const isKept = (record: ReplyRecord): boolean =>
    chain.kept.has(record) ||
    record === soa ||
    (asked.wantsProof && record.section === "authority" && proofTypes.has(record.type));
  const isHidden = ({ type, rdataAt }: ReplyRecord): boolean =>
    asked.hidesPrivate && isPrivateAddress(message, type, rdataAt);
  const kept = records.filter((record) => isKept(record) && !isHidden(record));
  const isPrefix = kept.every((record, index) => record === records[index]);
  const placed = isPrefix
    ? placeAsSent(message, kept, questionEnd)
    : placeAnew(message, kept, questionEnd, asked.key);
  if (placed === undefined) return undefined;
  const soaTtl = soa === undefined ? 0 : negativeTtl(message, soa, bounds);
  const ttls = kept.map((record) =>
    record === soa ? soaTtl : Math.min(record.ttl, bounds.ttlMax),
  );
  for (const [index, ttl] of ttls.entries()) {
    write32(placed.bytes, placed.ttlsAt[index] ?? 0, ttl);
  }
  const answers = kept.filter(({ section }) => section === "answer").length;
  writeHeader(placed.bytes, answers, kept.length - answers);
  const isLasting = kept.length > 0 && (!isNegative || soa !== undefined);
  const ttl = isLasting ? Math.min(...ttls, bounds.ttlMax) : 0;
  return { ...placed, questionEnd, rcode, isAuthentic, answers, ttl };
}
