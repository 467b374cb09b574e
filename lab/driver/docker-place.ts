/** What of a lab of containers has to go at its end. */
import { DeadlineError, eventually } from "../../kit/clock.ts";
import type { ContainerFacts, DockerEngine } from "../../kit/docker-engine.ts";
import { EngineError } from "../../kit/docker-errors.ts";
import type { LabState } from "../state.ts";
import { labLabels, placeLabel } from "./docker-names.ts";
import { removePacketRules } from "./docker-packets.ts";

/** A lab as its engine knows it. */
interface LabelledLab {
  readonly name: string;
  /** The folder that labs of its user lie in. */
  readonly root: string;
}

/**
 * Removes all that carries the lab's labels: containers, volumes, networks; and its packet rules.
 * What cannot be removed keeps nothing else from being removed.
 * @returns true when there was something
 * @throws EngineError when a lab of containers is known and its engine is away, or keeps something
 * @throws DeadlineError, naming what is left, when there is always something more
 */
export async function destroyContainers(
  engine: DockerEngine,
  { name, root }: LabelledLab,
  state: LabState | undefined,
): Promise<boolean> {
  try {
    await removePacketRules(name);
    return await sweepAll(engine, { name, root });
  } catch (error) {
    // Where no lab of containers is known, nobody asked for an engine.
    if (state === undefined && isAway(error)) return false;
    throw error;
  }
}

const sweepDeadlineMs = 120_000;

/**
 * Sweeps until nothing is found: an up that was killed may have asked for something a moment ago.
 * @returns true when there was something
 */
async function sweepAll(engine: DockerEngine, lab: LabelledLab): Promise<boolean> {
  const what = `removal of lab ${lab.name}`;
  const patience = { deadlineMs: sweepDeadlineMs, intervalMs: 50 };
  let found = false;
  let left: readonly string[] = [];
  try {
    const end = await eventually(what, patience, async (signal) => {
      try {
        left = await sweep(engine, lab, signal);
      } catch (error) {
        return { error };
      }
      found ||= left.length > 0;
      return left.length === 0 ? "swept" : undefined;
    });
    if (end === "swept") return found;
    throw end.error;
  } catch (error) {
    if (!(error instanceof DeadlineError) || left.length === 0) throw error;
    const names = left.join(", ");
    throw new DeadlineError(`${what}, of which ${names} came back`, sweepDeadlineMs, error.cause);
  }
}

/** Removes what there is now, whatever of it cannot be removed. @returns what that was, in words */
async function sweep(
  engine: DockerEngine,
  lab: LabelledLab,
  signal: AbortSignal,
): Promise<string[]> {
  const containers = await containersOf(engine, lab, signal);
  const ends = await Promise.allSettled(containers.map(({ id }) => engine.remove(id, signal)));
  const labels = labLabels(lab.root, lab.name);
  const volumes = await engine.listVolumes(labels, signal);
  const links = await engine.listNetworks(labels, signal);
  const stuck = new Set<string>();
  const removals = await Promise.allSettled([
    ...volumes.map((one) => insist(`volume ${one}`, () => engine.removeVolume(one, signal))),
    ...links.map((one) =>
      insist(`network ${one}`, () => engine.removeNetwork(one, signal)).catch(
        leaveMiscounted(one, stuck),
      ),
    ),
  ]);
  for (const one of [...ends, ...removals]) if (one.status === "rejected") throw one.reason;
  return [
    ...containers.map(({ name }) => `container ${name}`),
    ...volumes.map((one) => `volume ${one}`),
    ...links.filter((one) => !stuck.has(one)).map((one) => `network ${one}`),
  ];
}

/**
 * An engine may count an end of a container that is long gone (20.10 does, where a container ends
 * while it is being connected), and lets go of the network at its own next start only. Nothing is
 * left in such a network, so it is passed over; a later lab takes other subnets.
 */
function leaveMiscounted(network: string, stuck: Set<string>): (error: unknown) => void {
  return (error) => {
    const isStuck = error instanceof EngineError && error.message.includes("active endpoints");
    if (!isStuck) throw error;
    stuck.add(network);
  };
}

/** The lab's own containers, and those that a tool opened beside them and that carry its name alone. */
async function containersOf(
  engine: DockerEngine,
  { name, root }: LabelledLab,
  signal: AbortSignal,
): Promise<readonly ContainerFacts[]> {
  const seen = await engine.list(labLabels(undefined, name), signal);
  return seen.filter(({ labels }) => [undefined, root].includes(labels[placeLabel]));
}

function isAway(error: unknown): boolean {
  return error instanceof EngineError && ["no engine", "no permission"].includes(error.fault);
}

/** A tool that was killed may leave a container that uses it, and that ends in a moment. */
async function insist(what: string, remove: () => Promise<void>): Promise<void> {
  const patience = { deadlineMs: 5000, intervalMs: 100 };
  let why: unknown;
  await eventually(`removal of ${what}`, patience, async () => {
    why = await remove().then(
      () => undefined,
      (error: unknown) => error,
    );
    return why === undefined ? true : undefined;
  }).catch((error: unknown) => {
    // The engine's own words say what uses it.
    throw why ?? error;
  });
}
