/**
 * The way out for questions that are not the zone's: answered from what is kept, or by an upstream,
 * or with a failure, always within the total time. Clients that ask the same at the same time share
 * one question to the upstreams.
 */
import { every, systemClock } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";
import type { Asker, Forwarder } from "../parts.ts";
import { extendedErrors, rcodes } from "../wire/numbers.ts";
import { nameKeyOf, questionOf, readAsked } from "./asked.ts";
import type { Asked, Question } from "./asked.ts";
import { createBuckets } from "./buckets.ts";
import type { Buckets } from "./buckets.ts";
import { Cache } from "./cache.ts";
import { createChance } from "./chance.ts";
import { composeAnswer, composeFailure } from "./compose.ts";
import { zeroCounters } from "./counters.ts";
import type { Ending, ExchangeWorld } from "./exchange.ts";
import { Flights } from "./flights.ts";
import { createGroups } from "./groups.ts";
import type { Groups } from "./groups.ts";
import { looseRecords } from "./records.ts";
import { checkUpstreams, defaultLimits } from "./settings.ts";
import type { ForwarderSettings, UpstreamChoice } from "./settings.ts";
import type { Stored } from "./stored.ts";

/** A forwarder whose upstreams can be changed while it runs. */
export interface OpenForwarder extends Forwarder {
  /**
   * Asks others from now on, and forgets what the old ones answered.
   * @throws ForwardUpstreamError, and nothing is changed then
   */
  choose(choice: UpstreamChoice): void;
}

/** What there is to say to a client: records, or a response code and why. */
type Result =
  | { readonly stored: Stored; readonly age: number; readonly isStale: boolean }
  | { readonly rcode: number; readonly extendedError: number };

/** Who asks a question: for the limit on each client, and to know a question that comes back. */
interface Source {
  readonly address: string;
  readonly id: number;
}

const sweepMs = 1000;
const clientsMax = 10_000;

/** Questions about messages rather than names: TKEY, TSIG, transfers and mailboxes (RFC 6895, 3.1). */
const isMeta = (type: number): boolean => type === 41 || (type >= 249 && type <= 254);

/** Why there is no answer, or an old one (RFC 8914, 4). */
const why = {
  ...extendedErrors,
  other: 0,
  cachedError: 13,
  prohibited: 18,
  staleNameError: 19,
} as const;

class WayOut implements OpenForwarder {
  readonly #settings: ForwarderSettings;
  readonly #world: ExchangeWorld;
  readonly #cache: Cache;
  readonly #buckets: Buckets;
  readonly #groups: Groups;
  readonly #flights: Flights<Result>;
  readonly #stopSweeping: () => void;
  #isClosed = false;

