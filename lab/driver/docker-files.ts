/**
 * The files that a part of a lab of containers reads, rendered as production's are: by the same
 * templates, for the very versions that are in the images.
 */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { imageUsers, poolerPaths } from "../../config/kamal-words.ts";
import type { Environment } from "../../config/schema.ts";
import { withDeadline } from "../../kit/clock.ts";
import type { DockerEngine, FileToWrite } from "../../kit/docker-engine.ts";
import type { Secret } from "../../config/secret.ts";
import { haproxyConfiguration } from "../../router/haproxy/files.ts";
import { parseBuild } from "../../router/haproxy/version.ts";
import type { HaproxyBuild } from "../../router/haproxy/version.ts";
import { edgePoolerConfiguration, nodePoolerConfiguration } from "../../router/pooler/files.ts";
import { parsePoolerVersion } from "../../router/pooler/model.ts";
import type { PoolerVersion } from "../../router/pooler/model.ts";
import { networks, subnetOf } from "../addresses.ts";
import type { Part } from "../model.ts";
import {
  followingSettings,
  hostBasedAccess,
  passfile,
  poolerUserlist,
  postgresSettings,
} from "../postgres.ts";
import { databaseFile } from "../../registry/store/sqlite-owner.ts";
import { storeFolder, tokenFile } from "../registry.ts";
import { labUsers } from "../secrets.ts";
import type { LabImages } from "./docker-images.ts";
import { images as imageOf, kindOf } from "./docker-names.ts";
import type { ContainerKind } from "./docker-names.ts";
import { folderOf } from "./docker-specs.ts";
import type { Making } from "./driver.ts";

/** What is rendered has to fit the programs that will read it. */
export interface ImageVersions {
  readonly haproxy: HaproxyBuild;
  readonly pgbouncer: PoolerVersion;
}

/**
 * Asks the images what is in them.
 * @throws EngineError, DeadlineError, TypeError when an answer cannot be read
 */
export async function imageVersions(
  engine: DockerEngine,
  images: LabImages,
  signal: AbortSignal,
): Promise<ImageVersions> {
  const [haproxy, pgbouncer] = await Promise.all([
    printedBy(engine, images.haproxy, ["haproxy", "-vv"], signal),
    printedBy(engine, images.pgbouncer, ["pgbouncer", "--version"], signal),
  ]);
  const build = parseBuild(haproxy);
  if (build === undefined) throw new TypeError(`${images.haproxy} says no version of HAProxy`);
  return { haproxy: build, pgbouncer: parsePoolerVersion(pgbouncer) };
}

const versionDeadlineMs = 20_000;

async function printedBy(
  engine: DockerEngine,
  image: string,
  entrypoint: readonly string[],
  outer: AbortSignal,
): Promise<string> {
  return await withDeadline(
    `${entrypoint.join(" ")} in ${image}`,
    versionDeadlineMs,
    async (signal) => {
      const spec = { image, entrypoint, networks: [] };
      const stream = await engine.openContainer(spec, signal);
      try {
        const chunks: Buffer[] = [];
        stream.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
        await stream.ended;
        return Buffer.concat(chunks).toString("utf8");
      } finally {
        stream.destroy();
      }
    },
    outer,
  );
}

type Content = readonly (readonly [name: string, content: string | Buffer])[];
type Render = (
  making: Making,
  environment: Environment,
  versions: ImageVersions,
  part: Part,
) => Content | Promise<Content>;

const renders: Readonly<Record<ContainerKind, Render>> = {
  postgres: ({ model, secrets }, _environment, _versions, part) => {
    const member = model.members.find((one) => one.name === part.host);
    if (member === undefined) throw new TypeError(`${part.host} is no member`);
    const following = followingSettings(model, member, `${folderOf.postgres}/passfile`);
    const subnets = networks.map((network) => subnetOf(model.index, network));
    return [
      ["superuser", line(secrets.superuser)],
      ["passfile", passfile(secrets)],
      ["lab.conf", postgresSettings(model) + following],
      ["pg_hba.conf", hostBasedAccess(["127.0.0.0/8", ...subnets])],
    ];
  },
  health: ({ secrets }) => [
    ["superuser", line(secrets.superuser)],
    ["pooler-admin", line(secrets.poolerAdmin)],
  ],
  gate: ({ secrets }) => [
    ["token", line(secrets.gateToken)],
    ["pooler-admin", line(secrets.poolerAdmin)],
  ],
  resolver: async (_making, _environment, _versions, part) => [
    ["token", await readFile(tokenFile(part))],
  ],
  // Its store was made on this machine: the environment has its first token before any container is.
  registry: async ({ secrets }, _environment, _versions, part) => [
    ["superuser", line(secrets.superuser)],
    ...(await storeFiles(storeFolder(part))),
  ],
  pooler: async ({ secrets }, environment, { pgbouncer }, part) => {
    const text = await nodePoolerConfiguration(environment, part.host, poolerPlace, pgbouncer);
    return poolerFiles(text, poolerUserlist(secrets));
  },
  edge: async ({ model, secrets }, environment, { pgbouncer }, part) => {
    const app = model.apps.find((one) => one.name === part.host);
    if (app === undefined) throw new TypeError(`${part.host} is no app host`);
    const { edgePooler, router } = app;
    const text = await edgePoolerConfiguration(
      environment,
      edgePooler,
      router,
      poolerPlace,
      pgbouncer,
    );
    return poolerFiles(text, poolerUserlist(secrets));
  },
  router: async ({ signal }, environment, { haproxy: build }, part) => [
    ["haproxy.cfg", await haproxyConfiguration(environment, part.host, { build, signal })],
  ],
};

/** The files of a part, readable by its own user alone. */
export async function filesOf(
  making: Making,
  environment: Environment,
  versions: ImageVersions,
  part: Part,
): Promise<FileToWrite[]> {
  const kind = kindOf(part);
  const owner = imageUsers[imageOf[kind]];
  const content = await renders[kind](making, environment, versions, part);
  return content.map(([path, text]) => ({
    ...{ path, content: text, mode: 0o600 },
    ...{ uid: owner, gid: owner },
  }));
}

/** A store that was closed: its file, and the log of what is not yet in that. */
async function storeFiles(folder: string): Promise<Content> {
  const names = await readdir(folder);
  const kept = names.filter((name) => [databaseFile, `${databaseFile}-wal`].includes(name));
  return await Promise.all(
    kept.map(async (name) => [name, await readFile(join(folder, name))] as const),
  );
}

/** Its output goes to the engine; its pid file goes with the container's memory, as its pid does. */
const poolerPlace = {
  logFile: "/dev/null",
  pidFile: "/dev/shm/pgbouncer.pid",
  userlistFile: poolerPaths.userlist,
  adminUsers: [labUsers.poolerAdmin],
};

function poolerFiles(ini: string, userlist: string): Content {
  return [
    ["pgbouncer.ini", ini],
    ["userlist.txt", userlist],
  ];
}

function line(secret: Secret): string {
  return `${secret.reveal()}\n`;
}
