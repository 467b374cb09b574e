/**
 * The Docker driver: a lab of containers on this machine's engine, which plays two hosts of
 * containers with a network each and one between them. Containers restart by themselves, as in
 * production, unless they were ended by a verb.
 */
import { DeadlineError, eventually, systemClock } from "../../kit/clock.ts";
import type { ContainerFacts, DockerEngine } from "../../kit/docker-engine.ts";
import { EngineError } from "../../kit/docker-errors.ts";
import { openEngine } from "../../kit/docker.ts";
import type { LabModel, Part } from "../model.ts";
import { LabUnavailableError } from "../place.ts";
import type { LabPlace } from "../place.ts";
import type { LabState } from "../state.ts";
import { partAnswers } from "./answers.ts";
import { readyImages } from "./docker-images.ts";
import type { LabImages } from "./docker-images.ts";
import { dockerKeys } from "./docker-keys.ts";
import { makeContainers } from "./docker-make.ts";
import { containerName, labLabels } from "./docker-names.ts";
import { cutContainers, healContainers, listContainerCuts } from "./docker-packets.ts";
import { destroyContainers } from "./docker-place.ts";
import { checkSubnets, checkVolumes, trySubnets } from "./docker-room.ts";
import { hostNameServers } from "./name-servers.ts";
import { PartError, startDeadlineMs, stopDeadlineMs, stopOrder, tellingLine } from "./driver.ts";
import type { LabDriver, PartState, PartStatus } from "./driver.ts";

/**
 * The Docker driver for the labs of `place`. All that asks its engine throws LabUnavailableError when
 * that is on another machine; only the end of a lab that nobody knows of asks for none then.
 */
export function dockerDriver(place: LabPlace): LabDriver {
  const url = place.engine;
  const { engine, isHere, close } = engineOf(url);
  const labels = (name: string) => labLabels(place.root, name);
  let found: LabImages | undefined;
  const images = (): LabImages => {
    if (found === undefined) throw new TypeError("prepare comes first");
    return found;
  };
  return {
    kind: "docker",
    prepare: async (options) => {
      found = await readyImages(engine(), options);
    },
    checkNames: (model) => checkVolumes(engine(), place.root, model),
    checkPlace: async (model) => {
      checkSubnets(model);
      await trySubnets(engine(), place.root, model);
    },
    environmentKeys: async (model) => dockerKeys(model, url),
    make: async (making, environment) => {
      const { model, signal } = making;
      const awaitPart = (part: Part): Promise<void> =>
        awaitContainer(engine(), model, part, signal);
      const nameServers = await hostNameServers();
      const { root } = place;
      const setting = { engine: engine(), images: images(), root, nameServers, awaitPart };
      await makeContainers(setting, making, environment);
      return {};
    },
    destroy: async (name, state) =>
      (isHere || state !== undefined) &&
      (await destroyContainers(engine(), { name, root: place.root }, state)),
    states: async (model, state) =>
      containerStates(model, state, await engine().list(labels(model.name))),
    stop: async (model, part, signal) => await stopContainer(engine(), model, part, signal),
    kill: (model, parts) => each(model, parts, (name) => killContainer(engine(), name)),
    start: async (model, _state, parts) => {
      await Promise.all(parts.map((part) => startContainer(engine(), model, part)));
      return {};
    },
    awaitPart: async (model, part, signal) => await awaitContainer(engine(), model, part, signal),
    freeze: (model, parts) => each(model, parts, (name) => engine().pause(name)),
    thaw: (model, parts) => each(model, parts, (name) => engine().unpause(name)),
    cut: cutContainers,
    heal: healContainers,
    cuts: listContainerCuts,
    close,
  };
}

/** The engine at `url`, opened by who asks for it. */
function engineOf(url: string): {
  readonly engine: () => DockerEngine;
  readonly isHere: boolean;
  readonly close: () => void;
} {
  const isHere = url.startsWith("unix://");
  let opened: DockerEngine | undefined;
  const engine = (): DockerEngine => {
    if (isHere) return (opened ??= openEngine({ url }));
    throw new LabUnavailableError(
      `a lab's containers run on this machine, where their addresses can be reached: DOCKER_HOST is ${url}; expected unix:///path`,
    );
  };
  return { engine, isHere, close: () => opened?.close() };
}

const killDeadlineMs = 60_000;
/** After which a pooler is asked to stop once more: the time that docker stop gives by default. */
const stopGraceMs = 10_000;

async function each(
  model: LabModel,
  parts: readonly Part[],
  act: (container: string) => Promise<void>,
): Promise<void> {
  await Promise.all(parts.map((part) => act(containerName(model, part))));
}

