/**
 * Makes the containers of a lab: networks and volumes, every container with its files in it, and
 * then all started side by side; the standby copies the primary as soon as that is filled. What the
 * engine was asked to make or to start is waited for, also by who is interrupted: it would go on
 * without us, and a start that loses its asker may leave an end in a network that nothing removes.
 */
import { readFile } from "node:fs/promises";
import type { Environment } from "../../config/schema.ts";
import type { DockerEngine } from "../../kit/docker-engine.ts";
import { networks, subnetOf } from "../addresses.ts";
import type { MemberHost, Part, PartKind } from "../model.ts";
import { partOf } from "../model.ts";
import { fillPrimary, prepareSlots } from "../postgres.ts";
import { fillRegistry, nodeFile } from "../registry.ts";
import { filesOf, imageVersions } from "./docker-files.ts";
import type { ImageVersions } from "./docker-files.ts";
import { containerName, kindOf, labLabels, networkName, partLabels } from "./docker-names.ts";
import { separateHosts } from "./docker-packets.ts";
import { refuseForeign } from "./docker-room.ts";
import { folderOf, mountsOf, specOf } from "./docker-specs.ts";
import type { ContainerPlace } from "./docker-specs.ts";
import { settled } from "./driver.ts";
import type { Making } from "./driver.ts";

export interface DockerSetting extends ContainerPlace {
  readonly engine: DockerEngine;
  /** Waits until a started part answers. */
  readonly awaitPart: (part: Part) => Promise<void>;
}

/**
 * Makes and starts all parts.
 * @throws EngineError, CutError, PartError, DeadlineError, LabUnavailableError
 */
export async function makeContainers(
  setting: DockerSetting,
  making: Making,
  environment: Environment,
): Promise<void> {
  const { engine, images } = setting;
  const [versions] = await settled([
    imageVersions(engine, images, making.signal),
    makeNetworks(setting, making),
    makeVolumes(setting, making),
  ]);
  const make = async (part: Part): Promise<void> =>
    await makeContainer(setting, making, environment, versions, part);
  // A resolver needs its node's number and token, which a registry that runs gives.
  await settled(making.model.parts.filter((part) => part.kind !== "resolver").map(make));
  making.note("networks, volumes and containers are made");
  const apart: readonly PartKind[] = ["postgres", "registry", "resolver"];
  const others = making.model.parts.filter((part) => !apart.includes(part.kind));
  await settled([
    startNodes(setting, making),
    startNames(setting, making, make),
    settled(others.map((part) => start(setting, making, part))).then(() =>
      making.note("poolers, pg-health and routers answer"),
    ),
  ]);
}

async function makeNetworks({ engine, root }: DockerSetting, making: Making): Promise<void> {
  const { model, signal, note } = making;
  const labels = labLabels(root, model.name);
  // One after the other: an engine looks for overlaps while it makes one.
  for (const network of networks) {
    const subnet = subnetOf(model.index, network);
    signal.throwIfAborted();
    await engine.createNetwork(networkName(model, network), { subnet, labels });
  }
  if (await separateHosts(model)) return;
  note(
    "only root may drop packets: containers reach what their own host published, which they cannot in production",
  );
}

async function makeVolumes({ engine, root }: DockerSetting, making: Making): Promise<void> {
  const { model } = making;
  await settled(
    model.parts.flatMap((part) =>
      mountsOf(model, part).map(({ source }) =>
        engine.createVolume(source, partLabels(root, model.name, part)),
      ),
    ),
  );
  // Before anything is written: a volume that somebody made a moment ago was given to us as ours.
  await refuseForeign(engine, root, model);
}

async function makeContainer(
  setting: DockerSetting,
  making: Making,
  environment: Environment,
  versions: ImageVersions,
  part: Part,
): Promise<void> {
  const { engine } = setting;
  const { model, signal } = making;
  const files = await filesOf(making, environment, versions, part);
  const spec = specOf(model, setting, part);
  const env = { ...spec.env, ...(part.kind === "resolver" ? await nodeVariables(part) : {}) };
  signal.throwIfAborted();
  const id = await engine.create({ ...spec, env });
  await engine.writeFiles(id, folderOf[kindOf(part)], files, signal);
}

async function nodeVariables(part: Part): Promise<Record<string, string>> {
  return { DNS_RESOLVER_NODE: (await readFile(nodeFile(part), "utf8")).trim() };
}

/** The registry, and once it knows their nodes the resolvers. */
async function startNames(
  setting: DockerSetting,
  making: Making,
  make: (part: Part) => Promise<void>,
): Promise<void> {
  const { model, note } = making;
  if (model.registry === undefined) return;
  await start(setting, making, partOf(model, model.registry.name, "registry"));
  await fillRegistry(making);
  await settled(
    model.resolvers.map(async ({ name }) => {
      const part = partOf(model, name, "resolver");
      await make(part);
      await start(setting, making, part);
    }),
  );
  note("the registry and its resolvers answer");
}

async function start(
  { engine, awaitPart }: DockerSetting,
  { model, signal }: Making,
  part: Part,
): Promise<void> {
  signal.throwIfAborted();
  await engine.start(containerName(model, part));
  await awaitPart(part);
}

async function startNodes(setting: DockerSetting, making: Making): Promise<void> {
  const { model, note } = making;
  const [primary, ...standbys] = model.members;
  if (primary === undefined) throw new TypeError("a lab has a first member");
  const node = (member: MemberHost): Part => partOf(model, member.name, "postgres");
  await start(setting, making, node(primary));
  await fillPrimary(making, primary);
  note(`${primary.name}: primary runs`);
  await settled(
    standbys.map(async (standby) => {
      await start(setting, making, node(standby));
      await prepareSlots(making, standby);
      note(`${standby.name}: base backup is done, standby runs`);
    }),
  );
}