  constructor(settings: ForwarderSettings, clock: Clock) {
    const limits = { ...defaultLimits, ...settings.limits };
    this.#settings = settings;
    this.#world = {
      clock,
      chance: createChance(),
      counters: zeroCounters(),
      limits,
      tcpOpen: 0,
    };
    this.#cache = new Cache(limits);
    const { missesPerSecond: perSecond, missesBurst: burst } = limits;
    this.#buckets = createBuckets({ perSecond, burst, clientsMax });
    this.#groups = createGroups(settings, this.#world);
    this.#flights = new Flights(this.#world, (question, ending) => this.#settle(question, ending));
    this.#stopSweeping = every(sweepMs, () => {
      for (const upstream of this.#groups.all()) upstream.sweep();
    });
  }

  forward(query: Uint8Array, asker: Asker): Promise<Uint8Array | undefined> {
    const { counters } = this.#world;
    counters.queries += 1;
    const asked = this.#isClosed ? undefined : readAsked(query);
    if (asked === undefined) {
      counters.malformed += 1;
      return Promise.resolve(undefined);
    }
    const result = this.#look(asked.question, { address: asker.address, id: asked.id });
    return result instanceof Promise
      ? result.then((known) => this.#compose(known, asked, asker))
      : Promise.resolve(this.#compose(result, asked, asker));
  }

  async resolveTarget(
    target: Uint8Array,
    type: number,
  ): Promise<{ readonly rcode: number; readonly records: readonly Uint8Array[] } | undefined> {
    const bytes = Uint8Array.from([...target, type >> 8, type & 0xff, 0, 1]);
    const question = questionOf(bytes, { wantsProof: false, isCheckingOff: false });
    const result = this.#isClosed ? undefined : await this.#look(question);
    if (result === undefined || !("stored" in result)) return undefined;
    const { stored, age, isStale } = result;
    const ttlCap = isStale ? this.#world.limits.staleTtl : undefined;
    return { rcode: stored.rcode, records: looseRecords(stored, age, ttlCap) };
  }

  choose(choice: UpstreamChoice): void {
    checkUpstreams(choice, this.#settings.ownAddresses);
    this.#groups.choose(choice);
    this.#cache.clear();
  }

  counters(): Readonly<Record<string, number>> {
    const { entries, bytes, evictions } = this.#cache.size();
    const upstreams = [...this.#groups.all()];
    return {
      ...this.#world.counters,
      evictions,
      cacheEntries: entries,
      cacheBytes: bytes,
      underWay: this.#flights.size,
      waiters: this.#flights.waiters,
      sockets: upstreams.reduce((sum, upstream) => sum + upstream.openSockets(), 0),
      tcpOpen: this.#world.tcpOpen,
    };
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#stopSweeping();
    this.#flights.close();
    for (const upstream of this.#groups.all()) upstream.close();
    return Promise.resolve();
  }

  #compose(result: Result, asked: Asked, asker: Asker): Uint8Array {
    const { limits } = this.#world;
    const bounds = { transport: asker.transport, udpSizeMax: this.#settings.udpSizeMax };
    if (!("stored" in result)) {
      return composeFailure(asked, bounds, result.rcode, result.extendedError);
    }
    const { stored, age, isStale } = result;
    const extendedError = stored.rcode === rcodes.NXDOMAIN ? why.staleNameError : why.staleAnswer;
    const telling = isStale ? { age, ttlCap: limits.staleTtl, extendedError } : { age };
    return composeAnswer(stored, asked, bounds, telling);
  }

  /** Looks into the cache, and asks where that does not help. */
  #look(question: Question, source?: Source): Result | Promise<Result> {
    const { clock, counters } = this.#world;
    const found = this.#cache.find(question.key, clock.monotonic());
    if (found.is === "fresh") {
      counters.hits += 1;
      return { stored: found.stored, age: found.age, isStale: false };
    }
    if (found.is === "failed") {
      counters.cachedFailures += 1;
      return this.#fail(found.stale, rcodes.SERVFAIL, why.cachedError);
    }
    return this.#ask(question, found.stale, source);
  }

  /** What is past its time, where there is something, or the failure. */
  #fail(stale: Stored | undefined, rcode: number, extendedError: number): Result {
    if (stale === undefined) return { rcode, extendedError };
    this.#world.counters.stale += 1;
    return { stored: stale, age: 0, isStale: true };
  }

  #ask(
    question: Question,
    stale: Stored | undefined,
    source: Source | undefined,
  ): Result | Promise<Result> {
    const { clock, counters } = this.#world;
    if (source !== undefined && this.#flights.hasSent(question, source.id)) {
      counters.loops += 1;
      return { rcode: rcodes.REFUSED, extendedError: why.other };
    }
    const shared = this.#flights.join(question);
    if (shared !== undefined) return shared;
    if (isMeta(question.type)) return { rcode: rcodes.NOTIMP, extendedError: why.notAuthoritative };
    const group = this.#groups.of(nameKeyOf(question));
    if (group.upstreams.length === 0)
      return { rcode: rcodes.REFUSED, extendedError: why.notAuthoritative };
    if (source !== undefined && !this.#buckets.take(source.address, clock.monotonic())) {
      counters.overLimit += 1;
      return this.#fail(stale, rcodes.REFUSED, why.prohibited);
    }
    const begun = this.#flights.begin(question, group);
    if (begun !== undefined) return begun;
    counters.overBound += 1;
    return this.#fail(stale, rcodes.SERVFAIL, why.other);
  }

  /** Keeps how a question ended, and says what those who wait for it are told. */
  #settle(question: Question, ending: Ending): Result {
    const { clock, counters } = this.#world;
    const now = clock.monotonic();
    if ("stored" in ending) {
      this.#cache.keep(question.key, ending.stored, now);
      return { stored: ending.stored, age: 0, isStale: false };
    }
    counters.failures += 1;
    const found = this.#cache.find(question.key, now);
    this.#cache.fail(question.key, now);
    const stale = found.is === "fresh" ? undefined : found.stale;
    return this.#fail(stale, rcodes.SERVFAIL, ending.extendedError);
  }
}

/**
 * Opens the way out.
 * @param clock the cache and every limit go by its monotonic time
 * @throws ForwardUpstreamError
 */
export function createForwarder(
  settings: ForwarderSettings,
  clock: Clock = systemClock,
): OpenForwarder {
  checkUpstreams(settings, settings.ownAddresses);
  return new WayOut(settings, clock);
}
