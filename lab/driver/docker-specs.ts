/**
 * The container of each part of a lab: its image, its variables, its volumes. Secrets are files in
 * volumes, readable by the part's own user alone; a variable names the file. Pure.
 */
import {
  containerPorts,
  poolerPaths,
  postgresPaths,
  registryStore,
  resolverState,
  routerPaths,
} from "../../config/kamal-words.ts";
import type { ImageName } from "../../config/kamal-words.ts";
import type { ContainerSpec, Mount } from "../../kit/docker-engine.ts";
import { formatAddress } from "../../kit/address.ts";
import { registryPort } from "../../registry/contract.ts";
import { resolverStatusPort } from "../../sidecars/dns-resolver/contract.ts";
import type { LabModel, MemberHost, Part } from "../model.ts";
import { initdbWords, upstreamWords } from "../postgres.ts";
import { labUsers } from "../secrets.ts";
import {
  containerName,
  dnsOf,
  endOf,
  images as imageOf,
  kindOf,
  networkEnds,
  partLabels,
} from "./docker-names.ts";
import type { ContainerKind } from "./docker-names.ts";

function folderWith(file: string): string {
  return file.slice(0, file.lastIndexOf("/"));
}

/** The folder of a part that its files are written to, in its container. */
export const folderOf: Readonly<Record<ContainerKind, string>> = {
  postgres: postgresPaths.mount,
  pooler: folderWith(poolerPaths.ini),
  edge: folderWith(poolerPaths.ini),
  router: folderWith(routerPaths.configuration),
  health: "/etc/switchyard",
  gate: "/etc/switchyard",
  resolver: "/etc/switchyard",
  registry: registryStore,
};

/** A further folder that is a volume: sockets, or what has to outlive a restart. */
const secondFolders: Readonly<Partial<Record<ContainerKind, string>>> = {
  router: folderWith(routerPaths.admin),
  resolver: resolverState,
};

/** Room for dynamic shared memory: parallel queries take it from /dev/shm, 64 MB of it by default. */
const sharedMemoryBytes = 256 * 1024 ** 2;

/** The volumes of a part. */
export function mountsOf(model: LabModel, part: Part): Mount[] {
  const name = containerName(model, part);
  const second = secondFolders[kindOf(part)];
  return [
    { source: name, target: folderOf[kindOf(part)] },
    ...(second === undefined ? [] : [{ source: `${name}-run`, target: second }]),
  ];
}

/** What the containers of all labs of this user and this machine share. */
export interface ContainerPlace {
  /** The folder that labs of this user lie in. */
  readonly root: string;
  readonly images: Readonly<Record<ImageName, string>>;
  /** The engine host's own, as containers can reach them. */
  readonly nameServers: readonly string[];
}

/** The container of a part. */
export function specOf(
  model: LabModel,
  { root, images, nameServers }: ContainerPlace,
  part: Part,
): ContainerSpec {
  const name = containerName(model, part);
  const dns = dnsOf(model, part, nameServers);
  return {
    name,
    hostname: name,
    image: images[imageOf[kindOf(part)]],
    ...runs[kindOf(part)](model, part),
    labels: partLabels(root, model.name, part),
    networks: networkEnds(model, part),
    ...(dns === undefined ? {} : { dns }),
    mounts: mountsOf(model, part),
    restart: "unless-stopped",
  };
}

type Run = (
  model: LabModel,
  part: Part,
) => Pick<ContainerSpec, "command" | "env" | "sharedMemoryBytes" | "stopSignal">;

