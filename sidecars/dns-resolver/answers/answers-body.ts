/**
 * Copies a body that was written beforehand behind the question: whole, with its records taking turns,
 * or as many whole records as fit (RFC 2181, 9).
 */
import { skipRecord, write16 } from "../wire/message.ts";
import { bits } from "../wire/numbers.ts";
import { bodyWords } from "../zone/served.ts";
import type { ServedView } from "../zone/served.ts";

/** Longer runs of bytes are copied by the engine, which costs an object. */
const byHandMax = 192;
const scratch = new Uint8Array(65_535);

function copy(from: Uint8Array, start: number, count: number, out: Uint8Array, at: number): void {
  if (count > byHandMax) {
    out.set(from.subarray(start, start + count), at);
    return;
  }
  for (let index = 0; index < count; index += 1) out[at + index] = from[start + index] ?? 0;
}

/**
 * Writes the body behind the question that ends at `at`, with its counts in the header; what does not
 * fit below `end` is left out, and TC is set where it is missed. @returns the new end
 */
export function putBody(
  view: ServedView,
  body: number,
  out: Uint8Array,
  at: number,
  end: number,
): number {
  const { words } = view;
  const size = words[body + bodyWords.bytes] ?? 0;
  if (at + size > end) return putPart(view, body, out, at, end);
  putWhole(view, body, out, at);
  write16(out, 6, words[body + bodyWords.answers] ?? 0);
  write16(out, 8, words[body + bodyWords.authorities] ?? 0);
  write16(out, 10, words[body + bodyWords.additionals] ?? 0);
  return at + size;
}

function putWhole(view: ServedView, body: number, out: Uint8Array, at: number): void {
  const { words, bytes } = view;
  const start = (body + bodyWords.count) * 4;
  const size = words[body + bodyWords.bytes] ?? 0;
  const count = words[body + bodyWords.turnCount] ?? 0;
  if (count === 0) {
    copy(bytes, start, size, out, at);
    return;
  }
  const turn = words[body + bodyWords.turn] ?? 0;
  // Threads that count at once may give one turn twice: no harm.
  words[body + bodyWords.turn] = turn + 1 < count ? turn + 1 : 0;
  const before = words[body + bodyWords.turnStart] ?? 0;
  const each = words[body + bodyWords.turnBytes] ?? 0;
  const [passed, left] = [turn * each, (count - turn) * each];
  const after = before + count * each;
  copy(bytes, start, before, out, at);
  copy(bytes, start + before + passed, left, out, at + before);
  copy(bytes, start + before, passed, out, at + before + left);
  copy(bytes, start + after, size - after, out, at + after);
}

function putPart(
  view: ServedView,
  body: number,
  out: Uint8Array,
  start: number,
  end: number,
): number {
  const size = view.words[body + bodyWords.bytes] ?? 0;
  putWhole(view, body, scratch, start);
  const sections = [bodyWords.answers, bodyWords.authorities, bodyWords.additionals];
  let at = start;
  let isFull = false;
  for (const [index, section] of sections.entries()) {
    const count = view.words[body + section] ?? 0;
    const wanted = isFull ? 0 : count;
    let kept = 0;
    for (; kept < wanted; kept += 1) {
      const next = skipRecord(scratch, at, start + size);
      if (next > end || next < 0) break;
      at = next;
    }
    write16(out, 6 + 2 * index, kept);
    if (kept === count) continue;
    isFull = true;
    // Nobody misses what is additional.
    if (section !== bodyWords.additionals) out[2] = (out[2] ?? 0) | bits.TC;
  }
  copy(scratch, start, at - start, out, start);
  return at;
}
