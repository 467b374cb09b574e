/** A resolution on a clock that the test moves, with names whose answers the test writes. */
import { createBackendResolution } from "../../../router/backends/resolution.ts";
import type { BackendResolution } from "../../../router/backends/resolution.ts";
import type { BackendEvent } from "../../../router/backends/watch/events.ts";
import type { About, OnUpdate } from "../../../router/backends/watch/deliveries.ts";
import { merged } from "../../../router/backends/lookup/merge.ts";
import { failedWith } from "../../../router/backends/lookup/outcome.ts";
import type { Lookup, Outcome } from "../../../router/backends/lookup/outcome.ts";
import type { ResolutionOptions } from "../../../router/backends/watch/running-resolution.ts";
import type { WeightedTarget } from "../../../router/backends/target.ts";
import { createManualClock } from "./manual-clock.ts";
import type { ManualClock } from "./manual-clock.ts";

/** Codes of c-ares. */
export const codes = { nxdomain: "ENOTFOUND", empty: "ENODATA", servfail: "ESERVFAIL" } as const;

export interface Rig {
  readonly clock: ManualClock;
  readonly resolution: BackendResolution;
  /** What each name answers with; silence for those that are not there. */
  readonly names: Map<string, Outcome>;
  /** When each lookup began. */
  readonly asked: { readonly hostname: string; readonly atMs: number }[];
  readonly events: BackendEvent[];
  /** What a callback of `told()` heard. */
  readonly heard: {
    readonly ips: string[];
    readonly about: About;
    readonly targets: readonly WeightedTarget[];
  }[];
  readonly hear: OnUpdate;
  readonly warned: string[];
  /** Lookups that wait for an answer, and were not told to give up. */
  unanswered(): number;
  /** Types of the events since the last call. */
  types(): string[];
}

export function found(...ips: string[]): Outcome {
  const addresses = merged(ips.map((ip) => ({ ip, port: undefined, share: 1 })));
  return { kind: "found", addresses, ttlSeconds: 5, source: "dns", unknown: [] };
}

export function failed(kind: keyof typeof codes): Outcome {
  return failedWith("look up", { code: codes[kind] });
}

/** Not started; without chance, so that pauses are whole. */
export function rig(options: Partial<ResolutionOptions> = {}): Rig {
  const clock = createManualClock();
  const names: Rig["names"] = new Map();
  const asked: Rig["asked"] = [];
  const events: BackendEvent[] = [];
  const heard: Rig["heard"] = [];
  const warned: string[] = [];
  const hanging = new Set<AbortSignal>();
  const lookup: Lookup = async ({ hostname }, signal) => {
    asked.push({ hostname, atMs: clock.monotonic() });
    const answer = names.get(hostname);
    if (answer !== undefined) return answer;
    hanging.add(signal);
    return await Promise.withResolvers<never>().promise;
  };
  const logger = { warn: (_: object, text: string) => void warned.push(text) };
  const resolution = createBackendResolution({
    clock,
    lookup,
    logger,
    random: () => 0,
    ...options,
  });
  resolution.subscribe((event) => void events.push(event));
  let seen = 0;
  return {
    clock,
    resolution,
    names,
    asked,
    events,
    heard,
    hear: (targets, about) => void heard.push({ ips: targets.map(({ ip }) => ip), about, targets }),
    warned,
    unanswered: () => [...hanging].filter((signal) => !signal.aborted).length,
    types: () => {
      const types = events.slice(seen).map(({ type }) => type);
      seen = events.length;
      return types;
    },
  };
}
