/** Writes the files that the lab's HAProxy and PgBouncer read, rendered as production's are. */
import { writeFile, chown, chmod } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../../config/schema.ts";
import { haproxyConfiguration } from "../../router/haproxy/files.ts";
import { edgePoolerConfiguration, nodePoolerConfiguration } from "../../router/pooler/files.ts";
import type { Part, PartKind } from "../model.ts";
import { poolerUserlist } from "../postgres.ts";
import { labUsers } from "../secrets.ts";
import type { Making } from "./driver.ts";
import { makePartFolder, ownerOf } from "./part.ts";

type Write = (making: Making, environment: Environment, part: Part) => Promise<void>;

const writers: Readonly<Record<PartKind, Write>> = {
  postgres: async () => undefined,
  health: async () => undefined,
  gate: async () => undefined,
  monitor: async () => undefined,
  registry: async () => undefined,
  resolver: async () => undefined,
  pooler: async (making, environment, part) => {
    const place = poolerPlace(part);
    await writePooler(making, part, await nodePoolerConfiguration(environment, part.host, place));
  },
  edge: async (making, environment, part) => {
    const app = making.model.apps.find((one) => one.name === part.host);
    if (app === undefined) throw new TypeError(`${part.host} is no app host`);
    const { edgePooler, router } = app;
    const place = poolerPlace(part);
    const text = await edgePoolerConfiguration(environment, edgePooler, router, place);
    await writePooler(making, part, text);
  },
  router: async (making, environment, part) => {
    const app = making.model.apps.find((one) => one.name === part.host);
    const text = await haproxyConfiguration(environment, app?.router ?? part.host, {
      signal: making.signal,
    });
    // No secret in it, and bin/router reads it as whoever runs that.
    await write(making, part, "haproxy.cfg", text, 0o644);
  },
};

/** Writes every part's folder and configuration. */
export async function writeParts(making: Making, environment: Environment): Promise<void> {
  await Promise.all(
    making.model.parts.map(async (part) => {
      await makePartFolder(making.place, part);
      await writers[part.kind](making, environment, part);
    }),
  );
}

function poolerPlace(part: Part) {
  return {
    logFile: join(part.folder, "pgbouncer.log"),
    pidFile: join(part.folder, "pgbouncer.pid"),
    userlistFile: join(part.folder, "userlist.txt"),
    adminUsers: [labUsers.poolerAdmin],
  };
}

async function writePooler(making: Making, part: Part, text: string): Promise<void> {
  await write(making, part, "pgbouncer.ini", text, 0o600);
  await write(making, part, "userlist.txt", poolerUserlist(making.secrets), 0o600);
}

async function write(
  making: Making,
  part: Part,
  name: string,
  text: string,
  mode: number,
): Promise<void> {
  const path = join(part.folder, name);
  const owner = ownerOf(making.place, part);
  await writeFile(path, text, { mode: 0o600 });
  if (owner !== undefined) await chown(path, owner.uid, owner.gid);
  await chmod(path, mode);
}
