/**
 * What the HAProxy template shows, worked out from an environment: one value for each tag, every
 * text checked once more by the allow-list of its kind, because a newline in a value would add a
 * directive and still pass `haproxy -c`.
 */
import type { Environment, FlapGuard, Member, Router } from "../../config/schema.ts";
import {
  identifierValue,
  isIpAddress,
  nameValue,
  reachableAddress,
  socketPathValue,
} from "../../config/values.ts";
import { formatAddress, formatHost } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import type { TemplateModel } from "../../kit/template.ts";
import { addressText, checked, HaproxyModelError, wholeNumbers } from "./model-values.ts";
import { backendConnections, backendSections } from "./backend-sections.ts";
import { flapGuardOf } from "./flap-guard.ts";
import type { HaproxyFeatures } from "./version.ts";

/** Names in the rendered configuration that tools look for. */
export const haproxyNames = {
  write: "pg-primary",
  read: "pg-replica",
  hold: "hold",
  ring: "health",
  probe: (member: string): string => `probe-${member}`,
  replicaProbe: (member: string): string => `replica-probe-${member}`,
  probeServer: "probe",
  readFallback: (member: string): string => `primary.${member}`,
} as const;

/**
 * How long a worker that starts keeps new connections waiting: the first checks start within 50 ms
 * and a member that answers does so well within the rest. Reloads are that slow, too, for those who
 * connect just then.
 */
const bootWindowMs = 500;

/** Sessions kept free for statistics and the hold server's inner leg. */
const spareSessions = 100;

/**
 * The template's values for one router.
 * @throws HaproxyModelError
 */
export function haproxyModel(
  environment: Environment,
  routerName: string,
  features: HaproxyFeatures,
): TemplateModel {
  const index = environment.routers.findIndex((one) => one.name === routerName);
  const router = environment.routers[index];
  if (router === undefined) {
    const known = environment.routers.map((one) => one.name).join(", ") || "none";
    throw new HaproxyModelError("routers", `there is no router ${routerName}; known: ${known}`);
  }
  const members = environment.members.map((member, position) =>
    memberModel(environment, router, member, `members[${position}]`),
  );
  const checkTimeoutMs = sectionTimeout(members);
  const servers = members.map((one) => ({
    ...one,
    tracked: one.named || one.guard.timeout !== checkTimeoutMs,
  }));
  return {
    environment: checked(nameValue, environment.name, "name"),
    cluster: checked(nameValue, environment.cluster, "cluster"),
    router: checked(nameValue, router.name, `routers[${index}].name`),
    ...processModel(environment, router, `routers[${index}]`),
    checkTimeoutMs,
    bootWindowMs,
    ringName: haproxyNames.ring,
    servers,
    probes: servers.filter((one) => one.tracked),
    prometheus: features.prometheus,
    backends: backendSections(environment, router),
    ...resolverModel(environment, router, members),
  };
}

function processModel(environment: Environment, router: Router, path: string): TemplateModel {
  const { haproxy } = environment;
  const optional = (value: string | undefined, key: string): string | false =>
    value === undefined ? false : checked(identifierValue, value, `haproxy.${key}`);
  const { maxConnections, connectTimeout, queueTimeout, clientTimeout } = haproxy;
  const { hardStopAfter, replicaLag } = haproxy;
  const numbers = { maxConnections, connectTimeout, queueTimeout, clientTimeout };
  wholeNumbers({ ...numbers, hardStopAfter, replicaLag }, "haproxy");
  return {
    adminSocket: checked(
      socketPathValue,
      router.adminSocket ?? haproxy.adminSocket,
      router.adminSocket === undefined ? "haproxy.adminSocket" : `${path}.adminSocket`,
    ),
    user: optional(haproxy.user, "user"),
    group: optional(haproxy.group, "group"),
    maxConnections,
    maxConnectionsInAll: 2 * maxConnections + backendConnections(environment) + spareSessions,
    connectTimeoutMs: connectTimeout,
    queueTimeoutMs: queueTimeout,
    clientTimeoutMs: clientTimeout,
    hardStopAfterMs: hardStopAfter,
    replicaLagBytes: replicaLag,
    writeAddress: addressText(router.listen.write, `${path}.listen.write`),
    readAddress: addressText(router.listen.read, `${path}.listen.read`),
    statsAddress: addressText(router.listen.stats, `${path}.listen.stats`),
    bootAddress: addressText(reachableAddress(router.listen.stats), `${path}.listen.stats`),
    holdAddress: addressText(reachableAddress(router.listen.write), `${path}.listen.write`),
  };
}

