/**
 * How long each sort of step may take, and how often its effect is looked for. All in milliseconds.
 */

interface StepTimes {
  readonly deadlineMs: number;
  readonly lookEveryMs: number;
}

/** Between hold and release clients wait, so what lies there is looked at every few milliseconds. */
const often = 2;

/** What nobody waits for is looked at without haste. */
const seldom = 50;

export const stepTimes = {
  /** One exchange with a part that answers at once. */
  short: { deadlineMs: 5000, lookEveryMs: often },

  /** A file written and read back. */
  file: { deadlineMs: 5000, lookEveryMs: often },

  /** Writing the dirty buffers of a large primary. */
  checkpoint: { deadlineMs: 300_000, lookEveryMs: seldom },

  /** A transaction that runs longer is not waited for: the flip is called off. */
  hold: { deadlineMs: 2000, lookEveryMs: often },

  /** A shutdown cannot be taken back: a stuck walsender holds it for wal_sender_timeout (60 s). */
  shutdown: { deadlineMs: 120_000, lookEveryMs: often },

  /** What was sent before the shutdown ended is replayed in no time, or something is wrong. */
  prove: { deadlineMs: 5000, lookEveryMs: often },

  /** A restore_command may be slow; a promotion that was sent is waited for. */
  promote: { deadlineMs: 60_000, lookEveryMs: often },

  start: { deadlineMs: 60_000, lookEveryMs: seldom },

  /** Routers find out by their own checks: two in a row, over a slow line. */
  settle: { deadlineMs: 20_000, lookEveryMs: seldom },
} as const satisfies Readonly<Record<string, StepTimes>>;
