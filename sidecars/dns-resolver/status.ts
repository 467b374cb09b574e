/** What a resolver says about itself, made of what its parts say. Pure. */
import { formatAddress } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import type { ListenStatus, ResolverStatus, SyncStatus } from "./contract.ts";
import type { ListenState } from "./listen/listeners.ts";
import type { SyncState } from "./sync/sync-ledger.ts";

/** The zone that is served. */
export interface ServedFacts {
  readonly epoch: string;
  readonly generation: number;
  readonly records: number;
  readonly zoneHash: string;
  readonly from: "registry" | "snapshot";
}

export interface StatusFacts {
  readonly settings: {
    readonly zone: { readonly zone: string; readonly aliases: readonly string[] };
    readonly registry: string;
    readonly node: number;
    readonly upstreams: {
      readonly upstreams: readonly Address[];
      readonly zones: readonly { readonly zone: string; readonly upstreams: readonly Address[] }[];
    };
  };
  readonly served: ServedFacts | undefined;
  /** By address, what was wrong with its answer to the resolver itself. */
  readonly faults: ReadonlyMap<string, string>;
  readonly listen: readonly ListenState[];
  readonly sync: SyncState;
  readonly counters: Readonly<Record<string, number>>;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** What the registry has not confirmed for longer is stale; it is asked twice a minute. */
const staleAfterSeconds = 60;

/** The status at the time `now`. */
export function statusOf(facts: StatusFacts): ResolverStatus {
  const { served, settings } = facts;
  const listen = facts.listen.map((one) => listenStatus(one, facts.faults));
  const sync = syncStatus(facts);
  const reasons = reasonsOf(facts, listen, sync);
  return {
    state: stateOf(served, listen, sync),
    healthy: reasons.length === 0,
    reasons,
    zone: settings.zone.zone,
    aliases: [...settings.zone.aliases],
    generation: served?.generation ?? null,
    epoch: served?.epoch ?? null,
    zoneHash: served?.zoneHash ?? null,
    records: served?.records ?? 0,
    from: served?.from ?? null,
    sync,
    listen,
    upstreams: upstreamTexts(settings.upstreams),
    counters: { ...facts.counters },
  };
}

/** True when questions for names in the zone are answered as they should at one address or more. */
export function isReady({ state }: Pick<ResolverStatus, "state">): boolean {
  return state === "ready" || state === "stale";
}

function listenStatus(one: ListenState, faults: StatusFacts["faults"]): ListenStatus {
  const address = formatAddress(one.address);
  const { engine, error, state } = one;
  return { address, state, engine, error, fault: faults.get(address) ?? null };
}

function syncStatus({ now, settings, sync }: StatusFacts): SyncStatus {
  const { lastSyncAt, ...rest } = sync;
  return {
    registry: settings.registry,
    node: settings.node,
    lastSyncAt: lastSyncAt === null ? null : new Date(lastSyncAt).toISOString(),
    staleSeconds: lastSyncAt === null ? null : Math.max(0, (now - lastSyncAt) / 1000),
    lastError: rest.lastError,
    failures: rest.failures,
    acknowledged: rest.acknowledged,
    resyncs: rest.resyncs,
    wrong: rest.wrong.slice(0, 10),
  };
}

const answers = ({ fault, state }: ListenStatus): boolean => state === "bound" && fault === null;

const isStale = ({ staleSeconds }: SyncStatus): boolean =>
  staleSeconds === null || staleSeconds > staleAfterSeconds;

function stateOf(
  served: ServedFacts | undefined,
  listen: readonly ListenStatus[],
  sync: SyncStatus,
): ResolverStatus["state"] {
  if (served === undefined) return "loading";
  if (!listen.some(answers)) return "deaf";
  return isStale(sync) ? "stale" : "ready";
}

function reasonsOf(
  { served }: StatusFacts,
  listen: readonly ListenStatus[],
  sync: SyncStatus,
): string[] {
  return [
    ...(served === undefined ? ["no zone is loaded: names in it are answered with SERVFAIL"] : []),
    ...listen.flatMap(({ address, error, fault }) => {
      const why = error ?? fault;
      return why === null ? [] : [`${address}: ${why}`];
    }),
    ...(sync.lastError === null ? [] : [`the registry: ${sync.lastError}`]),
    ...(served !== undefined && isStale(sync)
      ? [`the registry has not confirmed the zone for ${ageWords(sync.staleSeconds)}`]
      : []),
    ...sync.wrong,
  ];
}

function ageWords(seconds: number | null): string {
  return seconds === null ? "as long as it runs" : `${Math.round(seconds)} s`;
}

/** Upstreams as they are written: `IP:port` each, and `ZONE=IP:port,…` for each zone. */
export function upstreamTexts({
  upstreams,
  zones,
}: StatusFacts["settings"]["upstreams"]): string[] {
  const list = (all: readonly Address[]): string => all.map(formatAddress).join(",");
  return [
    ...upstreams.map(formatAddress),
    ...zones.map((one) => `${one.zone}=${list(one.upstreams)}`),
  ];
}
