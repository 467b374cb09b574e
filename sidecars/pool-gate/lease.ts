/**
 * The leases of one gate, as a pure state machine over values: at most one lease at a time, ended
 * by its holder, by time, or because its pause is gone. What a lease paused stays owed until it is
 * seen resumed, and a lease that has ended is remembered, so that who comes late is told why.
 * Times are of a clock that never goes back, in milliseconds.
 */
export interface LeaseTerms {
  readonly lease: string;
  readonly holder: string;
  readonly databases: readonly string[];
}

export interface Lease extends LeaseTerms {
  /** pausing: transactions are still ending; held: the pause has taken hold. */
  readonly phase: "pausing" | "held";
  /** While pausing, when that must be over; then, when the lease ends. */
  readonly until: number;
  /** How long the pause took to take hold; 0 while it has not. */
  readonly tookMs: number;
}

/** resumed: by its holder; expired: nobody renewed it; lost: the pause was gone; failed: it never took hold. */
export type LeaseEnd = "resumed" | "expired" | "lost" | "failed";

export interface EndedLease {
  readonly lease: string;
  readonly holder: string;
  readonly how: LeaseEnd;
  readonly why: string;
}

export interface LeaseBook {
  readonly current: Lease | null;
  /** Paused by a lease that has ended, and not yet seen resumed. */
  readonly owed: readonly string[];
  /** The latest last. */
  readonly ended: readonly EndedLease[];
}

export const emptyBook: LeaseBook = { current: null, owed: [], ended: [] };

const remembered = 100;

/** What a lease id is to the gate now. */
export type Standing =
  | { readonly is: "current"; readonly lease: Lease }
  | { readonly is: "ended"; readonly ended: EndedLease }
  | { readonly is: "unknown" };

/** Looks up a lease id. */
export function standingOf(book: LeaseBook, id: string): Standing {
  if (book.current?.lease === id) return { is: "current", lease: book.current };
  const ended = book.ended.findLast((one) => one.lease === id);
  return ended === undefined ? { is: "unknown" } : { is: "ended", ended };
}

/** Why no lease can begin now; undefined when one can. */
export function whyNot(book: LeaseBook): "held" | "owed" | undefined {
  if (book.current !== null) return "held";
  return book.owed.length > 0 ? "owed" : undefined;
}

/** A lease begins to pause; it must take hold before `until`. Nothing may be held or owed. */
export function beginLease(book: LeaseBook, terms: LeaseTerms, until: number): LeaseBook {
  return { ...book, current: { ...terms, phase: "pausing", until, tookMs: 0 } };
}

/** The pause of `id` has taken hold; from now its time to live counts. Another lease changes nothing. */
export function holdLease(
  book: LeaseBook,
  id: string,
  times: { readonly now: number; readonly ttlMs: number; readonly tookMs: number },
): LeaseBook {
  if (book.current?.lease !== id) return book;
  const { now, ttlMs, tookMs } = times;
  return { ...book, current: { ...book.current, phase: "held", until: now + ttlMs, tookMs } };
}

/** The lease `id` lives until `now + ttlMs`, unless its time is over already. */
export function renewLease(
  book: LeaseBook,
  id: string,
  times: { readonly now: number; readonly ttlMs: number },
): LeaseBook {
  const { current } = book;
  if (current?.lease !== id || current.phase !== "held" || isOver(book, times.now)) return book;
  return { ...book, current: { ...current, until: times.now + times.ttlMs } };
}

/** True when the current lease has come to the end of its time. */
export function isOver(book: LeaseBook, now: number): boolean {
  return book.current !== null && now >= book.current.until;
}

/**
 * The lease `id` ends; with `owes`, what it names may be paused and is owed. A lease that is not the
 * current one changes nothing.
 */
export function endLease(
  book: LeaseBook,
  id: string,
  end: { readonly how: LeaseEnd; readonly why: string; readonly owes: boolean },
): LeaseBook {
  const { current, owed, ended } = book;
  if (current?.lease !== id) return book;
  const { lease, holder, databases } = current;
  return {
    current: null,
    owed: end.owes ? [...new Set([...owed, ...databases])] : owed,
    ended: [...ended, { lease, holder, how: end.how, why: end.why }].slice(-remembered),
  };
}

/** What was owed is resumed. */
export function settle(book: LeaseBook, resumed: readonly string[]): LeaseBook {
  return { ...book, owed: book.owed.filter((one) => !resumed.includes(one)) };
}

/** A gate that starts again: what an earlier one had paused is owed, and its lease is lost. */
export function bookAfterRestart(left: LeaseTerms): LeaseBook {
  return endLease(beginLease(emptyBook, left, 0), left.lease, {
    how: "lost",
    why: "the gate was started again and resumed its databases",
    owes: true,
  });
}
