/**
 * The answer to one query: what the zone says of it, and what is said without it. The engines call this
 * for every datagram and every message of a stream; it allocates nothing and never throws, whatever
 * the bytes are. RFC 1034, 1035, 2308, 6604, 6891, 8020, 8482, 8914.
 */
import { putBody } from "./answers-body.ts";
import { findBody, findClosest, missingLabels } from "./answers-find.ts";
import {
  newQueryFacts,
  optLength,
  readQuery,
  write16,
  write32,
  writeHead,
  writeOpt,
} from "../wire/message.ts";
import type { QueryFacts } from "../wire/message.ts";
import { nameFromText, lowered } from "../wire/names.ts";
import { bits, classes, extendedErrors, headerBytes, rcodes, types } from "../wire/numbers.ts";
import { bodyWords, nodeWords, zoneKinds, zoneWords } from "../zone/served.ts";
import type { ServedView } from "../zone/served.ts";

/** No answer: what was asked is no question. */
export const dropped = 0;
/** The question is not the zone's: its whole message goes to the forwarder. */
export const goesOut = -1;
/** The zone's answer is a chain of names that leaves the zone: answers-chain.ts has it. */
export const chainGoesOut = -2;

export interface AnswerOptions {
  readonly transport: "udp" | "tcp";
  /** False: what is not the zone's is REFUSED. */
  readonly forwards: boolean;
  /** The longest answer over UDP, whatever the asker can take. */
  readonly udpSizeMax: number;
}

/** The longest message over TCP (RFC 1035, 4.2.2). */
export const tcpBytesMax = 65_535;

/** Types that are no data, and what asking for one is answered with over UDP and over TCP. */
const metaTypes: Readonly<Record<number, readonly [number, number]>> = {
  [types.OPT]: [rcodes.FORMERR, rcodes.FORMERR],
  [types.TKEY]: [rcodes.FORMERR, rcodes.FORMERR],
  [types.TSIG]: [rcodes.FORMERR, rcodes.FORMERR],
  [types.IXFR]: [rcodes.NOTIMP, rcodes.REFUSED],
  [types.AXFR]: [rcodes.NOTIMP, rcodes.REFUSED],
};

const facts = newQueryFacts();
const { none } = extendedErrors;

/**
 * Writes the answer to the first `length` bytes of `query` into `out`, which has room for the longest
 * answer of its transport. @returns its bytes, or `dropped`, `goesOut` or `chainGoesOut`
 */
export function answer(
  view: ServedView,
  query: Uint8Array,
  length: number,
  out: Uint8Array,
  options: AnswerOptions,
): number {
  if (!readQuery(query, length, facts)) return dropped;
  if (facts.fault !== 0) return fail(query, out, options, facts.fault, none);
  if (facts.class !== classes.IN) return answerClass(query, out, options);
  if (facts.type >= types.TKEY || facts.type === types.OPT) {
    const meta = metaTypes[facts.type]?.[options.transport === "udp" ? 0 : 1];
    if (meta !== undefined) return fail(query, out, options, meta, none);
  }
  const node = findClosest(view, query, facts);
  const zone = view.words[node + nodeWords.zone] ?? 0;
  const kind = node === 0 ? zoneKinds.forward : (view.words[zone + zoneWords.kind] ?? 0);
  if (kind === zoneKinds.forward) {
    const asksOut = options.forwards && ((query[2] ?? 0) & bits.RD) !== 0;
    if (asksOut) return goesOut;
    return fail(query, out, options, rcodes.REFUSED, extendedErrors.notAuthoritative);
  }
  if (!view.loaded && (kind === zoneKinds.own || kind === zoneKinds.reverse)) {
    return fail(query, out, options, rcodes.SERVFAIL, extendedErrors.notReady);
  }
  // RFC 6761, 6.3: every name below localhost is localhost.
  const isThere = missingLabels() === 0 || kind === zoneKinds.localhost;
  const body = isThere ? findBody(view, node, facts.type) : 0;
  if (body !== 0) return tell(view, body, query, out, options);
  const size = deny(view, zone, query, out, options);
  if (!isThere) out[3] = (out[3] ?? 0) | rcodes.NXDOMAIN;
  return size;
}

