/** GET /metrics in the Prometheus text format; every name begins with switchyard_pg_health_. */
import { Gauge, Histogram, Registry } from "prom-client";
import { answerWords } from "./contract.ts";
import type { HealthStatus } from "./contract.ts";

export interface HealthMetrics {
  readonly contentType: string;
  /** The text with the values of `status`. */
  readonly text: (status: HealthStatus) => Promise<string>;
  /** Counts one answered probe of that many milliseconds. */
  readonly observeProbe: (ms: number) => void;
}

const prefix = "switchyard_pg_health_";
const poolerStates = ["ok", "paused", "full", "dead", "unknown", "none"] as const;
const peerStates = ["primary", "standby", "unreachable", "foreign"] as const;

/** Makes the metrics of one pg-health, in a registry of their own. */
export function createMetrics(): HealthMetrics {
  const registry = new Registry();
  const gauge = (name: string, help: string, labelNames: string[] = []): Gauge =>
    new Gauge({ name: prefix + name, help, labelNames, registers: [registry] });
  const gauges = {
    answer: gauge("answer", "1 for the word that GET / answers with", ["answer"]),
    slow: gauge("slow", "1 while an old answer is kept for a slow Postgres"),
    role: gauge("role", "1 for the role that Postgres last told", ["role"]),
    timeline: gauge("timeline", "Timeline that Postgres last told"),
    readOnly: gauge("read_only", "1 when default_transaction_read_only is on"),
    lagBytes: gauge("lag_bytes", "Standby: bytes received and not replayed"),
    lagSeconds: gauge("lag_seconds", "Standby: how long the missing WAL has been known"),
    silent: gauge("silent_seconds", "Standby: how long nothing was heard of its primary"),
    age: gauge("probe_age_seconds", "Time since the last probe that was answered"),
    pooler: gauge("pooler", "1 for the state of the node pooler", ["state"]),
    peer: gauge("peer", "1 for what a peer was last seen as", ["url", "state"]),
  };
  const probe = new Histogram({
    name: `${prefix}probe_duration_seconds`,
    help: "Time that Postgres took to answer the probe",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  });
  return {
    contentType: registry.contentType,
    observeProbe: (ms) => probe.observe(ms / 1000),
    text: async (status) => {
      fill(gauges, status);
      return await registry.metrics();
    },
  };
}

function fill(gauges: Readonly<Record<string, Gauge>>, status: HealthStatus): void {
  const one = (name: string, value: number | null | undefined): void => {
    if (value === null || value === undefined) gauges[name]?.remove();
    else gauges[name]?.set(value);
  };
  const oneOf = (name: string, label: string, all: readonly string[], now?: string): void => {
    for (const value of all) gauges[name]?.set({ [label]: value }, value === now ? 1 : 0);
  };
  const { postgres } = status;
  oneOf("answer", "answer", answerWords, status.answer);
  oneOf("role", "role", ["primary", "standby"], postgres?.role);
  oneOf("pooler", "state", poolerStates, status.pooler.state);
  one("slow", Number(status.slow));
  one("readOnly", postgres === null ? null : Number(postgres.readOnly));
  one("timeline", postgres?.timeline);
  one("lagBytes", postgres?.lagBytes);
  one("lagSeconds", seconds(postgres?.lagMs ?? null));
  one("silent", seconds(postgres?.silentMs ?? null));
  one("age", seconds(status.probeAgeMs));
  for (const { url, state } of status.peers) {
    for (const known of peerStates)
      gauges["peer"]?.set({ url, state: known }, Number(known === state));
  }
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}
