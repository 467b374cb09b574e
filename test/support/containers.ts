/**
 * Containers of our images for a live test: on the engine of this machine, in a network of their
 * own, taken away at the end of the test whatever happened.
 */
import type { Test } from "tap";
import { eventually, systemClock } from "../../kit/clock.ts";
import { ownVersion } from "../../kit/checkout.ts";
import type {
  ContainerFacts,
  ContainerSpec,
  DockerEngine,
  FileToWrite,
} from "../../kit/docker-engine.ts";
import { EngineError } from "../../kit/docker-errors.ts";
import { openEngine } from "../../kit/docker.ts";

const label = "org.switchyard.test";
const soon = { deadlineMs: 45_000, intervalMs: 100 };

/** What one container of a test is, besides its name. */
export interface TestContainer extends Partial<ContainerSpec> {
  /** postgres, pgbouncer, haproxy or switchyard. */
  readonly of: string;
  /** Volumes by the name of this test, and the folders they are mounted at. */
  readonly volumes?: Readonly<Record<string, string>>;
  /** Written before it starts, by folder. */
  readonly files?: Readonly<Record<string, readonly FileToWrite[]>>;
}

export interface TestContainers {
  readonly engine: DockerEngine;
  /** The reference of one of our images. */
  image(name: string): string;
  /** Makes and starts a container; its name in the engine, and in the DNS of the test's network. */
  run(name: string, container: TestContainer): Promise<string>;
  /** Its facts, once `wanted` says so. */
  until(
    name: string,
    what: string,
    wanted: (facts: ContainerFacts) => boolean,
  ): Promise<ContainerFacts>;
  /** Runs a program in it; the exit code and all that it printed. */
  exec(name: string, ...argv: string[]): Promise<{ code: number; output: string }>;
}

/** The engine of this machine (DOCKER_HOST counts), or why there is none. */
export async function engineHere(): Promise<DockerEngine | string> {
  const engine = openEngine({ url: process.env["DOCKER_HOST"] ?? "unix:///var/run/docker.sock" });
  try {
    await engine.ping();
    return engine;
  } catch (error) {
    engine.close();
    if (error instanceof EngineError) return error.message;
    throw error;
  }
}

let made = 0;

/** Containers for one test, in one network; `t` takes them, their volumes and the network away. */
export async function testContainers(t: Test, engine: DockerEngine): Promise<TestContainers> {
  const prefix = `sy-test-images-${process.pid}-${++made}`;
  const labels = { [label]: prefix };
  const version = await ownVersion();
  t.teardown(async () => await takeAway(engine, labels));
  await engine.createNetwork(prefix, { labels });
  const image = (name: string): string => `switchyard/${name}:${version}`;
  return {
    engine,
    image,
    run: async (name, container) => {
      const { of, volumes = {}, files = {}, ...spec } = container;
      const inEngine = `${prefix}-${name}`;
      const mounts = Object.entries(volumes).map(([volume, target]) => ({
        source: `${prefix}-${volume}`,
        target,
      }));
      for (const { source } of mounts) await engine.createVolume(source, labels);
      const networks = [{ network: prefix, aliases: [name] }];
      await engine.create({ ...spec, name: inEngine, image: image(of), labels, networks, mounts });
      for (const [folder, list] of Object.entries(files)) {
        await engine.writeFiles(inEngine, folder, list);
      }
      await engine.start(inEngine);
      return inEngine;
    },
    until: async (name, what, wanted) =>
      await eventually(`${name} ${what}`, soon, async () => {
        const facts = await engine.inspect(name);
        return facts !== null && wanted(facts) ? facts : undefined;
      }),
    exec: async (name, ...argv) => {
      const { code, stdout, stderr } = await engine.exec(name, argv, { deadlineMs: 20_000 });
      return { code, output: `${stdout}${stderr}`.trim() };
    },
  };
}

async function takeAway(
  engine: DockerEngine,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const containers = await engine.list(labels);
  await Promise.all(containers.map(async ({ id }) => await engine.remove(id)));
  for (const volume of await engine.listVolumes(labels)) await removeVolume(engine, volume);
  for (const network of await engine.listNetworks(labels)) await removeNetwork(engine, network);
}

/** Removes a volume; see removeNetwork. */
export async function removeVolume(engine: DockerEngine, volume: string): Promise<void> {
  await eventually(`volume ${volume} can be removed`, soon, async () => {
    await engine.removeVolume(volume);
    return true;
  });
}

/**
 * Removes a network. A container that ends by itself, as those of a tool that was killed do, is
 * removed behind our back, and holds on to its networks and its volumes until then. As `lab down` does
 * (lab/driver/docker-place.ts) this passes over one in which the engine counts an end of a container
 * that is long gone: it lets go of that at its own next start.
 */
export async function removeNetwork(engine: DockerEngine, network: string): Promise<void> {
  let why: unknown;
  try {
    await eventually(`network ${network} can be removed`, soon, async () => {
      await engine.removeNetwork(network).catch((error: unknown) => {
        why = error;
        throw error;
      });
      return true;
    });
  } catch (error) {
    if (!(why instanceof EngineError && why.message.includes("active endpoints"))) throw error;
  }
}

/** What `action` took, in milliseconds: for a comment, never for an assertion. */
export async function timeOf(action: () => Promise<unknown>): Promise<number> {
  const from = systemClock.monotonic();
  await action();
  return Math.round(systemClock.monotonic() - from);
}
