/** Reads what an engine answers to inspect (Engine API, Container: inspect). */
import type { ContainerFacts, ContainerStatus } from "./docker-engine.ts";

interface Inspected {
  readonly Id: string;
  readonly Name: string;
  readonly Created: string;
  readonly Image: string;
  readonly RestartCount?: number;
  readonly State: {
    readonly Status: ContainerStatus;
    readonly Pid?: number;
    readonly ExitCode?: number;
    readonly StartedAt?: string;
    readonly Health?: { readonly Status?: string } | null;
  };
  readonly Config: {
    readonly Image: string;
    readonly User?: string;
    readonly StopSignal?: string;
    readonly Labels?: Readonly<Record<string, string>> | null;
  };
  readonly HostConfig: { readonly RestartPolicy?: { readonly Name?: string } };
  readonly Mounts?: readonly {
    readonly Type: string;
    readonly Name?: string;
    readonly Source: string;
    readonly Destination: string;
    readonly RW: boolean;
  }[];
  readonly NetworkSettings?: {
    readonly Networks?: Readonly<Record<string, { readonly IPAddress?: string }>> | null;
  };
}

/** One container's facts out of the engine's answer. */
export function readFacts(reply: unknown): ContainerFacts {
  const { State, Config, HostConfig, ...one } = reply as Inspected;
  return {
    id: one.Id,
    name: one.Name.replace(/^\//, ""),
    image: Config.Image,
    imageId: one.Image,
    status: State.Status,
    pid: State.Pid ?? 0,
    exitCode: State.ExitCode ?? 0,
    createdAt: one.Created,
    startedAt: State.StartedAt ?? "",
    restarts: one.RestartCount ?? 0,
    restart: HostConfig.RestartPolicy?.Name || "no",
    stopSignal: Config.StopSignal || "SIGTERM",
    user: Config.User ?? "",
    labels: Config.Labels ?? {},
    health: State.Health?.Status ?? "none",
    networks: Object.entries(one.NetworkSettings?.Networks ?? {}).map(([network, end]) => ({
      network,
      address: end.IPAddress ?? "",
    })),
    mounts: (one.Mounts ?? []).map((mount) => ({
      source: mount.Type === "volume" ? (mount.Name ?? mount.Source) : mount.Source,
      target: mount.Destination,
      readOnly: !mount.RW,
    })),
  };
}