const runs: Readonly<Record<ContainerKind, Run>> = {
  postgres: (model, part) => ({
    // What a node is stands on its command line: a copied data directory takes over no identity.
    command: [roleOf(model, part), "-c", `cluster_name=${part.host}`],
    env: postgresVariables(model, memberOf(model, part)),
    sharedMemoryBytes,
    stopSignal: "SIGINT",
  }),
  pooler: () => ({}),
  edge: () => ({}),
  router: () => ({}),
  health: (model, part) => ({ command: ["pg-health"], env: healthVariables(model, part) }),
  gate: (model, part) => ({ command: ["pool-gate"], env: gateVariables(model, part) }),
  resolver: (model) => ({ command: ["dns-resolver"], env: resolverVariables(model) }),
  registry: () => ({
    command: ["registry", "start"],
    env: { REGISTRY_LISTEN: `0.0.0.0:${registryPort}`, REGISTRY_DATA: folderOf.registry },
  }),
};

function roleOf(model: LabModel, part: Part): "primary" | "standby" {
  return memberOf(model, part) === model.members[0] ? "primary" : "standby";
}

function memberOf(model: LabModel, part: Part): MemberHost {
  const member = model.members.find((one) => one.name === part.host);
  if (member === undefined) throw new TypeError(`${part.host} is no member`);
  return member;
}

function inFolder(kind: ContainerKind, file: string): string {
  return `${folderOf[kind]}/${file}`;
}

function postgresVariables(model: LabModel, member: MemberHost): Record<string, string> {
  const passfile = inFolder("postgres", "passfile");
  return {
    POSTGRES_USER: labUsers.superuser,
    POSTGRES_PASSWORD_FILE: inFolder("postgres", "superuser"),
    POSTGRES_INITDB_ARGS: initdbWords.join(" "),
    POSTGRES_CONFIG_FILE: inFolder("postgres", "lab.conf"),
    POSTGRES_HBA_FILE: inFolder("postgres", "pg_hba.conf"),
    ...(member === model.members[0]
      ? {}
      : {
          PRIMARY_CONNINFO: upstreamWords(model, member, passfile),
          PRIMARY_PASSFILE: passfile,
          PRIMARY_SLOT: member.slot,
        }),
  };
}

function healthVariables(model: LabModel, part: Part): Record<string, string> {
  const others = model.members.filter((one) => one.name !== part.host);
  return {
    PG_HEALTH_MEMBER: part.host,
    // By name, and not by its own published address: a container cannot reach that.
    PG_HEALTH_POSTGRES: endOf(model, part.host, "postgres"),
    PG_HEALTH_USER: labUsers.superuser,
    PG_HEALTH_PASSWORD_FILE: inFolder("health", "superuser"),
    PG_HEALTH_PEERS: others.map((one) => `http://${formatAddress(one.health)}`).join(","),
    PG_HEALTH_POOLER: endOf(model, part.host, "pooler"),
    PG_HEALTH_POOLER_USER: labUsers.poolerAdmin,
    PG_HEALTH_POOLER_PASSWORD_FILE: inFolder("health", "pooler-admin"),
  };
}

/** All but its node's number, which the registry gives. */
function resolverVariables({ registry }: LabModel): Record<string, string> {
  if (registry === undefined) throw new TypeError("a lab with resolvers has a registry");
  return {
    DNS_RESOLVER_LISTEN: `0.0.0.0:${containerPorts.resolver}`,
    DNS_RESOLVER_STATUS_LISTEN: `0.0.0.0:${resolverStatusPort}`,
    DNS_RESOLVER_REGISTRY: `http://${formatAddress(registry.address)}`,
    DNS_RESOLVER_TOKEN_FILE: inFolder("resolver", "token"),
  };
}

function gateVariables(model: LabModel, part: Part): Record<string, string> {
  const app = model.apps.find((one) => one.name === part.host);
  return {
    POOL_GATE_NAME: app?.edgePooler ?? part.host,
    POOL_GATE_LISTEN: `0.0.0.0:${containerPorts.gate}`,
    POOL_GATE_TOKEN_FILE: inFolder("gate", "token"),
    POOL_GATE_POOLER: endOf(model, part.host, "edge"),
    POOL_GATE_POOLER_USER: labUsers.poolerAdmin,
    POOL_GATE_POOLER_PASSWORD_FILE: inFolder("gate", "pooler-admin"),
  };
}
