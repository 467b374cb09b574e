/**
 * What the parts of a lab of containers are called, and where each stands: names as Kamal gives them
 * (`<service>-<accessory>`), the networks of a container with its address in each, and the labels by
 * which everything of a lab is found again. Pure.
 */
import { containerPorts, imageOfKind, partKinds } from "../../config/kamal-words.ts";
import type { ImageName, PartKind } from "../../config/kamal-words.ts";
import type { NetworkEnd } from "../../kit/docker-engine.ts";
import { addressIn, sites } from "../addresses.ts";
import type { LabNetwork, Site } from "../addresses.ts";
import type { LabModel, Part } from "../model.ts";
import { partOf } from "../model.ts";

/** What a container of a lab is: an accessory, or the registry, which stands beside the hosts. */
export const containerKinds = [...partKinds, "registry"] as const;
export type ContainerKind = (typeof containerKinds)[number];

/** The accessory that a part is, as config/deploy.yml would call it. */
const accessories: Readonly<Record<ContainerKind, string>> = {
  postgres: "postgres",
  pooler: "pgbouncer",
  health: "pg-health",
  router: "haproxy",
  edge: "pgbouncer",
  gate: "pool-gate",
  resolver: "dns-resolver",
  registry: "registry",
};

/** The image of each kind. */
export const images: Readonly<Record<ContainerKind, ImageName>> = {
  ...imageOfKind,
  registry: "switchyard",
};

/** The name of a part's container, such as demo-postgres-dal-01. */
export function containerName(lab: Pick<LabModel, "name">, part: Part): string {
  return `${lab.name}-${accessories[kindOf(part)]}-${part.host}`;
}

/** What a container of a lab is; `up` lets no other parts into a lab of containers. */
export function kindOf(part: Part): ContainerKind {
  const kind = containerKinds.find((one) => one === part.kind);
  if (kind === undefined) throw new TypeError(`${part.name} is no container`);
  return kind;
}

/** The name of the container that does `kind` on `host`. */
export function containerOf(model: LabModel, host: string, kind: PartKind): string {
  return containerName(model, partOf(model, host, kind));
}

/** Where containers of the same host reach that one: its name and port. */
export function endOf(model: LabModel, host: string, kind: PartKind): string {
  return `${containerOf(model, host, kind)}:${containerPorts[kind]}`;
}

/** The name of one of the lab's networks. */
export function networkName(lab: Pick<LabModel, "name">, network: LabNetwork): string {
  return `${lab.name}-${network}`;
}

/** The data centre, which is an engine's host, that `host` stands in; none for a registry's. */
export function siteOf(model: LabModel, host: string): Site | undefined {
  const found = [...model.members, ...model.apps].find((one) => one.name === host);
  return found?.site ?? sites.find((site) => site === host);
}

/** A part's address on the network between the sites, where others of its cluster reach it. */
export function tailnetOf(part: Part): string {
  const [main] = part.listens;
  if (main === undefined) throw new TypeError(`${part.name} listens nowhere`);
  return main.host;
}

/**
 * The networks of a part's container: its site's, where it has its name, and the one between. Docker
 * answers a name with the address in the network whose name sorts first, so the site's wins. What is
 * in no site is elsewhere on the tailnet.
 */
export function networkEnds(model: LabModel, part: Part): NetworkEnd[] {
  const tailnet = tailnetOf(part);
  const site = siteOf(model, part.host);
  const between = { network: networkName(model, "tailnet"), address: tailnet };
  if (site === undefined) return [between];
  const own = { network: networkName(model, site), address: addressIn(model.index, site, tailnet) };
  return [own, between];
}

/** Whom the engine asks for a container: three at the most count. */
const dnsLimit = 3;

/**
 * Whom the engine asks for names that a container does not find: the resolver of its site, then the
 * one of the other site, then the engine host's own `nameServers`. A resolver refuses what is outside
 * its zone, and Docker asks the next one; the other way round, a name server that knows nothing of the
 * zone would say that a name of it does not exist.
 */
export function dnsOf(
  model: LabModel,
  part: Part,
  nameServers: readonly string[],
): readonly string[] | undefined {
  const site = siteOf(model, part.host);
  if (site === undefined || part.kind === "resolver" || model.resolvers.length === 0) {
    return undefined;
  }
  const own = model.resolvers.filter(({ name }) => name === site);
  const others = model.resolvers.filter(({ name }) => name !== site);
  const resolvers = [
    ...own.map(({ dns }) => addressIn(model.index, site, dns.host)),
    ...others.map(({ dns }) => dns.host),
  ];
  return [...resolvers, ...nameServers].slice(0, dnsLimit);
}

/** Every address of the parts' containers. */
export function addressesOf(model: LabModel, parts: readonly Part[]): string[] {
  return parts.flatMap((part) => networkEnds(model, part).flatMap(({ address }) => address ?? []));
}

/** The addresses between the sites of all parts of each site. */
export function tailnetBySite(model: LabModel): ReadonlyMap<Site, readonly string[]> {
  return new Map(
    sites.map((site) => {
      const there = model.parts.filter((part) => siteOf(model, part.host) === site);
      return [site, there.map(tailnetOf)];
    }),
  );
}

export const labLabel = "org.switchyard.lab";
/** The folder that labs of its user lie in. */
export const placeLabel = "org.switchyard.place";
const partLabel = "org.switchyard.part";

/** The labels of everything that belongs to a lab; without `root`, of every user's of that name. */
export function labLabels(root: string | undefined, lab: string): Readonly<Record<string, string>> {
  return { [labLabel]: lab, ...(root === undefined ? {} : { [placeLabel]: root }) };
}

/** The labels of a part's container and volumes. */
export function partLabels(
  root: string,
  lab: string,
  part: Part,
): Readonly<Record<string, string>> {
  return { ...labLabels(root, lab), [partLabel]: part.name };
}
