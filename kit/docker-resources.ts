/** Networks, volumes and images of a Docker Engine (Engine API, sections of the same names). */
import { labelFilter } from "./docker-containers.ts";
import type { DockerEngine } from "./docker-engine.ts";
import type { EngineWay } from "./docker-request.ts";

/** What one engine can be asked about what its containers stand on. */
export function resourceCalls(
  way: EngineWay,
): Pick<
  DockerEngine,
  | "ping"
  | "createNetwork"
  | "removeNetwork"
  | "listNetworks"
  | "createVolume"
  | "removeVolume"
  | "listVolumes"
  | "findImage"
> {
  return { ...networkCalls(way), ...volumeCalls(way), ...imageCalls(way) };
}

function networkCalls(
  way: EngineWay,
): Pick<DockerEngine, "createNetwork" | "removeNetwork" | "listNetworks"> {
  return {
    createNetwork: async (name, { subnet, labels }, signal) => {
      await way.ask({
        tried: `create network ${name}`,
        method: "POST",
        path: "/networks/create",
        body: {
          Name: name,
          Driver: "bridge",
          // Engines before 25 would otherwise make a second one of the same name.
          CheckDuplicate: true,
          Labels: labels,
          ...(subnet === undefined ? {} : { IPAM: { Config: [{ Subnet: subnet }] } }),
        },
        signal,
      });
    },
    removeNetwork: async (name, signal) => {
      await way.ask({
        tried: `remove network ${name}`,
        method: "DELETE",
        path: `/networks/${encodeURIComponent(name)}`,
        fine: [404],
        signal,
      });
    },
    listNetworks: async (labels, signal) => {
      const reply = await way.ask({
        tried: "list networks",
        method: "GET",
        path: "/networks",
        query: { filters: labelFilter(labels) },
        signal,
      });
      return (reply as readonly { Name: string }[]).map(({ Name: name }) => name);
    },
  };
}

function volumeCalls(
  way: EngineWay,
): Pick<DockerEngine, "createVolume" | "removeVolume" | "listVolumes"> {
  return {
    createVolume: async (name, labels, signal) => {
      const body = { Name: name, Labels: labels };
      const tried = `create volume ${name}`;
      await way.ask({ tried, method: "POST", path: "/volumes/create", body, signal });
    },
    removeVolume: async (name, signal) => {
      await way.ask({
        tried: `remove volume ${name}`,
        method: "DELETE",
        path: `/volumes/${encodeURIComponent(name)}`,
        fine: [404],
        signal,
      });
    },
    listVolumes: async (labels, signal) => {
      const reply = await way.ask({
        tried: "list volumes",
        method: "GET",
        path: "/volumes",
        query: { filters: labelFilter(labels) },
        signal,
      });
      const { Volumes: volumes } = reply as { Volumes: readonly { Name: string }[] | null };
      return (volumes ?? []).map(({ Name: name }) => name);
    },
  };
}

interface ImageReply {
  readonly Id: string;
  readonly Config?: {
    readonly Labels?: Readonly<Record<string, string>> | null;
    readonly User?: string;
  } | null;
}

function imageCalls(way: EngineWay): Pick<DockerEngine, "ping" | "findImage"> {
  return {
    ping: async (signal) => {
      const tried = "ask for the version";
      const reply = await way.ask({ tried, method: "GET", path: "/version", signal });
      const { Version: version, ApiVersion: apiVersion } = reply as Record<string, string>;
      return { version: String(version), apiVersion: String(apiVersion) };
    },
    findImage: async (reference, signal) => {
      const reply = await way.ask({
        tried: `look for image ${reference}`,
        method: "GET",
        path: `/images/${reference.split("/").map(encodeURIComponent).join("/")}/json`,
        fine: [404],
        signal,
      });
      if (reply === undefined) return null;
      const { Id: id, Config: config } = reply as ImageReply;
      return { id, labels: config?.Labels ?? {}, user: config?.User ?? "" };
    },
  };
}
