/**
 * The same action on all routers at once, with a result for each. One that is dead costs its
 * deadline and no more.
 */
import { withDeadline } from "../../../kit/clock.ts";
import { isFoundByDns } from "../backend-sections.ts";
import type { RuntimePlace } from "./address.ts";
import { connectRuntime, showRouter } from "./client.ts";
import type { Runtime, RuntimeView } from "./client.ts";
import { showOldWorkers } from "./master.ts";
import type { WorkerSessions } from "./master.ts";
import { formatServerName } from "./servers.ts";

/** What the fleet needs of a router (see ../addresses.ts). */
export interface FleetRouter {
  readonly name: string;
  readonly runtime: RuntimePlace;
  readonly master?: RuntimePlace | undefined;
}

export type FleetResult<R extends { readonly name: string }, T> =
  | { readonly router: R; readonly value: T }
  | { readonly router: R; readonly error: Error };

export interface FleetOptions {
  /** For each exchange and, by `overallMs`, for the whole action; milliseconds. */
  readonly deadlineMs: number;
  /** The bound of the whole action on one router; deadlineMs when not given. */
  readonly overallMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `action` on every router side by side; resolves when all have an outcome, in the order of
 * `routers`.
 * @throws only the signal's reason; what an action throws is its router's result
 */
export async function overRouters<R extends FleetRouter, T>(
  routers: readonly R[],
  options: FleetOptions,
  action: (runtime: Runtime, router: R) => Promise<T>,
): Promise<FleetResult<R, T>[]> {
  const overallMs = options.overallMs ?? options.deadlineMs;
  const results = routers.map(async (router): Promise<FleetResult<R, T>> => {
    const act = async (signal: AbortSignal): Promise<T> =>
      await action(connectRuntime(router.runtime, { ...options, signal }), router);
    try {
      // Longer than an exchange's own deadline, whose message says more.
      const bound = overallMs + 100;
      const value = await withDeadline(`router ${router.name}`, bound, act, options.signal);
      return { router, value };
    } catch (error) {
      options.signal?.throwIfAborted();
      return { router, error: error instanceof Error ? error : new Error(String(error)) };
    }
  });
  return await Promise.all(results);
}

export interface RouterView extends RuntimeView {
  /** Old workers with their sessions; undefined where the router has no master socket. */
  readonly oldWorkers: readonly WorkerSessions[] | undefined;
  /** Why the master could not be asked, where that is so. */
  readonly masterError: Error | undefined;
}

/** All that one router says of itself: its worker, its servers, its old workers. */
export async function observeRouter(runtime: Runtime, router: FleetRouter): Promise<RouterView> {
  const askMaster = async (): Promise<Pick<RouterView, "oldWorkers" | "masterError">> => {
    if (router.master === undefined) return { oldWorkers: undefined, masterError: undefined };
    try {
      return { oldWorkers: await showOldWorkers(router.master, runtime), masterError: undefined };
    } catch (error) {
      runtime.signal?.throwIfAborted();
      return { oldWorkers: undefined, masterError: error as Error };
    }
  };
  const [view, old] = await Promise.all([showRouter(runtime), askMaster()]);
  return { ...view, ...old };
}

/** What came of looking at one router. */
export type RouterResult = FleetResult<FleetRouter, RouterView>;

/** As haproxyNames.probe and replicaProbe name them. */
const probePattern = /^(replica-)?probe-/;

/**
 * Servers whose state differs between routers that answer, one line each. Probe backends are not
 * the same on every router: each has those of the members that it reaches by name, and a difference
 * that matters shows on the servers that follow them. Nor are servers that were found by DNS: each router
 * gets and loses them at a time of its own, and the backends process says what it lacks.
 */
export function disagreements(results: readonly RouterResult[]): string[] {
  const answered = results.filter((one) => "value" in one);
  const compared = answered
    .flatMap((one) => one.value.servers)
    .filter((one) => !isFoundByDns(one.server));
  const names = new Set(compared.map(formatServerName));
  return [...names].flatMap((name) => {
    const every = answered.map(({ router, value }) => {
      const server = value.servers.find((one) => formatServerName(one) === name);
      return { router: router.name, state: server === undefined ? "absent" : server.state };
    });
    const seen = probePattern.test(name) ? every.filter((one) => one.state !== "absent") : every;
    if (new Set(seen.map((one) => one.state)).size < 2) return [];
    return [`${name} is ${seen.map((one) => `${one.state} on ${one.router}`).join(", ")}`];
  });
}
