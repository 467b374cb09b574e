/**
 * Domain names in wire form (RFC 1035, 3.1 and 4.1.4): labels with their length before them and a zero
 * at the end. Names are compared on these bytes and never as dotted text, in which a label that holds
 * a dot would read as two. Case is that of ASCII alone (RFC 4343).
 */
import { headerBytes } from "./numbers.ts";

export const nameBytesMax = 255;
export const labelBytesMax = 63;
export const labelsMax = 127;
/** Pointers behind each other; no honest name needs more, since it has no more labels. */
const hopsMax = labelsMax;

/** A text that is no domain name. */
export class NameError extends Error {
  override readonly name = "NameError";
  readonly code = "ERR_DNS_NAME";
}

/** A byte as it counts in comparisons: A to Z as a to z. */
export function lowered(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

/**
 * A dotted name, with or without its last dot, in wire form and lower case. No escapes: a label is
 * letters, digits, hyphens and underscores. "" and "." are the root.
 * @throws NameError
 */
export function nameFromText(text: string): Uint8Array {
  const bare = text.endsWith(".") ? text.slice(0, -1) : text;
  const labels = bare === "" ? [] : bare.toLowerCase().split(".");
  const bytes = new Uint8Array(labels.reduce((sum, label) => sum + label.length + 1, 1));
  if (bytes.length > nameBytesMax) throw new NameError(`${text.slice(0, 300)}: longer than 253`);
  let at = 0;
  for (const label of labels) {
    if (!/^[a-z0-9_-]{1,63}$/.test(label)) throw new NameError(`${text}: wrong label "${label}"`);
    bytes[at] = label.length;
    for (let index = 0; index < label.length; index += 1) {
      bytes[at + 1 + index] = label.charCodeAt(index);
    }
    at += label.length + 1;
  }
  return bytes;
}

/** An uncompressed name as people read it (RFC 4343, 2.1): dots and odd bytes escaped, no last dot. */
export function nameToText(bytes: Uint8Array, offset = 0): string {
  let text = "";
  for (let at = offset; ;) {
    const size = bytes[at] ?? 0;
    if (size === 0 || size > labelBytesMax) return text === "" ? "." : text.slice(0, -1);
    for (const byte of bytes.subarray(at + 1, at + 1 + size)) text += escaped(byte);
    text += ".";
    at += size + 1;
  }
}

function escaped(byte: number): string {
  if (byte === 0x2e || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
  if (byte > 0x20 && byte < 0x7f) return String.fromCharCode(byte);
  return `\\${String(byte).padStart(3, "0")}`;
}

/** Where an uncompressed name at `offset` ends, in bytes with its zero; it must be well-formed. */
export function nameLength(bytes: Uint8Array, offset = 0): number {
  let at = offset;
  for (let size = bytes[at] ?? 0; size !== 0; size = bytes[at] ?? 0) at += size + 1;
  return at + 1 - offset;
}

/**
 * Steps over a name in a message of `end` bytes, compressed or not, without following pointers.
 * @returns the offset of the first byte after it, or -1 when it is malformed
 */
export function skipName(message: Uint8Array, offset: number, end: number): number {
  let at = offset;
  for (let labels = 0; labels <= labelsMax && at < end; labels += 1) {
    const size = message[at] ?? 0;
    if (size === 0) return at + 1;
    if (size >= 0xc0) return at + 2 <= end ? at + 2 : -1;
    if (size > labelBytesMax) return -1;
    at += size + 1;
  }
  return -1;
}

/**
 * Writes the name at `offset` of a message of `end` bytes into `into`, which takes `nameBytesMax`,
 * without compression and with its case; nameLength tells how long it is. Pointers must lead to before
 * the labels that they follow, not into the header, and not on and on (RFC 9267, 2).
 * @returns the offset of the first byte after it in the message, or -1 when it is malformed
 */
export function expandName(
  message: Uint8Array,
  offset: number,
  end: number,
  into: Uint8Array,
): number {
  let [at, limit, next, length, hops] = [offset, offset, -1, 0, 0];
  while (at < end) {
    const size = message[at] ?? 0;
    if (size >= 0xc0) {
      const target = ((size & 0x3f) << 8) | (message[at + 1] ?? 0);
      if (at + 2 > end || target >= limit || target < headerBytes || hops === hopsMax) return -1;
      if (next < 0) next = at + 2;
      hops += 1;
      at = target;
      limit = target;
      continue;
    }
    const after = at + size + 1;
    if (size > labelBytesMax || after > end || length + size + 1 > nameBytesMax) return -1;
    for (; at < after; at += 1, length += 1) into[length] = message[at] ?? 0;
    if (size === 0) return next < 0 ? at : next;
  }
  return -1;
}

/** A name that stood in a message. */
export interface ReadName {
  /** Without compression. */
  readonly wire: Uint8Array;
  /** The offset of the first byte after it in the message. */
  readonly next: number;
}

const scratch = new Uint8Array(nameBytesMax);

/** The name at `offset` of a message of `end` bytes, as expandName reads it; undefined: malformed. */
export function readName(message: Uint8Array, offset: number, end: number): ReadName | undefined {
  const next = expandName(message, offset, end, scratch);
  return next < 0 ? undefined : { wire: scratch.slice(0, nameLength(scratch)), next };
}

/** Whether two uncompressed names are the same, whatever their case. */
export function sameName(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && endsWithName(left, right);
}

/** Whether an uncompressed name is `ancestor` or lies below it, whatever the case of either. */
export function endsWithName(name: Uint8Array, ancestor: Uint8Array): boolean {
  let at = 0;
  while (name.length - at > ancestor.length) at += (name[at] ?? 0) + 1;
  if (name.length - at !== ancestor.length) return false;
  return ancestor.every((byte, index) => lowered(byte) === lowered(name[at + index] ?? 0));
}

/** A copy in lower case. Lengths are below 64, so that no byte of a name is mistaken for a letter. */
export function loweredName(name: Uint8Array): Uint8Array {
  return name.map(lowered);
}

/** An uncompressed name as the key of a map: one character a byte, in lower case. */
export function nameKey(name: Uint8Array): string {
  return String.fromCharCode(...loweredName(name));
}
