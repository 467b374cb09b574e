/**
 * What a registry keeps, whichever database keeps it: records with their generation, tombstones,
 * nodes, clusters, tokens; and how several processes on one database wake each other and agree on who
 * looks at the roles. A change that changes nothing bumps nothing.
 */
import type { Clock } from "../../kit/clock.ts";
import type { Logger } from "../../kit/logger.ts";
import type {
  ClusterKeys,
  Endpoint,
  MemberKeys,
  NodeKeys,
  RoleSourceKeys,
  RolesView,
} from "../contract.ts";

export interface StoreOptions {
  /** The zone that the store is for, without trailing dot; kept with it. */
  readonly zone: string;
  /** The system's when not given. */
  readonly clock?: Clock;
  /** Is told what keeps this process from hearing of others or taking the lead; nobody when not given. */
  readonly logger?: Logger;
}

/** The state of the zone: one row, bumped in the transaction of each real change. */
export interface Head {
  readonly epoch: string;
  readonly generation: number;
  /** kit/zone-hash.ts, as it goes over the wire. */
  readonly zoneHash: string;
  readonly recordCount: number;
}

/** A record as its owner wants it; ids and generations are the store's. */
export type EndpointDraft = Pick<
  Endpoint,
  "fqdn" | "record_type" | "target_ip" | "target_port" | "ttl" | "node_id"
>;

export interface Owner {
  readonly kind: Endpoint["owner_kind"];
  readonly id: number;
}

/** All records of one owner; what it had and is not among them goes, with a tombstone. */
export interface OwnedDrafts {
  readonly owner: Owner;
  readonly drafts: readonly EndpointDraft[];
}

export interface Written {
  readonly head: Head;
  /** False: everything was so already, and the generation is what it was. */
  readonly changed: boolean;
}

export interface StoredMember extends MemberKeys {
  readonly id: number;
}

export interface StoredCluster {
  readonly id: number;
  readonly name: string;
  readonly source: RoleSourceKeys;
  readonly lag_bytes: number | null;
  readonly members: readonly StoredMember[];
  readonly roles: RolesView;
}

export interface StoredNode {
  readonly id: number;
  readonly name: string;
  readonly address: string | null;
  /** SHA-256 of its token, in hexadecimal digits. */
  readonly tokenHash: string;
  readonly revoked: boolean;
  readonly appliedGeneration: number;
  readonly appliedAt: string | null;
  readonly lastSyncAt: string | null;
  readonly recordCount: number | null;
  readonly errors: readonly string[];
}

export interface Acknowledged {
  readonly generation: number;
  readonly recordCount: number | null;
  readonly errors: readonly string[];
}

/**
 * generation: the zone changed (payload: the generation); acks: a node acknowledged (its id);
 * reconcile: look now (JSON {cluster, request}); reconciled: that was done (JSON with the request and
 * the reply); clusters: a cluster or a member changed (its name); nodes: a node came or was revoked
 * (its id). Told once more after this process was cut off from the others for a while: generation,
 * nodes for each that is revoked, and acks and clusters with an empty payload, which means "any".
 */
export const topics = [
  "generation",
  "acks",
  "reconcile",
  "reconciled",
  "clusters",
  "nodes",
] as const;
export type Topic = (typeof topics)[number];

/** The right to look at roles; of all processes on one database one has it. */
export interface Lead {
  /** Higher with each taking of the lead; kept in the database. Writes under an older one are refused. */
  readonly term: number;
  /** Aborts when the right is gone: its session ended. */
  readonly lost: AbortSignal;
  release(): Promise<void>;
}

/** Every method rejects with StoreError, unless it says more. */
export interface RegistryStore {
  readonly kind: "sqlite" | "postgres";
  head(): Promise<Head>;
  /** The whole zone and its state, of one moment; by fqdn, type and id. */
  snapshot(): Promise<{ readonly head: Head; readonly records: readonly Endpoint[] }>;
  /** The records of these owners and the zone's state, of one moment; each owner's by id. */
  recordsOf(
    owners: readonly Owner[],
  ): Promise<{ readonly head: Head; readonly records: readonly Endpoint[] }>;
  /**
   * What came and went after generation `since`, of one moment; undefined when it is not known any
   * more (compacted, or `since` lies ahead).
   */
  changesSince(since: number): Promise<
    | {
        readonly head: Head;
        readonly upserts: readonly Endpoint[];
        readonly removedIds: readonly number[];
      }
    | undefined
  >;
  /**
   * In one transaction, under one generation; with `term`, only while that lead is the newest.
   * @throws EndpointError for a draft that cannot be; LeadLostError
   */
  putEndpoints(owned: readonly OwnedDrafts[], term?: number): Promise<Written>;
  /** Forgets tombstones beyond `keep` in number, oldest first. */
  compact(keep: number): Promise<void>;

