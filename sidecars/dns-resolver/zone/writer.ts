/**
 * Memory that grows while an image is written: words and bytes over one buffer that threads share.
 * What is written is addressed by words, four bytes each.
 */
export class ImageWriter {
  bytes: Uint8Array<SharedArrayBuffer>;
  words: Int32Array<SharedArrayBuffer>;
  #used: number;

  /** Begins with `headWords` words of 0; `expected` bytes are there from the start. */
  constructor(headWords: number, expected: number) {
    const buffer = new SharedArrayBuffer(Math.max(4096, Math.ceil(expected / 4) * 4));
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.#used = headWords;
  }

  /** Words written so far. */
  get used(): number {
    return this.#used;
  }

  /** Makes room for `count` words behind what is there. @returns the first one */
  take(count: number): number {
    const first = this.#used;
    this.#used += count;
    const needed = this.#used * 4;
    if (needed > this.bytes.length) {
      const buffer = new SharedArrayBuffer(Math.max(needed, this.bytes.length * 2));
      const grown = new Uint8Array(buffer);
      grown.set(this.bytes);
      this.bytes = grown;
      this.words = new Int32Array(buffer);
    }
    return first;
  }

  /** Writes numbers into words from `word` on. */
  putWords(word: number, values: readonly number[]): void {
    for (let index = 0; index < values.length; index += 1) {
      this.words[word + index] = values[index] ?? 0;
    }
  }

  /** Writes bytes behind what is there, up to a whole word. @returns the first word */
  putBytes(source: Uint8Array): number {
    const word = this.take((source.length + 3) >> 2);
    this.bytes.set(source, word * 4);
    return word;
  }

  /** Characters of one byte each, then a zero: a name. @returns the first word */
  putName(labels: string): number {
    const word = this.take((labels.length + 4) >> 2);
    for (let at = 0; at < labels.length; at += 1) this.bytes[word * 4 + at] = labels.charCodeAt(at);
    return word;
  }

  /**
   * What was written, in memory that threads share: where it fills most of its buffer that itself,
   * else a copy.
   */
  share(): SharedArrayBuffer {
    const size = this.#used * 4;
    if (size > this.bytes.length / 2) return this.bytes.buffer;
    const image = new SharedArrayBuffer(size);
    new Uint8Array(image).set(this.bytes.subarray(0, size));
    return image;
  }
}
