/**
 * The Prometheus text format, for a process that has its figures at hand when it is asked for them and
 * is to stay small: prom-client, which counts as well, costs 5 MB. Pure.
 */

/** One metric: its whole name, what it is, and what it is now. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly kind: "gauge" | "counter";
  /** One line each, in this order; none: the metric is named without a value. */
  readonly values: readonly MetricValue[];
}

export interface MetricValue {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What the text is sent as. */
export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8";

/** The text of all of them (Prometheus manual, "Exposition formats", text-based format). */
export function metricsText(metrics: readonly Metric[]): string {
  return `${metrics.map(textOf).join("\n\n")}\n`;
}

function textOf({ name, help, kind, values }: Metric): string {
  const head = [`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${kind}`];
  const lines = values.map(({ labels = {}, value }) => `${name}${labelText(labels)} ${value}`);
  return [...head, ...lines].join("\n");
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const words = Object.entries(labels).map(
    ([label, value]) => `${label}="${escaped(value).replaceAll('"', String.raw`\"`)}"`,
  );
  return words.length === 0 ? "" : `{${words.join(",")}}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", String.raw`\n`);
}