/** How each part is, from what the engine says of the lab's containers. */
export function containerStates(
  model: LabModel,
  state: Pick<LabState, "stopped">,
  seen: readonly ContainerFacts[],
): PartStatus[] {
  return model.parts.map((part) => {
    const [address] = part.listens;
    if (address === undefined) throw new TypeError(`${part.name} listens nowhere`);
    const facts = seen.find((one) => one.name === containerName(model, part));
    const pid = facts === undefined || facts.pid === 0 ? null : facts.pid;
    return { part: part.name, state: stateOf(part, facts, state.stopped), pid, address };
  });
}

function stateOf(
  part: Part,
  facts: ContainerFacts | undefined,
  stopped: readonly string[],
): PartState {
  if (facts?.status === "running") return "running";
  if (facts?.status === "paused") return "frozen";
  if (facts?.status !== "exited") return "crashed";
  // A Postgres that others stopped says by its exit code that it was shut down in good order.
  const inOrder = part.kind === "postgres" && facts.exitCode === 0;
  return inOrder || stopped.includes(part.name) ? "stopped" : "crashed";
}

/**
 * Ends a container at once, however often it ends by itself or the engine starts it again meanwhile,
 * and holds it: its restart policy brings it back no more.
 */
async function killContainer(engine: DockerEngine, name: string): Promise<void> {
  const patience = { deadlineMs: killDeadlineMs, intervalMs: 20 };
  await eventually(`end of ${name}`, patience, async (signal) => {
    const facts = await engine.inspect(name, signal);
    if (facts?.status === "restarting") await engine.stop(name, 0, signal);
    else if (facts === null || facts.pid === 0) return true;
    else await engine.kill(name, "SIGKILL", signal).catch(unlessGone);
    return undefined;
  });
}

/** What ended between a look at it and the signal needs none. */
function unlessGone(error: unknown): void {
  const isGone =
    error instanceof EngineError && ["not running", "no container"].includes(error.fault);
  if (!isGone) throw error;
}

/**
 * Asks for a stop in good order by the container's own stop signal, as the engine's own stop does,
 * but never ends it by force. A PgBouncer that still waits for sessions is asked once more after the
 * usual grace, and ends then (PgBouncer 1.23, "Signals").
 */
async function stopContainer(
  engine: DockerEngine,
  model: LabModel,
  part: Part,
  signal: AbortSignal,
): Promise<void> {
  const name = containerName(model, part);
  const { again } = stopOrder(part.kind);
  let askAt = -Infinity;
  await eventually(
    `stop of ${part.name}`,
    { deadlineMs: stopDeadlineMs, intervalMs: 20, signal },
    async (inner) => {
      const facts = await engine.inspect(name, inner);
      if (facts?.status === "restarting") await engine.stop(name, 0, inner);
      if (facts?.status !== "running") return true;
      const now = systemClock.monotonic();
      if (now < askAt) return undefined;
      await engine.kill(name, facts.stopSignal, inner).catch(unlessGone);
      askAt = again ? now + stopGraceMs : Infinity;
      return undefined;
    },
  );
}

/** Starts a container that is there. @throws PartError saying what helps when it was removed */
async function startContainer(engine: DockerEngine, model: LabModel, part: Part): Promise<void> {
  const container = containerName(model, part);
  await engine.start(container).catch((error: unknown) => {
    if (!(error instanceof EngineError) || error.fault !== "no container") throw error;
    const again = `bin/lab down --name ${model.name}, and then up, makes the lab anew`;
    throw new PartError(part.name, `its container ${container} was removed: ${again}`, error);
  });
}

/** Waits until a started container answers; one that ends instead is held, and says why. */
async function awaitContainer(
  engine: DockerEngine,
  model: LabModel,
  part: Part,
  signal: AbortSignal,
): Promise<void> {
  const name = containerName(model, part);
  const restartsBefore = (await engine.inspect(name, signal))?.restarts ?? 0;
  const look = async (inner: AbortSignal): Promise<"answers" | "ended" | undefined> => {
    if (await partAnswers(part)) return "answers";
    const facts = await engine.inspect(name, inner);
    const isGone = facts?.status !== "running" || facts.restarts > restartsBefore;
    return isGone ? "ended" : undefined;
  };
  const options = { deadlineMs: startDeadlineMs, intervalMs: 50, signal };
  const said = async (): Promise<string> =>
    `${tellingLine(await engine.logs(name, 20).catch(() => ""))} (see docker logs ${name})`;
  try {
    if ((await eventually(part.name, options, look)) === "answers") return;
  } catch (cause) {
    if (!(cause instanceof DeadlineError)) throw cause;
    const message = `runs, and does not answer in ${startDeadlineMs} ms: ${await said()}`;
    throw new PartError(part.name, message, cause);
  }
  const words = await said();
  // Its restart policy would start it again and again.
  await engine.stop(name, 0).catch(() => undefined);
  throw new PartError(part.name, `ended by itself: ${words}`);
}
