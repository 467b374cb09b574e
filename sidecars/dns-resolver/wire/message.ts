/**
 * Messages as bytes (RFC 1035, 4; RFC 6891): what a query says, read without a copy into one object
 * that is used again for the next, and what every answer begins and ends with.
 */
import { labelBytesMax, labelsMax, nameBytesMax, skipName } from "./names.ts";
import {
  bits,
  extendedErrorBytes,
  headerBytes,
  optBytes,
  plainUdpBytes,
  rcodes,
  types,
} from "./numbers.ts";

/** What readQuery found. One object serves every query of an engine. */
export interface QueryFacts {
  /** 0 for QUERY. */
  opcode: number;
  /** The offset after the question; 12 when there is none that can be echoed. */
  questionEnd: number;
  type: number;
  class: number;
  /** The labels of the name, without the root. */
  labelCount: number;
  /** The offset of each label's length, and after the last one that of the root. */
  readonly labelStarts: Uint16Array;
  hasOpt: boolean;
  /** What the asker can take over UDP: 512 without EDNS. */
  udpSize: number;
  dnssecOk: boolean;
  /** The answer's rcode when the query cannot be answered otherwise; 0 when it can. */
  fault: number;
}

/** A place for what readQuery finds. */
export function newQueryFacts(): QueryFacts {
  return {
    opcode: 0,
    questionEnd: headerBytes,
    type: 0,
    class: 0,
    labelCount: 0,
    labelStarts: new Uint16Array(labelsMax + 1),
    hasOpt: false,
    udpSize: plainUdpBytes,
    dnssecOk: false,
    fault: 0,
  };
}

/** Two bytes at `at`, big-endian. */
export function read16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

/** Writes two bytes at `at`, big-endian. */
export function write16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Four bytes at `at`, big-endian, unsigned. */
export function read32(bytes: Uint8Array, at: number): number {
  return read16(bytes, at) * 0x1_0000 + read16(bytes, at + 2);
}

/** Writes four bytes at `at`, big-endian. */
export function write32(bytes: Uint8Array, at: number, value: number): void {
  write16(bytes, at, value >>> 16);
  write16(bytes, at + 2, value & 0xffff);
}

/**
 * Reads the first `length` bytes of `query` into `facts`.
 * @returns false for what gets no answer at all: no header, or an answer itself
 */
export function readQuery(query: Uint8Array, length: number, facts: QueryFacts): boolean {
  if (length < headerBytes || ((query[2] ?? 0) & bits.QR) !== 0) return false;
  facts.opcode = ((query[2] ?? 0) >> 3) & 15;
  facts.questionEnd = headerBytes;
  facts.hasOpt = false;
  facts.udpSize = plainUdpBytes;
  facts.dnssecOk = false;
  facts.fault = 0;
  if (facts.opcode !== 0) facts.fault = rcodes.NOTIMP;
  else if (read16(query, 4) !== 1 || !readQuestion(query, length, facts)) {
    facts.fault = rcodes.FORMERR;
  } else if (query[6] || query[7] || query[8] || query[9] || query[10] || query[11]) {
    readRest(query, length, facts);
  }
  return true;
}

function readQuestion(query: Uint8Array, length: number, facts: QueryFacts): boolean {
  let at = headerBytes;
  let labels = 0;
  for (;;) {
    // Type and class stand behind the name's zero.
    if (at + 5 > length || at - headerBytes >= nameBytesMax) return false;
    const size = query[at] ?? 0;
    facts.labelStarts[labels] = at;
    if (size === 0) break;
    if (size > labelBytesMax) return false;
    at += size + 1;
    labels += 1;
  }
  facts.labelCount = labels;
  facts.type = read16(query, at + 1);
  facts.class = read16(query, at + 3);
  facts.questionEnd = at + 5;
  return true;
}

