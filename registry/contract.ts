/**
 * What the registry says over HTTP. `/api/internal/nodes/…` is the published wire contract of the
 * internal DNS plane, which agents of others speak too: its fields, types and statuses stay, and what
 * is added is optional. The rest is the operator's and the tools' side, under an admin token. Errors
 * are problem JSON (RFC 9457).
 */
import { z } from "zod";

/** Default port of the registry. */
export const registryPort = 8053;

/** The longest hold of a long poll, in seconds. */
export const waitSecondsMax = 55;

const generation = z.number().int().min(0);
const id = z.number().int().min(1);

export const recordTypes = ["A", "AAAA", "SRV", "CNAME"] as const;
export const ownerKinds = [
  "service_member",
  "service_role",
  "node",
  "static",
  "deployment",
] as const;

/** A record as it goes over the wire. `fqdn` has no trailing dot; nulls are emitted, not omitted. */
export const endpoint = z.object({
  id,
  fqdn: z.string(),
  record_type: z.enum(recordTypes),
  /** An IP literal, or the name that a CNAME or an SRV leads to. */
  target_ip: z.string().nullable(),
  target_port: z.number().int().nullable(),
  /** Seconds. */
  ttl: z.number().int(),
  owner_kind: z.enum(ownerKinds),
  owner_id: z.number().int(),
  node_id: z.number().int().nullable(),
  generation,
});
export type Endpoint = z.infer<typeof endpoint>;

/** 200 of GET /api/internal/nodes/{node_id}/dns/changes?since=N[&wait=S][&epoch=E][&hash=H] */
export const changesReply = z.object({
  /** What is acknowledged once it is applied. */
  generation,
  /** True: `records` are the whole zone; false: they are put over what is there, by id. */
  full_snapshot: z.boolean(),
  records: z.array(endpoint),
  removed_ids: z.array(id),
  /** The identity of the store that counts generations. */
  epoch: z.string().optional(),
  /** What the zone's hash is once this is applied (kit/zone-hash.ts). */
  zone_hash: z.string().optional(),
});
export type ChangesReply = z.infer<typeof changesReply>;

/** POST /api/internal/nodes/{node_id}/dns/ack. What follows the first key is optional. */
export const ackRequest = z.object({
  applied_generation: generation,
  epoch: z.string().max(100).optional(),
  zone_hash: z.string().max(64).optional(),
  record_count: z.number().int().min(0).optional(),
  /** What was skipped or refused, for the operator; at most ten lines. */
  errors: z.array(z.string().max(300)).max(10).optional(),
});
export type AckRequest = z.infer<typeof ackRequest>;

export const ackReply = z.object({
  node_id: id,
  applied_generation: generation,
  server_generation: generation,
});
export type AckReply = z.infer<typeof ackReply>;

/** The body of every error (RFC 9457). */
export const problem = z.object({
  type: z.string().optional(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string().optional(),
});
export type Problem = z.infer<typeof problem>;

const label = z
  .string()
  .regex(
    /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/,
    "expected a DNS label: 1 to 63 lower-case letters, digits and dashes, no dash first or last",
  );
const ipAddress = z.union([z.ipv4(), z.ipv6()], { error: "expected an IPv4 or IPv6 address" });
const port = z.number().int().min(1).max(65_535);
/** Text on one line. */
const line = (max: number) =>
  z
    .string()
    .regex(
      new RegExp(`^[^\\p{Cc}\\p{Cs}]{1,${max}}$`, "u"),
      `expected 1 to ${max} characters on one line`,
    );
const host = line(253);
const nodeName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    "expected 1 to 63 letters, digits and ._-, a letter or digit first",
  );

/** A member of a cluster, known by its name: a monitor's node name, or an environment's member. */
export const memberKeys = z.strictObject({
  name: label,
  ordinal: z.number().int().min(0).max(999),
  /** The address in the overlay network; without it the node's own address stands in. */
  address: ipAddress.nullable().default(null),
  port: port.default(5432),
  /** The node that it stands on, by name; null when none. */
  node: nodeName.nullable().default(null),
  /** The port that its node publishes, where its node's address stands in. */
  published_port: port.nullable().default(null),
});
export type MemberKeys = z.infer<typeof memberKeys>;

const tls = z.enum(["disable", "require", "verify-full"]);
const login = {
  user: line(63),
  /** An absolute path on the registry's host; the password never goes over this interface. */
  password_file: line(1024).startsWith("/", "expected an absolute path"),
};

/** Who tells which member is the primary. */
export const roleSource = z.discriminatedUnion("kind", [
  /** A pg_auto_failover monitor: LISTEN on its channels, and a look every five seconds. */
  z.strictObject({
    kind: z.literal("pg_auto_failover"),
    host,
    port: port.default(5432),
    ...login,
    user: login.user.default("autoctl_node"),
    database: line(63).default("pg_auto_failover"),
    tls: tls.default("require"),
    formation: line(63).default("default"),
    group: z.number().int().min(0).default(0),
  }),
  /** The members themselves, each over a connection that stays. */
  z.strictObject({
    kind: z.literal("probe"),
    ...login,
    database: line(63).default("postgres"),
    tls: tls.default("disable"),
    /** How often, in milliseconds. */
    interval_ms: z.number().int().min(100).max(60_000).default(1000),
  }),
  /** Nobody: members have their own names, and no role has one. */
  z.strictObject({ kind: z.literal("none") }),
]);
export type RoleSourceKeys = z.infer<typeof roleSource>;

