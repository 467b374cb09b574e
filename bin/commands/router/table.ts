/** How router status and sessions look on a screen: pure, from results to lines. */
import { stateWords } from "../../../router/haproxy/runtime/changes.ts";
import { formatServerName } from "../../../router/haproxy/runtime/servers.ts";
import type { ServerState, ServerView } from "../../../router/haproxy/runtime/servers.ts";
import { disagreements } from "../../../router/haproxy/runtime/fleet.ts";
import type { RouterResult, RouterView } from "../../../router/haproxy/runtime/fleet.ts";
import type { Style } from "../../cli/output.ts";

/** A table of columns, two spaces between; the first row is the heading, numbers go right. */
export function alignColumns(
  rows: readonly (readonly string[])[],
  right: ReadonlySet<number> = new Set(),
): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? "").length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return right.has(column) ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd(),
  );
}

/** A time span in two units at most: `8s`, `3m04s`, `2h05m`, `4d03h`. */
export function formatSpan(seconds: number): string {
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${two((seconds % 86_400) / 3600)}h`;
}

/** The verdict in one line. */
export function verdict(results: readonly RouterResult[]): string {
  const failed = results.filter((one) => "error" in one).length;
  const count = results.length === 1 ? "1 router" : `${results.length} routers`;
  if (failed === results.length) return `no router answers (of ${results.length})`;
  const differ = disagreements(results);
  const said = differ.length > 0 ? `routers disagree: ${differ.join("; ")}` : "";
  if (failed > 0) return [`${failed} of ${count} not reached`, said].filter(Boolean).join("; ");
  if (said !== "") return said;
  return results.length === 1 ? "the router answers" : `${count} answer and agree`;
}

/** The whole screen of `router status`. */
export function statusLines(results: readonly RouterResult[], style: Style): string[] {
  const isWell = results.every((one) => "value" in one) && disagreements(results).length === 0;
  const head = (isWell ? style.good : style.bad)(verdict(results));
  return [head, ...results.flatMap((one) => ["", ...routerLines(one, style)])];
}

function routerLines(result: RouterResult, style: Style): string[] {
  const name = style.bold(`router ${result.router.name}`);
  if ("error" in result)
    return [`${name}  ${style.bad("not reached")}`, `  ${result.error.message}`];
  const { info, servers } = result.value;
  const age = formatSpan(info.uptimeSeconds);
  const rows = [
    ["server", "state", "check", "since", "sessions", "queued"],
    ...servers.map((one) => [
      formatServerName(one),
      stateWords(one),
      one.check,
      formatSpan(one.secondsSinceChange),
      String(one.sessions),
      String(one.queued),
    ]),
  ];
  const [heading = "", ...lines] = alignColumns(rows, new Set([3, 4, 5]));
  return [
    `${name}  HAProxy ${info.version}, pid ${info.pid}, worker up ${age}`,
    `  ${style.dim(heading)}`,
    ...lines.map((line, index) => `  ${colour(servers[index], style)(line)}`),
    ...queueLines(result.value, style),
    ...oldWorkerLines(result.value, style),
  ];
}

const colours: Readonly<Record<ServerState, keyof Style>> = {
  up: "good",
  down: "dim",
  maint: "warn",
  drain: "warn",
  starting: "warn",
  stopping: "warn",
};

function colour(server: ServerView | undefined, style: Style): (text: string) => string {
  return style[server === undefined ? "dim" : colours[server.state]];
}

function queueLines({ queues }: RouterView, style: Style): string[] {
  return queues
    .filter((one) => one.waiting > 0)
    .map(({ backend, waiting }) => {
      const clients = waiting === 1 ? "1 client waits" : `${waiting} clients wait`;
      return `  ${style.warn(`${clients} in the queue of ${backend}`)}`;
    });
}

function oldWorkerLines(view: RouterView, style: Style): string[] {
  if (view.masterError !== undefined) {
    return [`  ${style.warn("old workers not known")}: ${view.masterError.message}`];
  }
  if (view.oldWorkers === undefined) return ["  old workers not known: no master socket is named"];
  return view.oldWorkers.map((one) => {
    const count = one.sessions.length === 1 ? "1 session" : `${one.sessions.length} sessions`;
    const since = formatSpan(one.uptimeSeconds);
    return `  ${style.warn(`old worker pid ${one.pid}`)} with ${count}, started ${since} ago`;
  });
}
