/**
 * Which containers an environment has, and what each accessory says: a table with one row for each
 * kind of part. Pure.
 */
import { containerPorts, routerPaths } from "../../config/kamal-words.ts";
import type { PartKind } from "../../config/kamal-words.ts";
import type { EdgePooler, Environment, Router } from "../../config/schema.ts";
import { formatDuration } from "../../config/units.ts";
import { socketInContainer } from "../../config/values.ts";
import { formatAddress } from "../../kit/address.ts";
import type { AccessoryBody, Part } from "./accessory.ts";
import { KamalModelError } from "./accessory.ts";
import { containedMembers, healthUrlFrom, published, routerBehind } from "./addresses.ts";
import type { ContainedMember } from "./addresses.ts";
import { connectionTo, filesFolder, mountedAt, owners, uploaded } from "./mounted.ts";
import { resolverParts } from "./resolver-parts.ts";
import { secretAs, secretNames } from "./secret-names.ts";

/** The images that accessories run, all of them pinned. */
export interface Images {
  readonly switchyard: string;
  readonly haproxy: string;
  readonly pgbouncer: string;
  readonly postgres: string;
}

/** What the rows are made from. */
interface Making {
  readonly environment: Environment;
  readonly images: Images;
  readonly members: readonly ContainedMember[];
  /** The container that Kamal makes of an accessory of this name. */
  readonly usualName: (accessory: string) => string;
}

/** The first part of an accessory's name, by kind; the rest is the name of its part. */
export const accessoryNames: Readonly<Record<PartKind, string>> = {
  postgres: "postgres",
  pooler: "pgbouncer",
  health: "pg-health",
  router: "haproxy",
  edge: "pgbouncer-edge",
  gate: "pool-gate",
  resolver: "dns-resolver",
};

const makers: Readonly<Record<PartKind, (making: Making) => Part[]>> = {
  postgres: (making) => making.members.map((one, index) => postgresPart(making, one, index)),
  pooler: (making) => making.members.map((one) => poolerPart(making, one)),
  health: (making) => making.members.map((one) => healthPart(making, one)),
  router: (making) => making.environment.routers.flatMap((one, at) => routerPart(making, one, at)),
  edge: (making) => making.environment.edgePoolers.flatMap((one, at) => edgePart(making, one, at)),
  gate: (making) => making.environment.edgePoolers.flatMap((one, at) => gatePart(making, one, at)),
  resolver: ({ environment, images, usualName }) =>
    resolverParts(environment, images.switchyard, usualName(accessoryNames.resolver)),
};

/**
 * Every part that stands in a container of the environment's hosts.
 * @throws KamalModelError
 */
export function partsOf(
  environment: Environment,
  images: Images,
  usualName: (accessory: string) => string,
): Part[] {
  const making = { environment, images, members: containedMembers(environment), usualName };
  return Object.values(makers).flatMap((make) => make(making));
}

function postgresPart(
  { environment, images, members }: Making,
  { member, path, host, container }: ContainedMember,
  index: number,
): Part {
  const folder = filesFolder(environment.name);
  const secrets = secretNames(environment);
  const owner = owners.postgres;
  const data = member.control?.data ?? "";
  const first = members[0]?.member;
  const follows = index === 0 || first === undefined ? undefined : first;
  const clear = {
    PGDATA: data,
    POSTGRES_CONFIG_FILE: mountedAt.settings,
    POSTGRES_USER: environment.login.user,
    POSTGRES_DB: environment.login.database,
    POSTGRES_PASSWORD_FILE: mountedAt.password,
    ...(follows === undefined
      ? {}
      : {
          PRIMARY_CONNINFO: connectionTo(follows, member),
          PRIMARY_PASSFILE: mountedAt.passfile,
          ...(member.slot === undefined ? {} : { PRIMARY_SLOT: member.slot }),
        }),
  };
  const own = `${folder}/postgres-${member.name}.conf`;
  const body: AccessoryBody = {
    image: images.postgres,
    // What an empty volume becomes. Data that is there is started as it is.
    cmd: follows === undefined ? "primary" : "standby",
    env: {
      clear,
      secret: [
        secretAs("POSTGRES_PASSWORD", secrets.login),
        secretAs("REPLICATOR_PASSWORD", secrets.replicator),
      ],
    },
    files: [
      uploaded(own, mountedAt.settings, owner, "0644"),
      uploaded(`${folder}/superuser.password.erb`, mountedAt.password, owner, "0400"),
      uploaded(`${folder}/passfile.erb`, mountedAt.passfile, owner, "0400"),
      ...(follows === undefined
        ? [uploaded(`${folder}/roles.sql.erb`, mountedAt.roles, owner, "0400")]
        : []),
    ],
    // The mount is the parent of the data: a rebuild renames the data directory.
    volumes: [`${container}-data:${data.slice(0, data.lastIndexOf("/"))}`],
    options: { "stop-signal": "SIGINT", "stop-timeout": 120, "shm-size": "256m" },
  };
  const port = published(member.postgres, containerPorts.postgres, `${path}.postgres`);
  return { kind: "postgres", name: member.name, path, host, container, published: [port], body };
}

