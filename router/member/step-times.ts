/**
 * How long each sort of step may take, and how often its effect is looked for. All in milliseconds.
 */

interface StepTimes {
  readonly deadlineMs: number;
  readonly lookEveryMs: number;
}

/** Between hold and release clients wait, so what lies there is looked at every millisecond. */
const often = 1;

/** What nobody waits for is looked at without haste. */
const seldom = 50;

export const stepTimes = {
  /** One exchange with a part that answers at once. */
  short: { deadlineMs: 5000, lookEveryMs: often },

  /** A file written and read back. */
  file: { deadlineMs: 5000, lookEveryMs: often },

  /** Writing the dirty buffers of a large primary. */
  checkpoint: { deadlineMs: 300_000, lookEveryMs: seldom },

  /** The gates keep the environment's flip.holdDeadline (a minute at most); this one is behind it. */
  hold: { deadlineMs: 65_000, lookEveryMs: often },

  /** A shutdown cannot be taken back: a stuck walsender holds it for wal_sender_timeout (60 s). */
  shutdown: { deadlineMs: 120_000, lookEveryMs: often },

  /** What was sent before the shutdown ended is replayed in no time, or something is wrong. */
  prove: { deadlineMs: 5000, lookEveryMs: often },

  /** A restore_command may be slow; a promotion that was sent is waited for. */
  promote: { deadlineMs: 60_000, lookEveryMs: often },

  start: { deadlineMs: 60_000, lookEveryMs: seldom },

  /** What a standby has received is replayed in seconds, unless a query on it holds replay up. */
  replay: { deadlineMs: 60_000, lookEveryMs: seldom },

  /** Clients wait while the old primary comes back as the synchronous standby of the new one. */
  synchronous: { deadlineMs: 30_000, lookEveryMs: 5 },

  /** The same under `relax`: after this, clients go on without it. */
  briefly: { deadlineMs: 5000, lookEveryMs: 5 },

  /** The names keep the environment's registry.deadline (a minute at most); this one is behind it. */
  names: { deadlineMs: 65_000, lookEveryMs: 20 },

  /** A monitor moves from state to state with its keepers, which report each second. */
  monitor: { deadlineMs: 30_000, lookEveryMs: 20 },

  /** The same where a keeper is dead: it is given up after some 20 s, and then 30 s to be demoted. */
  monitorFailover: { deadlineMs: 120_000, lookEveryMs: 50 },

  /** Routers find out by their own checks: two in a row, over a slow line. */
  settle: { deadlineMs: 20_000, lookEveryMs: seldom },
} as const satisfies Readonly<Record<string, StepTimes>>;
