/**
 * An upstream's message taken apart: its header and where each record lies. What lies about its
 * lengths or counts, or holds a name that is none, is no reply (RFC 9267).
 */
import { read16, read32 } from "../wire/message.ts";
import { skipName } from "../wire/names.ts";
import { headerBytes } from "../wire/numbers.ts";
import { readKey } from "./names.ts";
import { types, walkRdata } from "./rdata.ts";

/** The sections in the order of the message. */
export type Section = "answer" | "authority" | "additional";

export interface ReplyRecord {
  readonly section: Section;
  /** The owner, as nameKey gives it. */
  readonly owner: string;
  readonly type: number;
  readonly class: number;
  /** Seconds; 0 where the upstream set the highest bit (RFC 2181, 8). */
  readonly ttl: number;
  /** Offsets in the message: the record's start, its TTL, its data, its end. */
  readonly start: number;
  readonly ttlAt: number;
  readonly rdataAt: number;
  readonly end: number;
}

export interface Reply {
  /** With the upper bits from the OPT record, if there is one. */
  readonly rcode: number;
  /** AD: the upstream has validated the answer. */
  readonly isAuthentic: boolean;
  readonly questionEnd: number;
  readonly records: readonly ReplyRecord[];
}

/** Reads the record at `at`; `questionOwner` is the question's key, to which most owners point. */
function readRecord(
  message: Uint8Array,
  at: number,
  section: Section,
  questionOwner: string,
): ReplyRecord | undefined {
  const isQuestions = message[at] === 0xc0 && message[at + 1] === headerBytes;
  const owner = isQuestions ? { key: questionOwner, next: at + 2 } : readKey(message, at);
  const after = owner?.next ?? message.length;
  if (owner === undefined || after + 10 > message.length) return undefined;
  const [type, rdataAt] = [read16(message, after), after + 10];
  const end = rdataAt + read16(message, after + 8);
  if (end > message.length || !walkRdata(message, type, rdataAt, end)) return undefined;
  const ttl = read32(message, after + 4);
  return {
    section,
    owner: owner.key,
    type,
    class: read16(message, after + 2),
    ttl: ttl > 0x7fff_ffff ? 0 : ttl,
    start: at,
    ttlAt: after + 4,
    rdataAt,
    end,
  };
}

/** Where the counts of the sections stand in the header. */
const counts: readonly (readonly [Section, number])[] = [
  ["answer", 6],
  ["authority", 8],
  ["additional", 10],
];

/**
 * Takes apart a message with one question; that it is the right question has been seen before.
 * @param questionOwner the key of the question's name
 * @returns undefined when it is malformed. Bytes after the last record do not matter
 */
export function readReply(message: Uint8Array, questionOwner: string): Reply | undefined {
  const afterQuestion = skipName(message, headerBytes, message.length);
  const questionEnd = afterQuestion + 4;
  if (afterQuestion < 0 || questionEnd > message.length) return undefined;
  const records: ReplyRecord[] = [];
  let [at, upperBits] = [questionEnd, 0];
  for (const [section, countAt] of counts) {
    for (let left = read16(message, countAt); left > 0; left -= 1) {
      const record = readRecord(message, at, section, questionOwner);
      if (record === undefined) return undefined;
      at = record.end;
      if (record.type !== types.OPT) records.push(record);
      else if (section === "additional") upperBits = message[record.ttlAt] ?? 0;
      else return undefined;
    }
  }
  return {
    rcode: ((message[3] ?? 0) & 0x0f) | (upperBits << 4),
    isAuthentic: ((message[3] ?? 0) & 0x20) !== 0,
    questionEnd,
    records,
  };
}
