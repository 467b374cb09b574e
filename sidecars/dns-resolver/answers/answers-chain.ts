/**
 * Chains of names that begin in the zone and leave it: stubs do not follow them by themselves, so what
 * the last name leads to is asked of an upstream and put behind the zone's own records.
 */
import { roomFor } from "./answers.ts";
import type { AnswerOptions } from "./answers.ts";
import { putBody } from "./answers-body.ts";
import { findBody, findClosest, missingLabels } from "./answers-find.ts";
import {
  newQueryFacts,
  optLength,
  read16,
  readQuery,
  skipRecord,
  write16,
  writeHead,
  writeOpt,
} from "../wire/message.ts";
import type { QueryFacts } from "../wire/message.ts";
import { nameLength, readName, sameName, skipName } from "../wire/names.ts";
import { bits, extendedErrors, rcodes } from "../wire/numbers.ts";
import { bodyWords } from "../zone/served.ts";
import type { ServedView } from "../zone/served.ts";

/** The zone's part of the answer, and what is to be asked. */
export interface OpenChain {
  /** Header, question and the zone's records, without OPT. */
  readonly message: Uint8Array;
  /** Uncompressed. */
  readonly target: Uint8Array;
  /** Where it stands in the message. */
  readonly targetAt: number;
  readonly facts: QueryFacts;
}

const chainFlags = bits.RA | (bits.AA << 8);
const chainBytesMax = 16_384;

/** The chain that `answer` told of with `chainGoesOut`; undefined when the zone has changed since. */
export function openChain(view: ServedView, query: Uint8Array): OpenChain | undefined {
  const facts = newQueryFacts();
  if (!readQuery(query, query.length, facts)) return undefined;
  const node = findClosest(view, query, facts);
  if (node === 0 || missingLabels() > 0) return undefined;
  const body = findBody(view, node, facts.type);
  if (body === 0 || view.words[body + bodyWords.leaves] !== 1) return undefined;
  const out = new Uint8Array(chainBytesMax);
  const start = writeHead(out, query, facts.questionEnd, chainFlags, rcodes.NOERROR);
  const message = out.slice(0, putBody(view, body, out, start, out.length));
  const targetAt = lastTarget(message, start);
  const target = readName(message, targetAt, message.length)?.wire;
  return target === undefined ? undefined : { message, target, targetAt, facts };
}

function lastTarget(message: Uint8Array, start: number): number {
  let last = start;
  for (let at = start; at >= 0 && at < message.length;) {
    last = at;
    at = skipRecord(message, at, message.length);
  }
  return skipName(message, last, message.length) + 10;
}

/** A record of the target itself points to it, so that it has the case in which the zone has it. */
function pointed(chain: OpenChain, record: Uint8Array): Uint8Array {
  const size = nameLength(record);
  if (!sameName(record.subarray(0, size), chain.target)) return record;
  const { targetAt } = chain;
  return Uint8Array.from([0xc0 | (targetAt >>> 8), targetAt & 0xff, ...record.subarray(size)]);
}

/**
 * The whole answer to the query of an open chain. `found` is what the target leads to; undefined: no
 * upstream told, and the answer is SERVFAIL.
 */
export function closeChain(
  chain: OpenChain,
  found: { readonly rcode: number; readonly records: readonly Uint8Array[] } | undefined,
  options: AnswerOptions,
): Uint8Array {
  const { message, facts } = chain;
  const isLost = found === undefined || found.rcode === rcodes.SERVFAIL;
  const error = isLost ? extendedErrors.noReachableAuthority : extendedErrors.none;
  const rcode = isLost ? rcodes.SERVFAIL : found.rcode;
  const end = roomFor(facts, options) - (facts.hasOpt ? optLength(error) : 0);
  const begun = isLost ? message.subarray(0, facts.questionEnd) : message;
  const parts = isLost ? [] : found.records.map((record) => pointed(chain, record));
  const total = parts.reduce((sum, one) => sum + one.length, begun.length);
  const out = new Uint8Array(Math.max(total, facts.questionEnd) + optLength(error));
  out.set(begun.subarray(0, out.length));
  if (isLost) {
    out.fill(0, 6, 12);
    out[2] = (out[2] ?? 0) & ~bits.AA;
  }
  out[3] = ((out[3] ?? 0) & 0xf0) | (rcode & 15);
  let at = begun.length;
  if (at > end) return cutToQuestion(out, chain, options);
  let count = read16(out, 6);
  for (const part of parts) {
    if (at + part.length > end) {
      out[2] = (out[2] ?? 0) | bits.TC;
      break;
    }
    out.set(part, at);
    at += part.length;
    count += 1;
  }
  write16(out, 6, count);
  return out.subarray(0, finish(out, at, chain, options, { rcode, error }));
}

/** Not even the zone's own links fit. */
function cutToQuestion(out: Uint8Array, chain: OpenChain, options: AnswerOptions): Uint8Array {
  out[2] = (out[2] ?? 0) | bits.TC;
  out.fill(0, 6, 12);
  const end = { rcode: rcodes.NOERROR, error: extendedErrors.none };
  return out.subarray(0, finish(out, chain.facts.questionEnd, chain, options, end));
}

function finish(
  out: Uint8Array,
  at: number,
  chain: OpenChain,
  options: AnswerOptions,
  end: { readonly rcode: number; readonly error: number },
): number {
  const { hasOpt, dnssecOk } = chain.facts;
  if (!hasOpt) return at;
  const { rcode, error: extendedError } = end;
  return writeOpt(out, at, { udpSize: options.udpSizeMax, dnssecOk, rcode, extendedError });
}
