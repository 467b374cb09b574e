/** What is asked of an engine to make a container, as its API wants it (Engine API, create). */
import type { ContainerSpec, HealthCheck, Mount, NetworkEnd } from "./docker-engine.ts";

/** No networks but ways to have one; they have no ends. */
const hostModes = new Set(["none", "host", "default"]);
const nanosecondsPerMs = 1_000_000;

/** The body of a create request. The first network is part of it; the others are connected later. */
export function createBody(spec: ContainerSpec): object {
  const [first] = spec.networks;
  return {
    Image: spec.image,
    Entrypoint: spec.entrypoint,
    Cmd: spec.command,
    Env: Object.entries(spec.env ?? {}).map(([name, value]) => `${name}=${value}`),
    Labels: spec.labels,
    User: spec.user,
    Hostname: spec.hostname,
    StopSignal: spec.stopSignal,
    Healthcheck: spec.health === undefined ? undefined : healthBody(spec.health),
    HostConfig: hostConfig(spec),
    ...(first === undefined || hostModes.has(first.network)
      ? {}
      : { NetworkingConfig: { EndpointsConfig: { [first.network]: networkEnd(first) } } }),
  };
}

/** The same for one whose life is an attached stream's: its input ends with the first one attached. */
export function attachedBody(spec: ContainerSpec): object {
  const { HostConfig, ...body } = createBody(spec) as { HostConfig: object };
  return {
    ...body,
    ...{ AttachStdin: true, AttachStdout: true, AttachStderr: true },
    ...{ OpenStdin: true, StdinOnce: true, Tty: false },
    Healthcheck: { Test: ["NONE"] },
    // What such a program prints may hold secrets, and belongs to whoever is attached alone.
    HostConfig: { ...HostConfig, AutoRemove: true, LogConfig: { Type: "none" } },
  };
}

/** One end in a network, with its fixed address and further names. */
export function networkEnd({ address, aliases }: NetworkEnd): object {
  return {
    ...(address === undefined ? {} : { IPAMConfig: { IPv4Address: address } }),
    ...(aliases === undefined ? {} : { Aliases: [...aliases] }),
  };
}

function hostConfig(spec: ContainerSpec): object {
  return {
    NetworkMode: spec.networks[0]?.network ?? "none",
    Dns: spec.dns,
    Mounts: spec.mounts?.map(mountBody),
    VolumesFrom: spec.volumesFrom,
    PidMode: spec.pid ?? "",
    // An engine that maps users lets no mapped one see the host's processes.
    UsernsMode: spec.pid ?? "",
    CapAdd: spec.capabilities,
    SecurityOpt: spec.securityOptions,
    RestartPolicy: { Name: spec.restart ?? "no" },
    AutoRemove: spec.autoRemove ?? false,
    ShmSize: spec.sharedMemoryBytes,
  };
}

function mountBody({ source, target, readOnly = false }: Mount): object {
  const isPath = source.startsWith("/");
  // A bind of this kind, unlike the older one, makes no folder where the path is missing.
  return { Type: isPath ? "bind" : "volume", Source: source, Target: target, ReadOnly: readOnly };
}

function healthBody({ command, intervalMs, timeoutMs, retries }: HealthCheck): object {
  return {
    Test: ["CMD", ...command],
    Interval: intervalMs * nanosecondsPerMs,
    Timeout: timeoutMs * nanosecondsPerMs,
    Retries: retries,
  };
}
