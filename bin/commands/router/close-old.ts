/**
 * `router ENV sessions --close-old-workers`: ends the sessions that old workers still hold, which no
 * health check watches over (docs/router.md, G3).
 */
import type { Environment } from "../../../config/schema.ts";
import { countInWords } from "../../../config/units.ts";
import { overRouters } from "../../../router/haproxy/runtime/fleet.ts";
import type { FleetResult, FleetRouter } from "../../../router/haproxy/runtime/fleet.ts";
import { closeOldWorkerSessions } from "../../../router/haproxy/runtime/master.ts";
import type { ClosedOnOldWorkers } from "../../../router/haproxy/runtime/master.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { printable } from "../../cli/output.ts";
import { RefusedError } from "../../cli/confirm.ts";

const closeDeadlineMs = 10_000;

/** What one router's old workers hold; undefined where that is not known. */
export interface HeldSessions {
  readonly router: FleetRouter;
  readonly sessions: number | undefined;
}

/**
 * Closes what `held` counts, of one backend where it is named; says how many on each router. 0 when
 * none is left with a server, 1 when a router failed or its old workers are not known.
 * @throws RefusedError when there is something to close and --yes was not given
 */
export async function closeOld(
  invocation: Invocation,
  environment: Environment,
  held: readonly HeldSessions[],
): Promise<number> {
  const { flags, signal } = invocation;
  const isKnown = held.every((one) => one.sessions !== undefined);
  const busy = held.filter((one) => (one.sessions ?? 0) > 0);
  if (busy.length > 0 && flags["yes"] !== true) {
    const lines = busy.map(
      ({ router, sessions = 0 }) =>
        `${router.name}: ${countInWords(sessions, "session")} on old workers would be closed`,
    );
    throw new RefusedError([...lines, "nothing was closed; --yes does it"].join("\n"));
  }
  const backend = flags["backend"];
  const results = await overRouters(
    busy.map((one) => one.router),
    { deadlineMs: environment.thresholds.probe, overallMs: closeDeadlineMs, signal },
    async (_, { master }): Promise<ClosedOnOldWorkers> => {
      // Without a master nothing is known of old workers, and nothing counted.
      if (master === undefined) return { closed: 0, waiting: 0 };
      return await closeOldWorkerSessions(
        master,
        { deadlineMs: closeDeadlineMs, signal },
        (one) => typeof backend !== "string" || one.backend === backend,
      );
    },
  );
  report(invocation, environment, held, results);
  const isDone = isKnown && results.every((one) => "value" in one);
  return isDone ? exitCodes.done : exitCodes.failed;
}

function report(
  { flags, output }: Invocation,
  environment: Environment,
  held: readonly HeldSessions[],
  results: readonly FleetResult<FleetRouter, ClosedOnOldWorkers>[],
): void {
  const outcomes = held.map(({ router, sessions }) => {
    const result = results.find((one) => one.router.name === router.name);
    if (result === undefined && sessions === 0) {
      return { router: router.name, closed: 0, waiting: 0, error: null };
    }
    if (result !== undefined && "value" in result) {
      return { router: router.name, ...result.value, error: null };
    }
    const error = result === undefined ? "old workers not known" : result.error.message;
    return { router: router.name, closed: null, waiting: null, error };
  });
  if (flags["json"] === true) {
    output.result(JSON.stringify({ environment: environment.name, routers: outcomes }));
    return;
  }
  for (const { router, closed, waiting, error } of outcomes) {
    if (error !== null) output.note(printable(`${router}: not done: ${error}`));
    else {
      const rest = waiting === 0 ? "" : `; ${waiting} in the queue, told, leave at queueTimeout`;
      output.result(`${router}: ${countInWords(closed, "session")} on old workers closed${rest}`);
    }
  }
}
