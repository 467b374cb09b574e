/**
 * The schema of config/<environment>.yml: every key, its unit, default and limits. Parsing turns
 * text into values (durations to milliseconds, sizes to bytes, addresses to host and port) and
 * refuses unknown keys. What each key means to an operator stands in docs/configuration.md; what
 * must hold between keys stands in consistency.ts.
 */
import { z } from "zod";
import {
  accessoryValue,
  addressValue,
  argvValue,
  choice,
  containerValue,
  durationValue,
  engineUrlValue,
  fileValue,
  healthUrlValue,
  hostValue,
  identifierValue,
  imageValue,
  ipAddressValue,
  nameValue,
  partValue,
  pathValue,
  queryValue,
  runtimeAddressValue,
  sizeInBytes,
  slotValue,
  socketPathValue,
  wholeNumber,
  zoneValue,
} from "./values.ts";
import { backend } from "./backend-keys.ts";
import {
  checkCount,
  checkTime,
  hour,
  listOf,
  mapping,
  minute,
  second,
  secretValue,
} from "./shapes.ts";

const mebibyte = 1024 ** 2;

const login = mapping({
  user: identifierValue,
  password: secretValue,
  database: identifierValue.default("postgres"),
  tls: choice(["disable", "require", "verify-full"]).default("disable"),
  tlsCa: pathValue.optional(),
});

const admin = mapping({ user: identifierValue, password: secretValue });

const flapGuard = mapping({
  inter: checkTime,
  fastinter: checkTime,
  downinter: checkTime,
  rise: checkCount,
  fall: checkCount,
  timeout: checkTime,
});

/** A machine whose Docker Engine runs containers of this cluster. */
const host = mapping({
  name: nameValue,
  engine: engineUrlValue.default("unix:///var/run/docker.sock"),
  tls: mapping({ ca: pathValue, cert: pathValue, key: pathValue }).optional(),
  network: containerValue.default("kamal"),
  /** What config/deploy.yml calls it. */
  kamal: hostValue.optional(),
});

/** How the tools reach a member's own host, to arm, stop, start and rebuild its Postgres. */
const control = mapping({
  /** A program that gives a POSIX shell on the member's host; this machine when not given. */
  shell: argvValue.optional(),
  /** The container of its Postgres, on the engine of the member's host. */
  container: containerValue.optional(),
  data: pathValue,
  start: argvValue.optional(),
  stop: argvValue.optional(),
  programs: pathValue.optional(),
  snapshot: argvValue.optional(),
  restartPooler: argvValue.optional(),
  /** The container of the PgBouncer beside it. */
  poolerContainer: containerValue.optional(),
});

const member = mapping({
  name: nameValue,
  ordinal: wholeNumber({ min: 0, max: 999 }),
  site: nameValue.optional(),
  /** One of `hosts`. */
  host: nameValue.optional(),
  postgres: addressValue,
  pooler: mapping({ address: addressValue, admin: admin.optional() }),
  health: healthUrlValue,
  /** As the containers of its own host reach it: container names. */
  local: mapping({ pooler: addressValue, health: healthUrlValue }).optional(),
  slot: slotValue.optional(),
  flapGuard: z
    .union([choice(["auto", "local", "remote"]), flapGuard], {
      error: "expected auto, local, remote or a mapping of keys",
    })
    .default("auto"),
  manager: choice(["none", "pg_auto_failover", "patroni", "repmgr"]).default("none"),
  control: control.optional(),
});

const router = mapping({
  name: nameValue,
  site: nameValue.optional(),
  /** One of `hosts`; where it stands in a container. */
  host: nameValue.optional(),
  listen: mapping({ write: ipAddressValue, read: ipAddressValue, stats: ipAddressValue }),
  runtime: runtimeAddressValue,
  master: runtimeAddressValue.optional(),
  /** The admin socket as this router binds it; haproxy.adminSocket when not given. */
  adminSocket: socketPathValue.optional(),
  configuration: mapping({
    path: pathValue,
    read: argvValue.optional(),
    check: argvValue.optional(),
    write: argvValue.optional(),
    reload: argvValue.optional(),
  }),
});

/** The pool-gate beside an edge pooler, which pauses it for a flip. */
const gate = mapping({ url: healthUrlValue, token: secretValue });

const edgePooler = mapping({
  name: nameValue,
  /** One of `hosts`; where it stands in a container. */
  host: nameValue.optional(),
  address: addressValue,
  admin,
  databases: listOf(identifierValue, "databases", { min: 1, max: 64 }),
  poolMode: choice(["transaction", "session"]),
  gate: gate.optional(),
});

const haproxy = mapping({
  program: pathValue.default("/usr/sbin/haproxy"),
  user: identifierValue.optional(),
  group: identifierValue.optional(),
  adminSocket: socketPathValue.default("/run/haproxy/admin.sock"),
  resolver: ipAddressValue.optional(),
  maxConnections: wholeNumber({ min: 10, max: 100_000 }).default(2000),
  connectTimeout: durationValue({ minMs: 100, maxMs: minute }).default(5 * second),
  queueTimeout: durationValue({ minMs: second, maxMs: 10 * minute }).default(20 * second),
  clientTimeout: durationValue({ minMs: second, maxMs: 48 * hour }).default(12 * hour),
  hardStopAfter: durationValue({ minMs: second, maxMs: 48 * hour }).default(30 * minute),
  replicaLag: sizeInBytes({ min: 0, max: 1024 ** 4 }).default(16 * mebibyte),
});

const pgHealth = mapping({
  slowGrace: durationValue({ minMs: 100, maxMs: minute }).default(3 * second),
  peerDeadline: durationValue({ minMs: 100, maxMs: minute }).default(2 * second),
});

