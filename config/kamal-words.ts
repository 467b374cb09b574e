/**
 * Words that the accessories of a Kamal deployment, a lab of containers and an environment share:
 * what a container is, the labels that say so, the facts of our images (their names, users, ports
 * and paths), and how deploy.yml calls a host. Pure.
 */

/** What a container of a cluster is; with the name of whose it is, such as a member's, a part. */
export const partKinds = [
  "postgres",
  "pooler",
  "health",
  "router",
  "edge",
  "gate",
  "resolver",
] as const;
export type PartKind = (typeof partKinds)[number];

/** The list of an environment that a kind of part belongs to. */
export const listOfKind = {
  postgres: "members",
  pooler: "members",
  health: "members",
  router: "routers",
  edge: "edgePoolers",
  gate: "edgePoolers",
  resolver: "registry.resolvers",
} as const satisfies Readonly<Record<PartKind, string>>;

/**
 * What an accessory's labels say: `dal-01/pooler`, or `router` alone where one accessory stands on
 * several hosts; and the environment that it was rendered from.
 */
export const kamalLabels = {
  part: "org.switchyard.part",
  environment: "org.switchyard.environment",
} as const;

/** Our images, as bin/setup --docker makes them. */
export type ImageName = "postgres" | "pgbouncer" | "haproxy" | "switchyard";

export const imageOfKind: Readonly<Record<PartKind, ImageName>> = {
  postgres: "postgres",
  pooler: "pgbouncer",
  edge: "pgbouncer",
  router: "haproxy",
  health: "switchyard",
  gate: "switchyard",
  resolver: "switchyard",
};

/** Whom each image runs as, which is the owner of its files: the number of user and group. */
export const imageUsers: Readonly<Record<ImageName, number>> = {
  postgres: 999,
  pgbouncer: 998,
  haproxy: 99,
  switchyard: 997,
};

/** Our images of `version`, by what is in them. */
export function ownImages(version: string): Readonly<Record<ImageName, string>> {
  const tagged = (name: ImageName): string => `switchyard/${name}:${version}`;
  return {
    postgres: tagged("postgres"),
    pgbouncer: tagged("pgbouncer"),
    haproxy: tagged("haproxy"),
    switchyard: tagged("switchyard"),
  };
}

/** Where each kind listens inside its container, where nothing else is said. */
export const containerPorts: Readonly<Record<PartKind, number>> = {
  postgres: 5432,
  pooler: 6432,
  health: 8008,
  router: 6433,
  edge: 6432,
  gate: 8009,
  resolver: 53,
};

/** Where a resolver keeps the last state of the zone, in its container. */
export const resolverState = "/var/lib/switchyard/dns-resolver";

/** Where the image has room for a registry's embedded store. */
export const registryStore = "/var/lib/switchyard/registry";

/** Paths inside a pooler's container, as the image has them. */
export const poolerPaths = {
  ini: "/etc/pgbouncer/pgbouncer.ini",
  userlist: "/etc/pgbouncer/userlist.txt",
} as const;

/** Paths inside a member's container; the mount is the parent of the data, so that a rebuild may rename it. */
export const postgresPaths = {
  mount: "/var/lib/postgresql",
  data: "/var/lib/postgresql/data",
  programs: "/usr/lib/postgresql/17/bin",
} as const;

/** Paths inside a router's container, as the images have them. */
export const routerPaths = {
  admin: "/run/haproxy/admin.sock",
  master: "/run/haproxy/master.sock",
  configuration: "/usr/local/etc/haproxy/haproxy.cfg",
} as const;

/** Where a router in a container listens: on every address of the container. */
export const routerListen = {
  write: "0.0.0.0:6433",
  read: "0.0.0.0:6434",
  stats: "0.0.0.0:8404",
} as const;

/** The network that Kamal makes, and puts accessories on that name no other. */
export const kamalNetwork = "kamal";

/**
 * How deploy.yml calls a host: by its key `kamal`, else as its engine is reached over SSH or TCP,
 * else by its name.
 */
export function kamalHostName(host: {
  readonly name: string;
  readonly engine?: string | undefined;
  readonly kamal?: string | undefined;
}): string {
  const reached = /^(?:ssh|tcp):\/\/(?:[^@/]*@)?(?:\[([^\]]+)\]|([^:/]+))/.exec(host.engine ?? "");
  return host.kamal ?? reached?.[1] ?? reached?.[2] ?? host.name;
}
