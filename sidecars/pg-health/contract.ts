/**
 * What pg-health says over HTTP: the words of its answers and the shape of GET /status. Routers,
 * topology and peers read this file; only pg-health itself reads the rest of its folder.
 */
import { z } from "zod";

/** Default port of pg-health. */
export const pgHealthPort = 8008;

/** The word that GET / answers with: 200 for primary, 503 for the others. */
export const answerWords = [
  "primary",
  "standby",
  "read-only",
  "unreachable",
  "fenced",
  "split-brain",
] as const;
export type AnswerWord = (typeof answerWords)[number];

const lsn = z.string().regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/i);

/** The shape of GET /status. LSNs are text as PostgreSQL prints them; lags in bytes and ms. */
export const healthStatus = z.object({
  /** The member's name where it was told one, else null. */
  member: z.string().nullable(),
  /** The word of GET / now. */
  answer: z.enum(answerWords),
  /** True while an old answer is kept for a Postgres that is slow (slowGrace). */
  slow: z.boolean(),
  /** When the answer last changed; ISO 8601. */
  since: z.string(),
  /** Why the answer is what it is, in one sentence. */
  reason: z.string(),
  /** What the last probe that was answered saw; null before the first. */
  postgres: z
    .object({
      role: z.enum(["primary", "standby"]),
      /** True when default_transaction_read_only is on. */
      readOnly: z.boolean(),
      systemIdentifier: z.string(),
      timeline: z.number().int(),
      /** When the postmaster started; ISO 8601. */
      startedAt: z.string(),
      /** Primary: pg_current_wal_lsn; standby: null. */
      writeLsn: lsn.nullable(),
      /** Standby: last received and last replayed; primary: null. */
      receiveLsn: lsn.nullable(),
      replayLsn: lsn.nullable(),
      /**
       * Standby: bytes received and not replayed, and how long the missing WAL has been known. Null
       * while nothing is heard of the primary: nobody knows then how far it has gone on.
       */
      lagBytes: z.number().nullable(),
      lagMs: z.number().nullable(),
      /** Standby: true while a WAL receiver runs. */
      streaming: z.boolean().nullable().optional(),
      /**
       * Standby: milliseconds since its primary was last heard of; 0 while in touch (a stream may
       * be silent as long as an idle primary's, wal_receiver_timeout / 2).
       */
      silentMs: z.number().nullable().optional(),
      /** Primary: when its timeline began, where that can be known; ISO 8601. */
      promotedAt: z.string().nullable().optional(),
    })
    .nullable(),
  /**
   * up: Postgres answers, or did within slowGrace; silent: no answer, and nothing that proves it
   * is down; down: its port refuses or it closed the connection.
   */
  link: z.enum(["up", "silent", "down"]).optional(),
  /** Milliseconds since the last probe that was answered; null before the first. */
  probeAgeMs: z.number().nullable(),
  /** The node pooler as its admin console says; "none" when no pooler is declared. */
  pooler: z.object({
    state: z.enum(["ok", "paused", "full", "dead", "unknown", "none"]),
    detail: z.string(),
  }),
  /** What each peer said when last asked. */
  peers: z.array(
    z.object({
      url: z.string(),
      state: z.enum(["primary", "standby", "unreachable", "foreign"]),
      timeline: z.number().int().nullable(),
    }),
  ),
});
export type HealthStatus = z.infer<typeof healthStatus>;
