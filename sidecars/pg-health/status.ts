/** Writes GET /status: what the monitor knows, in the shape of the contract. */
import { formatLsn, lsnDistance } from "../../kit/lsn.ts";
import type { Lsn } from "../../kit/lsn.ts";
import type { HealthStatus } from "./contract.ts";
import type { PeerMemory } from "./defence.ts";
import type { Monitor } from "./monitor.ts";

/** The whole status as it is now. */
export function statusOf(monitor: Monitor): HealthStatus {
  const { answer, slow, reason, link } = monitor.judge();
  return {
    member: monitor.settings.member,
    answer,
    slow,
    since: new Date(monitor.since).toISOString(),
    reason,
    postgres: postgresOf(monitor),
    link,
    probeAgeMs: monitor.probeAgeMs === null ? null : Math.round(monitor.probeAgeMs),
    pooler: monitor.pooler,
    peers: monitor.peers.map((peer) => peerOf(peer, monitor.self?.systemIdentifier ?? null)),
  };
}

function postgresOf(monitor: Monitor): HealthStatus["postgres"] {
  const sample = monitor.sample?.sample;
  if (sample === undefined) return null;
  const { receiveLsn, replayLsn } = sample;
  const both = receiveLsn !== null && replayLsn !== null;
  const lagMs = monitor.lag("apply").ms;
  return {
    role: sample.role,
    readOnly: sample.readOnly,
    systemIdentifier: sample.systemIdentifier,
    timeline: sample.timeline,
    startedAt: sample.startedAt,
    writeLsn: text(sample.writeLsn),
    receiveLsn: text(receiveLsn),
    replayLsn: text(replayLsn),
    lagBytes: both ? Math.max(0, lsnDistance(receiveLsn, replayLsn)) : null,
    lagMs: lagMs === null ? null : Math.round(lagMs),
    streaming: sample.streaming,
    promotedAt: monitor.self?.promotedAt ?? null,
  };
}

function text(lsn: Lsn | null): string | null {
  return lsn === null ? null : formatLsn(lsn);
}

function peerOf(peer: PeerMemory, own: string | null): HealthStatus["peers"][number] {
  const { url } = peer;
  const seen = peer.last?.postgres ?? null;
  if (!peer.reachable || peer.last?.link !== "up" || seen === null) {
    return { url, state: "unreachable", timeline: null };
  }
  const foreign = own !== null && seen.systemIdentifier !== own;
  return { url, state: foreign ? "foreign" : seen.role, timeline: seen.timeline };
}