/** Where an answer has to end. */
export function roomFor(query: QueryFacts, options: AnswerOptions): number {
  if (options.transport === "tcp") return tcpBytesMax;
  return query.udpSize < options.udpSizeMax ? query.udpSize : options.udpSizeMax;
}

function flagsOf(options: AnswerOptions): number {
  return options.forwards ? bits.RA : 0;
}

function finish(
  out: Uint8Array,
  at: number,
  options: AnswerOptions,
  rcode: number,
  extendedError: number,
): number {
  if (!facts.hasOpt) return at;
  const { dnssecOk } = facts;
  return writeOpt(out, at, { udpSize: options.udpSizeMax, dnssecOk, rcode, extendedError });
}

function fail(
  query: Uint8Array,
  out: Uint8Array,
  options: AnswerOptions,
  rcode: number,
  extendedError: number,
): number {
  const at = writeHead(out, query, facts.questionEnd, flagsOf(options), rcode);
  return finish(out, at, options, rcode, extendedError);
}

/** Data that was written beforehand. */
function tell(
  view: ServedView,
  body: number,
  query: Uint8Array,
  out: Uint8Array,
  options: AnswerOptions,
): number {
  const rcode = view.words[body + bodyWords.rcode] ?? 0;
  const goesOn = view.words[body + bodyWords.leaves] === 1 && options.forwards;
  if (goesOn && ((query[2] ?? 0) & bits.RD) !== 0) return chainGoesOut;
  if (rcode === rcodes.SERVFAIL) return fail(query, out, options, rcode, none);
  const flags = flagsOf(options) | (bits.AA << 8);
  const start = writeHead(out, query, facts.questionEnd, flags, rcode);
  const end = roomFor(facts, options) - (facts.hasOpt ? optLength(none) : 0);
  return finish(out, putBody(view, body, out, start, end), options, rcode, none);
}

/** Nothing, and the zone's SOA, which says for how long (RFC 2308). */
function deny(
  view: ServedView,
  zone: number,
  query: Uint8Array,
  out: Uint8Array,
  options: AnswerOptions,
): number {
  const { words, bytes } = view;
  const flags = flagsOf(options) | (bits.AA << 8);
  const start = writeHead(out, query, facts.questionEnd, flags, rcodes.NOERROR);
  const size = words[zone + zoneWords.tailBytes] ?? 0;
  const from = (zone + zoneWords.count) * 4;
  for (let index = 0; index < size; index += 1) out[start + index] = bytes[from + index] ?? 0;
  const labels = words[zone + zoneWords.labels] ?? 0;
  const pointer = 0xc000 | (facts.labelStarts[facts.labelCount - labels] ?? headerBytes);
  write16(out, start, pointer);
  const first = words[zone + zoneWords.pointer1] ?? 0;
  const second = words[zone + zoneWords.pointer2] ?? 0;
  if (first !== 0) write16(out, start + first, pointer);
  if (second !== 0) write16(out, start + second, pointer);
  out[9] = 1;
  return finish(out, start + size, options, rcodes.NOERROR, none);
}

const versionNames = [nameFromText("version.bind"), nameFromText("version.server")];
const versionText = "switchyard dns-resolver";

/** The chaos class has one thing to tell: what answers here, and neither version nor host. */
function answerClass(query: Uint8Array, out: Uint8Array, options: AnswerOptions): number {
  const isVersion =
    facts.class === classes.CH &&
    (facts.type === types.TXT || facts.type === types.ANY) &&
    versionNames.some((name) => isAsked(query, name));
  if (!isVersion) return fail(query, out, options, rcodes.REFUSED, none);
  const at = writeHead(out, query, facts.questionEnd, flagsOf(options) | (bits.AA << 8), 0);
  write16(out, at, 0xc000 | headerBytes);
  write16(out, at + 2, types.TXT);
  write16(out, at + 4, classes.CH);
  write32(out, at + 6, 0);
  write16(out, at + 10, versionText.length + 1);
  out[at + 12] = versionText.length;
  for (let index = 0; index < versionText.length; index += 1) {
    out[at + 13 + index] = versionText.charCodeAt(index);
  }
  out[7] = 1;
  return finish(out, at + 13 + versionText.length, options, 0, none);
}

function isAsked(query: Uint8Array, name: Uint8Array): boolean {
  return name.every((byte, index) => byte === lowered(query[headerBytes + index] ?? 0));
}
