/** GET /metrics in the Prometheus text format; every name begins with switchyard_registry_. */
import { Counter, Gauge, Registry } from "prom-client";
import { isLive } from "./answers.ts";
import { reconcileOutcomes } from "./contract.ts";
import type { RegistryParts } from "./routes.ts";

export interface RegistryMetrics {
  readonly contentType: string;
  /** The text with the values of now. @throws StoreError */
  readonly text: (parts: RegistryParts) => Promise<string>;
  /** Counts one answered request of a route. */
  readonly count: (method: string, path: string, status: number) => void;
}

const prefix = "switchyard_registry_";

/** Makes the metrics of one registry process, in a registry of their own. */
export function createMetrics(): RegistryMetrics {
  const registers = [new Registry()];
  const gauge = (name: string, help: string, labelNames: string[] = []): Gauge =>
    new Gauge({ name: prefix + name, help, labelNames, registers });
  const gauges = {
    generation: gauge("generation", "Generation of the zone"),
    records: gauge("records", "Records of the zone"),
    polls: gauge("polls_held", "Long polls that are held now"),
    leads: gauge("reconciles", "1 where this process looks at the clusters' roles"),
    lag: gauge("node_lag_generations", "Generations that a node has not acknowledged", ["node"]),
    live: gauge("node_live", "1 for a node that was heard of within a minute", ["node"]),
    age: gauge("node_sync_age_seconds", "Time since a node was heard of", ["node"]),
    outcome: gauge("cluster_outcome", "1 for what the last look at a cluster came to", [
      "cluster",
      "outcome",
    ]),
    silence: gauge("cluster_source_age_seconds", "Time since a cluster's source answered", [
      "cluster",
    ]),
  };
  const requests = new Counter({
    name: `${prefix}requests_total`,
    help: "Requests that were answered",
    labelNames: ["method", "path", "status"],
    registers,
  });
  const [registry = new Registry()] = registers;
  return {
    contentType: registry.contentType,
    count: (method, path, status) => requests.inc({ method, path, status: String(status) }),
    text: async (parts) => {
      await fill(gauges, parts);
      return await registry.metrics();
    },
  };
}

async function fill(
  gauges: Readonly<Record<string, Gauge>>,
  { store, zone, polls, clock, reconciles }: RegistryParts,
): Promise<void> {
  const head = await zone.fresh();
  const [nodes, clusters] = await Promise.all([store.nodes(), store.clusters()]);
  const now = clock.now();
  const age = (at: string): number => Math.max(0, (now - Date.parse(at)) / 1000);
  gauges["generation"]?.set(head.generation);
  gauges["records"]?.set(head.recordCount);
  gauges["polls"]?.set(polls.size);
  gauges["leads"]?.set(Number(reconciles()));
  // What is gone since the last time is not told any more.
  for (const name of ["lag", "live", "age", "outcome", "silence"]) gauges[name]?.reset();
  for (const node of nodes.filter((one) => !one.revoked)) {
    const label = { node: node.name };
    gauges["lag"]?.set(label, Math.max(0, head.generation - node.appliedGeneration));
    gauges["live"]?.set(label, Number(isLive(node, now)));
    if (node.lastSyncAt !== null) gauges["age"]?.set(label, age(node.lastSyncAt));
  }
  for (const { name, roles } of clusters) {
    for (const outcome of reconcileOutcomes) {
      gauges["outcome"]?.set({ cluster: name, outcome }, Number(outcome === roles.outcome));
    }
    if (roles.seen_at !== null) gauges["silence"]?.set({ cluster: name }, age(roles.seen_at));
  }
}