/** An ordinary PgBouncer: its configuration and its users are uploaded. */
function pgbouncer(image: string, folder: string, name: string, secret: string): AccessoryBody {
  const owner = owners.pgbouncer;
  return {
    image,
    env: { secret: [secretAs("PGBOUNCER_ADMIN_PASSWORD", secret)] },
    files: [
      uploaded(`${folder}/pgbouncer-${name}.ini`, mountedAt.ini, owner, "0644"),
      uploaded(`${folder}/userlist-${name}.txt.erb`, mountedAt.userlist, owner, "0400"),
    ],
    // SIGTERM would wait for every client to leave.
    options: { "stop-signal": "SIGINT", "stop-timeout": 10 },
  };
}

function poolerPart({ environment, images }: Making, at: ContainedMember): Part {
  const { member, path, host, pooler } = at;
  const { login, pooler: secret } = secretNames(environment);
  const { admin, address } = member.pooler;
  const held = admin === undefined ? login : secret(member.name);
  return {
    ...{ kind: "pooler", name: member.name, path, host, container: pooler.host },
    published: [published(address, pooler.port, `${path}.pooler.address`)],
    body: pgbouncer(images.pgbouncer, filesFolder(environment.name), member.name, held),
  };
}

function healthPart({ environment, images }: Making, at: ContainedMember): Part {
  const { member, path, host, container, pooler, health } = at;
  const { login, members, pgHealth } = environment;
  const names = secretNames(environment);
  const peers = members.filter((one) => one !== member).map((one) => healthUrlFrom(host, one));
  const { admin } = member.pooler;
  const clear = {
    PG_HEALTH_LISTEN: `0.0.0.0:${health.port}`,
    PG_HEALTH_MEMBER: member.name,
    PG_HEALTH_POSTGRES: `${container}:${containerPorts.postgres}`,
    PG_HEALTH_DATABASE: login.database,
    PG_HEALTH_USER: login.user,
    // Encrypted, if at all: a certificate carries no container's name, and this way leads through
    // one host.
    PG_HEALTH_TLS: login.tls === "disable" ? "disable" : "require",
    PG_HEALTH_SLOW_GRACE: formatDuration(pgHealth.slowGrace),
    PG_HEALTH_PEERS: peers.join(","),
    PG_HEALTH_PEER_DEADLINE: formatDuration(pgHealth.peerDeadline),
    PG_HEALTH_POOLER: formatAddress(pooler),
    ...(admin === undefined ? {} : { PG_HEALTH_POOLER_USER: admin.user }),
  };
  const secret = [
    secretAs("PG_HEALTH_PASSWORD", names.login),
    ...(admin === undefined
      ? []
      : [secretAs("PG_HEALTH_POOLER_PASSWORD", names.pooler(member.name))]),
  ];
  return {
    ...{ kind: "health", name: member.name, path, host, container: health.host },
    published: [published(member.health, health.port, `${path}.health`)],
    body: { image: images.switchyard, cmd: "pg-health", env: { clear, secret } },
  };
}

