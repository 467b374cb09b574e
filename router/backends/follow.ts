/**
 * Follows the names of an environment's backends: registers each target of the file, and holds what is
 * wanted of each backend now. A name that does not resolve at the start ends nothing: it is asked for
 * again, and until it has answered nothing of its backend is taken away.
 */
import type { BackendKeys, BackendTargetKeys } from "../../config/schema.ts";
import { formatAddress } from "../../kit/address.ts";
import { FirstResolutionError } from "./registration.ts";
import type { BackendResolution } from "./resolution.ts";
import { mergeServers } from "./servers.ts";
import type { Wanted } from "./servers.ts";
import type { TargetStatus } from "./status.ts";
import type { FailurePolicy, TargetOptions, WeightedTarget } from "./target.ts";

type PolicyKeys = BackendTargetKeys["onNxdomain"];

function policyOf(policy: PolicyKeys): FailurePolicy {
  if (typeof policy === "string") return policy;
  return { dropAfter: limitsOf(policy) };
}

/** Counts and durations that may each be missing, as the library takes them. */
function limitsOf({ times, time }: BackendTargetKeys["holdDown"]): {
  readonly times?: number;
  readonly seconds?: number;
} {
  return {
    ...(times === undefined ? {} : { times }),
    ...(time === undefined ? {} : { seconds: time / 1000 }),
  };
}

const families = { both: "both", ipv4: 4, ipv6: 6 } as const;

/** The keys of a target in an environment file as the library takes them. */
export function targetOptions(target: BackendTargetKeys, drainGraceMs: number): TargetOptions {
  const { port, srv, servers, holdDown } = target;
  return {
    ...(port === undefined ? {} : { port }),
    ...(srv === undefined ? {} : { srv }),
    weight: target.weight,
    family: families[target.family],
    refresh: target.refresh,
    dnsRefreshSeconds: target.dnsRefresh / 1000,
    minRefreshSeconds: target.minRefresh / 1000,
    maxRefreshSeconds: target.maxRefresh / 1000,
    jitter: target.jitter / 100,
    timeoutMs: target.timeout,
    backoff: { baseMs: target.backoff.base, maxMs: target.backoff.max },
    ...(servers.length === 0 ? {} : { servers: servers.map(formatAddress) }),
    onNxdomain: policyOf(target.onNxdomain),
    trustNxdomain: target.trustNxdomain,
    onEmpty: policyOf(target.onEmpty),
    onServfail: policyOf(target.onServfail),
    onTimeout: policyOf(target.onTimeout),
    maxStaleSeconds: target.maxStale / 1000,
    ...(Object.keys(limitsOf(holdDown)).length === 0 ? {} : { holdDown: limitsOf(holdDown) }),
    minHealthy: target.minHealthy / 100,
    drainGraceMs,
  };
}

export interface TargetState {
  readonly backend: string;
  readonly hostname: string;
  /** DNS has answered since this process started. */
  readonly hasAnswered: boolean;
  /** Undefined until the first question has its outcome. */
  readonly status: TargetStatus | undefined;
}

export interface Following {
  /** What is wanted of a backend now. */
  readonly wanted: (backend: string) => Wanted;
  readonly states: () => TargetState[];
  /** Asks for every name now. Resolves when all have answered, or failed to. */
  readonly resolveNow: () => Promise<void>;
  /** Resolves when every target has had its first outcome. */
  readonly begun: Promise<void>;
}

interface Followed {
  readonly backend: string;
  readonly target: BackendTargetKeys;
  servers: readonly WeightedTarget[];
}

/** Sources that are an answer, and no memory of one. */
const answers: ReadonlySet<TargetStatus["source"]> = new Set(["dns", "hosts", "address"]);

/**
 * Follows `backends` over `resolution`, which the caller starts and stops; `changed` hears which
 * backend is wanted otherwise than before.
 */
export function followNames(
  backends: readonly BackendKeys[],
  resolution: BackendResolution,
  changed: (backend: string) => void,
): Following {
  const all = backends.flatMap(({ name, targets, drainGrace }) =>
    targets.map((target) => {
      const followed: Followed = { backend: name, target, servers: [] };
      return { followed, options: targetOptions(target, drainGrace) };
    }),
  );
  const begun = Promise.all(
    all.map(async ({ followed, options }) => {
      await register(resolution, followed, options, changed);
      changed(followed.backend);
    }),
  );
  const statusOf = ({ backend, target }: Followed): TargetStatus | undefined =>
    resolution.getStatus(backend)?.targets[target.hostname];
  const hasAnswered = (followed: Followed): boolean => answers.has(statusOf(followed)?.source);
  const ofBackend = (backend: string): Followed[] =>
    all.map((one) => one.followed).filter((one) => one.backend === backend);
  return {
    wanted: (backend) => ({
      servers: mergeServers(ofBackend(backend).map((one) => one.servers)),
      isWhole: ofBackend(backend).every(hasAnswered),
    }),
    states: () =>
      all.map(({ followed }) => ({
        backend: followed.backend,
        hostname: followed.target.hostname,
        hasAnswered: hasAnswered(followed),
        status: statusOf(followed),
      })),
    resolveNow: async () => {
      await Promise.all(backends.map(({ name }) => resolution.forceResolve(name)));
    },
    begun: begun.then(() => undefined),
  };
}

/** Registers a target with what was last known of it, or, where nothing is, with nothing. */
async function register(
  resolution: BackendResolution,
  followed: Followed,
  options: TargetOptions,
  changed: (backend: string) => void,
): Promise<void> {
  const { backend, target } = followed;
  const onUpdate = (servers: readonly WeightedTarget[]): void => {
    const taken = followed;
    taken.servers = servers;
    changed(backend);
  };
  const registered = (startup: "last-known" | "empty"): Promise<unknown> =>
    resolution.registerTarget(backend, target.hostname, { ...options, startup }, onUpdate);
  try {
    await registered("last-known");
  } catch (error) {
    if (!(error instanceof FirstResolutionError)) throw error;
    await registered("empty");
  }
}
