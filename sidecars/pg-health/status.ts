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
  const { ms, silentMs } = monitor.lag("apply");
  return {
    role: sample.role,
    readOnly: sample.readOnly,
    systemIdentifier: sample.systemIdentifier,
    timeline: sample.timeline,
    startedAt: sample.startedAt,
    writeLsn: text(sample.writeLsn),
    receiveLsn: text(receiveLsn),
    replayLsn: text(replayLsn),
    lagBytes: monitor.streams ? unreplayed(receiveLsn, replayLsn) : null,
    lagMs: silentMs === 0 ? rounded(ms) : null,
    streaming: sample.streaming,
    silentMs: rounded(silentMs),
    promotedAt: monitor.self?.promotedAt ?? null,
  };
}

/** Bytes received and not replayed; null where one of the two is not known. */
function unreplayed(received: Lsn | null, replayed: Lsn | null): number | null {
  if (received === null || replayed === null) return null;
  return Math.max(0, lsnDistance(received, replayed));
}

function rounded(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms);
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
