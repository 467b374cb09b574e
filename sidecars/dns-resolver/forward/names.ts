/** The keys that names and questions are kept by: one character a byte, the name in lower case. */
import { expandName, lowered, nameBytesMax, nameLength } from "../wire/names.ts";

const scratch = Buffer.allocUnsafe(nameBytesMax + 8);

/** Reads the key of the name at `at` of a message, and where it ends. Undefined for what is no name. */
export function readKey(
  message: Uint8Array,
  at: number,
): { readonly key: string; readonly next: number } | undefined {
  const next = expandName(message, at, message.length, scratch);
  if (next < 0) return undefined;
  const length = nameLength(scratch);
  for (let index = 0; index < length; index += 1) scratch[index] = lowered(scratch[index] ?? 0);
  return { key: scratch.toString("latin1", 0, length), next };
}

/**
 * What a question is known by: name, type and class, and the flags that change its answer. Only the
 * name is in lower case: type 65 is another than type 97.
 */
export function questionKey(question: Uint8Array, flags: number): string {
  const { length } = question;
  const nameEnd = length - 4;
  for (let index = 0; index < length; index += 1) {
    const byte = question[index] ?? 0;
    scratch[index] = index < nameEnd ? lowered(byte) : byte;
  }
  scratch[length] = flags;
  return scratch.toString("latin1", 0, length + 1);
}

/** True when the name of one key is that of the other or lies below it. */
export function isWithin(key: string, zone: string): boolean {
  for (let at = 0; at < key.length; at += key.charCodeAt(at) + 1) {
    if (key.length - at === zone.length) return key.endsWith(zone);
    if (key.length - at < zone.length) return false;
  }
  return false;
}