const thresholds = mapping({
  lag: sizeInBytes({ min: 0, max: 1024 ** 4 }).default(16 * mebibyte),
  probe: durationValue({ minMs: 100, maxMs: 30 * second }).default(second),
});

const flip = mapping({
  holdDeadline: durationValue({ minMs: 100, maxMs: minute }).default(2 * second),
  holdTtl: durationValue({ minMs: second, maxMs: minute }).default(5 * second),
  lag: sizeInBytes({ min: 0, max: 1024 ** 4 }).default(16 * mebibyte),
  archiveBacklog: wholeNumber({ min: 0, max: 100_000 }).default(16),
  synchronous: choice(["wait", "relax"]).default("wait"),
});

const images = mapping({
  switchyard: imageValue.optional(),
  haproxy: imageValue.optional(),
  pgbouncer: imageValue.optional(),
  postgres: imageValue.optional(),
});

/** The Kamal deployment that the containers of `hosts` belong to. */
const kamal = mapping({
  service: nameValue.optional(),
  /** What `kamal config` printed; members and routers are read from it. */
  file: fileValue.optional(),
  accessories: listOf(mapping({ name: accessoryValue, part: partValue }), "accessories", {
    min: 0,
    max: 128,
  }).default([]),
  images: images.prefault({}),
});

/** One step of a maintenance window; of do, stopContainers and wait it has one. */
const maintenanceStep = mapping({
  name: nameValue,
  /** A program that gives a POSIX shell on the host where the step is done; here when not given. */
  shell: argvValue.optional(),
  do: argvValue.optional(),
  undo: argvValue.optional(),
  isUp: argvValue.optional(),
  stopContainers: mapping({
    names: listOf(containerValue, "containers", { min: 1, max: 32 }),
    program: pathValue.default("/usr/bin/docker"),
  }).optional(),
  wait: mapping({ query: queryValue, database: identifierValue.optional() }).optional(),
  deadline: durationValue({ minMs: second, maxMs: 24 * hour }).default(minute),
});

const maintenance = mapping({
  steps: listOf(maintenanceStep, "maintenance steps", { min: 0, max: 32 }).default([]),
});

const resolver = mapping({
  name: nameValue,
  address: addressValue,
  /** One of `hosts`; in a container it needs its node in the registry. */
  host: nameValue.optional(),
  node: mapping({ id: wholeNumber({ min: 1, max: 2 ** 31 - 1 }), token: secretValue }).optional(),
  /** Who it asks for what is outside the zone; nobody when not given. */
  upstreams: listOf(ipAddressValue, "name servers", { min: 0, max: 8 }).default([]),
});

const registry = mapping({
  url: healthUrlValue,
  /** An admin token of the registry. */
  token: secretValue,
  /** What the registry calls this cluster; `cluster` when not given. */
  cluster: nameValue.optional(),
  zone: zoneValue.default("temps.local"),
  /** How long a flip waits until every resolver answers with the new primary. */
  deadline: durationValue({ minMs: 100, maxMs: minute }).default(3 * second),
  resolvers: listOf(resolver, "resolvers", { min: 0, max: 64 }).default([]),
});

/** The monitor of a cluster that pg_auto_failover runs; its nodes are called as the members are. */
const monitor = mapping({
  address: addressValue,
  user: identifierValue.default("autoctl_node"),
  password: secretValue,
  database: identifierValue.default("pg_auto_failover"),
  tls: choice(["disable", "require", "verify-full"]).default("require"),
  tlsCa: pathValue.optional(),
  formation: identifierValue.default("default"),
  group: wholeNumber({ min: 0, max: 999 }).default(0),
});

/** The shape of an environment file. */
export const environmentSchema = mapping({
  aliases: listOf(nameValue, "aliases", { min: 0, max: 16 }).default([]),
  cluster: nameValue,
  login,
  hosts: listOf(host, "hosts", { min: 0, max: 64 }).default([]),
  members: listOf(member, "members", { min: 1, max: 16 }),
  routers: listOf(router, "routers", { min: 0, max: 64 }).default([]),
  edgePoolers: listOf(edgePooler, "edge poolers", { min: 0, max: 64 }).default([]),
  haproxy: haproxy.prefault({}),
  backends: listOf(backend, "backends", { min: 0, max: 64 }).default([]),
  pgHealth: pgHealth.prefault({}),
  thresholds: thresholds.prefault({}),
  flip: flip.prefault({}),
  maintenance: maintenance.prefault({}),
  registry: registry.optional(),
  monitor: monitor.optional(),
  kamal: kamal.prefault({}),
});

export type EnvironmentFile = z.infer<typeof environmentSchema>;
/** A loaded environment: the file's values plus its name and where it was read from. */
export interface Environment extends EnvironmentFile {
  readonly name: string;
  readonly file: string;
}
export type EngineHost = EnvironmentFile["hosts"][number];
export type Member = EnvironmentFile["members"][number];
export type Router = EnvironmentFile["routers"][number];
export type MemberControlKeys = NonNullable<Member["control"]>;
export type EdgePooler = EnvironmentFile["edgePoolers"][number];
export type RegistryKeys = NonNullable<EnvironmentFile["registry"]>;
export type MonitorKeys = NonNullable<EnvironmentFile["monitor"]>;
export type MaintenanceStep = EnvironmentFile["maintenance"]["steps"][number];
export type FlapGuard = z.infer<typeof flapGuard>;
export type BackendKeys = EnvironmentFile["backends"][number];
export type BackendTargetKeys = BackendKeys["targets"][number];
export type Login = EnvironmentFile["login"];
