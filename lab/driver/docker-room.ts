/** What must be free on this machine and its engine before a lab of containers is made. */
import { networkInterfaces } from "node:os";
import type { DockerEngine } from "../../kit/docker-engine.ts";
import { EngineError } from "../../kit/docker-errors.ts";
import { networks, subnetOf } from "../addresses.ts";
import type { LabModel } from "../model.ts";
import { LabUnavailableError } from "../place.ts";
import { labLabels, networkName } from "./docker-names.ts";
import { mountsOf } from "./docker-specs.ts";

/**
 * No interface of this machine may have an address in one of the lab's subnets: the bridge of a
 * network of Docker's is one.
 * @throws LabUnavailableError
 */
export function checkSubnets(model: LabModel): void {
  const taken = Object.entries(networkInterfaces()).flatMap(([name, ends]) =>
    (ends ?? []).map(({ address }) => ({ name, address })),
  );
  for (const network of networks) {
    const subnet = subnetOf(model.index, network);
    const prefix = subnet.slice(0, subnet.lastIndexOf(".") + 1);
    const other = taken.find(({ address }) => address.startsWith(prefix));
    if (other === undefined) continue;
    throw new LabUnavailableError(
      `lab ${model.name} needs the subnet ${subnet}, and this machine's ${other.name} has ${other.address} in it: see docker network ls`,
    );
  }
}

/**
 * The engine itself has to take the subnets: it may hold one of a network whose bridge is gone.
 * @throws LabUnavailableError; EngineError
 */
export async function trySubnets(
  engine: DockerEngine,
  root: string,
  model: LabModel,
): Promise<void> {
  const labels = labLabels(root, model.name);
  for (const network of networks) {
    const [name, subnet] = [`${networkName(model, network)}-try`, subnetOf(model.index, network)];
    try {
      await engine.createNetwork(name, { subnet, labels });
    } catch (cause) {
      if (!(cause instanceof EngineError) || cause.fault !== "address taken") throw cause;
      const why = `lab ${model.name} needs the subnet ${subnet}: ${cause.message}`;
      throw new LabUnavailableError(why, { cause });
    }
    await engine.removeNetwork(name);
  }
}

/** The names of all volumes of the lab. */
function volumesOf(model: LabModel): string[] {
  return model.parts.flatMap((part) => mountsOf(model, part).map(({ source }) => source));
}

/**
 * No volume may have a name of the lab's: the engine gives who asks for a new one the one that is
 * there, with all that is in it (Engine API, "Create a volume").
 * @param root the folder that labs of this user lie in
 * @throws LabUnavailableError naming it; EngineError
 */
export async function checkVolumes(
  engine: DockerEngine,
  root: string,
  model: LabModel,
): Promise<void> {
  await refuseForeign(engine, root, model);
  const [left] = await engine.listVolumes(labLabels(root, model.name));
  if (left === undefined) return;
  throw new LabUnavailableError(
    `volume ${left} was left by an earlier lab ${model.name}, and is left alone: bin/lab down --name ${model.name} removes all of that`,
  );
}

/**
 * Every volume there is with a name of the lab's has to be the lab's own.
 * @throws LabUnavailableError naming one that is not; EngineError
 */
export async function refuseForeign(
  engine: DockerEngine,
  root: string,
  model: LabModel,
): Promise<void> {
  const there = await engine.listVolumes({});
  const own = await engine.listVolumes(labLabels(root, model.name));
  const foreign = volumesOf(model).find((one) => there.includes(one) && !own.includes(one));
  if (foreign === undefined) return;
  throw new LabUnavailableError(
    `lab ${model.name} needs the name of volume ${foreign}, which is there already and not the lab's (docker volume inspect ${foreign}): it is left alone; give the lab another name, or remove the volume yourself`,
  );
}
