/**
 * The accessories of an environment by their names in deploy.yml: parts that are alike on several
 * hosts become one accessory, and what cannot stand side by side on one host is refused. Pure.
 */
import { kamalHostName, kamalLabels, kamalNetwork, ownImages } from "../../config/kamal-words.ts";
import type { Environment } from "../../config/schema.ts";
import type { Accessory, Part } from "./accessory.ts";
import { KamalModelError } from "./accessory.ts";
import { publishedAddress } from "./addresses.ts";
import { accessoryNames, partsOf } from "./parts.ts";
import type { Images } from "./parts.ts";

export type Accessories = Readonly<Record<string, Accessory>>;

/**
 * The images of an environment: those that it names, else ours of `version`.
 */
export function imagesOf({ kamal }: Environment, version: string): Images {
  const { switchyard, haproxy, pgbouncer, postgres } = kamal.images;
  const own = ownImages(version);
  return {
    switchyard: switchyard ?? own.switchyard,
    haproxy: haproxy ?? own.haproxy,
    pgbouncer: pgbouncer ?? own.pgbouncer,
    postgres: postgres ?? own.postgres,
  };
}

/**
 * The `accessories` of config/deploy.yml or of a destination's file. Kamal merges the two, so what
 * tells where an accessory stands and what it is called always stands there, and always under one
 * key: `hosts`, never `host`.
 * @throws KamalModelError where the environment names what Kamal cannot do
 */
export function accessoriesOf(environment: Environment, images: Images): Accessories {
  const service = environment.kamal.service ?? environment.cluster;
  const usualName = (name: string): string => `${service}-${name}`;
  const parts = partsOf(environment, images, usualName);
  if (parts.length === 0) {
    throw new KamalModelError(
      "hosts",
      "no part of this environment stands in a container: give members and routers a host, and the names of their containers",
    );
  }
  refuseClashes(parts, usualName);
  const groups = grouped(environment, parts);
  return Object.fromEntries(
    groups.map((group) => {
      const name = accessoryName(group, groups);
      return [name, accessory(environment, group, usualName(name))] as const;
    }),
  );
}

/** The name of a part's accessory where it has one to itself. */
function ownAccessory({ kind, name }: Part): string {
  return `${accessoryNames[kind]}-${name}`;
}

/** On one host a container's name and a published port stand once. */
function refuseClashes(parts: readonly Part[], usualName: (accessory: string) => string): void {
  const taken = new Map<string, Part>();
  for (const part of parts) {
    const container = part.container ?? usualName(ownAccessory(part));
    const ports = part.published.map((text) => `port ${publishedAddress(text)}`);
    for (const what of [`container ${container}`, ...ports]) {
      const key = `${part.host} ${what}`;
      const other = taken.get(key);
      if (other !== undefined) {
        throw new KamalModelError(
          part.path,
          `${what} of host ${part.host} is that of ${other.name}/${other.kind} and of ${part.name}/${part.kind}`,
        );
      }
      taken.set(key, part);
    }
  }
}

/** Parts that differ in nothing but their host are one group. */
function grouped(environment: Environment, parts: readonly Part[]): Part[][] {
  const groups = new Map<string, Part[]>();
  for (const part of parts) {
    const { kind, container, published, body } = part;
    const own = container ?? ownAccessory(part);
    const key = JSON.stringify([kind, own, published, body, networkOf(environment, part.host)]);
    const group = groups.get(key);
    // Two of a kind on one host are two accessories: a host stands in one of them once.
    if (group === undefined || group.some((one) => one.host === part.host)) {
      groups.set(group === undefined ? key : `${key} ${part.name}`, [part]);
    } else group.push(part);
  }
  return [...groups.values()];
}

function accessoryName(group: readonly Part[], groups: readonly (readonly Part[])[]): string {
  const [first] = group;
  if (first === undefined) throw new TypeError("a group has a part");
  const shared = groups.filter((one) => one.length > 1 && one[0]?.kind === first.kind);
  const mayBeShort = group.length > 1 && shared.length === 1;
  return mayBeShort ? accessoryNames[first.kind] : ownAccessory(first);
}

function networkOf({ hosts }: Environment, name: string): string {
  return hosts.find((one) => one.name === name)?.network ?? kamalNetwork;
}

function accessory(environment: Environment, group: readonly Part[], usual: string): Accessory {
  const [first] = group;
  if (first === undefined) throw new TypeError("a group has a part");
  const { kind, container, published, body } = first;
  const [port, ...ports] = published;
  const network = networkOf(environment, first.host);
  const hosts = group.map(({ host }) => {
    const known = environment.hosts.find((one) => one.name === host);
    return known === undefined ? host : kamalHostName(known);
  });
  return {
    service: container ?? usual,
    hosts,
    ...(port === undefined ? {} : { port }),
    network,
    ...body,
    ...(ports.length === 0 ? {} : { options: { ...body.options, publish: ports } }),
    labels: {
      [kamalLabels.environment]: environment.name,
      [kamalLabels.part]: group.length > 1 ? kind : `${first.name}/${kind}`,
    },
  };
}
