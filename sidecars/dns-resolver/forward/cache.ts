/**
 * What upstreams answered, kept for as long as they allow, and past that for the time when none of
 * them answers (RFC 2308, 8767, 9520). It is bounded by its bytes and by its number of entries; what
 * nobody has asked for again goes first.
 */
import type { ForwardLimits } from "./settings.ts";
import type { Stored } from "./stored.ts";

/** What a look into the cache finds. */
export type Found =
  | { readonly is: "fresh"; readonly stored: Stored; readonly age: number }
  | { readonly is: "failed"; readonly stale: Stored | undefined }
  | { readonly is: "missing"; readonly stale: Stored | undefined };

export type CacheBounds = Pick<
  ForwardLimits,
  "cacheBytesMax" | "cacheEntriesMax" | "staleMax" | "failureTtl" | "failureTtlMax"
>;

interface Entry {
  readonly stored: Stored | undefined;
  /** On the clock that never goes back, in milliseconds. */
  readonly cameAt: number;
  readonly failures: number;
  readonly failedUntil: number;
  readonly bytes: number;
  wasUsed: boolean;
}

/** What an entry takes beside its message: objects, key and offsets, roughly. */
const entryOverhead = 400;
const bytesPerRecord = 16;
/** So many second chances at a time: making room must not take long. */
const chancesMax = 64;
const missing: Found = { is: "missing", stale: undefined };

function bytesOf(key: string, stored: Stored | undefined): number {
  const answer =
    stored === undefined ? 0 : stored.bytes.length + stored.ends.length * bytesPerRecord;
  return entryOverhead + key.length + answer;
}

/** Times that it is given are in milliseconds of a clock that never goes back. */
export class Cache {
  readonly #bounds: CacheBounds;
  /** In the order in which they go. */
  readonly #entries = new Map<string, Entry>();
  /** Where the next to go stands: a new iterator would walk past all that has gone before. */
  #hand = this.#entries.entries();
  #bytes = 0;
  #evictions = 0;

  constructor(bounds: CacheBounds) {
    this.#bounds = bounds;
  }

  find(key: string, now: number): Found {
    const entry = this.#entries.get(key);
    if (entry === undefined) return missing;
    entry.wasUsed = true;
    const { stored, cameAt, failedUntil } = entry;
    const age = Math.floor((now - cameAt) / 1000);
    if (stored !== undefined && age < stored.ttl) return { is: "fresh", stored, age };
    const stale = this.#staleOf(entry, now);
    return { is: now < failedUntil ? "failed" : "missing", stale };
  }

  /** Keeps an answer. One without a TTL is not kept, and takes an older one with it. */
  keep(key: string, stored: Stored, now: number): void {
    if (stored.ttl === 0) {
      this.#drop(key);
      return;
    }
    const bytes = bytesOf(key, stored);
    this.#put(key, { stored, cameAt: now, failures: 0, failedUntil: 0, bytes, wasUsed: false });
  }

  /** Remembers that no upstream answered: longer each time in a row. */
  fail(key: string, now: number): void {
    const { failureTtl, failureTtlMax } = this.#bounds;
    const old = this.#entries.get(key);
    const failures = (old?.failures ?? 0) + 1;
    const seconds = Math.min(failureTtl * 2 ** (failures - 1), failureTtlMax);
    const stored = old === undefined ? undefined : this.#staleOf(old, now);
    this.#put(key, {
      stored,
      cameAt: old?.cameAt ?? now,
      failures,
      failedUntil: now + seconds * 1000,
      bytes: bytesOf(key, stored),
      wasUsed: old?.wasUsed ?? false,
    });
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  size(): { readonly entries: number; readonly bytes: number; readonly evictions: number } {
    return { entries: this.#entries.size, bytes: this.#bytes, evictions: this.#evictions };
  }

  #staleOf({ stored, cameAt }: Entry, now: number): Stored | undefined {
    if (stored === undefined) return undefined;
    return now - cameAt < (stored.ttl + this.#bounds.staleMax) * 1000 ? stored : undefined;
  }

  #put(key: string, entry: Entry): void {
    this.#drop(key);
    this.#entries.set(key, entry);
    this.#bytes += entry.bytes;
    if (this.#isOver()) this.#makeRoom();
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }

  #isOver(): boolean {
    const { cacheBytesMax, cacheEntriesMax } = this.#bounds;
    return this.#bytes > cacheBytesMax || this.#entries.size > cacheEntriesMax;
  }

  #makeRoom(): void {
    let chances = chancesMax;
    while (this.#isOver()) {
      const { done, value } = this.#hand.next();
      if (done === true) {
        this.#hand = this.#entries.entries();
        continue;
      }
      const [key, entry] = value;
      this.#entries.delete(key);
      if (entry.wasUsed && chances > 0) {
        // A second chance, at the end of the order.
        chances -= 1;
        entry.wasUsed = false;
        this.#entries.set(key, entry);
      } else {
        this.#bytes -= entry.bytes;
        this.#evictions += 1;
      }
    }
  }
}