/** POST /api/clusters, and PUT /api/clusters/{name} without its members. */
export const clusterKeys = z.strictObject({
  name: label.max(59, "expected at most 59 characters: a member's number stands behind it"),
  source: roleSource,
  /** A standby further behind than this is not published; null: whatever its lag. */
  lag_bytes: z
    .number()
    .int()
    .min(0)
    .nullable()
    .default(16 * 1024 ** 2),
  members: z.array(memberKeys).max(64).default([]),
});
export type ClusterKeys = z.infer<typeof clusterKeys>;

/**
 * published: records are as the source says; silent: the source does not answer, records stay;
 * ambiguous: more than one may take writes, none is published; no-primary: none takes writes;
 * unknown: not looked yet.
 */
export const reconcileOutcomes = [
  "published",
  "silent",
  "ambiguous",
  "no-primary",
  "unknown",
] as const;

/** What the reconciler made of its last look. */
export const rolesView = z.object({
  outcome: z.enum(reconcileOutcomes),
  /** For the operator, one sentence each: why, and which members are left out. */
  reasons: z.array(z.string()),
  primary: z.string().nullable(),
  standbys: z.array(z.string()),
  /** When the source last answered, to a minute; ISO 8601; null when it never did. */
  seen_at: z.string().nullable(),
  /** The members that took writes when they were last seen, with their timelines. */
  writers: z.array(z.object({ name: z.string(), timeline: z.number().int() })).optional(),
  /** The database system identifier that they share. */
  system: z.string().optional(),
});
export type RolesView = z.infer<typeof rolesView>;

/** GET /api/clusters/{name}, and the rows of GET /api/clusters */
export const clusterView = clusterKeys.extend({
  id,
  roles: rolesView,
  /** Its records as they are now, member names first. */
  records: z.array(endpoint),
  generation,
  epoch: z.string(),
});
export type ClusterView = z.infer<typeof clusterView>;

/** 200 of POST /api/clusters/{name}/reconcile: looked just now. */
export const reconcileReply = z.object({
  generation,
  epoch: z.string(),
  changed: z.boolean(),
  roles: rolesView,
});
export type ReconcileReply = z.infer<typeof reconcileReply>;

/** A node on which a resolver runs. GET /api/nodes[?generation=N&wait=S] has a list of them. */
export const nodeView = z.object({
  id,
  name: z.string(),
  /** Its own address, which stands in for members that have none. */
  address: z.string().nullable(),
  revoked: z.boolean(),
  applied_generation: generation,
  /** When that generation was first acknowledged; ISO 8601; null: never. */
  applied_at: z.string().nullable(),
  last_sync_at: z.string().nullable(),
  health: z.enum(["healthy", "degraded", "stale", "unknown"]),
  record_count: z.number().int().nullable(),
  errors: z.array(z.string()),
});
export type NodeView = z.infer<typeof nodeView>;

/** With generation and wait: held until every live node has acknowledged it, or the wait is over. */
export const nodesReply = z.object({ generation, epoch: z.string(), nodes: z.array(nodeView) });
export type NodesReply = z.infer<typeof nodesReply>;

/** POST /api/nodes */
export const nodeKeys = z.strictObject({
  name: nodeName,
  address: ipAddress.nullable().default(null),
});
export type NodeKeys = z.infer<typeof nodeKeys>;

/** 201 of POST /api/nodes; the token is told this once. */
export const newNode = z.object({ id, name: z.string(), token: z.string() });
export type NewNode = z.infer<typeof newNode>;

/** A record as its owner gives it: PUT /api/records/{owner_kind}/{owner_id} sets all that it has. */
export const endpointKeys = z.strictObject({
  fqdn: line(253),
  record_type: z.enum(recordTypes),
  target_ip: line(253),
  target_port: port.nullable().default(null),
  /** Seconds. */
  ttl: z.number().int().default(30),
  node_id: z.number().int().min(1).nullable().default(null),
});
export type EndpointKeys = z.input<typeof endpointKeys>;

/** The owners of whom somebody else than the registry says what records they have. */
export const outsideOwners = ["node", "static", "deployment"] as const;

export const ownerKeys = z.strictObject({ records: z.array(endpointKeys).max(10_000) });

/** What a change of records came to; also of DELETE of a cluster or a member. */
export const ownerReply = z.object({
  generation,
  epoch: z.string(),
  /** False: everything was so already. */
  changed: z.boolean(),
});
export type OwnerReply = z.infer<typeof ownerReply>;

/** GET /api/status */
export const registryStatus = z.object({
  zone: z.string(),
  epoch: z.string(),
  generation,
  zone_hash: z.string(),
  records: z.number().int(),
  store: z.enum(["sqlite", "postgres"]),
  /** True where this process looks at the clusters' roles; of several, one does. */
  reconciles: z.boolean(),
  nodes: z.number().int(),
  clusters: z.array(z.object({ name: z.string(), roles: rolesView })),
});
export type RegistryStatus = z.infer<typeof registryStatus>;
