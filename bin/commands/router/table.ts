/** How router status looks on a screen: pure, from results to lines. */
import { ageInWords } from "../../../config/units.ts";
import { stateWords } from "../../../router/haproxy/runtime/changes.ts";
import { formatServerName } from "../../../router/haproxy/runtime/servers.ts";
import type { ServerState } from "../../../router/haproxy/runtime/servers.ts";
import { disagreements } from "../../../router/haproxy/runtime/fleet.ts";
import type { RouterResult, RouterView } from "../../../router/haproxy/runtime/fleet.ts";
import { isHold, upForWrites } from "../../../router/haproxy/runtime/orders.ts";
import { printable } from "../../cli/output.ts";
import type { Style } from "../../cli/output.ts";
import { tableLines } from "../../cli/table.ts";

/** What is not right, a sentence each; empty when all routers answer, agree and send writes on. */
export function complaints(results: readonly RouterResult[]): string[] {
  const failed = results.filter((one) => "error" in one).length;
  if (failed === results.length) return [`no router answers (of ${results.length})`];
  const differ = disagreements(results);
  return [
    ...(failed > 0 ? [`${failed} of ${counted(results)} not reached`] : []),
    ...(differ.length > 0 ? [`routers disagree: ${differ.join("; ")}`] : []),
    ...writeComplaints(results),
    ...backendComplaints(results),
  ];
}

function counted(results: readonly RouterResult[]): string {
  return results.length === 1 ? "1 router" : `${results.length} routers`;
}

/** Writes go on where exactly one server is up for them. */
function writeComplaints(results: readonly RouterResult[]): string[] {
  const seen = results.flatMap((one) =>
    "value" in one ? [{ name: one.router.name, up: upForWrites(one.value.servers) }] : [],
  );
  const where = (some: typeof seen): string =>
    some.length === seen.length ? "" : ` on ${some.map((one) => one.name).join(", ")}`;
  const without = seen.filter((one) => one.up.length === 0);
  const twice = seen.filter((one) => one.up.length > 1);
  const names = [...new Set(twice.flatMap((one) => one.up.map((view) => view.server)))].join(", ");
  return [
    ...(without.length > 0 ? [`no member takes writes${where(without)}`] : []),
    ...(twice.length > 0
      ? [`${names} all count as primary${where(twice)}: new connections are refused`]
      : []),
  ];
}

/** A section with a hold server and nothing else has nobody to pass its clients on to. */
function backendComplaints(results: readonly RouterResult[]): string[] {
  const bySection = new Map<string, string[]>();
  for (const one of results) {
    const servers = "value" in one ? one.value.servers : [];
    for (const [name, own] of Map.groupBy(servers, (view) => view.backend)) {
      if (!own.every(isHold)) continue;
      bySection.set(name, [...(bySection.get(name) ?? []), one.router.name]);
    }
  }
  return [...bySection].map(([name, routers]) => {
    const where = results.length === 1 ? "" : ` on ${routers.join(", ")}`;
    return `backend ${name} has no server${where} (router backends adds them)`;
  });
}

/** The verdict in one line. */
export function verdict(results: readonly RouterResult[]): string {
  const wrong = complaints(results);
  if (wrong.length > 0) return wrong.join("; ");
  return results.length === 1 ? "the router answers" : `${counted(results)} answer and agree`;
}

/** The whole screen of `router status`. */
export function statusLines(results: readonly RouterResult[], style: Style): string[] {
  const isWell = complaints(results).length === 0;
  const head = (isWell ? style.good : style.bad)(printable(verdict(results)));
  return [head, ...results.flatMap((one) => ["", ...routerLines(one, style)])];
}

function routerLines(result: RouterResult, style: Style): string[] {
  const name = style.bold(`router ${result.router.name}`);
  if ("error" in result) {
    return [`${name}  ${style.bad("not reached")}`, `  ${printable(result.error.message)}`];
  }
  const { info, servers } = result.value;
  const age = ageInWords(info.uptimeSeconds);
  const rows = servers.map((one) => {
    const paint = style[colours[one.state]];
    const cells = [
      formatServerName(one),
      stateWords(one),
      one.check,
      ageInWords(one.secondsSinceChange),
      String(one.sessions),
      String(one.queued),
    ];
    return cells.map((text) => ({ text, paint }));
  });
  const heading = ["server", "state", "check", "since", "sessions", "queued"];
  const table = tableLines(heading, rows, { dim: style.dim, right: heading.slice(3) });
  return [
    `${name}  HAProxy ${printable(info.version)}, pid ${info.pid}, worker up ${age}`,
    ...table.map((line) => `  ${line}`),
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

function queueLines({ queues }: RouterView, style: Style): string[] {
  return queues
    .filter((one) => one.waiting > 0)
    .map(({ backend, waiting }) => {
      const clients = waiting === 1 ? "1 client waits" : `${waiting} clients wait`;
      return `  ${style.warn(`${clients} in the queue of ${printable(backend)}`)}`;
    });
}

function oldWorkerLines(view: RouterView, style: Style): string[] {
  if (view.masterError !== undefined) {
    const why = printable(view.masterError.message);
    return [`  ${style.warn("old workers not known")}: ${why}`];
  }
  if (view.oldWorkers === undefined) return ["  old workers not known: no master socket is named"];
  return view.oldWorkers.map((one) => {
    const count = one.sessions.length === 1 ? "1 session" : `${one.sessions.length} sessions`;
    const since = ageInWords(one.uptimeSeconds);
    return `  ${style.warn(`old worker pid ${one.pid}`)} with ${count}, started ${since} ago`;
  });
}
