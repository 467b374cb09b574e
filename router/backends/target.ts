/**
 * A target: a host name behind a proxy, and how it is resolved again and again. What a caller may
 * say of it, and the same without gaps (read by target-settings.ts).
 */

/** What is done with the addresses that stand when a lookup answers with a failure of one kind. */
export type FailurePolicy =
  | "keep"
  | "drop"
  /** After so many failures of the kind, or so long since the first of them: whichever is first. */
  | { readonly dropAfter: { readonly times?: number; readonly seconds?: number } };

/** `empty`: the name exists and has no address. `timeout`: nobody answered. */
export type FailureKind = "nxdomain" | "empty" | "servfail" | "timeout";

export interface TargetOptions {
  /** Needed unless `srv` is given: then the records say it. */
  readonly port?: number;
  /** Shared out among the addresses of the name; at least 1 to each. Default 100. */
  readonly weight?: number;
  /** Default 30. With `refresh: "ttl"` only where an answer has no time to live. */
  readonly dnsRefreshSeconds?: number;
  /** Handed on with every address as it is; nothing here reads it. */
  readonly healthCheck?: unknown;
  /** `ttl`: as long as the answer lives, between minRefreshSeconds and maxRefreshSeconds. */
  readonly refresh?: "fixed" | "ttl";
  readonly minRefreshSeconds?: number;
  readonly maxRefreshSeconds?: number;
  /** Each pause is shortened by a random part of up to this share, 0 to 0.2. Default 0.1. */
  readonly jitter?: number;
  /** Pauses after failures, doubled from `baseMs` to `maxMs`. Default 1,000 and 30,000. */
  readonly backoff?: { readonly baseMs?: number; readonly maxMs?: number };
  /** When a lookup counts as unanswered. Default 5,000. */
  readonly timeoutMs?: number;
  /** Name servers, `address` or `address:port`, instead of those of the machine. */
  readonly servers?: readonly string[];
  readonly family?: 4 | 6 | "both";
  /** SRV records: of the host name itself (true), or of this prefix before it. */
  readonly srv?: boolean | string;
  readonly onNxdomain?: FailurePolicy;
  /**
   * Whose "there is no such name" counts as one: everybody's, or that of a server that has the zone;
   * another's is a failed server then.
   */
  readonly trustNxdomain?: "any" | "authoritative";
  readonly onEmpty?: FailurePolicy;
  readonly onServfail?: FailurePolicy;
  readonly onTimeout?: FailurePolicy;
  /** How old the last good answer may be before its addresses are dropped; 0: as old as it gets. */
  readonly maxStaleSeconds?: number;
  /** When an address that is missing from answers is removed; at once when not given. */
  readonly holdDown?: { readonly times?: number; readonly seconds?: number };
  /** Share of the addresses that one answer must leave standing, 0 to 1. Default 0. */
  readonly minHealthy?: number;
  /** How long a removed address may end what it serves; handed on, for whoever removes it. */
  readonly drainGraceMs?: number;
  /** What a first resolution that fails means. Default `fail`. */
  readonly startup?: "fail" | "wait" | "last-known" | "empty" | "last-known-or-empty";
  /** How long `startup: "wait"` waits. Default 60. */
  readonly startupWaitSeconds?: number;
}

/** TargetOptions without gaps, times in milliseconds. */
export interface TargetSettings {
  readonly port: number | undefined;
  readonly weight: number;
  readonly refreshMs: number;
  readonly healthCheck: unknown;
  readonly refresh: "fixed" | "ttl";
  readonly minRefreshMs: number;
  readonly maxRefreshMs: number;
  readonly jitter: number;
  readonly backoff: { readonly baseMs: number; readonly maxMs: number };
  readonly timeoutMs: number;
  readonly servers: readonly string[];
  readonly family: 4 | 6 | "both";
  /** The name that is asked for SRV records; undefined: A and AAAA of the host name. */
  readonly srv: string | undefined;
  readonly trustNxdomain: "any" | "authoritative";
  readonly policies: Readonly<Record<FailureKind, FailurePolicy>>;
  readonly maxStaleMs: number;
  readonly holdDown: { readonly times: number | undefined; readonly ms: number | undefined };
  readonly minHealthy: number;
  readonly drainGraceMs: number;
  readonly startup: "fail" | "wait" | "last-known" | "empty" | "last-known-or-empty";
  readonly startupWaitMs: number;
}

/** One address of a target, as a proxy takes it. */
export interface WeightedTarget {
  readonly ip: string;
  readonly port: number;
  readonly weight: number;
  readonly healthCheck?: unknown;
}

/** Whether two lists have the same addresses, ports and weights in the same order. */
export function areSameTargets(
  left: readonly WeightedTarget[],
  right: readonly WeightedTarget[],
): boolean {
  return (
    left.length === right.length &&
    left.every(({ ip, port, weight }, at) => {
      const other = right[at];
      return other?.ip === ip && other.port === port && other.weight === weight;
    })
  );
}

/** What was said of a target is not possible. The message names the key and what it must be. */
export class TargetOptionsError extends Error {
  override readonly name = "TargetOptionsError";
  readonly code = "ERR_BACKEND_TARGET";
  readonly hostname: string;
  readonly key: string;
  constructor(hostname: string, key: string, must: string, found: unknown) {
    super(`target ${JSON.stringify(hostname)}: ${key} must be ${must}, not ${worded(found)}`);
    this.hostname = hostname;
    this.key = key;
  }
}

function worded(value: unknown): string {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