  clusters(): Promise<readonly StoredCluster[]>;
  cluster(name: string): Promise<StoredCluster | undefined>;
  /** @throws ConflictError for a name or an ordinal that stands twice */
  createCluster(keys: ClusterKeys): Promise<StoredCluster>;
  /** @throws MissingError */
  updateCluster(
    name: string,
    keys: Pick<ClusterKeys, "source" | "lag_bytes">,
  ): Promise<StoredCluster>;
  /** With its members and all their records. @throws MissingError */
  deleteCluster(name: string): Promise<Written>;
  /** @throws MissingError, ConflictError */
  addMember(cluster: string, keys: MemberKeys): Promise<StoredMember>;
  /** @throws MissingError, ConflictError */
  updateMember(cluster: string, name: string, keys: MemberKeys): Promise<StoredMember>;
  /** With its records. @throws MissingError */
  removeMember(cluster: string, name: string): Promise<Written>;
  /** With `term`, only while that lead is the newest. @throws LeadLostError */
  putRoles(clusterId: number, roles: RolesView, term?: number): Promise<void>;

  nodes(): Promise<readonly StoredNode[]>;
  node(id: number): Promise<StoredNode | undefined>;
  /** @throws ConflictError */
  addNode(keys: NodeKeys, tokenHash: string): Promise<StoredNode>;
  /** @throws MissingError */
  revokeNode(id: number): Promise<void>;
  /** Keeps the higher generation; notes the time in any case. @throws MissingError */
  acknowledge(nodeId: number, applied: Acknowledged): Promise<StoredNode>;

  addAdminToken(tokenHash: string): Promise<void>;
  isAdminToken(tokenHash: string): Promise<boolean>;
  hasAdminToken(): Promise<boolean>;

  /**
   * Tells every process on this database, this one too. What changes records, acknowledgements,
   * clusters, members and nodes tells so itself, in its own transaction.
   */
  publish(topic: Topic, payload: string): Promise<void>;
  subscribe(topic: Topic, listener: (payload: string) => void): () => void;
  /** Waits for the right to look at roles. @throws the signal's reason */
  lead(signal: AbortSignal): Promise<Lead>;
  close(): Promise<void>;
}

/** The database did not do what it was asked. `reason` is its own code, such as 57P01. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code = "ERR_REGISTRY_STORE";
  readonly reason: string | undefined;
  constructor(message: string, options: { cause?: unknown; reason?: string } = {}) {
    super(message, { cause: options.cause });
    this.reason = options.reason;
  }
}

/** Somebody took the lead after the one who writes; nothing was written. */
export class LeadLostError extends Error {
  override readonly name = "LeadLostError";
  readonly code = "ERR_REGISTRY_LEAD_LOST";
  readonly term: number;
  constructor(title: string, term: number, newest: number | undefined) {
    super(`${title}: write as the lead of term ${term}: the newest is ${newest ?? "not known"}`);
    this.term = term;
  }
}

/** Another process owns the folder of this store. */
export class StoreLockedError extends Error {
  override readonly name = "StoreLockedError";
  readonly code = "ERR_LOCKED";
  readonly holder: string;
  constructor(folder: string, holder: string) {
    super(`registry store ${folder}: owned by ${holder}; one process owns it at a time`);
    this.holder = holder;
  }
}

/** What lies there is not for this program: a newer schema, another zone, no database of a registry. */
export class StoreSchemaError extends Error {
  override readonly name = "StoreSchemaError";
  readonly code = "ERR_REGISTRY_SCHEMA";
}

/** There is one already. */
export class ConflictError extends Error {
  override readonly name = "ConflictError";
  readonly code = "ERR_REGISTRY_CONFLICT";
}

/** There is no such cluster, member or node. */
export class MissingError extends Error {
  override readonly name = "MissingError";
  readonly code = "ERR_REGISTRY_MISSING";
}

/** A record that cannot be published: its name, address, TTL or what stands beside it. */
export class EndpointError extends Error {
  override readonly name = "EndpointError";
  readonly code = "ERR_REGISTRY_ENDPOINT";
}
