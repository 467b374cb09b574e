/** What this member is, as its own samples tell: the half of the defence that needs no peer. Pure. */
import type { TimedSample } from "./sample.ts";

export interface Self {
  readonly role: "primary" | "standby";
  readonly systemIdentifier: string;
  readonly timeline: number;
  readonly startedAt: string;
  /** When the timeline began, where that is known; ISO 8601. */
  readonly promotedAt: string | null;
  /** When this member was first seen as a primary of this start (monotonic ms); null: standby. */
  readonly primarySince: number | null;
}

/**
 * What this member is after a sample, given what it was before; `wallNow` is the time of day in
 * milliseconds since the epoch.
 */
export function nextSelf(before: Self | null, timed: TimedSample, wallNow: number): Self {
  const { sample, askedAt } = timed;
  const { role, systemIdentifier, timeline, startedAt } = sample;
  const next = { role, systemIdentifier, timeline, startedAt };
  if (role === "standby") return { ...next, promotedAt: null, primarySince: null };
  const sameStart = before !== null && before.startedAt === startedAt;
  if (sameStart && before.role === "primary" && before.timeline === timeline) {
    return { ...before, ...next };
  }
  // The change was seen to happen: that is when it was, until Postgres itself can say it.
  const seen = sameStart && before.role === "standby" ? new Date(wallNow).toISOString() : null;
  return { ...next, promotedAt: seen, primarySince: askedAt };
}
