/** Writes the files that the lab's HAProxy and PgBouncer read, rendered as production's are. */
import { Secret } from "../config/secret.ts";
import { scramSecret } from "./scram.ts";
import { writeFile, chown, chmod } from "node:fs/promises";
import { join } from "node:path";
import { loadEnvironment } from "../config/load.ts";
import type { Environment } from "../config/schema.ts";
import { writeFileAtomically } from "../kit/atomic-file.ts";
import { haproxyConfiguration } from "../router/haproxy/files.ts";
import { edgePoolerConfiguration, nodePoolerConfiguration } from "../router/pooler/files.ts";
import { userlist } from "../router/pooler/model.ts";
import { makePartFolder, ownerOf } from "./driver/part.ts";
import { labEnvironment } from "./environment.ts";
import type { Part, PartKind } from "./model.ts";
import type { Making } from "./postgres.ts";
import { labUsers } from "./secrets.ts";
import type { LabSecrets } from "./secrets.ts";

type Write = (making: Making, environment: Environment, part: Part) => Promise<void>;

const writers: Readonly<Record<PartKind, Write>> = {
  postgres: async () => undefined,
  health: async () => undefined,
  gate: async () => undefined,
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

/**
 * Writes the environment file and every part's folder and configuration.
 * @returns the environment as every other tool will load it
 */
export async function configureLab(making: Making, configFolder: string): Promise<Environment> {
  const { model } = making;
  await writeFileAtomically(
    join(configFolder, `${model.name}.yml`),
    labEnvironment(model, making.place, making.programs),
    { mode: 0o644 },
  );
  const environment = await loadEnvironment(model.name, { folder: configFolder });
  await Promise.all(
    model.parts.map(async (part) => {
      await makePartFolder(making.place, part);
      await writers[part.kind](making, environment, part);
    }),
  );
  return environment;
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
  await write(making, part, "userlist.txt", userlist(poolerUsers(making.secrets)), 0o600);
}

function poolerUsers(secrets: LabSecrets) {
  return [
    { user: labUsers.superuser, password: secrets.superuser },
    { user: labUsers.app, password: new Secret(scramSecret(secrets.app)) },
    { user: labUsers.poolerAdmin, password: secrets.poolerAdmin },
  ];
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
