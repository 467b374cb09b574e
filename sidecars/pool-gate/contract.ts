/**
 * What pool-gate says over HTTP. It stands beside one PgBouncer and owns its PAUSE: whoever pauses
 * gets a lease with a time to live, and must renew it; when the time is over the gate resumes what
 * that lease paused, and nothing that someone else paused. Every path but /livez needs
 * `Authorization: Bearer TOKEN`.
 */
import { z } from "zod";

/** Default port of pool-gate. */
export const poolGatePort = 8009;

const names = z.array(z.string().min(1).max(63)).min(1).max(64);
const leaseName = z.string().regex(/^[A-Za-z0-9._:-]{8,100}$/);
const milliseconds = z.number().int().min(1).max(600_000);

/** POST /pause */
export const pauseRequest = z.strictObject({
  databases: names,
  /** The lease ends this long after the pause or its last renewal. */
  ttlMs: milliseconds,
  /** Running transactions may take this long to end; then everything is resumed and it is a 504. */
  deadlineMs: milliseconds,
  /** Who pauses and what for, such as `flip-db 4f1c`; shown to whoever finds the gate closed. */
  holder: z.string().min(1).max(200),
  /**
   * A name of the caller's own for the lease, never used before: a pause that is sent again after a
   * lost answer is then the same pause. The gate makes one up when there is none.
   */
  lease: leaseName.optional(),
});
export type PauseRequest = z.infer<typeof pauseRequest>;

/** 200 of POST /pause and of POST /renew. */
export const leaseReply = z.object({
  lease: z.string(),
  holder: z.string(),
  databases: z.array(z.string()),
  expiresInMs: z.number(),
  /** How long the pause took to take hold. */
  tookMs: z.number(),
});
export type LeaseReply = z.infer<typeof leaseReply>;

/** POST /renew and POST /resume. */
export const leaseRequest = z.strictObject({
  lease: z.string().min(1).max(100),
  /** For renew: the new time to live; for resume it is not looked at. */
  ttlMs: milliseconds.optional(),
});

/**
 * open: nothing is paused; pausing: waits for transactions to end; paused: by a lease of this
 * gate; foreign: somebody else paused, at PgBouncer's console; unreachable: PgBouncer is silent.
 */
export const gateStates = ["open", "pausing", "paused", "foreign", "unreachable"] as const;

/**
 * GET /status, 200 of POST /resume, and the body of 409 (held by another lease, foreign, or a pause
 * cannot work there), 410 (the lease has ended), 503 (PgBouncer is silent) and 504 (not in time).
 */
export const gateStatus = z.object({
  state: z.enum(gateStates),
  /** Why, in one sentence. */
  reason: z.string(),
  holder: z.string().nullable(),
  expiresInMs: z.number().nullable(),
  /** Of the lease, or of the foreign pause. */
  databases: z.array(z.string()),
  /** Clients that wait now, over all databases. */
  waitingClients: z.number(),
  /** What a pause waits for: server connections in a transaction, by database. */
  busy: z.array(z.object({ database: z.string(), servers: z.number() })),
  pooler: z.object({ version: z.string(), poolModes: z.record(z.string(), z.string()) }).nullable(),
});
export type GateStatus = z.infer<typeof gateStatus>;
