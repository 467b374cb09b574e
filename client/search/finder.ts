/**
 * Finds a server among all addresses of a target. One finder serves many clients: it knows who passed
 * last, so that each goes straight there, and where that fails only one of them explores all
 * addresses at a time while the others wait for what it finds.
 */
import { addressesOf, endpointKey, keyOf } from "../target/address.ts";
import type { RolePass, TargetSessionAttrs } from "../target/attributes.ts";
import { createMemory } from "./memory.ts";
import type { Memory } from "./memory.ts";
import { createNames } from "../target/names.ts";
import type { Names } from "../target/names.ts";
import { Company } from "./company.ts";
import { Search } from "./search.ts";
import type { Endpoint } from "../target/target.ts";
import { systemTiming } from "./timing.ts";
import type { Timing } from "./timing.ts";

/** One place to connect to. */
export interface DialAddress {
  /** As the target wrote it: the name that TLS verifies. */
  readonly host: string;
  /** An IP address, or the path of a Unix socket (the socket itself, not its folder). */
  readonly address: string;
  /** 0 is a Unix socket. */
  readonly family: 4 | 6 | 0;
  readonly port: number;
}

/** What an attempt has to reach. */
export interface Pass extends RolePass {
  /**
   * To be taken before authentication, so that few run side by side. Resolves with what ends the
   * turn; rejects with the signal's reason.
   */
  turn(signal: AbortSignal): Promise<() => void>;
}

export interface FindRequest<T> {
  readonly endpoints: readonly Endpoint[];
  readonly attributes: TargetSessionAttrs;
  readonly loadBalance?: boolean | undefined;
  /** Connects to one address; throws an AttemptError where it does not pass. */
  attempt(address: DialAddress, pass: Pass, signal: AbortSignal): Promise<T>;
  /** Gets what an attempt brought that nobody waits for any more. */
  discard(value: T): void;
  /** Of the whole search, in milliseconds; Infinity waits for ever. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Its timers do not keep Node running. */
  readonly isUnref?: boolean | undefined;
  /** What is looked for, in words; without it the attributes. */
  readonly wanted?: string | undefined;
}

export interface Found<T> {
  readonly value: T;
  readonly address: DialAddress;
}

export interface FinderOptions {
  /** Name servers to ask instead of the system: `address` or `address:port`. */
  readonly servers?: readonly string[] | undefined;
  readonly staggerMs?: number | undefined;
  readonly attemptTimeoutMs?: number | undefined;
  readonly deadlineMs?: number | undefined;
  readonly parallelAuthentications?: number | undefined;
  readonly dnsTimeoutMs?: number | undefined;
  readonly now?: (() => number) | undefined;
  readonly random?: (() => number) | undefined;
  /** Instead of the timers of this process, for tests. */
  readonly sleep?: Timing["sleep"] | undefined;
  /** Instead of real questions, for tests. */
  readonly names?: Names | undefined;
}

/** FinderOptions with every default filled in, and what all searches of one finder use. */
export interface FinderParts {
  readonly servers: readonly string[];
  readonly staggerMs: number;
  readonly attemptTimeoutMs: number;
  readonly deadlineMs: number;
  readonly parallelAuthentications: number;
  readonly dnsTimeoutMs: number;
  readonly random: () => number;
  readonly timing: Timing;
  readonly names: Names;
  readonly memory: Memory<DialAddress>;
}

export interface Finder {
  readonly options: Omit<FinderParts, "names" | "memory">;
  /**
   * The first session that passes.
   * @throws ConnectError when the deadline is over or an attempt stopped the search; the signal's
   * reason when it aborts
   */
  find<T>(request: FindRequest<T>): Promise<Found<T>>;
  /** No search begins there any more; to be called after a role or a connection was lost. */
  forget(address: DialAddress): void;
  /** Who passed last for this target, if nothing has spoken against it since. */
  lastKnown(
    endpoints: readonly Endpoint[],
    attributes: TargetSessionAttrs,
  ): DialAddress | undefined;
  /** What the names say now, in the order of the target; names that fail are left out. */
  addresses(
    endpoints: readonly Endpoint[],
    options: { readonly fresh: boolean; readonly signal?: AbortSignal | undefined },
  ): Promise<readonly DialAddress[]>;
}

const targetKey = (endpoints: readonly Endpoint[], attributes: TargetSessionAttrs): string =>
  [attributes, ...endpoints.map((one) => endpointKey(one))].join();

function partsOf(options: FinderOptions): FinderParts {
  const { now = systemTiming.now, sleep } = options;
  const timing: Timing = sleep === undefined ? { ...systemTiming, now } : { now, sleep };
  const dnsTimeoutMs = options.dnsTimeoutMs ?? 2000;
  const servers = options.servers ?? [];
  return {
    servers,
    staggerMs: options.staggerMs ?? 250,
    attemptTimeoutMs: options.attemptTimeoutMs ?? 5000,
    deadlineMs: options.deadlineMs ?? 10_000,
    parallelAuthentications: options.parallelAuthentications ?? 2,
    dnsTimeoutMs,
    random: options.random ?? Math.random,
    timing,
    names: options.names ?? createNames({ servers, timeoutMs: dnsTimeoutMs, timing }),
    memory: createMemory({ now: timing.now, keyOf }),
  };
}

/** A finder that knows nothing yet. It holds no timer and no socket while nobody searches. */
export function createFinder(options: FinderOptions = {}): Finder {
  const parts = partsOf(options);
  const companies = new Map<string, Company>();
  const { names, memory, ...shown } = parts;
  return {
    options: shown,
    find: async (request) => {
      const key = targetKey(request.endpoints, request.attributes);
      for (const [one, { isForgotten }] of companies) if (isForgotten) companies.delete(one);
      const company = companies.get(key) ?? new Company(parts.timing, parts.staggerMs);
      companies.set(key, company);
      company.searches += 1;
      let hasPassed = false;
      try {
        const found = await new Search(parts, company, key, request).run();
        hasPassed = true;
        return found;
      } finally {
        company.searches -= 1;
        if (company.searches === 0 && hasPassed) companies.delete(key);
        else if (company.searches === 0) company.rest();
      }
    },
    forget: (address) => {
      memory.forget(keyOf(address));
      for (const company of companies.values()) company.failed(keyOf(address));
    },
    lastKnown: (endpoints, attributes) => memory.winner(targetKey(endpoints, attributes))?.address,
    addresses: async (endpoints, { fresh, signal }) => {
      const lists = await Promise.allSettled(
        endpoints.map((endpoint) => addressesOf(names, endpoint, { fresh, signal })),
      );
      signal?.throwIfAborted();
      return lists.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
    },
  };
}
