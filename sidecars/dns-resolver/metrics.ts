/** GET /metrics in the Prometheus text format; every name begins with switchyard_dns_resolver_. */
import { metricsText } from "../../kit/metrics-text.ts";
import type { MetricValue } from "../../kit/metrics-text.ts";
import { resolverStates } from "./contract.ts";
import type { ResolverStatus } from "./contract.ts";
import { forwardLevels } from "./forward/counters.ts";

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

/** The text with the values of `status`. */
export function resolverMetrics(status: ResolverStatus): string {
  const named = (label: "what" | "event"): MetricValue[] =>
    Object.entries(status.counters)
      .filter(([name]) => levels.has(name) === (label === "what"))
      .map(([name, value]) => ({ labels: { [label]: name }, value }));
  const states = resolverStates.map((one) => ({
    labels: { state: one },
    value: Number(one === status.state),
  }));
  const bound = status.listen.map(({ address, fault, state }) => ({
    labels: { address },
    value: Number(state === "bound" && fault === null),
  }));
  return metricsText([
    ...gaugeRows.map(([name, help, read]) => gauge(name, help, single(read(status)))),
    gauge("state", "1 for the state that it is in", states),
    gauge("bound", "1 where it answers", bound),
    counter("resyncs_total", "Whole zones fetched since a change did not fit", [
      { value: status.sync.resyncs },
    ]),
    counter("events_total", "Questions and answers", named("event")),
    gauge("level", "How much there is now", named("what")),
  ]);
}

const single = (value: number | null): MetricValue[] => (value === null ? [] : [{ value }]);

const gauge = (name: string, help: string, values: readonly MetricValue[]) =>
  ({ name: prefix + name, help, kind: "gauge", values }) as const;

const counter = (name: string, help: string, values: readonly MetricValue[]) =>
  ({ name: prefix + name, help, kind: "counter", values }) as const;
