/**
 * The connection to a Docker Engine: the one file that loads dockerode, and only with the first
 * request, since its parts take longer to load than a topology without Docker takes. What can be
 * asked stands in docker-engine.ts.
 */
import { archiveCalls } from "./docker-archive.ts";
import { engineAgent } from "./docker-connect.ts";
import { containerCalls } from "./docker-containers.ts";
import type { ContainerStream, DockerEngine, EngineAddress } from "./docker-engine.ts";
import { programCalls } from "./docker-programs.ts";
import { engineWay } from "./docker-request.ts";
import type { Modem } from "./docker-request.ts";
import { resourceCalls } from "./docker-resources.ts";

/**
 * The engine at `address`; opens nothing yet, and keeps what it opens for the next request.
 * @throws EngineAddressError for an address that no engine can be reached by
 */
export function openEngine(address: EngineAddress): DockerEngine {
  const agent = engineAgent(address);
  const streams = new Set<ContainerStream>();
  let modem: Promise<Modem> | undefined;
  const load = async (): Promise<Modem> => {
    const { default: Docker } = await import("dockerode");
    // All is said here, so that DOCKER_HOST and its like, which docker-modem reads, change nothing.
    const unset = { host: undefined, port: undefined, ca: undefined, cert: undefined };
    const options = { ...unset, key: undefined, socketPath: "/", protocol: "http", agent } as const;
    return new Docker(options).modem;
  };
  const way = engineWay(address.url, () => (modem ??= load()));
  return {
    address,
    ...containerCalls(way),
    ...programCalls(way, streams),
    ...archiveCalls(way),
    ...resourceCalls(way),
    close: () => {
      // What is still asked for, such as the end of a stream's container, keeps nothing open.
      agent.maxFreeSockets = 0;
      for (const stream of streams) stream.destroy();
      agent.destroy();
    },
  };
}
