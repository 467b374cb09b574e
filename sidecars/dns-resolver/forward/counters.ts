/** What a forwarder counts, in words, and what it tells beside that. */

const words = {
  queries: "Questions handed to the forwarder",
  malformed: "Queries that could not be read, and were dropped",
  hits: "Questions answered from what is kept",
  misses: "Questions sent to upstreams",
  coalesced: "Questions that shared one to the upstreams",
  stale: "Answers given past their time because no upstream answered",
  failures: "Questions that no upstream answered",
  cachedFailures: "Questions that failed a moment ago, and were not asked again",
  overLimit: "Questions over the limit of their client",
  overBound: "Questions over the bound of what may be under way",
  loops: "Questions that came back after they went out from here",
  sent: "Queries sent to upstreams",
  hedged: "Times that a late upstream was not waited for any longer",
  overTcp: "Queries sent to upstreams over TCP",
  withoutEdns: "Queries sent again without EDNS",
  badReplies: "Replies that could not be read",
  forged: "Replies dropped because their question was not the one that was asked",
  unsolicited: "Messages that belong to no query under way: late or forged",
  socketsOpened: "Sockets opened to upstreams",
  upstreamOut: "Times that an upstream was taken for dead",
  probes: "Queries to upstreams that are taken for dead",
} as const;

export type CounterName = keyof typeof words;

/** Counts that only grow. */
export type ForwardCounters = { -readonly [name in CounterName]: number };

/** Every counter at 0. */
export function zeroCounters(): ForwardCounters {
  const rows = Object.keys(words).map((name) => [name, 0] as const);
  return Object.fromEntries(rows) as ForwardCounters;
}

/** What a forwarder tells beside these that falls as well. */
export const forwardLevels = [
  "cacheEntries",
  "cacheBytes",
  "underWay",
  "waiters",
  "sockets",
  "tcpOpen",
] as const;
