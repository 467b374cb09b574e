/**
 * What an agent that asks for changes is answered, and how its acknowledgement counts: pure decisions
 * over what it says it has and what the store has.
 */
import type { AckRequest, NodeView } from "./contract.ts";
import type { Acknowledged, Head, StoredNode } from "./store/store.ts";

export interface Applied {
  readonly since: number;
  readonly epoch?: string | undefined;
  readonly hash?: string | undefined;
}

/** same: nothing to tell, or to wait; diff: what came after `since`; full: the whole zone. */
export type AnswerKind = "same" | "diff" | "full";

/**
 * Which answer an agent gets. Everything that cannot be put right by a diff is the whole zone: none
 * applied yet, another store, a store that lies behind (restored), a zone that differs.
 */
export function answerKind({ since, epoch, hash }: Applied, head: Head): AnswerKind {
  if (epoch !== undefined && epoch !== head.epoch) return "full";
  if (since > head.generation) return "full";
  if (since === head.generation) {
    if (hash !== undefined && hash !== head.zoneHash) return "full";
    // Nothing was ever published: who knows the epoch has asked before and may wait.
    return since > 0 || epoch !== undefined ? "same" : "full";
  }
  return since <= 0 ? "full" : "diff";
}

/** Why an acknowledgement does not count, or what is stored of it. */
export type AckVerdict =
  | { readonly kind: "ahead" }
  | { readonly kind: "epoch" }
  | { readonly kind: "taken"; readonly applied: Acknowledged };

/**
 * Judges an acknowledgement. One of another epoch counts generations of another store. A zone that
 * differs at the same generation is heard and told, and its generation does not count.
 */
export function judgeAck(ack: AckRequest, head: Head): AckVerdict {
  if (ack.epoch !== undefined && ack.epoch !== head.epoch) return { kind: "epoch" };
  if (ack.applied_generation > head.generation) return { kind: "ahead" };
  // They are kept and shown: on one line each, and as text that every database takes.
  const errors = (ack.errors ?? []).map((one) => one.replace(/\p{Cc}/gu, " ").toWellFormed());
  const recordCount = ack.record_count ?? null;
  const isSameGeneration = ack.applied_generation === head.generation;
  if (isSameGeneration && ack.zone_hash !== undefined && ack.zone_hash !== head.zoneHash) {
    const words = `its zone differs from the registry's at generation ${head.generation}`;
    return { kind: "taken", applied: { generation: 0, recordCount, errors: [words, ...errors] } };
  }
  const applied = { generation: ack.applied_generation, recordCount, errors };
  return { kind: "taken", applied };
}

/** A node that has not been heard of for this long is not waited for (ms). */
const liveMs = 60_000;

/** True for a node whose resolver answers with what it has been told: not revoked, heard of lately. */
export function isLive(node: StoredNode, now: number): boolean {
  if (node.revoked || node.lastSyncAt === null) return false;
  return now - Date.parse(node.lastSyncAt) < liveMs;
}

/** True when every live node has acknowledged that generation. */
export function isAcknowledged(
  nodes: readonly StoredNode[],
  generation: number,
  now: number,
): boolean {
  return nodes.every((node) => !isLive(node, now) || node.appliedGeneration >= generation);
}

/** A node as it is shown; `now` in ms since the epoch. */
export function nodeViewOf(node: StoredNode, now: number): NodeView {
  const { id, name, address, revoked, recordCount, errors } = node;
  return {
    id,
    name,
    address,
    revoked,
    applied_generation: node.appliedGeneration,
    applied_at: node.appliedAt,
    last_sync_at: node.lastSyncAt,
    health: healthOf(node, now),
    record_count: recordCount,
    errors: [...errors],
  };
}

function healthOf(node: StoredNode, now: number): NodeView["health"] {
  if (node.lastSyncAt === null) return "unknown";
  if (!isLive(node, now)) return "stale";
  return node.errors.length > 0 ? "degraded" : "healthy";
}

/** 200 of GET /api/cluster/dns/status: how each resolver is, in the words that Temps publishes. */
export interface DnsStatus {
  readonly cluster_dns_enabled: boolean;
  readonly total_record_count: number;
  readonly nodes: readonly {
    readonly node_id: number;
    readonly node_name: string;
    readonly node_status: "active" | "offline";
    readonly dns_resolver_running: boolean | null;
    readonly dns_resolver_tasks_alive: boolean | null;
    readonly dns_resolver_last_sync_at: string | null;
    readonly seconds_since_last_sync: number | null;
    readonly dns_resolver_consecutive_failures: number;
    readonly dns_resolver_last_error: string | null;
    readonly dns_resolver_record_count: number | null;
  }[];
}

/** The nodes as Temps publishes them; a revoked one is none of them. */
export function dnsStatusOf(
  nodes: readonly StoredNode[],
  recordCount: number,
  now: number,
): DnsStatus {
  const rows = nodes.filter((node) => !node.revoked);
  return {
    cluster_dns_enabled: true,
    total_record_count: recordCount,
    nodes: rows.map((node) => {
      const wasHeard = node.lastSyncAt !== null;
      const seconds = wasHeard
        ? Math.floor((now - Date.parse(node.lastSyncAt ?? "")) / 1000)
        : null;
      return {
        node_id: node.id,
        node_name: node.name,
        node_status: isLive(node, now) ? "active" : "offline",
        dns_resolver_running: wasHeard ? true : null,
        dns_resolver_tasks_alive: wasHeard ? true : null,
        dns_resolver_last_sync_at: node.lastSyncAt,
        seconds_since_last_sync: seconds === null ? null : Math.max(0, seconds),
        dns_resolver_consecutive_failures: node.errors.length > 0 ? 1 : 0,
        dns_resolver_last_error: node.errors[0] ?? null,
        dns_resolver_record_count: node.recordCount,
      };
    }),
  };
}
