/** Environments in containers for the tests of Kamal: one tree, and many that a dice makes. */
import { stringify } from "yaml";
import { parseEnvironment } from "../../../config/load.ts";
import type { Environment } from "../../../config/schema.ts";
import { accessoriesText } from "../../../router/kamal/document.ts";
import { accessoriesOf, imagesOf } from "../../../router/kamal/model.ts";
import type { Accessories } from "../../../router/kamal/model.ts";

export type Tree = Record<string, unknown>;

export const secretText = "hunter2-correct-horse";

export const variables = {
  SWITCHYARD_PASSWORD: secretText,
  NODE_POOLER_PASSWORD: secretText,
  EDGE_POOLER_PASSWORD: secretText,
  POOL_GATE_TOKEN: secretText,
  REGISTRY_TOKEN: secretText,
  DNS_RESOLVER_TOKEN: secretText,
  OTHER: `${secretText}-2`,
};

/** Numbers from 0 to below `limit`, the same ones for the same seed (a linear congruence). */
export function dice(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Words that YAML 1.1, which Ruby reads, takes for something else than text. */
const strangeNames = ["no", "on", "yes", "off", "null", "true", "y", "n", "nil", "x-1"];

export interface Shape {
  readonly name: string;
  readonly cluster: string;
  readonly hosts: number;
  /** How many of the hosts have a member; each has a router and an edge pooler. */
  readonly members: number;
  readonly strange: boolean;
  readonly network: string;
  readonly service: string | undefined;
  /** The first port of its range. */
  readonly firstPort: number;
  readonly ipv6: boolean;
}

/** A shape for a seed. */
export function shapeOf(seed: number): Shape {
  const roll = dice(seed);
  const hosts = 1 + roll(4);
  return {
    name: roll(2) === 0 ? "production" : "on",
    cluster: strangeNames[roll(strangeNames.length)] ?? "x",
    hosts,
    members: 1 + roll(hosts),
    strange: roll(2) === 0,
    network: roll(3) === 0 ? "other_net" : "kamal",
    service: roll(2) === 0 ? undefined : "shop",
    firstPort: 5432 + roll(2) * 10_000,
    ipv6: roll(4) === 0,
  };
}

/** The tree of an environment file of that shape, whole. */
export function treeOf(shape: Shape): Tree & {
  members: Tree[];
  routers: Tree[];
  edgePoolers: Tree[];
  registry: Tree & { resolvers: Tree[] };
} {
  const indexes = Array.from({ length: shape.hosts }, (_, index) => index);
  const service = shape.service ?? shape.cluster;
  const name = (index: number): string =>
    (shape.strange ? strangeNames[index] : undefined) ?? `db-0${index + 1}`;
  const at = (index: number, port: number): string =>
    shape.ipv6 ? `[fd00::${index + 1}]:${port}` : `100.64.0.${index + 1}:${port}`;
  const first = shape.firstPort;
  return {
    cluster: shape.cluster,
    login: { user: "switchyard", password: "${SWITCHYARD_PASSWORD}" },
    hosts: indexes.map((index) => ({
      name: `host-${index}`,
      engine: `ssh://root@machine-${index}.example.com`,
      network: shape.network,
      ...(index % 2 === 0 ? {} : { kamal: `100.64.0.${index + 1}` }),
    })),
    members: indexes.slice(0, shape.members).map((index) => ({
      name: name(index),
      ordinal: index,
      host: `host-${index}`,
      postgres: at(index, first),
      pooler: {
        address: at(index, first + 1000),
        admin: { user: "pooler_admin", password: "${NODE_POOLER_PASSWORD}" },
      },
      health: `http://${at(index, 8008)}`,
      local: {
        pooler: `${service}-node-pooler:6432`,
        health: `http://${service}-pg-health-${name(index)}:8008`,
      },
      slot: `slot_${index}`,
      control: {
        container: `${service}-postgres-${name(index)}`,
        poolerContainer: `${service}-node-pooler`,
        data: "/var/lib/postgresql/data",
      },
    })),
    routers: indexes.map((index) => ({
      name: `app-${index}`,
      host: `host-${index}`,
      listen: { write: "0.0.0.0:6433", read: "0.0.0.0:6434", stats: "0.0.0.0:8404" },
      runtime: `docker://${service}-haproxy/run/haproxy/admin.sock`,
      master: `docker://${service}-haproxy/run/haproxy/master.sock`,
      configuration: { path: "/usr/local/etc/haproxy/haproxy.cfg" },
    })),
    edgePoolers: indexes.map((index) => ({
      name: `app-${index}`,
      host: `host-${index}`,
      address: at(index, 7432),
      admin: { user: "pooler_admin", password: "${EDGE_POOLER_PASSWORD}" },
      databases: ["orders"],
      poolMode: "transaction",
      gate: { url: `http://${at(index, 8009)}`, token: "${POOL_GATE_TOKEN}" },
    })),
    registry: {
      url: "http://100.64.0.99:8053",
      token: "${REGISTRY_TOKEN}",
      resolvers: indexes.map((index) => ({
        name: `app-${index}`,
        host: `host-${index}`,
        address: at(index, 53),
        node: { id: index + 1, token: "${DNS_RESOLVER_TOKEN}" },
        upstreams: index === 0 ? [] : ["9.9.9.9:53"],
      })),
    },
    ...(shape.service === undefined ? {} : { kamal: { service: shape.service } }),
  };
}

/** The same tree without what Kamal knows; `file` is what `kamal config` printed. */
export function bareTree(whole: ReturnType<typeof treeOf>, file: string): Tree {
  return {
    ...whole,
    members: whole.members.map(({ name, ordinal, slot, pooler }) => ({
      name,
      ordinal,
      slot,
      pooler: { admin: (pooler as Tree)["admin"] },
    })),
    // One accessory stands for all routers, so their hosts tell them apart.
    routers: whole.routers.map(({ name, host }) => ({ name, host })),
    edgePoolers: whole.edgePoolers.map(({ name, admin, databases, poolMode, gate }) => ({
      ...{ name, admin, databases, poolMode },
      gate: { token: (gate as Tree)["token"] },
    })),
    registry: {
      ...whole.registry,
      resolvers: whole.registry.resolvers.map(({ name, node, upstreams }) => ({
        ...{ name, node, upstreams },
      })),
    },
    kamal: { ...(whole["kamal"] as Tree | undefined), file },
  };
}

/** Loads a tree as an environment. @throws ConfigError */
export async function load(tree: Tree, name = "production", file = "x.yml"): Promise<Environment> {
  return await parseEnvironment(stringify(tree), { name, file, variables });
}

/** What an environment's accessories are. @throws KamalModelError */
export function accessories(environment: Environment): Accessories {
  return accessoriesOf(environment, imagesOf(environment, "0.1.0"));
}

/** What `kamal config` prints of accessories, by the facts: symbols at the top, the rest as it was. */
export function kamalConfig(found: Accessories, service = "shop"): string {
  const head = { ":version": "9c3", ":service_with_version": `${service}-9c3` };
  const body = accessoriesText(found).replace(/^accessories:/, ":accessories:");
  return `---\n${stringify({ ...head, ":ssh_options": { ":user": "deploy", ":port": 2222 } })}${body}`;
}

/** Kamal's merge of deploy.yml with a destination's file: hashes deep, arrays replaced. */
export function deepMerged(base: unknown, over: unknown): unknown {
  const isHash = (value: unknown): value is Tree =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isHash(base) || !isHash(over)) return over;
  const keys = [...new Set([...Object.keys(base), ...Object.keys(over)])];
  return Object.fromEntries(
    keys.map((key) => [key, key in over ? deepMerged(base[key], over[key]) : base[key]]),
  );
}
