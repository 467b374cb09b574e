/**
 * The whole of `bin/router ENV backends`: names are followed on one side, each router is kept in step
 * on the other, and what is wanted passes from one to the other. When it ends, the routers go on with
 * the servers that they have.
 */
import type { Environment, Router } from "../../../config/schema.ts";
import type { Clock } from "../../../kit/clock.ts";
import { systemClock } from "../../../kit/clock.ts";
import { fleetOf } from "../../haproxy/addresses.ts";
import { checkOf, maxConnectionsOf } from "../../haproxy/backend-sections.ts";
import type { ServerView } from "../../haproxy/runtime/servers.ts";
import { claimRouters } from "./claim.ts";
import { namesLines } from "./names-lines.ts";
import { followNames, targetOptions } from "./follow.ts";
import type { TargetState } from "./follow.ts";
import { keepRouter } from "./haproxy.ts";
import type { Keeper } from "./haproxy.ts";
import type { RouterEvent, RouterState } from "./keeping.ts";
import { createBackendResolution } from "../resolution.ts";
import type { BackendResolution } from "../resolution.ts";
import { readTargetOptions } from "../target-settings.ts";
import type { BackendPlan } from "./server-orders.ts";

/** How often a router is looked at; ms. */
const lookEveryMs = 1000;

/** A line of the process: about a router, or about a name. */
export type ProcessEvent =
  | RouterEvent
  | {
      readonly backend: string;
      readonly hostname: string;
      readonly event: string;
      readonly says: string;
    };

export interface BackendsState {
  readonly targets: readonly TargetState[];
  readonly routers: readonly RouterState[];
}

export interface BackendsProcess {
  readonly state: () => BackendsState;
  /** Asks for every name now, and looks at every router. */
  readonly resolveNow: () => Promise<void>;
  /** Ends it; the servers stay. */
  readonly stop: () => Promise<void>;
}

export interface BackendsOptions {
  readonly environment: Environment;
  readonly routers: readonly Router[];
  /** Where last good answers are kept. */
  readonly stateFile: string | undefined;
  readonly tell: (event: ProcessEvent) => void;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** What every router has of each backend of an environment. */
export function backendPlans(environment: Environment): BackendPlan[] {
  return environment.backends.map((backend) => ({
    name: backend.name,
    environment: environment.name,
    maxConnections: maxConnectionsOf(backend),
    check: checkOf(backend),
    drainGraceMs: backend.drainGrace,
    keepUntilUpMs: backend.check === undefined ? 0 : backend.keepUntilUp,
  }));
}

/**
 * Starts it. A router that does not answer, and a name that does not resolve, are waited for.
 * @throws BackendsRunningError; TargetOptionsError; HaproxyError for a router whose socket has too low a level
 */
export async function startBackends(options: BackendsOptions): Promise<BackendsProcess> {
  const { environment, tell, clock = systemClock } = options;
  for (const { targets, drainGrace } of environment.backends) {
    for (const one of targets) readTargetOptions(one.hostname, targetOptions(one, drainGrace));
  }
  const fleet = fleetOf(environment, options.routers);
  const deadlineMs = environment.thresholds.probe;
  const release = await claimRouters(environment, fleet, { deadlineMs, signal: options.signal });
  const ending = new AbortController();
  const signal = AbortSignal.any([options.signal, ending.signal]);
  const resolution = tellingResolution(options);
  resolution.start();
  const plans = backendPlans(environment);
  const keepers: Keeper[] = [];
  const wakeAll = (): void => {
    for (const keeper of keepers) keeper.wake();
  };
  const following = followNames(environment.backends, resolution, wakeAll);
  following.begun.catch((error: Error) => {
    // Names that are still asked for at the end are taken back.
    if (!signal.aborted) tell(warning(error.message));
  });
  const { wanted } = following;
  const down = ({ backend, host }: ServerView): void => following.reportDown(backend, host);
  for (const router of fleet) {
    const own = { router, backends: plans, wanted, down, deadlineMs, everyMs: lookEveryMs };
    keepers.push(keepRouter({ ...own, tell, signal, clock }));
  }
  return {
    state: () => ({
      targets: following.states(),
      routers: keepers.map((keeper) => keeper.state()),
    }),
    resolveNow: async () => {
      await following.resolveNow();
      wakeAll();
    },
    stop: async () => {
      ending.abort(new Error("the process ends"));
      await resolution.stop();
      // A target that had not had its first answer is taken back by the end.
      await following.begun.catch(() => undefined);
      await Promise.all(keepers.map((keeper) => keeper.ended));
      release();
    },
  };
}

/** A resolution whose events and warnings are told as lines. */
function tellingResolution({ tell, stateFile, clock }: BackendsOptions): BackendResolution {
  const resolution = createBackendResolution({
    ...(clock === undefined ? {} : { clock }),
    ...(stateFile === undefined ? {} : { stateFile }),
    logger: {
      warn: (facts, text) => {
        const { err } = facts as { readonly err?: unknown };
        tell(warning(err instanceof Error ? `${text}: ${err.message}` : text));
      },
    },
  });
  resolution.subscribe((event) => {
    for (const line of namesLines(event)) tell(line);
  });
  return resolution;
}

function warning(says: string): ProcessEvent {
  return { backend: "", hostname: "", event: "warning", says };
}
