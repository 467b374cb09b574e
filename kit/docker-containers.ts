/**
 * Containers of a Docker Engine: making, looking at, starting and ending them (Engine API, section
 * Container). What a container is to run stands in docker-spec.ts, open ways into one in
 * docker-programs.ts.
 */
import type {
  ContainerFacts,
  ContainerProcess,
  ContainerSpec,
  DockerEngine,
  NetworkEnd,
} from "./docker-engine.ts";
import { EngineError } from "./docker-errors.ts";
import type { EngineRequest, EngineWay } from "./docker-request.ts";
import { readFacts } from "./docker-facts.ts";
import { createBody, networkEnd } from "./docker-spec.ts";
import { readFrames } from "./docker-streams.ts";
import { createTurns } from "./turns.ts";

/** How long an engine may take over its container's grace. */
const stopSlackMs = 30_000;
const removeDeadlineMs = 60_000;
const inspectsAtOnce = 4;
/** Making its volumes, its networks and its first process. */
export const startDeadlineMs = 60_000;

/** What one engine can be asked about its containers. */
export function containerCalls(
  way: EngineWay,
): Pick<
  DockerEngine,
  | "inspect"
  | "list"
  | "create"
  | "start"
  | "kill"
  | "stop"
  | "restart"
  | "pause"
  | "unpause"
  | "remove"
  | "logs"
  | "processes"
> {
  const inspect: DockerEngine["inspect"] = async (container, signal) => {
    const reply = await way.ask({
      tried: `inspect container ${container}`,
      method: "GET",
      path: `${at(container)}/json`,
      fine: [404],
      signal,
    });
    return reply === undefined ? null : readFacts(reply);
  };
  return {
    inspect,
    list: (labels, signal) => list(way, inspect, labels, signal),
    create: (spec, signal) => create(way, spec, createBody(spec), signal),
    ...lifeCalls(way),
    remove: (container, signal) => remove(way, container, signal),
    logs: (container, lines, signal) => logs(way, container, lines, signal),
    processes: (container, signal) => processes(way, container, signal),
  };
}

/** The path of a container in the engine's API. */
export function at(container: string): string {
  return `/containers/${encodeURIComponent(container)}`;
}

function lifeCalls(
  way: EngineWay,
): Pick<DockerEngine, "start" | "kill" | "stop" | "restart" | "pause" | "unpause"> {
  const act = async (
    container: string,
    verb: string,
    more: Partial<EngineRequest>,
  ): Promise<void> => {
    await way.ask({
      tried: `${verb} container ${container}`,
      method: "POST",
      path: `${at(container)}/${verb}`,
      ...more,
    });
  };
  return {
    start: (container, signal) =>
      act(container, "start", { fine: [304], deadlineMs: startDeadlineMs, signal }),
    kill: (container, signalName, signal) =>
      act(container, "kill", {
        tried: `send ${signalName} to container ${container}`,
        query: { signal: signalName },
        signal,
      }),
    stop: (container, graceS, signal) => {
      const deadlineMs = graceS * 1000 + stopSlackMs;
      return act(container, "stop", { query: { t: graceS }, fine: [304], deadlineMs, signal });
    },
    restart: (container, graceS, signal) => {
      const deadlineMs = graceS * 1000 + stopSlackMs + startDeadlineMs;
      return act(container, "restart", { query: { t: graceS }, deadlineMs, signal });
    },
    pause: (container, signal) => act(container, "pause", { signal }),
    unpause: (container, signal) => act(container, "unpause", { signal }),
  };
}

