/**
 * What a lab consists of: its hosts, their parts, where each part listens, the group id that marks
 * its processes, and the folder that holds its data. Everything follows from a name, an index and
 * a few choices, so two tools that read the same lab.json see the same lab.
 */
import type { PartKind as ContainerKind } from "../config/kamal-words.ts";
import type { Address } from "../kit/address.ts";
import { addressPlans, resolverAddresses, sites } from "./addresses.ts";
import type {
  AppAddresses,
  DriverKind,
  MemberAddresses,
  ResolverAddresses,
  Site,
} from "./addresses.ts";

export type PartKind = ContainerKind | "monitor" | "registry" | "resolver";

/** Who looks after the primary: an operator with the tools alone, or a monitor with a keeper each. */
export const clusterKinds = ["pair", "pg_auto_failover"] as const;
export type ClusterKind = (typeof clusterKinds)[number];

/** One long-running program of the lab. */
export interface Part {
  /** `host/kind`, such as dal-01/postgres. */
  readonly name: string;
  readonly host: string;
  readonly kind: PartKind;
  /** Group id of its processes when the lab runs as root. */
  readonly gid: number;
  readonly folder: string;
  /** Where it listens; the first is its main address. */
  readonly listens: readonly Address[];
}

export interface MemberHost extends MemberAddresses {
  readonly name: string;
  readonly ordinal: number;
  readonly site: Site;
  /** The replication slot that its primary keeps for it. */
  readonly slot: string;
}

export interface AppHost extends AppAddresses {
  readonly name: string;
  readonly site: Site;
  /** Names of its router and of its edge pooler in the environment file. */
  readonly router: string;
  readonly edgePooler: string;
}

/** A host beside the members and apps that has one part. */
export interface SideHost {
  readonly name: string;
  readonly address: Address;
}

export interface ResolverHost extends ResolverAddresses {
  /** The host that it stands on, and what the registry calls that node. */
  readonly name: string;
}

export interface LabRequest {
  readonly name: string;
  readonly driver: DriverKind;
  readonly cluster: ClusterKind;
  readonly memberCount: number;
  /** With a registry, and a resolver on every host of a member or an app; of containers, in each site. */
  readonly names: boolean;
  /** Where resolvers take questions: 53, or another port for who may not have that. */
  readonly dnsPort: number;
  /** 0 to 19; decides addresses and group ids. */
  readonly index: number;
  /** The lab's own folder, absolute. */
  readonly folder: string;
  readonly appHosts: number;
  readonly pooling: "transaction" | "session";
  /** A size as Postgres reads it, such as 256MB. */
  readonly sharedBuffers: string;
  readonly archiveCommand: string | null;
}

export interface LabModel extends LabRequest {
  readonly members: readonly MemberHost[];
  readonly apps: readonly AppHost[];
  readonly monitor: SideHost | undefined;
  readonly registry: SideHost | undefined;
  readonly resolvers: readonly ResolverHost[];
  readonly parts: readonly Part[];
}

/** How many labs fit side by side, by their addresses: 127.10.x.x to 127.29.x.x, 10.213.0.x to .79.x. */
export const maximumLabs = 20;
export const maximumAppHosts = 8;

const memberNames = ["dal-01", "chi-02", "dal-03"] as const;
const firstGid = 47_000;
const gidsPerLab = 100;

/** Works out the whole lab. Pure. */
export function modelLab(request: LabRequest): LabModel {
  const { index, driver, cluster, names } = request;
  const plan = addressPlans[driver];
  const members = memberNames
    .slice(0, request.memberCount)
    .map((name, ordinal) => memberHost(request, name, ordinal));
  const apps = Array.from({ length: request.appHosts }, (_, ordinal) => appHost(request, ordinal));
  const hosts = {
    members,
    apps,
    monitor: cluster === "pair" ? undefined : { name: "mon-01", address: plan.monitor(index) },
    registry: names ? { name: "ctl-01", address: plan.registry(index) } : undefined,
    resolvers: names ? resolverHosts(request, members, apps) : [],
  };
  return { ...request, ...hosts, parts: partsOf(request, hosts) };
}

