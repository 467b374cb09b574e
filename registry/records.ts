/**
 * The records of a cluster: its members' own names, the names of its roles, and SRV records beside
 * each, as the tiers of docs/names.md have them. A member without any address is left out, with the
 * reason. Pure.
 */
import type { RolesView } from "./contract.ts";
import { checkDraft } from "./endpoints.ts";
import type {
  EndpointDraft,
  OwnedDrafts,
  StoredCluster,
  StoredMember,
  StoredNode,
} from "./store/store.ts";

/** Seconds. */
const ttl = { member: 30, primary: 5, replica: 30, service: 30 } as const;

const srvServices = ["_postgresql._tcp", "_postgres._tcp"] as const;

/** Where a member is reached. */
export interface MemberPlace {
  readonly address: string;
  readonly port: number;
  /** Of the node that it stands on. */
  readonly nodeId: number | null;
}

/** What of a node matters for addresses. */
export type NodeAddress = Pick<StoredNode, "id" | "name" | "address" | "revoked">;

/** The zone's records of one cluster. */
export interface ClusterRecords {
  /** One entry for each member and one for the roles, empty ones too. */
  readonly owned: readonly OwnedDrafts[];
  /** One sentence for each member that has no record. */
  readonly leftOut: readonly string[];
}

/**
 * Where a member is reached: its overlay address, or its node's own address and published port;
 * otherwise why it is not.
 */
export function placeOf(
  member: Omit<StoredMember, "id">,
  nodes: readonly NodeAddress[],
): MemberPlace | { readonly why: string } {
  const node = nodeOf(member.node, nodes);
  const nodeId = node?.id ?? null;
  if (member.address !== null) return { address: member.address, port: member.port, nodeId };
  if (member.node === null) return { why: "it has neither an address nor a node" };
  if (node === undefined) return { why: `its node ${member.node} is not known` };
  if (node.address === null) return { why: `neither it nor its node ${node.name} has an address` };
  return { address: node.address, port: member.published_port ?? member.port, nodeId };
}

/**
 * The name of a node whose token was revoked is free again; until another takes it, what stands on the
 * old one is still reached there.
 */
function nodeOf(name: string | null, nodes: readonly NodeAddress[]): NodeAddress | undefined {
  const named = nodes.filter((node) => node.name === name);
  return named.find(({ revoked }) => !revoked) ?? named.at(-1);
}

/** The name of one member, such as `db-1.db.temps.local`. */
export function memberName(cluster: string, ordinal: number, zone: string): string {
  return `${cluster}-${ordinal}.${cluster}.${zone}`;
}

interface Placed extends MemberPlace {
  readonly member: StoredMember;
  readonly fqdn: string;
}

/** All records of a cluster with these roles. */
export function recordsOf(
  cluster: StoredCluster,
  roles: Pick<RolesView, "primary" | "standbys">,
  nodes: readonly NodeAddress[],
  zone: string,
): ClusterRecords {
  const placed: Placed[] = [];
  const leftOut: string[] = [];
  const members = [...cluster.members].sort((one, other) => one.ordinal - other.ordinal);
  for (const member of members) {
    const fqdn = memberName(cluster.name, member.ordinal, zone).toLowerCase();
    const place = placeOf(member, nodes);
    const why = "why" in place ? place.why : whyNotPublished(fqdn, place, zone);
    if (why !== undefined) leftOut.push(`${member.name} has no record: ${why}`);
    else if (!("why" in place)) placed.push({ ...place, member, fqdn });
  }
  const owned = members.map(({ id }): OwnedDrafts => {
    const own = placed.filter(({ member }) => member.id === id);
    const drafts = own.flatMap((one) => [
      ...addresses(one.fqdn, own, ttl.member),
      ...services(one.fqdn, own, ttl.member),
    ]);
    return { owner: { kind: "service_member", id }, drafts };
  });
  const drafts = roleDrafts(cluster.name, placed, roles, zone);
  return {
    owned: [...owned, { owner: { kind: "service_role", id: cluster.id }, drafts }],
    leftOut,
  };
}

/** One member that cannot be published does not take the others' records along. */
function whyNotPublished(fqdn: string, place: MemberPlace, zone: string): string | undefined {
  const drafts = [...addresses(fqdn, [place], 1), ...services(fqdn, [{ ...place, fqdn }], 1)];
  for (const draft of drafts) {
    const fault = checkDraft(zone.toLowerCase(), draft);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function roleDrafts(
  cluster: string,
  placed: readonly Placed[],
  roles: Pick<RolesView, "primary" | "standbys">,
  zone: string,
): EndpointDraft[] {
  const primary = placed.filter(({ member }) => member.name === roles.primary);
  const standbys = placed.filter(({ member }) => roles.standbys.includes(member.name));
  const names = [
    { fqdn: `primary.${cluster}.${zone}`, behind: primary, seconds: ttl.primary },
    { fqdn: `replica.${cluster}.${zone}`, behind: standbys, seconds: ttl.replica },
    { fqdn: `${cluster}.${zone}`, behind: [...primary, ...standbys], seconds: ttl.service },
  ];
  return names.flatMap(({ fqdn, behind, seconds }) => [
    ...addresses(fqdn.toLowerCase(), behind, seconds),
    ...services(fqdn.toLowerCase(), behind, seconds),
  ]);
}

/** One record an address: two members may share one where their node's address stands in. */
function addresses(fqdn: string, behind: readonly MemberPlace[], seconds: number): EndpointDraft[] {
  const distinct = [...new Set(behind.map(({ address }) => address.toLowerCase()))];
  return distinct.map((address) => {
    const [first, ...others] = behind.filter((one) => one.address.toLowerCase() === address);
    const onePort = others.every(({ port }) => port === first?.port);
    return {
      fqdn,
      record_type: address.includes(":") ? "AAAA" : "A",
      target_ip: address,
      target_port: onePort ? (first?.port ?? null) : null,
      ttl: seconds,
      node_id: first?.nodeId ?? null,
    };
  });
}

function services(
  fqdn: string,
  behind: readonly (MemberPlace & Pick<Placed, "fqdn">)[],
  seconds: number,
): EndpointDraft[] {
  return srvServices.flatMap((service) =>
    behind.map((one): EndpointDraft => ({
      fqdn: `${service}.${fqdn}`,
      record_type: "SRV",
      target_ip: one.fqdn,
      target_port: one.port,
      ttl: seconds,
      node_id: one.nodeId,
    })),
  );
}
