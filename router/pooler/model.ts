/**
 * What the PgBouncer templates show: a node pooler, which points at its own Postgres and nothing
 * else for ever, and an edge pooler, which points at its host's router. Every text is checked once
 * more by the allow-list of its kind. PgBouncer manual, "pgbouncer.ini".
 */
import type { z } from "zod";
import { containerPorts } from "../../config/kamal-words.ts";
import type { Environment } from "../../config/schema.ts";
import type { Secret } from "../../config/secret.ts";
import {
  addressValue,
  identifierValue,
  isIpAddress,
  nameValue,
  pathValue,
  reachableAddress,
  socketInContainer,
} from "../../config/values.ts";
import { formatAddress } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import type { TemplateModel } from "../../kit/template.ts";

/** Where a PgBouncer keeps its files on its host, and who may use its admin console. */
export interface PoolerPlace {
  readonly logFile: string;
  readonly pidFile: string;
  readonly userlistFile: string;
  readonly adminUsers: readonly string[];
}

/** An environment from which no PgBouncer configuration can be made; `path` is where it is wrong. */
export class PoolerModelError extends Error {
  override readonly name = "PoolerModelError";
  readonly code = "ERR_POOLER_MODEL";
  readonly path: string;
  constructor(path: string, message: string) {
    super(`${path}: ${message}`);
    this.path = path;
  }
}

/** A PgBouncer version; undefined means: only settings that every version from 1.18 knows. */
export type PoolerVersion = { readonly major: number; readonly minor: number } | undefined;

/** Reads what `pgbouncer --version` printed; undefined when it is not PgBouncer's output. */
export function parsePoolerVersion(printed: string): PoolerVersion {
  const match = /^PgBouncer ([0-9]{1,3})\.([0-9]{1,3})/.exec(printed);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}

/** Server connections per database and user; a session keeps its own for as long as it lives. */
const edgePoolSize = { transaction: 20, session: 50 } as const;

/**
 * The values for the node pooler of the member `memberName`.
 * @throws PoolerModelError
 */
export function nodePoolerModel(
  environment: Environment,
  memberName: string,
  place: PoolerPlace,
  version: PoolerVersion,
): TemplateModel {
  const names = environment.members.map((one) => one.name);
  const index = position(names, memberName, "members", "member");
  const member = environment.members[index];
  if (member === undefined) throw new PoolerModelError("members", "there is none");
  const path = `members[${index}]`;
  const { control, local } = member;
  // A container cannot reach what its own host published, so its neighbours are called by name.
  const beside = local === undefined ? undefined : control?.container;
  return {
    ...commonModel(environment, place, version),
    name: checked(nameValue, member.name, `${path}.name`),
    ...listenModel(local?.pooler ?? member.pooler.address, `${path}.pooler.address`),
    ...(beside === undefined
      ? targetModel(member.postgres, `${path}.postgres`)
      : targetModel({ host: beside, port: containerPorts.postgres }, `${path}.control.container`)),
    poolMode: "session",
  };
}

/**
 * The values for the edge pooler `edgeName`, which points at the write address of `routerName`.
 * @throws PoolerModelError
 */
export function edgePoolerModel(
  environment: Environment,
  edgeName: string,
  routerName: string,
  place: PoolerPlace,
  version: PoolerVersion,
): TemplateModel {
  const edges = environment.edgePoolers.map((one) => one.name);
  const routers = environment.routers.map((one) => one.name);
  const edgeIndex = position(edges, edgeName, "edgePoolers", "edge pooler");
  const routerIndex = position(routers, routerName, "routers", "router");
  const edge = environment.edgePoolers[edgeIndex];
  const router = environment.routers[routerIndex];
  if (edge === undefined || router === undefined) {
    throw new PoolerModelError("edgePoolers", "there is none");
  }
  const path = `edgePoolers[${edgeIndex}]`;
  const write = reachableAddress(router.listen.write);
  const inContainer = edge.host !== undefined;
  const beside =
    inContainer && edge.host === router.host
      ? socketInContainer(router.runtime)?.container
      : undefined;
  return {
    ...commonModel(environment, place, version),
    name: checked(nameValue, edge.name, `${path}.name`),
    ...listenModel(inContainer ? everywhere : edge.address, `${path}.address`),
    ...targetModel(
      { host: beside ?? write.host, port: write.port },
      `routers[${routerIndex}].${beside === undefined ? "listen.write" : "runtime"}`,
    ),
    databases: edge.databases.map((one, at) =>
      checked(identifierValue, one, `${path}.databases[${at}]`),
    ),
    poolMode: edge.poolMode,
    poolSize: edgePoolSize[edge.poolMode],
  };
}

