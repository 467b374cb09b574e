/**
 * Where the parts of a lab listen, by the driver that runs them: on loopback addresses of a host of
 * its own with processes, each on its own address of the network between the data centres with
 * containers. Ports are the standard ones everywhere. Pure.
 */
import type { Address } from "../kit/address.ts";
import { registryPort } from "../registry/contract.ts";
import { resolverStatusPort } from "../sidecars/dns-resolver/contract.ts";

export type DriverKind = "process" | "docker";

/** The data centres of a lab. With Docker each is an engine's host with a network of its own. */
export const sites = ["dallas", "chicago"] as const;
export type Site = (typeof sites)[number];

export interface MemberAddresses {
  readonly postgres: Address;
  readonly pooler: Address;
  readonly health: Address;
}

export interface AppAddresses {
  readonly write: Address;
  readonly read: Address;
  readonly stats: Address;
  readonly edge: Address;
  readonly gate: Address;
}

/** Where a resolver answers questions, and where it tells how it is. */
export interface ResolverAddresses {
  readonly dns: Address;
  readonly status: Address;
}

interface AddressPlan {
  member(index: number, ordinal: number): MemberAddresses;
  app(index: number, ordinal: number): AppAddresses;
  monitor(index: number): Address;
  registry(index: number): Address;
  /**
   * The address of a resolver: one on each member's and each app's host, or where sites are hosts
   * one in each site.
   */
  resolver(index: number, kind: "member" | "app" | "site", ordinal: number): string;
}

export const addressPlans: Readonly<Record<DriverKind, AddressPlan>> = {
  process: {
    member: (index, ordinal) => {
      const host = `127.${10 + index}.0.${ordinal + 1}`;
      return memberAddresses(host, host, host);
    },
    app: (index, ordinal) => {
      const host = `127.${10 + index}.1.${ordinal + 1}`;
      return appAddresses(host, host, host);
    },
    monitor: (index) => ({ host: `127.${10 + index}.2.1`, port: 5432 }),
    registry: (index) => ({ host: `127.${10 + index}.2.2`, port: registryPort }),
    resolver: (index, kind, ordinal) =>
      `127.${10 + index}.${kind === "member" ? 0 : 1}.${ordinal + 1}`,
  },
  docker: {
    member: (index, ordinal) => {
      const at = (place: number): string => tailnetAddress(index, 101 + ordinal * 10 + place);
      return memberAddresses(at(0), at(1), at(2));
    },
    app: (index, ordinal) => {
      const at = (place: number): string => tailnetAddress(index, 151 + ordinal * 5 + place);
      return appAddresses(at(0), at(1), at(2));
    },
    monitor: (index) => ({ host: tailnetAddress(index, 141), port: 5432 }),
    registry: (index) => ({ host: tailnetAddress(index, 142), port: registryPort }),
    resolver: (index, _kind, ordinal) => tailnetAddress(index, 143 + ordinal),
  },
};

/** The addresses of a resolver on `host`; ports below 1024 are for root alone. */
export function resolverAddresses(host: string, dnsPort: number): ResolverAddresses {
  return { dns: { host, port: dnsPort }, status: { host, port: resolverStatusPort } };
}

function memberAddresses(postgres: string, pooler: string, health: string): MemberAddresses {
  return {
    postgres: { host: postgres, port: 5432 },
    pooler: { host: pooler, port: 6432 },
    health: { host: health, port: 8008 },
  };
}

function appAddresses(router: string, edge: string, gate: string): AppAddresses {
  return {
    write: { host: router, port: 6433 },
    read: { host: router, port: 6434 },
    stats: { host: router, port: 8404 },
    edge: { host: edge, port: 6432 },
    gate: { host: gate, port: 8009 },
  };
}

/** The networks of a lab of containers: one for each site, and one between them. */
export const networks = [...sites, "tailnet"] as const;
export type LabNetwork = (typeof networks)[number];

// Addresses from 101 up are the lab's own; Docker takes the low ones for other containers.
const firstBytes = "10.213";

/** The subnet of a network of the lab at `index`, such as 10.213.0.0/24. */
export function subnetOf(index: number, network: LabNetwork): string {
  return `${prefixOf(index, network)}.0/24`;
}

function prefixOf(index: number, network: LabNetwork): string {
  return `${firstBytes}.${index * 4 + networks.indexOf(network)}`;
}

function tailnetAddress(index: number, last: number): string {
  return `${prefixOf(index, "tailnet")}.${last}`;
}

/** The address in `network` of the container that has `tailnet` between the sites. */
export function addressIn(index: number, network: LabNetwork, tailnet: string): string {
  return `${prefixOf(index, network)}.${tailnet.slice(tailnet.lastIndexOf(".") + 1)}`;
}
