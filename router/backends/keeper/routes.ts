/**
 * The paths of the backends process: whether it lives, whether every router is in step with DNS, all
 * that it knows as JSON, and the same as figures for Prometheus.
 */
import { Gauge, Registry } from "prom-client";
import { bodyReply, jsonReply, textReply } from "../../../kit/http.ts";
import type { Route } from "../../../kit/http.ts";
import type { BackendsState } from "./process.ts";
import type { BackendState, RouterState } from "./keeping.ts";

const live = textReply(200, "live");

/** Why not all is as it should be, a sentence each; empty where every router is in step with DNS. */
export function complaints({ targets, routers }: BackendsState): string[] {
  return [
    ...routers.flatMap((router) => routerComplaints(router)),
    ...targets.flatMap(({ backend, hostname, hasAnswered, status }) => {
      if (status === undefined)
        return [`${backend}: ${hostname} is being asked for the first time`];
      const why = status.lastError === undefined ? "" : `: ${status.lastError.message}`;
      if (!hasAnswered) return [`${backend}: ${hostname} has not been answered yet${why}`];
      return status.stale ? [`${backend}: ${hostname} is not answered now${why}`] : [];
    }),
  ];
}

function routerComplaints({ router, error, seenAtMs, backends }: RouterState): string[] {
  if (error !== undefined) return [`router ${router} is not reached: ${error.message}`];
  if (seenAtMs === undefined) return [`router ${router} has not been looked at yet`];
  return backends.flatMap(({ name, hasSection, isInStep, servers }) => {
    if (!hasSection) return [`router ${router} has no section ${name} yet`];
    if (!isInStep) return [`router ${router}: ${name} is not in step yet`];
    const up = servers.filter((one) => one.state === "up" && one.weight > 0);
    return up.length > 0 ? [] : [`router ${router}: ${name} has no server that is up`];
  });
}

/** Ready: what DNS says stands on every router, though DNS itself may be away just now. */
function isReady({ targets, routers }: BackendsState): boolean {
  return (
    routers.length > 0 &&
    targets.every((one) => one.status !== undefined) &&
    routers.every(
      ({ error, seenAtMs, backends }) =>
        error === undefined &&
        seenAtMs !== undefined &&
        backends.every((one) => one.hasSection && one.isInStep),
    )
  );
}

/** The state as /status and `--json` give it. */
export function stateJson(state: BackendsState): object {
  return {
    well: complaints(state).length === 0,
    complaints: complaints(state),
    targets: state.targets.map(({ backend, hostname, hasAnswered, status }) => {
      return { ...status, backend, hostname, hasAnswered };
    }),
    routers: state.routers.map(({ error, backends, ...rest }) => ({
      ...rest,
      error: error?.message ?? null,
      backends: backends.map(backendJson),
    })),
  };
}

function backendJson({ servers, ...rest }: BackendState): object {
  const rows = servers.map(({ server, host, port, state, weight, sessions, queued, check }) => {
    return { server, host, port, state, weight, sessions, queued, check };
  });
  return { ...rest, servers: rows };
}

/** The route table; `state` is asked at each request. */
export function backendsRoutes(state: () => BackendsState): Readonly<Record<string, Route>> {
  const metrics = createMetrics();
  return {
    "/livez": () => live,
    "/readyz": () => {
      const now = state();
      const isWell = isReady(now);
      return textReply(
        isWell ? 200 : 503,
        [isWell ? "ready" : "not ready", ...complaints(now)].join("\n"),
      );
    },
    "/status": () => jsonReply(200, stateJson(state())),
    "/metrics": async () => bodyReply(200, metrics.contentType, await metrics.text(state())),
  };
}

const prefix = "switchyard_backends_";

function createMetrics(): {
  readonly contentType: string;
  readonly text: (state: BackendsState) => Promise<string>;
} {
  const registry = new Registry();
  const gauge = (name: string, help: string, labelNames: string[]): Gauge =>
    new Gauge({ name: prefix + name, help, labelNames, registers: [registry] });
  const reached = gauge("router_reached", "1 while the router answers", ["router"]);
  const inStep = gauge("in_step", "1 while the servers are those that DNS names", [
    "router",
    "backend",
  ]);
  const servers = gauge("servers", "Servers of the backend, by state", [
    "router",
    "backend",
    "state",
  ]);
  const waiting = gauge("waiting", "Clients that wait for a server", ["router", "backend"]);
  const addresses = gauge("addresses", "Addresses that stand", ["backend", "hostname"]);
  const failures = gauge("failures", "Failed questions in a row", ["backend", "hostname"]);
  const resolved = gauge("resolved_seconds", "Time of the last good answer", [
    "backend",
    "hostname",
  ]);
  return {
    contentType: registry.contentType,
    text: async ({ routers, targets }) => {
      // A server or a name that is gone must not go on being told.
      registry.resetMetrics();
      for (const { router, error, seenAtMs, backends } of routers) {
        reached.set({ router }, error === undefined && seenAtMs !== undefined ? 1 : 0);
        for (const one of backends) {
          const labels = { router, backend: one.name };
          inStep.set(labels, one.isInStep ? 1 : 0);
          waiting.set(labels, one.waiting);
          for (const { state } of one.servers) servers.inc({ ...labels, state });
        }
      }
      for (const { backend, hostname, status } of targets) {
        const labels = { backend, hostname };
        addresses.set(labels, status?.lastIps.length ?? 0);
        failures.set(labels, status?.consecutiveFailures ?? 0);
        const at = status?.lastResolvedAt;
        if (at !== undefined) resolved.set(labels, at / 1000);
      }
      return await registry.metrics();
    },
  };
}