/** What stands behind the question: only an OPT record matters, but all must be well-formed. */
function readRest(query: Uint8Array, length: number, facts: QueryFacts): void {
  const before = read16(query, 6) + read16(query, 8);
  const count = before + read16(query, 10);
  let at = facts.questionEnd;
  for (let index = 0; index < count; index += 1) {
    const fixed = skipName(query, at, length);
    const end = fixed < 0 || fixed + 10 > length ? -1 : fixed + 10 + read16(query, fixed + 8);
    if (end < 0 || end > length) facts.fault = rcodes.FORMERR;
    else if (index >= before && read16(query, fixed) === types.OPT) {
      if (facts.hasOpt || fixed !== at + 1 || !areOptions(query, fixed + 10, end)) {
        facts.fault = rcodes.FORMERR;
      } else readOpt(query, fixed, facts);
    }
    if (facts.fault === rcodes.FORMERR) return;
    at = end;
  }
}

function readOpt(query: Uint8Array, fixed: number, facts: QueryFacts): void {
  facts.hasOpt = true;
  facts.udpSize = Math.max(plainUdpBytes, read16(query, fixed + 2));
  facts.dnssecOk = ((query[fixed + 6] ?? 0) & 0x80) !== 0;
  if (query[fixed + 5] !== 0) facts.fault = rcodes.BADVERS;
}

function areOptions(query: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    if (at + 4 > end) return false;
    at += 4 + read16(query, at + 2);
  }
  return at === end;
}

/**
 * Writes the header of the answer to `query` and its question as it came, up to `questionEnd`; all
 * counts but the question's are 0. @returns bytes written
 */
export function writeHead(
  out: Uint8Array,
  query: Uint8Array,
  questionEnd: number,
  flags: number,
  rcode: number,
): number {
  out[0] = query[0] ?? 0;
  out[1] = query[1] ?? 0;
  const asked = query[2] ?? 0;
  out[2] = bits.QR | (asked & (0x78 | bits.RD)) | (flags >>> 8);
  // Checking disabled goes back only where something beyond this server may have checked.
  const kept = (flags & bits.RA) === 0 ? 0 : (query[3] ?? 0) & bits.CD;
  out[3] = (flags & 0xff) | kept | (rcode & 15);
  out[4] = 0;
  out[5] = questionEnd > headerBytes ? 1 : 0;
  for (let at = 6; at < headerBytes; at += 1) out[at] = 0;
  for (let at = headerBytes; at < questionEnd; at += 1) out[at] = query[at] ?? 0;
  return questionEnd;
}

/** What an OPT record of an answer says. */
export interface OptFacts {
  /** What this server takes over UDP. */
  readonly udpSize: number;
  readonly dnssecOk: boolean;
  /** The whole rcode; its upper bits go here. */
  readonly rcode: number;
  /** RFC 8914; negative: none. */
  readonly extendedError: number;
}

/** Bytes that an OPT record takes, with an extended error (a number of RFC 8914; negative: none). */
export function optLength(extendedError: number): number {
  return extendedError < 0 ? optBytes : optBytes + extendedErrorBytes;
}

/** Writes an OPT record at `at` and counts it in the header's additional section. @returns its end */
export function writeOpt(out: Uint8Array, at: number, opt: OptFacts): number {
  const end = at + optLength(opt.extendedError);
  out[at] = 0;
  write16(out, at + 1, types.OPT);
  write16(out, at + 3, opt.udpSize);
  out[at + 5] = opt.rcode >>> 4;
  out[at + 6] = 0;
  out[at + 7] = opt.dnssecOk ? 0x80 : 0;
  out[at + 8] = 0;
  write16(out, at + 9, end - at - optBytes);
  if (opt.extendedError >= 0) {
    write16(out, at + 11, 15);
    write16(out, at + 13, 2);
    write16(out, at + 15, opt.extendedError);
  }
  write16(out, 10, read16(out, 10) + 1);
  return end;
}

/** Where the record at `at` of a message of `end` bytes ends; -1 when it is malformed. */
export function skipRecord(message: Uint8Array, at: number, end: number): number {
  const fixed = skipName(message, at, end);
  if (fixed < 0 || fixed + 10 > end) return -1;
  const next = fixed + 10 + read16(message, fixed + 8);
  return next <= end ? next : -1;
}