async function list(
  way: EngineWay,
  inspect: DockerEngine["inspect"],
  labels: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<readonly ContainerFacts[]> {
  const reply = await way.ask({
    tried: "list containers",
    method: "GET",
    path: "/containers/json",
    query: { all: 1, filters: labelFilter(labels) },
    signal,
  });
  // Over ssh each request at the same time as another takes a connection of its own.
  const listed = reply as readonly { Id: string }[];
  const turns = createTurns(inspectsAtOnce, listed.length);
  const found = listed.map(async ({ Id }) => {
    const release = await turns.take(signal);
    try {
      return await inspect(Id, signal);
    } finally {
      release();
    }
  });
  return (await Promise.all(found)).filter((facts) => facts !== null);
}

/** The filter for what carries all of `labels`. */
export function labelFilter(labels: Readonly<Record<string, string>>): object {
  return { label: Object.entries(labels).map(([name, value]) => `${name}=${value}`) };
}

/**
 * Makes a container of `body` and puts it into all its networks; one that cannot be, or that nobody
 * wants any more, is removed. The requests themselves are not ended by the signal: an engine goes on
 * with what nobody waits for, and a container that is removed while it is being connected leaves its
 * end in the network.
 * @returns its id
 */
export async function create(
  way: EngineWay,
  spec: ContainerSpec,
  body: object,
  signal: AbortSignal | undefined,
): Promise<string> {
  signal?.throwIfAborted();
  const reply = await way.ask({
    tried: `create container ${shownSpec(spec)}`,
    method: "POST",
    path: "/containers/create",
    query: spec.name === undefined ? {} : { name: spec.name },
    body,
  });
  const { Id: id } = reply as { Id: string };
  try {
    // One network is all that older engines take at once.
    for (const end of spec.networks.slice(1)) {
      signal?.throwIfAborted();
      await connect(way, id, end);
    }
    signal?.throwIfAborted();
    return id;
  } catch (error) {
    await remove(way, id, undefined).catch(() => undefined);
    throw error;
  }
}

/** A container that is being made, for messages. */
export function shownSpec({ name, image }: ContainerSpec): string {
  return name ?? `of ${image}`;
}

async function connect(way: EngineWay, container: string, end: NetworkEnd): Promise<void> {
  await way.ask({
    tried: `connect container ${container} to network ${end.network}`,
    method: "POST",
    path: `/networks/${encodeURIComponent(end.network)}/connect`,
    body: { Container: container, EndpointConfig: networkEnd(end) },
  });
}

/** Ends and removes it, with its unnamed volumes; none is fine, and so is one that is being removed. */
export async function remove(
  way: EngineWay,
  container: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await way.ask({
      tried: `remove container ${container}`,
      method: "DELETE",
      path: at(container),
      query: { force: 1, v: 1 },
      fine: [404],
      deadlineMs: removeDeadlineMs,
      signal,
    });
  } catch (error) {
    if (!(error instanceof EngineError && error.fault === "being removed")) throw error;
  }
}

async function logs(
  way: EngineWay,
  container: string,
  lines: number,
  signal: AbortSignal | undefined,
): Promise<string> {
  const reply = await way.ask({
    tried: `read the output of container ${container}`,
    method: "GET",
    path: `${at(container)}/logs`,
    query: { stdout: 1, stderr: 1, tail: lines },
    signal,
  });
  if (!Buffer.isBuffer(reply)) return "";
  const { stdout, stderr } = readFrames(reply);
  return `${stdout}${stderr}`;
}

const psColumns = ["pid", "ppid", "stat", "comm", "args"] as const;

async function processes(
  way: EngineWay,
  container: string,
  signal: AbortSignal | undefined,
): Promise<readonly ContainerProcess[]> {
  const reply = await way.ask({
    tried: `list the processes of container ${container}`,
    method: "GET",
    path: `${at(container)}/top`,
    query: { ps_args: `-eo ${psColumns.join(",")}` },
    fine: [409],
    signal,
  });
  const { Processes: rows = [] } = (reply ?? {}) as { Processes?: readonly string[][] };
  return rows.map(([pid = "", parent = "", state = "", name = "", command = ""]) => ({
    ...{ pid: Number(pid), parent: Number(parent) },
    ...{ state, name, command },
  }));
}
