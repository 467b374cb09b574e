/**
 * Follows the names of an environment's backends: registers each target of the file, and holds what is
 * wanted of each backend now. A name that does not resolve at the start ends nothing: it is asked for
 * again, and until it has answered nothing of its backend is taken away.
 */
import type { BackendKeys, BackendTargetKeys } from "../../../config/schema.ts";
import { formatAddress } from "../../../kit/address.ts";
import type { BackendResolution } from "../resolution.ts";
import { mergeServers } from "./servers.ts";
import type { Wanted } from "./servers.ts";
import type { TargetStatus } from "../watch/status.ts";
import type { FailurePolicy, TargetOptions, WeightedTarget } from "../target.ts";

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
  /** DNS has answered since this process started, or failed in a way that the target takes for an answer. */
  readonly hasAnswered: boolean;
  /** Undefined until the first question has its outcome. */
  readonly status: TargetStatus | undefined;
}

export interface Following {
  /** What is wanted of a backend now; the same object until it changes. */
  readonly wanted: (backend: string) => Wanted;
  readonly states: () => TargetState[];
  /** Asks for every name now. Resolves when all have answered, or failed to. */
  readonly resolveNow: () => Promise<void>;
  /** A server of a backend has gone down: its names are asked for sooner than planned. */
  readonly reportDown: (backend: string, ip: string) => void;
  /** Resolves when every target has had its first outcome. */
  readonly begun: Promise<void>;
}

interface Followed {
  readonly backend: string;
  readonly hostname: string;
  servers: readonly WeightedTarget[];
  hasAnswered: boolean;
}

/**
 * Follows `backends` over `resolution`, which the caller starts and stops; `changed` hears which
 * backend is wanted otherwise than before.
 */
export function followNames(
  backends: readonly BackendKeys[],
  resolution: BackendResolution,
  changed: (backend: string) => void,
): Following {
  const followed = new Map(backends.map((one) => [one.name, unansweredOf(one)]));
  const wanted = new Map<string, Wanted>();
  const update = (one: Followed, what: Partial<Followed>): void => {
    Object.assign(one, what);
    wanted.delete(one.backend);
    changed(one.backend);
  };
  resolution.subscribe(({ type, proxyName, hostname, data }) => {
    const isAnswer = type === "dns-resolved" || (type === "dns-failed" && data["drops"] === true);
    if (!isAnswer) return;
    const one = followed.get(proxyName)?.find((each) => each.hostname === hostname);
    if (one?.hasAnswered === false) update(one, { hasAnswered: true });
  });
  const begun = backends.flatMap(({ name, targets, drainGrace }) =>
    targets.map(async (target, at) => {
      const one = followed.get(name)?.[at];
      if (one === undefined) return;
      const options = {
        ...targetOptions(target, drainGrace),
        startup: "last-known-or-empty",
      } as const;
      const onUpdate = (servers: readonly WeightedTarget[]): void => update(one, { servers });
      await resolution.registerTarget(name, target.hostname, options, onUpdate);
      changed(name);
    }),
  );
  return {
    wanted: (backend) => {
      const known = wanted.get(backend) ?? wantedOf(followed.get(backend) ?? []);
      wanted.set(backend, known);
      return known;
    },
    states: () => [...followed.values()].flatMap((all) => statesOf(all, resolution)),
    resolveNow: async () => {
      await Promise.all(backends.map(({ name }) => resolution.forceResolve(name)));
    },
    reportDown: (backend, ip) => {
      const own = (followed.get(backend) ?? []).filter(({ servers }) =>
        servers.some((one) => one.ip === ip),
      );
      for (const { hostname } of own) resolution.reportConnectError(backend, hostname);
    },
    begun: Promise.all(begun).then(() => undefined),
  };
}

function unansweredOf({ name: backend, targets }: BackendKeys): readonly Followed[] {
  return targets.map(({ hostname }) => ({ backend, hostname, servers: [], hasAnswered: false }));
}

function wantedOf(all: readonly Followed[]): Wanted {
  return {
    servers: mergeServers(all.map((one) => one.servers)),
    isWhole: all.every((one) => one.hasAnswered),
  };
}

/** The states of one backend's targets. */
function statesOf(all: readonly Followed[], resolution: BackendResolution): TargetState[] {
  const [{ backend } = { backend: "" }] = all;
  const statuses = resolution.getStatus(backend)?.targets;
  return all.map(({ hostname, hasAnswered }) => {
    return { backend, hostname, hasAnswered, status: statuses?.[hostname] };
  });
}
