/**
 * IP addresses as one text each: IPv6 as RFC 5952 writes it, IPv4-mapped IPv6 (RFC 4291, 2.5.5.2) as
 * the IPv4 address that it is; and their order, by number, IPv4 first.
 */
import { isIPv4, isIPv6 } from "node:net";

export interface Ip {
  readonly text: string;
  readonly family: 4 | 6;
  /** Sorts as the addresses do. */
  readonly order: string;
}

/** Reads an address without a scope; undefined for what is none. */
export function readIp(text: string): Ip | undefined {
  if (isIPv4(text)) return fromBytes(text.split(".").map(Number));
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const [head = "", tail] = text.split("::");
  const front = groups(head);
  const back = groups(tail ?? "");
  const all = [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
  const isMapped = all.slice(0, 5).every((group) => group === 0) && all[5] === 0xff_ff;
  return isMapped
    ? fromBytes(all.slice(6).flatMap((group) => [group >>> 8, group & 0xff]))
    : { text: written(all), family: 6, order: `6${all.map((one) => hex(one, 4)).join("")}` };
}

/** Negative, zero or positive as `left` stands before, with or behind `right`. */
export function compareIps(left: string, right: string): number {
  const [one, other] = [readIp(left)?.order ?? left, readIp(right)?.order ?? right];
  if (one === other) return 0;
  return one < other ? -1 : 1;
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");

function fromBytes(bytes: readonly number[]): Ip {
  return {
    text: bytes.join("."),
    family: 4,
    order: `4${bytes.map((one) => hex(one, 2)).join("")}`,
  };
}

function groups(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

/** The longest run of two or more zero groups, the first of equals, as `::` (RFC 5952, 4.2). */
function written(all: readonly number[]): string {
  let run = { at: 0, length: 1 };
  for (let at = 0; at < all.length; at += 1) {
    let length = 0;
    while (all[at + length] === 0) length += 1;
    if (length > run.length) run = { at, length };
  }
  const text = all.map((group) => group.toString(16));
  if (run.length < 2) return text.join(":");
  return `${text.slice(0, run.at).join(":")}::${text.slice(run.at + run.length).join(":")}`;
}
