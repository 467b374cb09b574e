/**
 * What a registry and a resolver say about the names of one cluster, as plain values, and how these
 * names are written. Pure.
 */
import type { ClusterView, NodeView, ReconcileReply } from "../../registry/contract.ts";

/** A node of the registry: a host on which a resolver runs. */
export interface NodeSaid {
  readonly name: string;
  /** The newest generation that it has acknowledged. */
  readonly applied: number;
  /** stale: not heard of for a while; unknown: never heard of. */
  readonly health: NodeView["health"];
  /** What it could not serve, for the operator. */
  readonly errors: readonly string[];
}

/** A member as the registry has it. */
export interface MemberSaid {
  readonly name: string;
  /** Of its own name; none where it cannot be published. */
  readonly addresses: readonly string[];
}

/** A member as the environment has it. */
export interface MemberHost {
  readonly name: string;
  /** An address, or a name. */
  readonly host: string;
}

/** What the registry says of the cluster; denied and no-cluster are answers as well. */
export type RegistrySaid =
  | {
      readonly kind: "cluster";
      readonly generation: number;
      /** As the reconciler left it: published, silent, ambiguous, no-primary or unknown. */
      readonly outcome: ReconcileReply["roles"]["outcome"];
      readonly reasons: readonly string[];
      /** The member that `primary.…` leads to; null where it leads to none. */
      readonly primary: string | null;
      readonly standbys: readonly string[];
      /** Of `primary.…`, in the order of the registry. */
      readonly addresses: readonly string[];
      readonly nodes: readonly NodeSaid[];
      readonly members: readonly MemberSaid[];
    }
  | { readonly kind: "denied" | "no-cluster"; readonly says: string };

/** What a resolver answers when it is asked for `primary.…`. */
export interface ResolverSaid {
  /** Such as NOERROR, NXDOMAIN or SERVFAIL. */
  readonly rcode: string;
  readonly authoritative: boolean;
  readonly addresses: readonly string[];
  /** Seconds. */
  readonly ttl: number | null;
  /** The serial of the zone: the generation that it serves, modulo 2^32. */
  readonly serial: number | null;
}

/** What the registry's answer to a look at a cluster, and its list of nodes, amount to. */
export function registrySaid(
  name: string,
  cluster: Pick<ClusterView, "name" | "generation" | "roles" | "records" | "members">,
  nodes: readonly NodeView[],
): Extract<RegistrySaid, { kind: "cluster" }> {
  const { outcome, reasons, primary, standbys } = cluster.roles;
  return {
    kind: "cluster",
    generation: cluster.generation,
    outcome,
    reasons,
    primary,
    standbys,
    addresses: addressesOf(name, cluster.records),
    nodes: nodes
      .filter((one) => !one.revoked)
      .map((one) => ({
        name: one.name,
        applied: one.applied_generation,
        health: one.health,
        errors: one.errors,
      })),
    members: cluster.members.map((one) => ({
      name: one.name,
      addresses: addressesOf(
        name.replace("primary.", `${cluster.name}-${one.ordinal}.`),
        cluster.records,
      ),
    })),
  };
}

function addressesOf(name: string, records: ClusterView["records"]): string[] {
  const own = records.filter(
    (one) => one.fqdn === name && (one.record_type === "A" || one.record_type === "AAAA"),
  );
  return own.flatMap((one) => one.target_ip ?? []);
}

/**
 * The member that the environment has at one of `addresses`, where that is not `meant` itself;
 * undefined where it is, or nobody's. Members may share a host.
 */
export function othersAddress(
  addresses: readonly string[],
  meant: string,
  hosts: readonly MemberHost[],
): MemberHost | undefined {
  const at = (address: string): readonly MemberHost[] =>
    hosts.filter(({ host }) => host.toLowerCase() === address.toLowerCase());
  return addresses
    .map(at)
    .find((found) => found.length > 0 && found.every(({ name }) => name !== meant))
    ?.at(0);
}

/** Whether both lists have the same addresses, in whatever order. */
export function isSameAddresses(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((one) => right.includes(one));
}

/** Whether a resolver serves `generation` or a newer one: serials go round (RFC 1982). */
export function serves(serial: number | null, generation: number): boolean {
  return serial !== null && ((serial - generation) | 0) >= 0;
}

/** A node that is waited for: one that is alive. */
export function isAlive({ health }: Pick<NodeSaid, "health">): boolean {
  return health === "healthy" || health === "degraded";
}
