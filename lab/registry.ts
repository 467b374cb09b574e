/**
 * The registry of a lab: its store with the first token, a node for every host with a resolver, and
 * the lab's own cluster, whose role source is the monitor where there is one, and else its members.
 */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { formatAddress } from "../kit/address.ts";
import { writeFileAtomically } from "../kit/atomic-file.ts";
import { inCheckout } from "../kit/checkout.ts";
import { runChild } from "../kit/child.ts";
import { eventually } from "../kit/clock.ts";
import { addNode, createCluster } from "../registry/admin.ts";
import { fetchCluster, fetchNodes } from "../registry/client.ts";
import type { RegistryTarget } from "../registry/client.ts";
import type { ClusterView, RoleSourceKeys } from "../registry/contract.ts";
import { folderOf } from "./driver/docker-specs.ts";
import type { Making } from "./driver/driver.ts";
import { plainEnvironment } from "./driver/part.ts";
import { ownPrograms } from "./driver/processes.ts";
import { nodeOf, partOf } from "./model.ts";
import type { LabModel, Part } from "./model.ts";
import { makeOpenFolder } from "./place.ts";
import { labUsers, registryTokenFile, secretFile } from "./secrets.ts";

const initDeadlineMs = 20_000;
const namesDeadlineMs = 30_000;

/** The file with a resolver's own token, in its part's folder. */
export function tokenFile(part: Part): string {
  return join(part.folder, "token");
}

/** The file with the number that the registry knows a resolver's node by. */
export function nodeFile(part: Part): string {
  return join(part.folder, "node");
}

/** What the registry of a lab is told by its environment. */
export function registryVariables(model: LabModel): Record<string, string> {
  const { registry, part } = registryOf(model);
  return { REGISTRY_LISTEN: formatAddress(registry.address), REGISTRY_DATA: storeFolder(part) };
}

function registryOf(model: LabModel): {
  readonly registry: NonNullable<LabModel["registry"]>;
  readonly part: Part;
} {
  const { registry } = model;
  if (registry === undefined) throw new TypeError(`lab ${model.name} has no registry`);
  return { registry, part: partOf(model, registry.name, "registry") };
}

/** The folder of a registry's store on this machine. */
export function storeFolder(part: Part): string {
  return join(part.folder, "data");
}

/**
 * Makes the store of a lab that has a registry, and the file with its first token.
 * @throws ChildError, DeadlineError, or the signal's reason
 */
export async function initialiseRegistry(model: LabModel, signal: AbortSignal): Promise<void> {
  if (model.registry === undefined) return;
  const { part } = registryOf(model);
  await makeOpenFolder(join(part.folder, ".."));
  await mkdir(part.folder, { recursive: true, mode: 0o700 });
  const words = ["--data", storeFolder(part), "--token-file", registryTokenFile(model.folder)];
  await runChild(process.execPath, [inCheckout(ownPrograms.registry), "init", ...words], {
    deadlineMs: initDeadlineMs,
    env: plainEnvironment,
    signal,
  });
}

/** The registry of a lab that runs, under its first token. */
export async function registryTarget(model: LabModel): Promise<RegistryTarget> {
  const { registry } = registryOf(model);
  const token = (await readFile(registryTokenFile(model.folder), "utf8")).trim();
  return { url: registry.address, token: () => token };
}

/**
 * Tells a registry that answers of the lab: its nodes, whose resolvers find their tokens then, and
 * its cluster.
 * @throws RegistryUnreachableError, RegistryDeniedError, RegistryProblemError
 */
export async function fillRegistry({ model, signal }: Making): Promise<void> {
  const target = await registryTarget(model);
  for (const { name, dns } of model.resolvers) {
    const part = partOf(model, name, "resolver");
    const { id, token } = await addNode(target, { name, address: dns.host }, signal);
    await mkdir(part.folder, { recursive: true, mode: 0o700 });
    await writeFileAtomically(nodeFile(part), `${id}\n`, { mode: 0o600 });
    await writeFileAtomically(tokenFile(part), `${token}\n`, { mode: 0o600 });
  }
  const members = model.members.map((member) => ({
    ...{ name: member.name, ordinal: member.ordinal, node: nodeOf(model, member) },
    ...{ address: member.postgres.host, port: member.postgres.port },
  }));
  await createCluster(target, { name: model.name, source: sourceOf(model), members }, signal);
}

function sourceOf({ driver, monitor, folder }: LabModel): RoleSourceKeys {
  if (monitor === undefined) {
    const file =
      driver === "docker" ? `${folderOf.registry}/superuser` : secretFile(folder, "superuser");
    return {
      ...{ kind: "probe", user: labUsers.superuser, database: "postgres" },
      ...{ password_file: file, tls: "disable", interval_ms: 1000 },
    };
  }
  return {
    ...{ kind: "pg_auto_failover", ...monitor.address, user: labUsers.monitor },
    ...{ password_file: secretFile(folder, "monitor"), database: "pg_auto_failover" },
    ...{ tls: "require", formation: "default", group: 0 },
  };
}

/**
 * Waits until the registry has published the first member as the primary and every other one as a
 * standby, and each resolver answers so.
 * @throws DeadlineError saying what is not so yet
 */
export async function awaitNames({ model, signal }: Making): Promise<void> {
  const target = await registryTarget(model);
  const what = `the names of lab ${model.name}`;
  const patience = { deadlineMs: namesDeadlineMs, intervalMs: 50, signal };
  await eventually(what, patience, async (inner) => {
    const view = await fetchCluster(target, model.name, inner);
    const missing = missingRole(model, view);
    if (missing !== undefined) throw new Error(missing);
    const { nodes } = await fetchNodes(target, {}, inner);
    const behind = nodes.filter((one) => one.applied_generation < view.generation);
    if (behind.length === 0) return true;
    throw new Error(behind.map(({ name }) => `${name} is behind`).join(", "));
  });
}

function missingRole({ members }: LabModel, { roles }: ClusterView): string | undefined {
  const [primary, ...standbys] = members.map(({ name }) => name);
  const isWhole = standbys.every((name) => roles.standbys.includes(name));
  if (roles.outcome === "published" && roles.primary === primary && isWhole) return undefined;
  const reasons = roles.reasons.map((one) => `; ${one}`).join("");
  return `roles are ${roles.outcome}: primary ${roles.primary ?? "none"}, standbys ${roles.standbys.join(" ")}${reasons}`;
}
