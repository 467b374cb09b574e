/**
 * What has to change so that an owner has the records that it wants, and no more: a record that stays
 * keeps its id, also where its TTL, node or an address's port changes, and what is as it was is not
 * touched.
 */
import type { Endpoint } from "../contract.ts";
import type { EndpointDraft, Owner } from "./store.ts";

/** A record of this owner that is new. */
export type NewRecord = Omit<Endpoint, "id" | "generation">;

export interface ZoneDiff {
  readonly come: readonly NewRecord[];
  /** With the values that they get; the generation is still the old one. */
  readonly change: readonly { readonly from: Endpoint; readonly to: Endpoint }[];
  readonly go: readonly Endpoint[];
}

/** What a record is, apart from what may change in it. Two services on one host are two SRVs. */
function identity(record: EndpointDraft): string {
  const { fqdn, record_type: type, target_ip: target, target_port: port } = record;
  return `${fqdn} ${type} ${target ?? ""}${type === "SRV" ? ` ${port}` : ""}`;
}

/**
 * Compares what `owner` has with the drafts that it wants, which are canonical. Of two drafts of one
 * identity the first counts: DNS has no record twice (RFC 2181, 5).
 */
export function diffOf(
  owner: Owner,
  has: readonly Endpoint[],
  wants: readonly EndpointDraft[],
): ZoneDiff {
  const left = new Map(has.map((record) => [identity(record), record]));
  const seen = new Set<string>();
  const come: NewRecord[] = [];
  const change: { from: Endpoint; to: Endpoint }[] = [];
  for (const draft of wants) {
    const key = identity(draft);
    if (seen.has(key)) continue;
    seen.add(key);
    const from = left.get(key);
    left.delete(key);
    if (from === undefined) come.push(newRecord(owner, draft));
    else if (differs(from, draft)) change.push({ from, to: { ...from, ...valuesOf(draft) } });
  }
  return { come, change, go: [...left.values()] };
}

/** True where there is nothing to do. */
export function isNothing({ come, change, go }: ZoneDiff): boolean {
  return come.length + change.length + go.length === 0;
}

/** Several diffs as one. */
export function joined(diffs: readonly ZoneDiff[]): ZoneDiff {
  return {
    come: diffs.flatMap(({ come }) => come),
    change: diffs.flatMap(({ change }) => change),
    go: diffs.flatMap(({ go }) => go),
  };
}

function valuesOf(draft: EndpointDraft): Pick<Endpoint, "target_port" | "ttl" | "node_id"> {
  return { target_port: draft.target_port, ttl: draft.ttl, node_id: draft.node_id };
}

function differs(record: Endpoint, draft: EndpointDraft): boolean {
  return (
    record.target_port !== draft.target_port ||
    record.ttl !== draft.ttl ||
    record.node_id !== draft.node_id
  );
}

function newRecord(owner: Owner, draft: EndpointDraft): NewRecord {
  return {
    fqdn: draft.fqdn,
    record_type: draft.record_type,
    target_ip: draft.target_ip,
    ...valuesOf(draft),
    owner_kind: owner.kind,
    owner_id: owner.id,
  };
}
