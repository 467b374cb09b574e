/** `recovery ENV topology`: looks at the whole cluster, judges, prints; with --watch for ever. */
import type { Environment } from "../../../config/schema.ts";
import { parseDuration } from "../../../config/units.ts";
import { systemClock } from "../../../kit/clock.ts";
import { lookAtCluster } from "../../../router/cluster/observe.ts";
import type { WindowView } from "../../../router/maintenance/window.ts";
import { lookAtWindow, windowFolder } from "../../../router/maintenance/window-file.ts";
import type { VerdictLevel } from "../../../router/cluster/verdict.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import type { ExitCode } from "../../cli/exit-codes.ts";
import { environmentNamed } from "../environment.ts";
import { operationsPath } from "../operation-place.ts";
import type { UnfinishedOperation } from "../../../router/cluster/observation.ts";
import { unfinishedOf } from "../../../router/cluster/conditions/operations.ts";
import { clusterRecords, mergeHistory } from "../../../router/flip-db/history.ts";
import { listOperations } from "../../../router/operation/store.ts";
import { topologyJson } from "./json.ts";
import type { JudgedTopology } from "./json.ts";
import { topologyScreen } from "./screen.ts";

const exitCodeByLevel: Readonly<Record<VerdictLevel, ExitCode>> = {
  healthy: exitCodes.done,
  degraded: exitCodes.failed,
  unsafe: exitCodes.unsafe,
  unreachable: exitCodes.unavailable,
};

/** Prints the topology; the exit code says the verdict. A watch that is ended by hand is done. */
export async function run(invocation: Invocation): Promise<number> {
  const intervalMs = intervalOf(invocation);
  const environment = await environmentNamed(invocation.environment);
  if (invocation.flags["watch"] === true) return await watch(invocation, environment, intervalMs);
  const topology = await look(environment, invocation.signal);
  print(invocation, topology, plainly);
  return exitCodeByLevel[topology.verdict.level];
}

const shortestIntervalMs = 500;
const longestIntervalMs = 3_600_000;

function intervalOf({ flags }: Invocation): number {
  const text = String(flags["interval"]);
  const ms = parseDuration(text) ?? 0;
  if (ms >= shortestIntervalMs && ms <= longestIntervalMs) return ms;
  throw new UsageError(
    `--interval takes a time from 500ms to 1h, such as 2s; got ${JSON.stringify(text)}`,
    "see recovery ENVIRONMENT topology --help",
  );
}

async function look(environment: Environment, signal: AbortSignal): Promise<JudgedTopology> {
  const window = await windowOf(environment);
  const operations = operationsOf(environment, signal);
  const topology = await lookAtCluster(environment, signal, window, operations);
  return { ...topology, exitCode: exitCodeByLevel[topology.verdict.level] };
}

/** A window that cannot be read is the affair of `maintenance status`, and hides no topology. */
async function windowOf({ name }: Environment): Promise<WindowView | null> {
  const window = await lookAtWindow(windowFolder(operationsPath(name))).catch(() => undefined);
  return window ?? null;
}

/** Of members that give no journal only this host's own operations are known. */
async function operationsOf(
  environment: Environment,
  signal: AbortSignal,
): Promise<readonly UnfinishedOperation[]> {
  const [local, cluster] = await Promise.all([
    listOperations(operationsPath(environment.name)).catch(() => []),
    clusterRecords(environment, signal),
  ]);
  const { records, holder } = "records" in cluster ? cluster : { records: [], holder: null };
  const past = mergeHistory(
    local.map((stored) => ({ stored, reports: [] })),
    records,
  );
  return unfinishedOf(past, holder === null ? null : `${holder.holder} (${holder.why})`);
}

async function watch(
  invocation: Invocation,
  environment: Environment,
  intervalMs: number,
): Promise<number> {
  const { output, signal } = invocation;
  const show = output.interactive && invocation.flags["json"] !== true ? redraw : plainly;
  try {
    for (;;) {
      print(invocation, await look(environment, signal), show);
      await systemClock.sleep(intervalMs, signal);
    }
  } catch (error) {
    // The operator has seen enough: that is how a watch ends.
    if (signal.aborted) return exitCodes.done;
    throw error;
  }
}

type Show = (invocation: Invocation, lines: readonly string[]) => void;

const plainly: Show = ({ output, flags }, lines) => {
  for (const line of lines) output.result(line);
  if (flags["watch"] === true && flags["json"] !== true) output.result("");
};

const home = "\u001B[H";
const clearToEndOfLine = "\u001B[K";
const clearBelow = "\u001B[J";

/** Writes over the last picture without clearing it first, in one write: no flicker. */
const redraw: Show = ({ output }, lines) => {
  const rows = output.rows ?? lines.length + 2;
  const fitting = lines.slice(0, Math.max(1, rows - 2));
  const more =
    fitting.length < lines.length ? [`... ${lines.length - fitting.length} more lines`] : [];
  const text = [...fitting, ...more].map((line) => line + clearToEndOfLine).join("\n");
  output.result(home + text + clearBelow);
};

function print(invocation: Invocation, topology: JudgedTopology, show: Show): void {
  const { output, flags } = invocation;
  const lines =
    flags["json"] === true
      ? [topologyJson(topology)]
      : topologyScreen(topology, { columns: output.columns, style: output.style });
  show(invocation, lines);
}
