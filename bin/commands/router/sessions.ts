/** `router ENV sessions`: who is connected through which router to which server, and how long. */
import type { Router } from "../../../config/schema.ts";
import { showSessions } from "../../../router/haproxy/runtime/client.ts";
import { observeRouter, overRouters } from "../../../router/haproxy/runtime/fleet.ts";
import type { FleetResult } from "../../../router/haproxy/runtime/fleet.ts";
import type { Session } from "../../../router/haproxy/runtime/sessions.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { chooseFleet, exitCodeOfFleet, nearestHint } from "./fleet.ts";
import { alignColumns, formatSpan } from "./table.ts";

interface SessionRow extends Session {
  readonly router: string;
  readonly worker: number;
  /** True for a session that a reload has left on an old worker. */
  readonly old: boolean;
}

interface RouterSessions {
  readonly rows: readonly SessionRow[];
  readonly backends: readonly string[];
  readonly masterError: Error | undefined;
}

/** Prints the sessions; 0 all routers answer, 1 not all, 69 none. */
export async function run(invocation: Invocation): Promise<number> {
  const { environment, routers } = await chooseFleet(invocation);
  const results = await overRouters(
    routers,
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
      };
    },
  );
  const rows = chooseRows(results, invocation.flags["backend"]);
  if (invocation.flags["json"] === true) print(invocation, environment.name, results, rows);
  else for (const line of sessionLines(rows)) invocation.output.result(line);
  for (const one of results) {
    if ("error" in one) invocation.output.note(`${one.router.name}: ${one.error.message}`);
    else if (one.value.masterError !== undefined) {
      const why = one.value.masterError.message;
      invocation.output.note(`${one.router.name}: old workers not known: ${why}`);
    }
  }
  return exitCodeOfFleet(results);
}

type Results = readonly FleetResult<Router, RouterSessions>[];

function chooseRows(results: Results, backend: string | boolean | undefined): SessionRow[] {
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

function sessionLines(rows: readonly SessionRow[]): string[] {
  if (rows.length === 0) return ["no sessions"];
  const cells = rows.map((one) => [
    one.router,
    one.source,
    `${one.backend ?? one.frontend}/${one.server ?? "(waits in the queue)"}`,
    formatSpan(one.ageSeconds),
    one.old ? `${one.worker} (old)` : String(one.worker),
  ]);
  return alignColumns([["router", "client", "server", "age", "worker"], ...cells], new Set([3]));
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
