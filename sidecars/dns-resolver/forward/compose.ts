/**
 * The answer for one client out of what is kept: its own id, case and flags, the time that has
 * passed taken off each TTL, and no more than the client can take.
 */
import { optLength, read32, write16, write32, writeOpt } from "../wire/message.ts";
import { bits, extendedErrors, headerBytes, plainUdpBytes } from "../wire/numbers.ts";
import type { Asked } from "./asked.ts";
import type { Stored } from "./stored.ts";

/** What a client is told beside the records. */
export interface Telling {
  /** Seconds since what is kept came in. */
  readonly age: number;
  /** Seconds that no TTL may exceed; given for what is past its time. */
  readonly ttlCap?: number;
  /** A number of RFC 8914. */
  readonly extendedError?: number;
}

/** How large an answer may be. */
export interface SizeBounds {
  readonly transport: "udp" | "tcp";
  readonly udpSizeMax: number;
}

/** The largest answer in bytes that this client takes this way (RFC 6891, 6.2.3). */
function sizeLimit(asked: Asked, bounds: SizeBounds): number {
  if (bounds.transport === "tcp") return 65_535;
  const { edns } = asked;
  return edns === undefined
    ? plainUdpBytes
    : Math.max(plainUdpBytes, Math.min(edns.udpSize, bounds.udpSizeMax));
}

function optLengthFor(asked: Asked, extendedError: number): number {
  return asked.edns === undefined ? 0 : optLength(extendedError);
}

interface Flags {
  readonly rcode: number;
  readonly isTruncated: boolean;
  readonly isAuthentic: boolean;
}

/** Id, flags and question as this client has them: recursion is available, the answer is no authority's. */
function writeAsked(answer: Uint8Array, asked: Asked, flags: Flags): void {
  const { id, question, isRecursionDesired, wantsAuthentic } = asked;
  const tellsAuthentic = flags.isAuthentic && (wantsAuthentic || question.wantsProof);
  write16(answer, 0, id);
  answer[2] = bits.QR | (flags.isTruncated ? bits.TC : 0) | (isRecursionDesired ? bits.RD : 0);
  answer[3] =
    bits.RA |
    (tellsAuthentic ? bits.AD : 0) |
    (question.isCheckingOff ? bits.CD : 0) |
    (flags.rcode & 0x0f);
  answer.set(question.bytes, headerBytes);
}

/** How many records fit into `room` bytes, whole. */
function recordsThatFit(stored: Stored, room: number): number {
  if (stored.bytes.length <= room) return stored.ends.length;
  const over = stored.ends.findIndex((end) => end > room);
  return over === -1 ? stored.ends.length : over;
}

/** Takes `age` off the TTLs of the first `count` records; none falls below 0. */
function ageTtls(answer: Uint8Array, stored: Stored, count: number, telling: Telling): void {
  const { age, ttlCap } = telling;
  for (let index = 0; index < count; index += 1) {
    const at = stored.ttlsAt[index] ?? 0;
    const came = read32(answer, at);
    const ttl = ttlCap === undefined ? Math.max(0, came - age) : Math.min(came, ttlCap);
    write32(answer, at, ttl);
  }
}

/** Writes the OPT record of an answer to a client that knows EDNS, at `at`, which is the end. */
function closeAnswer(
  answer: Uint8Array,
  at: number,
  asked: Asked,
  rcode: number,
  closing: { readonly udpSize: number; readonly extendedError: number },
): Uint8Array {
  const { wantsProof: dnssecOk } = asked.question;
  if (asked.edns !== undefined) writeOpt(answer, at, { dnssecOk, rcode, ...closing });
  return answer;
}

/**
 * The answer for `asked` out of what is kept. What does not fit is left out from the end, record by
 * record, and the answer says so (TC).
 */
export function composeAnswer(
  stored: Stored,
  asked: Asked,
  bounds: SizeBounds,
  telling: Telling,
): Uint8Array {
  const { bytes, ends, answers, questionEnd, rcode, isAuthentic } = stored;
  const { extendedError = extendedErrors.none } = telling;
  const room = sizeLimit(asked, bounds) - optLengthFor(asked, extendedError);
  const count = recordsThatFit(stored, room);
  const isTruncated = count < ends.length;
  const end = isTruncated ? (ends[count - 1] ?? questionEnd) : bytes.length;
  const answer = Buffer.allocUnsafe(end + optLengthFor(asked, extendedError));
  answer.set(isTruncated ? bytes.subarray(0, end) : bytes);
  writeAsked(answer, asked, { rcode, isTruncated, isAuthentic });
  write16(answer, 6, Math.min(count, answers));
  write16(answer, 8, Math.max(0, count - answers));
  ageTtls(answer, stored, count, telling);
  const closing = { udpSize: bounds.udpSizeMax, extendedError };
  return closeAnswer(answer, end, asked, rcode, closing);
}

/** An answer without records: only a response code, and why (a number of RFC 8914). */
export function composeFailure(
  asked: Asked,
  bounds: SizeBounds,
  rcode: number,
  extendedError: number,
): Uint8Array {
  const end = headerBytes + asked.question.bytes.length;
  const answer = Buffer.alloc(end + optLengthFor(asked, extendedError));
  write16(answer, 4, 1);
  writeAsked(answer, asked, { rcode, isTruncated: false, isAuthentic: false });
  return closeAnswer(answer, end, asked, rcode, { udpSize: bounds.udpSizeMax, extendedError });
}
