/** Replies of upstreams as bytes, whole or wrong on purpose, built without the resolver's own code. */
import { wireName } from "./message-kit.ts";
import type { Ask } from "./message-kit.ts";

export interface Rr {
  /** Dotted, or bytes; "@" points to the question's name. */
  readonly name: Ask["name"];
  readonly type: number;
  readonly class?: number;
  readonly ttl?: number;
  readonly data: readonly number[];
  /** Where it is not the data's length. */
  readonly length?: number;
}

export interface ReplyWords {
  readonly rcode?: number;
  /** More bits of the two bytes of flags, such as TC 0x200 and AD 0x20. */
  readonly bits?: number;
  readonly answer?: readonly Rr[];
  readonly authority?: readonly Rr[];
  readonly additional?: readonly Rr[];
  /** Counts of answer, authority and additional, where they are not what stands there. */
  readonly counts?: readonly [number, number, number];
  /** The question's bytes, where they are not those of the query; empty: none. */
  readonly question?: Uint8Array;
}

const two = (value: number): number[] => [(value >>> 8) & 255, value & 255];
const four = (value: number): number[] => [...two(value >>> 16), ...two(value & 0xffff)];

/** Where the question of a message ends. */
export function questionEnd(message: Uint8Array): number {
  let at = 12;
  while ((message[at] ?? 0) > 0) at += (message[at] ?? 0) + 1;
  return at + 5;
}

/** The bytes of the question of a message. */
export function questionBytes(message: Uint8Array): Uint8Array {
  return message.subarray(12, questionEnd(message));
}

/** The question's name as text, in lower case. */
export function askedName(message: Uint8Array): string {
  const labels: string[] = [];
  for (let at = 12; (message[at] ?? 0) > 0; at += (message[at] ?? 0) + 1) {
    labels.push(
      Buffer.from(message.subarray(at + 1, at + 1 + (message[at] ?? 0))).toString("latin1"),
    );
  }
  return labels.join(".").toLowerCase();
}

/** The type that a message asks for. */
export function askedType(message: Uint8Array): number {
  return Buffer.from(message).readUInt16BE(questionEnd(message) - 4);
}

function rrBytes(rr: Rr): number[] {
  const { name, type, class: its = 1, ttl = 300, data, length = data.length } = rr;
  const owner = name === "@" ? [0xc0, 12] : wireName(name);
  return [...owner, ...two(type), ...two(its), ...four(ttl), ...two(length), ...data];
}

/** The reply to a query: its id and its question, as they came. */
export function replyBytes(query: Uint8Array, words: ReplyWords): Uint8Array {
  const { rcode = 0, bits = 0, answer = [], authority = [], additional = [] } = words;
  const question = words.question ?? questionBytes(query);
  const counts = words.counts ?? [answer.length, authority.length, additional.length];
  return Uint8Array.from([
    ...query.subarray(0, 2),
    ...two(0x8180 | bits | rcode),
    ...two(question.length === 0 ? 0 : 1),
    ...counts.flatMap(two),
    ...question,
    ...[...answer, ...authority, ...additional].flatMap(rrBytes),
  ]);
}

export const a = (name: Ask["name"], ip: string, ttl = 300): Rr => ({
  name,
  type: 1,
  ttl,
  data: ip.split(".").map(Number),
});

export const cname = (name: Ask["name"], target: Ask["name"], ttl = 300): Rr => ({
  name,
  type: 5,
  ttl,
  data: wireName(target),
});

/** An SOA record with this MINIMUM. */
export const soa = (name: string, ttl: number, minimum: number): Rr => ({
  name,
  type: 6,
  ttl,
  data: [
    ...wireName(`ns.${name}`),
    ...wireName(`root.${name}`),
    ...[1, 7200, 900, 86_400, minimum].flatMap(four),
  ],
});

/** An OPT record as an upstream sends it; `upper` are the upper bits of the response code. */
export const opt = (upper = 0): Rr => ({
  name: "",
  type: 41,
  class: 1232,
  ttl: upper * 0x100_0000,
  data: [],
});
