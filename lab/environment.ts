/** The environment file of a lab: the same schema as production, secrets as file references. */
import { join } from "node:path";
import { stringify } from "yaml";
import { loadEnvironment } from "../config/load.ts";
import type { Environment } from "../config/schema.ts";
import { formatAddress } from "../kit/address.ts";
import { writeFileAtomically } from "../kit/atomic-file.ts";
import type { EnvironmentKeys, Making } from "./driver/driver.ts";
import type { LabModel } from "./model.ts";
import { labDatabase, labUsers, registryTokenFile, secretFile } from "./secrets.ts";

/** The first line of every file that a lab writes into config/, by which it is known again. */
export const environmentHead = "# Written by bin/lab, and removed by bin/lab down.";

/** The line after it, which says whose it is: the folder of its lab. */
const ownerLine = (folder: string): string => `# Its lab: ${JSON.stringify(folder)}`;

/**
 * Whether `text`, an environment file's, is that of the lab in `folder`: true or false by what the
 * file says of itself; undefined when a lab wrote it and it does not say which.
 */
export function isEnvironmentOf(folder: string, text: string): boolean | undefined {
  const [head, owner = ""] = text.split("\n", 2);
  if (head !== environmentHead) return false;
  return owner.startsWith("# Its lab: ") ? owner === ownerLine(folder) : undefined;
}

/** The text of config/<name>.yml for the lab. */
export function labEnvironment(model: LabModel, keys: EnvironmentKeys): string {
  const password = (user: Parameters<typeof secretFile>[1]): string =>
    `file:${secretFile(model.folder, user)}`;
  const poolerAdmin = { user: labUsers.poolerAdmin, password: password("poolerAdmin") };
  const environment = {
    cluster: model.name,
    ...keys.whole,
    login: { user: labUsers.superuser, password: password("superuser"), database: "postgres" },
    members: model.members.map((member) => ({
      name: member.name,
      ordinal: member.ordinal,
      postgres: formatAddress(member.postgres),
      pooler: { address: formatAddress(member.pooler), admin: poolerAdmin },
      health: `http://${formatAddress(member.health)}`,
      slot: member.slot,
      ...(model.monitor === undefined ? {} : { manager: model.cluster }),
      ...keys.member(member.name),
    })),
    routers: model.apps.map(({ router }) => ({ name: router, ...keys.router(router) })),
    edgePoolers: model.apps.map((app) => ({
      name: app.edgePooler,
      ...keys.edgePooler(app.name),
      address: formatAddress(app.edge),
      admin: poolerAdmin,
      databases: [labDatabase, "postgres"],
      poolMode: model.pooling,
      gate: { url: `http://${formatAddress(app.gate)}`, token: password("gateToken") },
    })),
    ...monitorKeys(model),
    ...registryKeys(model),
  };
  const head = `${environmentHead}\n${ownerLine(model.folder)}`;
  return `${head}\n${stringify(environment, { aliasDuplicateObjects: false })}`;
}

function monitorKeys({ monitor, folder }: LabModel): object {
  if (monitor === undefined) return {};
  const password = `file:${secretFile(folder, "monitor")}`;
  return { monitor: { address: formatAddress(monitor.address), password } };
}

function registryKeys({ registry, folder, resolvers }: LabModel): object {
  if (registry === undefined) return {};
  return {
    registry: {
      url: `http://${formatAddress(registry.address)}`,
      token: `file:${registryTokenFile(folder)}`,
      resolvers: resolvers.map(({ name, dns }) => ({ name, address: formatAddress(dns) })),
    },
  };
}

/**
 * Writes the environment file of a lab that is being made.
 * @returns the environment as every other tool will load it
 */
export async function writeEnvironment(
  { model, configFolder }: Making,
  keys: EnvironmentKeys,
): Promise<Environment> {
  const text = labEnvironment(model, keys);
  await writeFileAtomically(join(configFolder, `${model.name}.yml`), text, { mode: 0o644 });
  return await loadEnvironment(model.name, { folder: configFolder });
}
