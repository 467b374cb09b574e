/**
 * Questions as bytes, whole or wrong on purpose, and answers as lines of text. Answers are read by
 * dns-packet, which shares nothing with the resolver.
 */
import { decode } from "dns-packet";
import type { Answer, DecodedPacket } from "dns-packet";

/** A question; everything but name and type has its usual value. */
export interface Ask {
  /** Dotted; or the bytes of a name in wire form. */
  readonly name: string | readonly number[];
  readonly type: number;
  readonly class?: number;
  readonly id?: number;
  readonly opcode?: number;
  readonly rd?: boolean;
  /** More bits of the two bytes of flags. */
  readonly bits?: number;
  readonly edns?: EdnsAsk;
  /** Bytes behind the message. */
  readonly behind?: readonly number[];
  /** Counts of answer, authority and additional, where they are not what stands there. */
  readonly counts?: readonly [number, number, number];
}

export interface EdnsAsk {
  readonly size: number;
  readonly version?: number;
  /** The sixteen bits behind the version: DO is the first. */
  readonly z?: number;
  readonly options?: readonly number[];
}

export const types = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  ANY: 255,
};

const two = (value: number): number[] => [(value >>> 8) & 255, value & 255];

/** A name in wire form. */
export function wireName(name: Ask["name"]): number[] {
  if (typeof name !== "string") return [...name];
  const labels = name.split(".").filter((label) => label !== "");
  return [...labels.flatMap((label) => [label.length, ...Buffer.from(label, "latin1")]), 0];
}

/** The OPT record of a question. */
export function optBytes(edns: EdnsAsk): number[] {
  const { size, version = 0, z = 0, options = [] } = edns;
  return [0, ...two(41), ...two(size), 0, version, ...two(z), ...two(options.length), ...options];
}

/** The message of a question. */
export function askBytes(ask: Ask): Uint8Array {
  const { id = 0x1234, opcode = 0, rd = true, bits = 0, behind = [] } = ask;
  const counts = ask.counts ?? [0, 0, ask.edns === undefined ? 0 : 1];
  const flags = (opcode << 11) | (rd ? 0x100 : 0) | bits;
  return Uint8Array.from([
    ...[...two(id), ...two(flags), ...two(1), ...counts.flatMap(two)],
    ...[...wireName(ask.name), ...two(ask.type), ...two(ask.class ?? 1)],
    ...(ask.edns === undefined ? [] : optBytes(ask.edns)),
    ...behind,
  ]);
}

/** An answer as the tests compare it. Records are `name ttl type data`; OPT records stand apart. */
export interface Told {
  readonly rcode: string;
  /** Of aa tc rd ra ad cd those that are set, in this order. */
  readonly flags: string;
  readonly answer: readonly string[];
  readonly authority: readonly string[];
  readonly additional: readonly string[];
  /** `size`, `do` where set, `ede N`, `bits N`, `version N` where not 0; undefined without OPT. */
  readonly edns: string | undefined;
}

/** Reads an answer. */
export function tell(bytes: Uint8Array): Told {
  const packet = decode(Buffer.from(bytes));
  const opt = packet.additionals?.find((one) => one.type === "OPT");
  const others = packet.additionals?.filter((one) => one.type !== "OPT");
  const upper = opt?.type === "OPT" ? (opt.extendedRcode ?? 0) : 0;
  return {
    rcode: upper === 1 && rcodeOf(packet) === "NOERROR" ? "BADVERS" : rcodeOf(packet),
    flags: flagsOf(packet),
    answer: (packet.answers ?? []).map(lineOf),
    authority: (packet.authorities ?? []).map(lineOf),
    additional: (others ?? []).map(lineOf),
    edns: opt?.type === "OPT" ? ednsOf(bytes) : undefined,
  };
}

function rcodeOf(packet: DecodedPacket): string {
  return (packet as unknown as { rcode: string }).rcode;
}

function flagsOf(packet: DecodedPacket): string {
  const flags: [boolean, string][] = [
    [packet.flag_aa, "aa"],
    [packet.flag_tc, "tc"],
    [packet.flag_rd, "rd"],
    [packet.flag_ra, "ra"],
    [packet.flag_ad, "ad"],
    [packet.flag_cd, "cd"],
  ];
  return flags.flatMap(([isSet, name]) => (isSet ? [name] : [])).join(" ");
}

function lineOf(record: Answer): string {
  const { name, type } = record;
  const ttl = "ttl" in record ? record.ttl : 0;
  return `${name} ${ttl} ${type} ${dataOf(record)}`;
}

function dataOf(record: Answer): string {
  if (record.type === "SOA") {
    const { mname, rname, serial, refresh, retry, expire, minimum } = record.data;
    return [mname, rname, serial, refresh, retry, expire, minimum].join(" ");
  }
  if (record.type === "SRV") {
    const { priority, weight, port, target } = record.data;
    return [priority, weight, port, target].join(" ");
  }
  if (record.type === "TXT") return String(record.data);
  return "data" in record && typeof record.data === "string" ? record.data : "";
}

/** dns-packet knows no extended errors: the OPT record stands last, and is read here. */
function ednsOf(bytes: Uint8Array): string {
  const lengths = [11, 17];
  const at = lengths
    .map((length) => bytes.length - length)
    .find((start) => bytes[start] === 0 && bytes[start + 1] === 0 && bytes[start + 2] === 41);
  if (at === undefined) return "is not the last record";
  const view = Buffer.from(bytes.subarray(at));
  const z = view.readUInt16BE(7);
  const words = [
    String(view.readUInt16BE(3)),
    ...(view[6] === 0 ? [] : [`version ${view[6]}`]),
    ...((z & 0x8000) === 0 ? [] : ["do"]),
    ...((z & 0x7fff) === 0 ? [] : [`bits ${z & 0x7fff}`]),
    ...(view.length === 17 ? [`ede ${view.readUInt16BE(15)}`] : []),
  ];
  return words.join(" ");
}