interface MemberModel {
  readonly name: string;
  readonly pooler: string;
  readonly health: string;
  readonly healthHost: string;
  readonly healthPort: number;
  readonly guard: FlapGuard;
  /** True when the member is addressed by name, which a health check alone cannot follow. */
  readonly named: boolean;
  readonly poolerNamed: boolean;
  readonly healthNamed: boolean;
}

function memberModel(
  environment: Environment,
  router: Router,
  member: Member,
  path: string,
): MemberModel {
  if (member.name === haproxyNames.hold) {
    throw new HaproxyModelError(`${path}.name`, "hold is the name of the hold server");
  }
  const { pooler, health, isLocal } = waysTo(router, member, path);
  const poolerNamed = !isIpAddress(pooler.host);
  const healthNamed = !isIpAddress(health.host);
  const [poolerPath, healthPath] = isLocal
    ? [`${path}.local.pooler`, `${path}.local.health`]
    : [`${path}.pooler.address`, `${path}.health`];
  if ((poolerNamed || healthNamed) && resolverOf(environment, router) === undefined) {
    throw new HaproxyModelError(
      poolerNamed ? poolerPath : healthPath,
      `${poolerNamed ? pooler.host : health.host} is a name, so HAProxy needs haproxy.resolver, the host:port of a DNS server`,
    );
  }
  return {
    name: checked(nameValue, member.name, `${path}.name`),
    pooler: addressText(pooler, poolerPath),
    health: addressText(health, healthPath),
    // HAProxy takes a bare ::1:5432 for an address.
    healthHost: formatHost(health.host),
    healthPort: health.port,
    guard: wholeNumbers(flapGuardOf(member, router), `${path}.flapGuard`),
    named: poolerNamed || healthNamed,
    poolerNamed,
    healthNamed,
  };
}

/**
 * Where `router` finds `member`: a container finds those of its own host by name, since it cannot
 * reach what that host publishes for others (the packets would have to turn round in its bridge).
 */
function waysTo(
  router: Router,
  member: Member,
  path: string,
): { readonly pooler: Address; readonly health: Address; readonly isLocal: boolean } {
  const { local, host } = member;
  if (host === undefined || host !== router.host) {
    return { pooler: member.pooler.address, health: member.health, isLocal: false };
  }
  if (local !== undefined) return { ...local, isLocal: true };
  throw new HaproxyModelError(
    `${path}.local`,
    `router ${router.name} is a container on ${host} like ${member.name}, and a container can't reach a port that its own host published: ${formatAddress(member.pooler.address)} and ${formatAddress(member.health)} would never answer it; expected local: {pooler: container:port, health: http://container:port}, the names of its containers on their Docker network`,
  );
}

/** Docker's own DNS, the same address in every container of a network that was made by name. */
const dockerDns: Address = { host: "127.0.0.11", port: 53 };

function resolverOf({ haproxy }: Environment, { host }: Router): Address | undefined {
  return haproxy.resolver ?? (host === undefined ? undefined : dockerDns);
}

/**
 * `timeout check` belongs to a section, not to a server: the section's is the shortest of the
 * members that it checks itself, and a member with another one gets a probe section of its own.
 */
function sectionTimeout(members: readonly MemberModel[]): number {
  const direct = members.filter((one) => !one.named);
  return Math.min(...(direct.length > 0 ? direct : members).map((one) => one.guard.timeout));
}

function resolverModel(
  environment: Environment,
  router: Router,
  members: readonly MemberModel[],
): TemplateModel {
  const resolver = resolverOf(environment, router);
  if (resolver === undefined || !members.some((one) => one.named)) return { resolver: false };
  if (!isIpAddress(resolver.host)) {
    throw new HaproxyModelError("haproxy.resolver", `expected an IP address, got ${resolver.host}`);
  }
  return { resolver: addressText(resolver, "haproxy.resolver") };
}
