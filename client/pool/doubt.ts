/**
 * Doubt about a sign that a server is not what it was: the sign may have another cause. Where a server
 * was left for it and the same one passes again, the sign is not believed for a while, longer each
 * time; after a real change it is believed at once.
 */

export interface DoubtOptions<A> {
  isSame(one: A, other: A): boolean;
  /** Monotonic milliseconds. */
  now(): number;
}

const firstQuietMs = 10_000;
const longestQuietMs = 300_000;

export class Doubt<A> {
  readonly #options: DoubtOptions<A>;
  #quietMs = 0;
  #quietUntil = Number.NEGATIVE_INFINITY;
  #left: A | undefined;

  constructor(options: DoubtOptions<A>) {
    this.#options = options;
  }

  /** True while the sign is not to be believed. */
  get isQuiet(): boolean {
    return this.#options.now() < this.#quietUntil;
  }

  /** A server was left for the sign. */
  left(address: A | undefined): void {
    this.#left = address;
  }

  /** A server passed. */
  passed(address: A): void {
    const left = this.#left;
    if (left === undefined) return;
    this.#left = undefined;
    const isSame = this.#options.isSame(left, address);
    this.#quietMs = isSame
      ? Math.min(Math.max(this.#quietMs * 2, firstQuietMs), longestQuietMs)
      : 0;
    this.#quietUntil = isSame ? this.#options.now() + this.#quietMs : Number.NEGATIVE_INFINITY;
  }
}