function partsOf(
  { index, folder }: LabRequest,
  { members, apps, monitor, registry, resolvers }: Omit<LabModel, keyof LabRequest | "parts">,
): Part[] {
  const part = (host: string, kind: PartKind, offset: number, listens: Address[]): Part => ({
    name: `${host}/${kind}`,
    host,
    kind,
    gid: firstGid + index * gidsPerLab + offset,
    folder: `${folder}/${host}/${kind}`,
    listens,
  });
  const resolver = (host: string, offset: number): Part[] =>
    resolvers
      .filter((one) => one.name === host)
      .map(({ dns, status }) => part(host, "resolver", offset, [dns, status]));
  return [
    ...members.flatMap((one) => [
      part(one.name, "postgres", one.ordinal * 10 + 1, [one.postgres]),
      part(one.name, "pooler", one.ordinal * 10 + 2, [one.pooler]),
      part(one.name, "health", one.ordinal * 10 + 3, [one.health]),
      ...resolver(one.name, one.ordinal * 10 + 4),
    ]),
    ...(monitor === undefined ? [] : [part(monitor.name, "monitor", 40, [monitor.address])]),
    ...(registry === undefined ? [] : [part(registry.name, "registry", 45, [registry.address])]),
    ...sites.flatMap((site, ordinal) => resolver(site, 46 + ordinal)),
    ...apps.flatMap((one, ordinal) => [
      part(one.name, "router", 50 + ordinal * 5, [one.write, one.read, one.stats]),
      part(one.name, "edge", 51 + ordinal * 5, [one.edge]),
      part(one.name, "gate", 52 + ordinal * 5, [one.gate]),
      ...resolver(one.name, 53 + ordinal * 5),
    ]),
  ];
}

function resolverHosts(
  { index, driver, dnsPort }: LabRequest,
  members: readonly MemberHost[],
  apps: readonly AppHost[],
): ResolverHost[] {
  const at = (name: string, kind: "member" | "app" | "site", ordinal: number): ResolverHost => {
    const host = addressPlans[driver].resolver(index, kind, ordinal);
    return { name, ...resolverAddresses(host, dnsPort) };
  };
  if (driver === "docker") return sites.map((site, ordinal) => at(site, "site", ordinal));
  return [
    ...members.map((one) => at(one.name, "member", one.ordinal)),
    ...apps.map((one, ordinal) => at(one.name, "app", ordinal)),
  ];
}

function memberHost(
  { index, driver, cluster }: LabRequest,
  name: string,
  ordinal: number,
): MemberHost {
  return {
    name,
    ordinal,
    site: siteOf(ordinal),
    // pg_auto_failover counts its nodes from 1, in the order in which they come.
    slot: cluster === "pair" ? slotName(name) : `pgautofailover_standby_${ordinal + 1}`,
    ...addressPlans[driver].member(index, ordinal),
  };
}

function appHost({ index, driver }: LabRequest, ordinal: number): AppHost {
  const name = `app-${String(ordinal + 1).padStart(2, "0")}`;
  return {
    name,
    site: siteOf(ordinal),
    router: name,
    edgePooler: `${name}-edge`,
    ...addressPlans[driver].app(index, ordinal),
  };
}

/** Every other host stands in the other data centre, the first one where the first member is. */
function siteOf(ordinal: number): Site {
  return sites[ordinal % sites.length] ?? sites[0];
}

/** What the registry calls the node that a member stands on: the host of its resolver. */
export function nodeOf({ driver }: Pick<LabModel, "driver">, member: MemberHost): string {
  return driver === "docker" ? member.site : member.name;
}

/** The slot a standby of this name streams through (slot names take no dash). */
function slotName(member: string): string {
  return member.replaceAll("-", "_");
}

/** Every name a verb takes: hosts and parts, in the order of the lab. */
export function partNames(model: LabModel): string[] {
  const hosts = new Set(model.parts.map((one) => one.host));
  return [...hosts, ...model.parts.map((one) => one.name)];
}

/** The parts that a name stands for: one part, or all of a host; empty when there is none. */
export function partsNamed(model: LabModel, name: string): Part[] {
  return model.parts.filter((one) => one.name === name || one.host === name);
}

/** The part of a host that does one thing; the model has it, or this is a mistake of ours. */
export function partOf(model: LabModel, host: string, kind: PartKind): Part {
  const found = model.parts.find((one) => one.host === host && one.kind === kind);
  if (found === undefined) throw new TypeError(`the lab has no ${host}/${kind}`);
  return found;
}

/** Where a part takes datagrams: a resolver its questions. */
export function datagramsOf({ kind, listens }: Part): readonly Address[] {
  return kind === "resolver" ? listens.slice(0, 1) : [];
}