/** Its address is the container's, which it does not know. */
const everywhere: Address = { host: "0.0.0.0", port: containerPorts.edge };

function commonModel(
  environment: Environment,
  place: PoolerPlace,
  version: PoolerVersion,
): TemplateModel {
  const { haproxy } = environment;
  // A client that the router holds must not be given up by the pooler in front of it.
  const heldSeconds = Math.ceil((haproxy.queueTimeout + haproxy.connectTimeout) / 1000);
  return {
    environment: checked(nameValue, environment.name, "name"),
    cluster: checked(nameValue, environment.cluster, "cluster"),
    logFile: checked(pathValue, place.logFile, "logFile"),
    pidFile: checked(pathValue, place.pidFile, "pidFile"),
    userlistFile: checked(pathValue, place.userlistFile, "userlistFile"),
    adminUsers: place.adminUsers
      .map((one, at) => checked(identifierValue, one, `adminUsers[${at}]`))
      .join(", "),
    maxClients: haproxy.maxConnections,
    serverConnectSeconds: heldSeconds + 5,
    waitSeconds: Math.max(60, heldSeconds + 10),
    preparedStatements: knowsPreparedStatements(version),
  };
}

/** `max_prepared_statements` came with 1.21. */
function knowsPreparedStatements(version: PoolerVersion): boolean {
  return version !== undefined && (version.major > 1 || version.minor >= 21);
}

function listenModel(address: Address, path: string): TemplateModel {
  const { host, port } = checkedAddress(address, path);
  // A name is how others find this host; here it would be one address of it, whichever came first.
  return { listenHost: isIpAddress(host) ? host : "*", listenPort: port };
}

function targetModel(address: Address, path: string): TemplateModel {
  const { host, port } = checkedAddress(address, path);
  return { targetHost: host, targetPort: port };
}

function checkedAddress(address: Address, path: string): Address {
  return checked(addressValue, formatAddress(address), path);
}

function position(known: readonly string[], name: string, path: string, kind: string): number {
  const index = known.indexOf(name);
  if (index >= 0) return index;
  throw new PoolerModelError(
    path,
    `there is no ${kind} ${name}; known: ${known.join(", ") || "none"}`,
  );
}

/**
 * The text of an `auth_file`: one line for each user, with the password in clear or the SCRAM secret
 * that the server has too. The file must be readable by PgBouncer's user alone.
 * @throws PoolerModelError when a user is no identifier, or a password cannot stand in the file
 */
export function userlist(entries: readonly { user: string; password: Secret }[]): string {
  return entries
    .map(({ user, password }, index) => {
      const text = password.reveal();
      if (text === "" || /[\0\r\n]/.test(text)) {
        throw new PoolerModelError(
          `userlist[${index}].password`,
          "a password in a userlist cannot be empty or hold a line break",
        );
      }
      const name = checked(identifierValue, user, `userlist[${index}].user`);
      return `"${name}" "${text.replaceAll('"', '""')}"\n`;
    })
    .join("");
}

function checked<Out>(kind: z.ZodType<Out>, value: string, path: string): Out {
  const result = kind.safeParse(value);
  if (result.success) return result.data;
  throw new PoolerModelError(path, result.error.issues[0]?.message ?? "not allowed");
}
