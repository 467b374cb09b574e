/**
 * The two messages of a question that our tools ask: how it is written, and how its answer is read.
 * RFC 1035, section 4. It takes any bytes for an answer and never reads beyond them. Pure.
 */
import type { AskType, NameAnswer } from "./contract.ts";
import { read16, read32, skipRecord, write16, writeOpt } from "./wire/message.ts";
import { nameFromText, skipName } from "./wire/names.ts";
import {
  bits,
  classes,
  extendedErrors,
  headerBytes,
  optBytes,
  rcodes,
  types,
} from "./wire/numbers.ts";

/** What came back is no answer to the question that was asked. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
  readonly code = "ERR_DNS_ANSWER";
}

const rcodeNames = new Map<number, string>(Object.entries(rcodes).map(([name, at]) => [at, name]));
/** The size of an answer that needs no fragments (flag day 2020). */
const answerBytes = 1232;
const options = {
  udpSize: answerBytes,
  dnssecOk: false,
  rcode: rcodes.NOERROR,
  extendedError: extendedErrors.none,
} as const;

/**
 * The message that asks for `name`, recursion desired, with an OPT record (RFC 6891).
 * @throws NameError
 */
export function questionBytes(id: number, name: string, type: AskType): Buffer {
  const asked = nameFromText(name);
  const nameEnd = headerBytes + asked.length;
  const message = Buffer.alloc(nameEnd + 4 + optBytes);
  write16(message, 0, id);
  message[2] = bits.RD;
  write16(message, 4, 1);
  message.set(asked, headerBytes);
  write16(message, nameEnd, types[type]);
  write16(message, nameEnd + 2, classes.IN);
  writeOpt(message, nameEnd + 4, options);
  return message;
}

interface Found {
  readonly type: number;
  readonly ttl: number;
  /** Where its data lies. */
  readonly start: number;
  readonly end: number;
}

/**
 * The answer in `message` to the question `asked` (as questionBytes wrote it), or "cut" where it did
 * not fit and has to be asked for over TCP; undefined when it answers something else.
 * @throws AnswerError when it cannot be read
 */
export function readAnswer(message: Buffer, asked: Buffer): NameAnswer | "cut" | undefined {
  if (message.length < headerBytes || read16(message, 0) !== read16(asked, 0)) return undefined;
  const [flags = 0, low = 0] = message.subarray(2, 4);
  if ((flags & bits.QR) === 0) return undefined;
  const rcode = rcodeNames.get(low & 15) ?? `RCODE${low & 15}`;
  const authoritative = (flags & bits.AA) !== 0;
  const empty = { rcode, authoritative, addresses: [], ttl: null, serial: null };
  const questions = read16(message, 4);
  // A server that cannot read a question may leave it out (RFC 9619).
  if (questions === 0) return rcode === "NOERROR" ? undefined : empty;
  const questionEnd = asked.length - optBytes;
  const question = message.subarray(headerBytes, questionEnd);
  if (questions !== 1 || !question.equals(asked.subarray(headerBytes, questionEnd))) {
    return undefined;
  }
  if ((flags & bits.TC) !== 0) return "cut";
  const answers = readSection(message, questionEnd, read16(message, 6));
  const beside = readSection(message, answers.at, read16(message, 8));
  const wanted = read16(asked, questionEnd - 4);
  const soa = [...answers.found, ...beside.found].find(({ type }) => type === types.SOA);
  const ttls = answers.found.map(({ ttl }) => ttl);
  return {
    ...empty,
    addresses: answers.found
      .filter(({ type }) => type === wanted && type !== types.SOA)
      .map((one) => addressText(message.subarray(one.start, one.end))),
    ttl: ttls.length === 0 ? null : Math.min(...ttls),
    serial: soa === undefined ? null : serialOf(message, soa),
  };
}

function readSection(
  message: Buffer,
  start: number,
  records: number,
): { readonly found: readonly Found[]; readonly at: number } {
  const found: Found[] = [];
  let at = start;
  for (let index = 0; index < records; index += 1) {
    const end = skipRecord(message, at, message.length);
    if (end < 0) throw new AnswerError("a record of the answer is none, or cut off");
    const fixed = skipName(message, at, end);
    const [type, ttl] = [read16(message, fixed), read32(message, fixed + 4)];
    found.push({ type, ttl, start: fixed + 10, end });
    at = end;
  }
  return { found, at };
}

function serialOf(message: Buffer, { start, end }: Found): number {
  const first = skipName(message, start, end);
  const at = first < 0 ? -1 : skipName(message, first, end);
  if (at < 0 || at + 20 !== end) throw new AnswerError("the SOA of the answer is none");
  return read32(message, at);
}

function addressText(data: Buffer): string {
  if (data.length === 4) return data.join(".");
  if (data.length !== 16) throw new AnswerError("an address of the answer has a wrong length");
  const groups = Array.from({ length: 8 }, (_, index) => read16(data, index * 2).toString(16));
  // The parser of URLs writes an IPv6 address the one way that RFC 5952 wants.
  return new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
}
