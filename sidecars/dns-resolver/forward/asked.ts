/** A query of a client taken apart, and the query that goes to an upstream in its stead. */
import { read16, writeOpt } from "../wire/message.ts";
import { expandName, nameBytesMax, nameKey, skipName } from "../wire/names.ts";
import { bits, extendedErrors, headerBytes, optBytes, rcodes, types } from "../wire/numbers.ts";
import { questionKey } from "./names.ts";

/** A question as its answers are kept and shared by. */
export interface Question {
  /** Name, type and class in wire form, in the case in which they were asked. */
  readonly bytes: Uint8Array;
  readonly type: number;
  readonly class: number;
  /** DO and CD: with them an upstream answers otherwise. */
  readonly wantsProof: boolean;
  readonly isCheckingOff: boolean;
  /** What its answer is kept under. */
  readonly key: string;
}

/** A client's query. */
export interface Asked {
  readonly id: number;
  readonly question: Question;
  readonly isRecursionDesired: boolean;
  /** AD: the client understands the bit of the answer (RFC 6840, 5.7). */
  readonly wantsAuthentic: boolean;
  /** The client's own UDP size; undefined without EDNS. */
  readonly edns: { readonly udpSize: number } | undefined;
}

/** The UDP size that is told to upstreams, and the largest that is fit to be sent (flag day 2020). */
export const udpSizeTold = 1232;

const scratch = new Uint8Array(nameBytesMax);

/** Where the OPT record stands behind its root owner, or 0. */
function findOpt(query: Uint8Array, from: number): number {
  const before = read16(query, 6) + read16(query, 8);
  const count = before + read16(query, 10);
  let at = from;
  for (let index = 0; index < count; index += 1) {
    const after = skipName(query, at, query.length);
    if (after < 0 || after + 10 > query.length) return 0;
    if (index >= before && read16(query, after) === types.OPT) return after;
    at = after + 10 + read16(query, after + 8);
  }
  return 0;
}

/** The question with the flags that change its answer. `bytes` are kept, not copied. */
export function questionOf(
  bytes: Uint8Array,
  flags: { readonly wantsProof: boolean; readonly isCheckingOff: boolean },
): Question {
  const { length } = bytes;
  return {
    bytes,
    type: read16(bytes, length - 4),
    class: read16(bytes, length - 2),
    ...flags,
    key: questionKey(bytes, (flags.wantsProof ? 1 : 0) | (flags.isCheckingOff ? 2 : 0)),
  };
}

/** The key of the name alone. */
export function nameKeyOf(question: Question): string {
  return nameKey(question.bytes.subarray(0, question.bytes.length - 4));
}

/**
 * Takes a query with one question apart; the question's bytes are copied, so the query may be
 * written over later.
 * @returns undefined for what is no such query
 */
export function readAsked(query: Uint8Array): Asked | undefined {
  const isQuery = query.length >= headerBytes && ((query[2] ?? 0) & 0xf8) === 0;
  if (!isQuery || read16(query, 4) !== 1) return undefined;
  const afterQuestion = expandName(query, headerBytes, query.length, scratch) + 4;
  if (afterQuestion < headerBytes + 5 || afterQuestion > query.length) return undefined;
  const opt = findOpt(query, afterQuestion);
  const bytes = new Uint8Array(query.subarray(headerBytes, afterQuestion));
  const flags = query[3] ?? 0;
  return {
    id: read16(query, 0),
    question: questionOf(bytes, {
      wantsProof: opt > 0 && ((query[opt + 6] ?? 0) & 0x80) !== 0,
      isCheckingOff: (flags & 0x10) !== 0,
    }),
    isRecursionDesired: ((query[2] ?? 0) & 0x01) !== 0,
    wantsAuthentic: (flags & 0x20) !== 0,
    edns: opt > 0 ? { udpSize: read16(query, opt + 2) } : undefined,
  };
}

/**
 * Writes the query for an upstream with id 0: recursion desired, the sign that AD is understood, CD
 * as the client has it, and an OPT record of our own unless the upstream does not know EDNS.
 */
export function writeQuery(question: Question, withEdns: boolean): Uint8Array {
  const { bytes, wantsProof, isCheckingOff } = question;
  const end = headerBytes + bytes.length;
  const query = Buffer.allocUnsafe(end + (withEdns ? optBytes : 0)).fill(0);
  query[2] = bits.RD;
  query[3] = bits.AD | (isCheckingOff ? bits.CD : 0);
  query[5] = 1;
  query.set(bytes, headerBytes);
  if (!withEdns) return query;
  const { none: extendedError } = extendedErrors;
  const opt = { udpSize: udpSizeTold, dnssecOk: wantsProof, rcode: rcodes.NOERROR, extendedError };
  writeOpt(query, end, opt);
  return query;
}
