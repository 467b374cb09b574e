/** `recovery ENV history [ID]`: past flips, newest first, a line each; or all reports of one. */
import { clusterRecords, localOperations, mergeHistory } from "../../../router/flip-db/history.ts";
import type { PastOperation } from "../../../router/flip-db/history.ts";
import { unaccepted } from "../../../router/flip-db/report.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { printable } from "../../cli/output.ts";
import { tableLines } from "../../cli/table.ts";
import { environmentNamed } from "../environment.ts";
import { operationsPath } from "../operation-place.ts";
import { reportLines } from "../flip-db/screen.ts";

const mostLines = 1000;

/** 0, also when there is none; 64 for an id that nobody knows. */
export async function run(invocation: Invocation): Promise<number> {
  const { output, flags, signal } = invocation;
  const limit = limitOf(flags["limit"]);
  const environment = await environmentNamed(invocation.environment);
  const [id] = invocation.arguments;
  // One that is asked for by its id may be older than all that would be listed.
  const local_ = localOperations(
    operationsPath(environment.name),
    id === undefined ? limit : undefined,
  );
  const [local, cluster] = await Promise.all([local_, clusterRecords(environment, signal)]);
  if ("error" in cluster)
    output.note(`only what ran on this host is known: ${printable(cluster.error)}`);
  const all = mergeHistory(local, "records" in cluster ? cluster.records : []);
  const chosen = id === undefined ? all.slice(0, limit) : [found(all, id, environment.name)];
  const isJson = flags["json"] === true;
  if (isJson) output.result(JSON.stringify({ environment: environment.name, operations: chosen }));
  else for (const line of linesOf(chosen, id !== undefined, invocation)) output.result(line);
  return exitCodes.done;
}

function limitOf(flag: Invocation["flags"][string]): number {
  const limit = Number(flag);
  if (Number.isInteger(limit) && limit >= 1 && limit <= mostLines) return limit;
  throw new UsageError(
    `--limit takes a number from 1 to ${mostLines}; got ${JSON.stringify(flag)}`,
    "see recovery ENVIRONMENT history --help",
  );
}

function found(all: readonly PastOperation[], id: string, environment: string): PastOperation {
  const one = all.find(({ operationId }) => operationId === id);
  if (one !== undefined) return one;
  throw new UsageError(
    `${environment} has no operation ${JSON.stringify(id)}`,
    `see recovery ${environment} history`,
  );
}

function linesOf(
  operations: readonly PastOperation[],
  isOne: boolean,
  { output }: Invocation,
): string[] {
  if (operations.length === 0) return ["there was none"];
  const table = tableLines(heading, operations.map(cellsOf), {
    columns: output.columns,
    dim: output.style.dim,
    right: ["PAUSE", "TOOK"],
    whole: ["OPERATION", "STARTED", "RESULT"],
  });
  const marked = operations.some(hasProblems);
  const foot = marked && !isOne ? ["", "* with problems: history OPERATION says which"] : [];
  const reports = isOne ? operations.flatMap((one) => one.reports) : [];
  return [
    ...table,
    ...foot,
    ...reports.flatMap((one) => ["", ...reportLines(one, output.style, true)]),
  ];
}

const heading = ["OPERATION", "STARTED", "FROM", "TO", "MODE", "RESULT", "PAUSE", "TOOK", "LOSS"];

/** Done, and not as it should be; every other result says so itself. */
function hasProblems({ result, reports }: PastOperation): boolean {
  const last = reports.at(-1);
  return result === "done" && last !== undefined && unaccepted(last).length > 0;
}

function cellsOf(one: PastOperation): { text: string }[] {
  const last = one.reports.at(-1);
  const ms = (value: number | null | undefined): string =>
    value === null || value === undefined ? "-" : `${value} ms`;
  const started = (one.startedAt ?? "-").replace("T", " ").replace(/\.[0-9]+Z$/, "");
  return [
    one.operationId,
    started,
    one.from ?? "-",
    one.to ?? "-",
    one.mode ?? "-",
    hasProblems(one) ? `${one.result} *` : one.result,
    ms(last?.pauseMs),
    ms(last?.tookMs),
    last === undefined ? "-" : last.loss.replace(/[,:].*$/, ""),
  ].map((text) => ({ text }));
}
