/** GET /metrics in the Prometheus text format; every name begins with switchyard_dns_resolver_. */
import { Counter, Gauge, Registry } from "prom-client";
import { resolverStates } from "./contract.ts";
import type { ResolverStatus } from "./contract.ts";
import { forwardLevels } from "./forward/counters.ts";

export interface ResolverMetrics {
  readonly contentType: string;
  /** The text with the values of `status`. */
  readonly text: (status: ResolverStatus) => Promise<string>;
}

const prefix = "switchyard_dns_resolver_";

/** Those counters of the status that fall as well. */
const levels = new Set(["tcp_open", ...forwardLevels.map((name) => `forward_${name}`)]);

const gaugeRows = [
  ["healthy", "1 when nothing is wrong", ({ healthy }) => Number(healthy)],
  ["generation", "Generation of the zone that is served", ({ generation }) => generation],
  ["records", "Records of the zone that is served", ({ records }) => records],
  [
    "stale_seconds",
    "Time since the registry last confirmed what is served",
    ({ sync }) => sync.staleSeconds,
  ],
  [
    "acknowledged_generation",
    "Generation that the registry knows to be served here",
    ({ sync }) => sync.acknowledged,
  ],
  ["sync_failures", "Failures in a row of asking the registry", ({ sync }) => sync.failures],
  [
    "records_wrong",
    "Lines about what is wrong with what is served",
    ({ sync }) => sync.wrong.length,
  ],
] as const satisfies readonly (readonly [
  string,
  string,
  (status: ResolverStatus) => number | null,
])[];

/** Makes the metrics of one resolver, in a registry of their own. */
export function createMetrics(): ResolverMetrics {
  const registry = new Registry();
  const registers = [registry];
  const gauges = gaugeRows.map(([name, help, read]) => ({
    gauge: new Gauge({ name: prefix + name, help, registers }),
    read,
  }));
  const state = new Gauge({
    ...{ name: `${prefix}state`, help: "1 for the state that it is in", labelNames: ["state"] },
    registers,
  });
  const bound = new Gauge({
    ...{ name: `${prefix}bound`, help: "1 where it answers", labelNames: ["address"] },
    registers,
  });
  const resyncs = new Counter({
    ...{ name: `${prefix}resyncs_total`, help: "Whole zones fetched since a change did not fit" },
    registers,
  });
  const events = new Counter({
    ...{ name: `${prefix}events_total`, help: "Questions and answers", labelNames: ["event"] },
    registers,
  });
  const level = new Gauge({
    ...{ name: `${prefix}level`, help: "How much there is now", labelNames: ["what"] },
    registers,
  });
  return {
    contentType: registry.contentType,
    text: async (status) => {
      for (const { gauge, read } of gauges) {
        const value = read(status);
        if (value === null) gauge.remove();
        else gauge.set(value);
      }
      for (const one of resolverStates) state.set({ state: one }, Number(one === status.state));
      for (const { address, fault, state: now } of status.listen) {
        bound.set({ address }, Number(now === "bound" && fault === null));
      }
      resyncs.reset();
      resyncs.inc(status.sync.resyncs);
      events.reset();
      for (const [name, count] of Object.entries(status.counters)) {
        if (levels.has(name)) level.set({ what: name }, count);
        else events.inc({ event: name }, count);
      }
      return await registry.metrics();
    },
  };
}
