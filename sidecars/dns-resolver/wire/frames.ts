/**
 * Messages in a stream (RFC 1035, 4.2.2; RFC 7766, 8): two bytes of length before each. What has not
 * come whole yet is kept; so is what the taker does not want yet.
 */
import { read16 } from "./message.ts";

const firstBytes = 512;

export class FrameReader {
  #held = new Uint8Array(0);
  #start = 0;
  #end = 0;

  /** Bytes that were kept. */
  get kept(): number {
    return this.#end - this.#start;
  }

  /**
   * Takes what came and hands over each message that is whole, in order; the bytes are the reader's,
   * until the taker returns. A taker that returns false has not taken it: `push` of nothing tries again.
   */
  push(chunk: Uint8Array, take: (message: Uint8Array) => boolean): void {
    if (this.kept > 0) {
      this.#keep(chunk);
      this.#start += eachFrame(this.#held.subarray(this.#start, this.#end), take);
      if (this.#start === this.#end) this.#forget();
      return;
    }
    const used = eachFrame(chunk, take);
    if (used < chunk.length) this.#keep(chunk.subarray(used));
  }

  #keep(chunk: Uint8Array): void {
    const needed = this.kept + chunk.length;
    if (this.#end + chunk.length > this.#held.length) {
      // Doubled, so that a message that comes byte by byte is not copied for every byte.
      const grown = new Uint8Array(Math.max(firstBytes, 2 * needed));
      grown.set(this.#held.subarray(this.#start, this.#end));
      this.#end -= this.#start;
      this.#start = 0;
      this.#held = grown;
    }
    this.#held.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  #forget(): void {
    this.#held = new Uint8Array(0);
    this.#start = 0;
    this.#end = 0;
  }
}

function eachFrame(bytes: Uint8Array, take: (message: Uint8Array) => boolean): number {
  let at = 0;
  while (at + 2 <= bytes.length) {
    const end = at + 2 + read16(bytes, at);
    if (end > bytes.length || !take(bytes.subarray(at + 2, end))) break;
    at = end;
  }
  return at;
}
