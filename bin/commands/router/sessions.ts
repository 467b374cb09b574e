/** `router ENV sessions`: who is connected through which router to which server, and how long. */
import { ageInWords } from "../../../config/units.ts";
import { fleetOf } from "../../../router/haproxy/addresses.ts";
import { showSessions } from "../../../router/haproxy/runtime/client.ts";
import { observeRouter, overRouters } from "../../../router/haproxy/runtime/fleet.ts";
import type { FleetResult, FleetRouter } from "../../../router/haproxy/runtime/fleet.ts";
import type { Session } from "../../../router/haproxy/runtime/sessions.ts";
import { UsageError } from "../../cli/command.ts";
import type { Flag, Invocation } from "../../cli/command.ts";
import { printable } from "../../cli/output.ts";
import type { Style } from "../../cli/output.ts";
import { tableLines } from "../../cli/table.ts";
import { closeOld } from "./close-old.ts";
import type { HeldSessions } from "./close-old.ts";
import { nearestHint } from "../environment.ts";
import { chooseFleet, exitCodeOfFleet } from "./fleet.ts";

export interface SessionRow extends Session {
  readonly router: string;
  readonly worker: number;
  /** True for a session that a reload has left on an old worker. */
  readonly old: boolean;
}

interface RouterSessions {
  readonly rows: readonly SessionRow[];
  readonly backends: readonly string[];
  readonly masterError: Error | undefined;
  /** False where the old workers could not be asked: no master socket, or it does not answer. */
  readonly knowsOld: boolean;
}

/** Prints the sessions, or closes those on old workers; 0 all routers answer, 1 not all, 69 none. */
export async function run(invocation: Invocation): Promise<number> {
  const { environment, routers } = await chooseFleet(invocation);
  const results = await overRouters(
    fleetOf(environment, routers),
    { deadlineMs: environment.thresholds.probe, signal: invocation.signal },
    async (runtime, router): Promise<RouterSessions> => {
      const [view, current] = await Promise.all([
        observeRouter(runtime, router),
        showSessions(runtime),
      ]);
      const row = (session: Session, worker: number, old: boolean): SessionRow => ({
        ...session,
        router: router.name,
        worker,
        old,
      });
      const left = (view.oldWorkers ?? []).flatMap((worker) =>
        worker.sessions.map((one) => row(one, worker.pid, true)),
      );
      return {
        rows: [...current.map((one) => row(one, view.info.pid, false)), ...left],
        backends: [...new Set(view.servers.map((one) => one.backend))],
        masterError: view.masterError,
        knowsOld: view.oldWorkers !== undefined,
      };
    },
  );
  const { output } = invocation;
  const all = chooseRows(results, invocation.flags["backend"]);
  const isClosing = invocation.flags["close-old-workers"] === true;
  const rows = isClosing ? all.filter((one) => one.old) : all;
  if (isClosing) {
    if (invocation.flags["json"] !== true && rows.length > 0)
      for (const line of sessionLines(rows, output.style)) output.note(line);
    noteFaults(invocation, results);
    return await closeOld(invocation, environment, heldIn(results, rows));
  }
  if (invocation.flags["json"] === true) print(invocation, environment.name, results, rows);
  else for (const line of sessionLines(rows, output.style)) output.result(line);
  noteFaults(invocation, results);
  return exitCodeOfFleet(results);
}

function noteFaults({ output }: Invocation, results: Results): void {
  for (const one of results) {
    const { name } = one.router;
    if ("error" in one) output.note(printable(`${name}: ${one.error.message}`));
    else if (one.value.masterError !== undefined) {
      output.note(printable(`${name}: old workers not known: ${one.value.masterError.message}`));
    }
  }
}

/** How many of `rows` each router's old workers hold. */
function heldIn(results: Results, rows: readonly SessionRow[]): HeldSessions[] {
  return results.map((one) => {
    const { router } = one;
    const isKnown = "value" in one && one.value.knowsOld;
    const count = rows.filter((row) => row.router === router.name).length;
    return { router, sessions: isKnown ? count : undefined };
  });
}

type Results = readonly FleetResult<FleetRouter, RouterSessions>[];

function chooseRows(results: Results, backend: Flag): SessionRow[] {
  const answered = results.filter((one) => "value" in one);
  const rows = answered.flatMap((one) => one.value.rows);
  if (typeof backend !== "string" || answered.length === 0) return rows;
  const known = [...new Set(answered.flatMap((one) => one.value.backends))];
  if (!known.includes(backend)) {
    throw new UsageError(
      `no router has a backend ${JSON.stringify(backend)}`,
      nearestHint(backend, known),
    );
  }
  return rows.filter((one) => one.backend === backend);
}

/** A line for each session under a heading: pure, whatever stands in the rows. */
export function sessionLines(rows: readonly SessionRow[], style: Style): string[] {
  if (rows.length === 0) return ["no sessions"];
  const cells = rows.map((one) => [
    one.router,
    one.source,
    `${one.backend ?? one.frontend}/${one.server ?? "(waits in the queue)"}`,
    ageInWords(one.ageSeconds),
    one.old ? `${one.worker} (old)` : String(one.worker),
  ]);
  return tableLines(
    ["router", "client", "server", "age", "worker"],
    cells.map((row) => row.map((text) => ({ text }))),
    { dim: style.dim, right: ["age"] },
  );
}

function print(
  invocation: Invocation,
  environment: string,
  results: Results,
  rows: readonly SessionRow[],
): void {
  const unreachable = results.flatMap((one) =>
    "error" in one ? [{ router: one.router.name, error: one.error.message }] : [],
  );
  invocation.output.result(JSON.stringify({ environment, sessions: rows, unreachable }));
}
