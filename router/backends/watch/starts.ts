/**
 * How lookups begin: a burst of them one after another, since name servers drop what overflows their
 * socket. A place is given back after a moment even when its lookup has not ended, so that names that
 * never answer delay nobody for longer than that.
 */
import type { Clock } from "../../../kit/clock.ts";
import type { Schedule } from "./schedule.ts";

export interface Starts {
  /**
   * Calls `begin` when there is a place for it, at once if there is one.
   * @returns what gives the place back, or takes the wish back; once more does nothing
   */
  begin(begin: () => void): () => void;
}

/** So many lookups at once that are younger than `youngMs`. */
const startsAtOnce = 64;
const youngMs = 100;

interface Wish {
  readonly begin: () => void;
  beganMs: number;
}

/** Starts that nobody has taken yet. */
export function createStarts(schedule: Schedule, clock: Clock): Starts {
  // In the order in which they came: a Set keeps it, and forgets one without a search.
  const waiting = new Set<Wish>();
  const young = new Set<Wish>();
  let look: { cancel(): void } | undefined;
  const letOldGo = (): void => {
    const oldest = clock.monotonic() - youngMs;
    for (const wish of young) {
      if (wish.beganMs > oldest) break;
      young.delete(wish);
    }
  };
  const fill = (): void => {
    for (const wish of waiting) {
      if (young.size >= startsAtOnce) letOldGo();
      if (young.size >= startsAtOnce) break;
      waiting.delete(wish);
      young.add(wish);
      wish.beganMs = clock.monotonic();
      wish.begin();
    }
    look?.cancel();
    look = undefined;
    const [first] = young;
    // Only while somebody waits: a place that nobody wants needs no moment at which it is free.
    if (waiting.size > 0 && first !== undefined) {
      look = schedule.at(first.beganMs + youngMs, fill);
    }
  };
  return {
    begin: (begin) => {
      const wish: Wish = { begin, beganMs: 0 };
      waiting.add(wish);
      fill();
      return () => {
        waiting.delete(wish);
        if (young.delete(wish) || waiting.size === 0) fill();
      };
    },
  };
}
