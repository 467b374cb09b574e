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
  /** The session that counts has answered within the last `ms`, to whatever question. */
  answeredWithin?(ms: number): boolean;
  /** Gives it back everywhere; a session that is gone has given it back already. */
  release(): Promise<void>;
}

/** `Target` says which members it is taken on. */
export interface Lock<Target> {
  /** @throws LockedError when another operation holds it, or what the connection throws */
  acquire(target: Target, purpose: LockPurpose, signal: AbortSignal): Promise<LockHold>;
}

/** Another operation holds the lock. */
export class LockedError extends Error {
  override readonly name = "LockedError";
  readonly code = "ERR_LOCKED";
  readonly holder: string;
  /** ISO 8601. */
  readonly since: string;
  readonly why: string;
  constructor(on: string, held: LockPurpose & { readonly since: string }) {
    super(`lock on ${on}: held by ${held.holder} since ${held.since} for ${held.why}`);
    this.holder = held.holder;
    this.since = held.since;
    this.why = held.why;
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