function routerPart({ environment, images }: Making, router: Router, index: number): Part[] {
  const path = `routers[${index}]`;
  const admin = socketInContainer(router.runtime);
  if (router.host === undefined || admin === undefined) return [];
  const { container } = admin;
  const bound = router.adminSocket ?? environment.haproxy.adminSocket;
  expected(
    admin.path === bound,
    `${path}.runtime`,
    `docker://${container}${bound}, where this router opens it`,
    router.runtime,
  );
  const master = `docker://${container}${routerPaths.master}`;
  expected(
    router.master === master,
    `${path}.master`,
    `${master}, where the image has it`,
    router.master,
  );
  const file = router.configuration.path;
  expected(
    file === routerPaths.configuration,
    `${path}.configuration.path`,
    `${routerPaths.configuration}, where the image reads it`,
    file,
  );
  for (const key of ["write", "read", "stats"] as const) {
    const { host } = router.listen[key];
    const isOpen = ["0.0.0.0", "::"].includes(host);
    expected(
      isOpen,
      `${path}.listen.${key}`,
      "0.0.0.0 and a port: its address is the container's",
      host,
    );
  }
  const folder = (text: string): string => text.slice(0, text.lastIndexOf("/"));
  const body: AccessoryBody = {
    image: images.haproxy,
    // A folder, not the file: the tools replace haproxy.cfg by renaming.
    directories: [{ local: "etc", remote: folder(file), mode: "0750", owner: owners.haproxy }],
    volumes: [`${container}-run:${folder(bound)}`],
    // The official image's SIGUSR1 waits for sessions that may last half a day, and takes no new ones.
    options: { "stop-signal": "SIGTERM", "stop-timeout": 10 },
  };
  // Apps of its host come by its name; nothing is published.
  return [
    { kind: "router", name: router.name, path, host: router.host, container, published: [], body },
  ];
}

function expected(holds: boolean, path: string, what: string, got: string | undefined): void {
  if (!holds) throw new KamalModelError(path, `expected ${what}; got ${got ?? "nothing"}`);
}

function edgePart(making: Making, edge: EdgePooler, index: number): Part[] {
  const { environment, images } = making;
  const path = `edgePoolers[${index}]`;
  if (edge.host === undefined) return [];
  routerBehind(environment, edge, path);
  const secret = secretNames(environment).edge(edge.name);
  const folder = filesFolder(environment.name);
  return [
    {
      ...{ kind: "edge", name: edge.name, path, host: edge.host, container: undefined },
      published: [published(edge.address, containerPorts.edge, `${path}.address`)],
      body: pgbouncer(images.pgbouncer, folder, `edge-${edge.name}`, secret),
    },
  ];
}

function gatePart(making: Making, edge: EdgePooler, index: number): Part[] {
  const { environment, images, usualName } = making;
  const path = `edgePoolers[${index}]`;
  if (edge.host === undefined || edge.gate === undefined) return [];
  const names = secretNames(environment);
  const accessory = `${accessoryNames.gate}-${edge.name}`;
  const body: AccessoryBody = {
    image: images.switchyard,
    cmd: "pool-gate",
    env: {
      clear: {
        POOL_GATE_LISTEN: `0.0.0.0:${containerPorts.gate}`,
        POOL_GATE_NAME: edge.name,
        POOL_GATE_POOLER: `${usualName(`${accessoryNames.edge}-${edge.name}`)}:${containerPorts.edge}`,
        POOL_GATE_POOLER_USER: edge.admin.user,
      },
      secret: [
        secretAs("POOL_GATE_TOKEN", names.gate(edge.name)),
        secretAs("POOL_GATE_POOLER_PASSWORD", names.edge(edge.name)),
      ],
    },
    // The lease outlives this container: its PgBouncer would stay paused without it.
    volumes: [`${usualName(accessory)}-state:/run/switchyard`],
  };
  const port = published(edge.gate.url, containerPorts.gate, `${path}.gate.url`);
  const { host, name } = edge;
  return [{ kind: "gate", name, path, host, container: undefined, published: [port], body }];
}
