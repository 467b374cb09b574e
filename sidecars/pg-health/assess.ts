/**
 * The judgement: from what the probe, the pooler and the peers have said to the one word that
 * GET / answers with. Pure, and cheap enough to be made anew for every request.
 */
import type { AnswerWord } from "./contract.ts";
import type { Verdict } from "./defence.ts";
import type { Link, TimedSample } from "./sample.ts";

export interface Knowledge {
  readonly link: Link;
  readonly sample: TimedSample | null;
  /** When the probe in flight was put (monotonic ms); null: none is. */
  readonly askedSince: number | null;
  /** Since when Postgres has left a new connection unanswered (monotonic ms); null: it answers. */
  readonly doorSilentSince: number | null;
  /** Why the node pooler counts as dead; null when it does not. */
  readonly poolerDead: string | null;
  /** The peers that a fresh primary still waits for; empty when it waits for none. */
  readonly awaitedPeers: readonly string[];
  readonly verdict: Verdict;
}

export interface Policy {
  /** How long the last answer of a slow Postgres is kept, in milliseconds. */
  readonly slowGraceMs: number;
  /** A probe in flight for this long makes the answer a slow one, in milliseconds. */
  readonly slowAfterMs: number;
}

export interface Assessment {
  readonly answer: AnswerWord;
  readonly slow: boolean;
  readonly reason: string;
  /** What peers are told of the connection to Postgres. */
  readonly link: "up" | "silent" | "down";
}

/** What to answer at `now` (monotonic milliseconds). */
export function assess(knowledge: Knowledge, policy: Policy, now: number): Assessment {
  const { sample } = knowledge;
  const fault = faultOf(knowledge, policy, now);
  if (fault !== null || sample === null) {
    const { link, reason } = fault ?? { link: "silent" as const, reason: "not asked yet" };
    return { answer: "unreachable", slow: false, reason, link };
  }
  const { askedSince } = knowledge;
  const late = askedSince !== null && now - askedSince >= policy.slowAfterMs;
  const slow = late || knowledge.link.state !== "up";
  const { answer, reason } = wordFor(knowledge, sample);
  // A peer must not take the word from before the loss for a sight of now: it may have been promoted.
  const link = knowledge.link.state === "lost" ? "silent" : "up";
  return { answer, slow, reason: slow ? `${reason}; ${slowness(knowledge)}` : reason, link };
}

interface Fault {
  readonly link: Assessment["link"];
  readonly reason: string;
}

const waysOut = { down: "down", silent: "silent", denied: "silent", connecting: "silent" } as const;

/** How long the last answer stands at most while another connection is tried: as long as a slow login. */
const lostGraceMs = 1000;

/** Why the last answer is kept though the link is not up. */
const whyKept = {
  full: "no slot is free",
  lost: "the connection was lost, and another is being tried",
} as const;

/** Why Postgres counts as unreachable; null when it does not. */
function faultOf(knowledge: Knowledge, policy: Policy, now: number): Fault | null {
  const { link, sample } = knowledge;
  if (link.state !== "up" && link.state !== "full" && link.state !== "lost") {
    return { link: waysOut[link.state], reason: link.reason };
  }
  if (sample === null) return { link: "silent", reason: link.reason };
  const grace =
    link.state === "lost" ? Math.min(policy.slowGraceMs, lostGraceMs) : policy.slowGraceMs;
  if (now - sample.answeredAt >= grace) {
    const said = link.state === "up" ? "the probe is not answered" : link.reason;
    return { link: "silent", reason: `no answer for more than ${grace} ms: ${said}` };
  }
  if (knowledge.doorSilentSince !== null && now - knowledge.doorSilentSince >= grace) {
    return { link: "silent", reason: `Postgres takes no new connection for more than ${grace} ms` };
  }
  return null;
}

function wordFor(
  knowledge: Knowledge,
  { sample }: TimedSample,
): { answer: AnswerWord; reason: string } {
  if (knowledge.poolerDead !== null) {
    return { answer: "unreachable", reason: `the node pooler is dead: ${knowledge.poolerDead}` };
  }
  if (sample.role === "standby") return { answer: "standby", reason: "Postgres is in recovery" };
  const [awaited] = knowledge.awaitedPeers;
  if (awaited !== undefined) {
    return { answer: "unreachable", reason: `waiting for peers: ${awaited} has not answered yet` };
  }
  const { verdict } = knowledge;
  if (verdict.word !== "clear") return { answer: verdict.word, reason: verdict.reason };
  if (sample.readOnly) {
    return { answer: "read-only", reason: "default_transaction_read_only is on" };
  }
  return { answer: "primary", reason: "Postgres is not in recovery" };
}

function slowness({ link }: Knowledge): string {
  return link.state === "full" || link.state === "lost"
    ? `${whyKept[link.state]}: ${link.reason}`
    : "Postgres answers slowly";
}
