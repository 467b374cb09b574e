/** What can be asked of a target, and where the numbers of its status come from. */
import type { Membership } from "../membership/membership-state.ts";
import type { FailureKind, TargetSettings, WeightedTarget } from "../target.ts";

export interface LastError {
  readonly failure: FailureKind;
  /** c-ares's code, such as ENOTFOUND. */
  readonly code: string;
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface TargetStatus {
  readonly hostname: string;
  /** Undefined where SRV records say it. */
  readonly port: number | undefined;
  readonly weight: number;
  readonly refreshMs: number;
  /** The addresses that stand, sorted. */
  readonly lastIps: readonly string[];
  /** When a lookup last succeeded, milliseconds since the epoch. */
  readonly lastResolvedAt: number | undefined;
  readonly consecutiveFailures: number;
  readonly targets: readonly WeightedTarget[];
  readonly generation: number;
  /** The last lookup failed: the addresses are those of an earlier time. */
  readonly stale: boolean;
  /** Addresses that the last answers lacked and that stand still. */
  readonly missing: readonly { readonly ip: string; readonly times: number }[];
  readonly lastError: LastError | undefined;
  readonly lastAttemptAt: number | undefined;
  /** Undefined while nothing is planned: one is under way, or all is paused. */
  readonly nextAttemptAt: number | undefined;
  readonly resolving: boolean;
  readonly ttlSeconds: number | undefined;
  readonly source: "dns" | "hosts" | "address" | "last-known" | undefined;
  readonly latencyMs: number | undefined;
  /** Lookups since the registration, those of them that failed, and how often the callback threw. */
  readonly attempts: number;
  readonly failedAttempts: number;
  readonly callbackFailures: number;
}

export interface ProxyStatus {
  readonly proxyName: string;
  /** By host name, as it was registered. */
  readonly targets: Readonly<Record<string, TargetStatus>>;
}

/** The part of a status that follows from what stands and what was asked for. */
export function statusOf(
  hostname: string,
  settings: TargetSettings,
  state: Membership,
): Pick<
  TargetStatus,
  | "hostname"
  | "port"
  | "weight"
  | "refreshMs"
  | "lastIps"
  | "consecutiveFailures"
  | "targets"
  | "generation"
  | "stale"
  | "missing"
> {
  const { members, failures, targets = [], generation, isStale } = state;
  return {
    hostname,
    port: settings.port,
    weight: settings.weight,
    refreshMs: settings.refreshMs,
    lastIps: members.map(({ ip }) => ip),
    consecutiveFailures: failures,
    targets,
    generation,
    stale: isStale,
    missing: members.flatMap(({ ip, missing }) =>
      missing === undefined ? [] : [{ ip, times: missing.times }],
    ),
  };
}
