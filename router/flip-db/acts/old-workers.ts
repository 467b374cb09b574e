/**
 * Sessions that a reload left with a router's old workers: no order to the worker that serves now
 * reaches them, and to a demoted member they lead nowhere.
 */
import type { Environment } from "../../../config/schema.ts";
import { fleetOf } from "../../haproxy/addresses.ts";
import { haproxyNames } from "../../haproxy/model.ts";
import { overRouters } from "../../haproxy/runtime/fleet.ts";
import { closeOldWorkerSessions, showOldWorkers } from "../../haproxy/runtime/master.ts";
import type { RuntimePlace } from "../../haproxy/runtime/address.ts";
import type { FleetRouter } from "../../haproxy/runtime/fleet.ts";
import type { Session } from "../../haproxy/runtime/sessions.ts";

const lookMs = 2000;
const closeMs = 6000;

/** By router and member: write sessions of old workers. A router that does not say has none. */
export type OldSessions = ReadonlyMap<string, Readonly<Record<string, number>>>;

const isWriteTo =
  (member: string) =>
  ({ backend, server }: Session): boolean =>
    backend === haproxyNames.write && server === member;

/** What the old workers of all routers still carry. @throws the signal's reason */
export async function lookAtOldWorkers(
  environment: Environment,
  signal: AbortSignal,
): Promise<OldSessions> {
  const results = await overRouters(
    withMaster(environment),
    { deadlineMs: lookMs, signal },
    async (_, { master }) => {
      const workers = await showOldWorkers(master, { deadlineMs: lookMs, signal });
      const sessions = workers.flatMap((one) => one.sessions);
      return Object.fromEntries(
        environment.members.map(({ name }) => [name, sessions.filter(isWriteTo(name)).length]),
      );
    },
  );
  return new Map(results.map((one) => [one.router.name, "value" in one ? one.value : {}]));
}

/**
 * Closes the write sessions to `member` in the old workers of all routers.
 * @returns how many were closed
 * @throws the first router's failure, or the signal's reason
 */
export async function closeOldSessions(
  environment: Environment,
  member: string,
  signal: AbortSignal,
): Promise<number> {
  const results = await overRouters(
    withMaster(environment),
    { deadlineMs: lookMs, overallMs: closeMs, signal },
    async (_, { master }) =>
      await closeOldWorkerSessions(master, { deadlineMs: closeMs, signal }, isWriteTo(member)),
  );
  const failed = results.find((one) => "error" in one);
  if (failed !== undefined && "error" in failed) throw failed.error;
  return results.reduce((sum, one) => sum + ("value" in one ? one.value.closed : 0), 0);
}

function withMaster(environment: Environment): (FleetRouter & { master: RuntimePlace })[] {
  return fleetOf(environment).flatMap(({ master, ...one }) =>
    master === undefined ? [] : [{ ...one, master }],
  );
}
