/** What every bench says alike: the machine that it ran on, and the middle of many figures. */
import { cpus, release, totalmem } from "node:os";

/** The machine in one line: processor, cores, memory, kernel, Node. */
export function machine(): string {
  const [{ model } = { model: "unknown processor" }] = cpus();
  const gigabytes = Math.round(totalmem() / 1024 ** 3);
  return `${cpus().length} x ${model}, ${gigabytes} GB, Linux ${release()}, Node ${process.version}`;
}

/** The median of figures in any order (the upper one of two middles); NaN when there is none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
