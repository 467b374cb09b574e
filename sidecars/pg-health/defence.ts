/**
 * The split-brain defence: what a primary answers when other members of its cluster are primaries
 * as well. Pure: memories of peers in, a verdict out. Silence of a peer decides nothing and
 * releases nothing. docs/pg-health.md has the table in words.
 */
import type { HealthStatus } from "./contract.ts";
import type { Self } from "./self.ts";

/** What one reply of a peer said, and when it was asked for (monotonic milliseconds). */
export interface PeerReply {
  readonly askedAt: number;
  readonly link: "up" | "silent" | "down";
  readonly answer: HealthStatus["answer"];
  readonly postgres: HealthStatus["postgres"];
}

export interface PeerMemory {
  readonly url: string;
  /** When the newest reply was asked for (monotonic ms); null before the first. */
  readonly repliedAt: number | null;
  /** False when the newest question got no reply. */
  readonly reachable: boolean;
  readonly last: PeerReply | null;
  /** The newest reply that showed a primary of this system and has not been released. */
  readonly primary: PeerReply | null;
  /** This member's start, while it was a primary and saw this peer as a standby. */
  readonly standbyDuring: string | null;
  /** The peer's start, while it was a primary and this member a standby. */
  readonly primaryDuring: string | null;
}

export interface Verdict {
  readonly word: "clear" | "fenced" | "split-brain";
  readonly reason: string;
}

/** The memory of a peer that has not been asked yet. */
export function newPeer(url: string): PeerMemory {
  return {
    url,
    repliedAt: null,
    reachable: false,
    last: null,
    primary: null,
    standbyDuring: null,
    primaryDuring: null,
  };
}

/** The memory after a question that got no reply. */
export function peerSilent(memory: PeerMemory): PeerMemory {
  return { ...memory, reachable: false };
}

/** The memory after a reply; `self` is null before this member's first sample. */
export function peerReplied(memory: PeerMemory, reply: PeerReply, self: Self | null): PeerMemory {
  const heard = { ...memory, repliedAt: reply.askedAt, reachable: true, last: reply };
  if (reply.link === "silent" || reply.postgres === null) return heard;
  if (reply.link === "down") {
    // A conflict ends when the peer is stopped: the operator has chosen. A newer primary that is
    // merely restarting stays the newer one.
    const chosen = self !== null && relationTo(self, memory).word === "split-brain";
    return chosen ? { ...heard, primary: null } : heard;
  }
  if (self === null || reply.postgres.systemIdentifier !== self.systemIdentifier) {
    return { ...heard, primary: self === null ? memory.primary : null };
  }
  if (reply.postgres.role === "standby") {
    const standbyDuring = self.role === "primary" ? self.startedAt : memory.standbyDuring;
    return { ...heard, primary: null, standbyDuring };
  }
  const primaryDuring = self.role === "standby" ? reply.postgres.startedAt : memory.primaryDuring;
  return { ...heard, primary: reply, primaryDuring };
}

/** What a member that is a primary answers in view of its peers; a standby is always clear. */
export function defend(self: Self, peers: readonly PeerMemory[]): Verdict {
  const verdicts = peers.map((peer) => relationTo(self, peer));
  return (
    verdicts.find((one) => one.word === "split-brain") ??
    verdicts.find((one) => one.word === "fenced") ??
    clear
  );
}

const clear: Verdict = { word: "clear", reason: "" };

function relationTo(self: Self, peer: PeerMemory): Verdict {
  const seen = peer.primary?.postgres ?? null;
  if (self.role !== "primary" || seen === null || peer.primary === null) return clear;
  if (seen.systemIdentifier !== self.systemIdentifier) return clear;
  const who = `${peer.url} is a primary on timeline ${seen.timeline}`;
  if (seen.timeline > self.timeline) {
    return promotedWhileRunning(self, peer)
      ? { word: "split-brain", reason: `${who}, promoted while this one ran on` }
      : { word: "fenced", reason: `${who}, newer than ${self.timeline} here` };
  }
  // What was seen before this member became a primary was its own primary: it proves nothing now.
  if (self.primarySince === null || peer.primary.askedAt < self.primarySince) return clear;
  if (seen.timeline === self.timeline) {
    return { word: "split-brain", reason: `${who}, as this one is` };
  }
  return ranThroughPromotion(self, peer, peer.primary)
    ? { word: "split-brain", reason: `${who}, and ran on while this one was promoted` }
    : clear;
}

/** The peer is on a newer timeline: did it get there while this member ran? */
function promotedWhileRunning(self: Self, peer: PeerMemory): boolean {
  if (peer.standbyDuring === self.startedAt) return true;
  return startedBefore(self.startedAt, peer.primary?.postgres?.promotedAt ?? null);
}

/** The peer is on an older timeline: did it run while this member was promoted? */
function ranThroughPromotion(self: Self, peer: PeerMemory, reply: PeerReply): boolean {
  const startedAt = reply.postgres?.startedAt ?? null;
  if (startedAt === null) return false;
  if (peer.primaryDuring === startedAt || reply.answer === "split-brain") return true;
  return startedBefore(startedAt, self.promotedAt);
}

/** Compares two clocks' readings; unknown is false. */
function startedBefore(startedAt: string, promotedAt: string | null): boolean {
  return promotedAt !== null && Date.parse(startedAt) < Date.parse(promotedAt);
}

/** The peers that have not replied to a question put at or after `since` (monotonic ms). */
export function stillToAnswer(peers: readonly PeerMemory[], since: number): readonly PeerMemory[] {
  return peers.filter((peer) => peer.repliedAt === null || peer.repliedAt < since);
}
