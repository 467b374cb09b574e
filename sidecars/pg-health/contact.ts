/**
 * Whether a standby is in touch with its primary, and since when it is not. Pure.
 *
 * An idle primary says nothing by itself: the WAL receiver asks it for a sign of life when
 * wal_receiver_timeout / 2 has gone by without a message (PostgreSQL manual, 20.6.3 "Standby
 * Servers"). So a stream may be silent that long and be whole; a peer's answer is newer news.
 */
import { parseLsn } from "../../kit/lsn.ts";
import type { Lsn } from "../../kit/lsn.ts";
import type { PeerMemory } from "./defence.ts";
import { addMark, furthest, furthestKnown, lagOf } from "./lag.ts";
import type { Lag, LagMode, Mark } from "./lag.ts";
import type { Sample, TimedSample } from "./sample.ts";
import type { Self } from "./self.ts";

export interface Contact {
  /** True while the WAL receiver runs and its silence is no longer than an idle primary's. */
  readonly streams: boolean;
  /** When the upstream was last heard of (monotonic ms), or first missed where it never was. */
  readonly heardAt: number;
}

/** How much later than asked for the sign of life of an idle primary may come, in milliseconds. */
const lateMs = 5000;

/** What the newest sample of a standby says of its stream, after what was known `before`. */
export function nextContact(before: Contact | null, { sample, askedAt }: TimedSample): Contact {
  if (sample.streaming !== true) {
    return { streams: false, heardAt: before?.heardAt ?? askedAt };
  }
  const silence = sample.receiverSilentMs ?? 0;
  const timeout = sample.receiverTimeoutMs;
  // Without the timeout nobody asks for a sign of life, and silence says nothing.
  const isWhole = timeout === 0 || silence <= timeout / 2 + lateMs;
  return isWhole
    ? { streams: true, heardAt: askedAt }
    : { streams: false, heardAt: askedAt - silence };
}

/** A peer that is the primary of this system: where it writes, and when it was asked. */
export interface PeerPrimary {
  readonly lsn: Lsn;
  readonly askedAt: number;
  /** True when its newest answer says so; false when that is a memory. */
  readonly answers: boolean;
}

/** The first peer that is known as the primary of `self`'s system, on its timeline or a newer one. */
export function peerPrimary(peers: readonly PeerMemory[], self: Self | null): PeerPrimary | null {
  for (const { primary, last, reachable } of peers) {
    const lsn = primary?.postgres?.writeLsn ?? null;
    const seen = primary?.postgres ?? null;
    if (primary === null || seen === null || lsn === null || self === null) continue;
    if (seen.timeline < self.timeline) continue;
    const answers = reachable && last === primary && primary.link === "up";
    return { lsn: parseLsn(lsn), askedAt: primary.askedAt, answers };
  }
  return null;
}

/**
 * How long a standby has heard nothing of its primary at `now` (monotonic ms): 0 while its stream
 * is whole or the primary's pg-health answers, else milliseconds since the newest sign of either.
 */
export function silenceOf(contact: Contact, peer: PeerPrimary | null, now: number): number {
  if (contact.streams || peer?.answers === true) return 0;
  return Math.max(0, now - Math.max(contact.heardAt, peer?.askedAt ?? -Infinity));
}

/** What a standby remembers of its primary. */
export interface StandbyMemory {
  readonly contact: Contact;
  readonly marks: readonly Mark[];
}

/** The memory after a sample; null for a primary, which has none. */
export function nextMemory(
  before: StandbyMemory | null,
  timed: TimedSample,
  peer: PeerPrimary | null,
): StandbyMemory | null {
  const { sample, askedAt } = timed;
  if (sample.role === "primary") return null;
  const contact = nextContact(before?.contact ?? null, timed);
  const marks = before?.marks ?? [];
  const lsn = furthestKnown(sample, peer?.lsn ?? null);
  // A mark says how far the primary was: in its silence nobody knows.
  if (lsn === null || silenceOf(contact, peer, askedAt) > 0) return { contact, marks };
  return { contact, marks: addMark(marks, { at: askedAt, lsn }) };
}

/** How far behind a standby is at `now` (monotonic ms), and how long its primary is silent. */
export function lagNow(
  memory: StandbyMemory,
  sample: Sample,
  asked: { readonly mode: LagMode; readonly peer: PeerPrimary | null; readonly now: number },
): Lag {
  const { mode, peer, now } = asked;
  const { contact, marks } = memory;
  const silentMs = silenceOf(contact, peer, now);
  const seen = furthestKnown(sample, peer?.lsn ?? null);
  // What the stream has told goes from the sample with the stream, and stays true.
  const ahead = silentMs === 0 ? seen : furthest([seen, marks.at(-1)?.lsn ?? null]);
  return { ...lagOf(sample, mode, { ahead, marks, now }), silentMs };
}
