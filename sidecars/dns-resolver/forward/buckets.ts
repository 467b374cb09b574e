/**
 * How many questions each client may have sent on: a bucket of tokens for each address, of which one
 * is taken for a question and so many come back a second. Answers that are kept cost none.
 */

export interface Buckets {
  /** Takes a token of this client; false when it has none left. `now` in milliseconds. */
  take(address: string, now: number): boolean;
  size(): number;
}

export interface BucketBounds {
  /** Tokens that come back in a second. */
  readonly perSecond: number;
  /** Tokens that a bucket holds. */
  readonly burst: number;
  /** Clients that are remembered; the one longest known is forgotten first. */
  readonly clientsMax: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Buckets that are all full. */
export function createBuckets(bounds: BucketBounds): Buckets {
  const { perSecond, burst, clientsMax } = bounds;
  const buckets = new Map<string, Bucket>();
  /** Where the oldest stands: a new iterator would walk past all that has gone before. */
  let hand = buckets.keys();
  const bucketOf = (address: string, now: number): Bucket => {
    const known = buckets.get(address);
    if (known !== undefined) return known;
    if (buckets.size >= clientsMax) {
      let oldest = hand.next();
      if (oldest.done === true) oldest = (hand = buckets.keys()).next();
      buckets.delete(oldest.value ?? "");
    }
    const bucket = { tokens: burst, at: now };
    buckets.set(address, bucket);
    return bucket;
  };
  return {
    take: (address, now) => {
      const bucket = bucketOf(address, now);
      const back = (Math.max(0, now - bucket.at) * perSecond) / 1000;
      bucket.tokens = Math.min(burst, bucket.tokens + back);
      bucket.at = now;
      if (bucket.tokens < 1) return false;
      bucket.tokens -= 1;
      return true;
    },
    size: () => buckets.size,
  };
}
