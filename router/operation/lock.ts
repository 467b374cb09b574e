/**
 * The lock that every operation on a cluster takes, as the machinery sees it: it knows neither how
 * it is held nor where. Of the places where it is held, one counts; acts there go over the very
 * session that holds it, so whoever has lost the lock can no longer act.
 */

export interface LockPurpose {
  /** Who takes it: a person and a host. */
  readonly holder: string;
  /** What for: `flip-db 4f1c`. */
  readonly why: string;
}

export interface LockHold {
  /** The session that holds it where it counts; null when that member does not run. */
  readonly session: string | null;
  /** Asks over the session itself, within the signal's time. Never throws: no answer is a no. */
  stillHeld(signal: AbortSignal): Promise<boolean>;
  /** The session that counts is open, and has answered within the last `ms`, to whatever question. */
  answeredWithin?(ms: number): boolean;
  /** Gives it back everywhere; a session that is gone has given it back already. */
  release(): Promise<void>;
}

/** `Target` says which members it is taken on. */
export interface Lock<Target> {
  /** @throws LockedError when another operation holds it, or what the connection throws */
  acquire(target: Target, purpose: LockPurpose, signal: AbortSignal): Promise<LockHold>;
  /** Who holds it now on any member that answers; null when nobody does. Left out: not known. */
  holder?(signal: AbortSignal): Promise<LockHolder | null>;
}

/** Who holds it, and since when (ISO 8601). */
export interface LockHolder extends LockPurpose {
  readonly since: string;
}

/** Where the 75 of a tool that hangs leads. */
const lockHelp = "if that tool hangs: docs/runbooks/flip-db.md";

/** Another operation holds the lock. */
export class LockedError extends Error {
  override readonly name = "LockedError";
  readonly code = "ERR_LOCKED";
  readonly holder: string;
  /** ISO 8601. */
  readonly since: string;
  readonly why: string;
  constructor(on: string, held: LockHolder) {
    super(`lock on ${on}: held by ${held.holder} since ${held.since} for ${held.why}; ${lockHelp}`);
    this.holder = held.holder;
    this.since = held.since;
    this.why = held.why;
  }
}

/**
 * Takes the lock of `purpose` anew. A session of our own that was lost lingers on the server for a
 * while: that is a lock that is gone, not one that somebody else has.
 * @throws LockLostError where our own lost session still has it; otherwise what `take` throws
 */
export async function relockAs<Hold extends LockHold>(
  purpose: LockPurpose,
  take: () => Promise<Hold>,
): Promise<Hold> {
  try {
    return await take();
  } catch (error) {
    const isOwn =
      error instanceof LockedError && error.holder === purpose.holder && error.why === purpose.why;
    throw isOwn ? new LockLostError(purpose.why) : error;
  }
}

/** What may be done only with the lock was not done, because the lock is gone. */
export class LockLostError extends Error {
  override readonly name = "LockLostError";
  readonly code = "ERR_LOCK_LOST";
  readonly step: string;
  constructor(step: string) {
    super(`${step}: the session that holds the lock is gone`);
    this.step = step;
  }
}
