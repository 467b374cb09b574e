/**
 * The targets of a resolution: which are registered, which are on their way, and what is done with
 * them. resolution.ts is its face.
 */
import { randomInt } from "node:crypto";
import { systemClock } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";
import { createDeliveries } from "./deliveries.ts";
import type { Deliveries, OnUpdate } from "./deliveries.ts";
import { createBus, silentLog } from "./events.ts";
import type { Bus, Log } from "./events.ts";
import { createLastKnown } from "./last-known.ts";
import type { LastKnown } from "./last-known.ts";
import { createLookup } from "../lookup/lookup.ts";
import { formed } from "../lookup/merge.ts";
import { askOnce } from "../lookup/once.ts";
import type { OnceOptions } from "../lookup/once.ts";
import type { Lookup } from "../lookup/outcome.ts";
import {
  firstResolution,
  idleWords,
  mostTargets,
  otherWords,
  RegistrationEndedError,
  TooManyTargetsError,
} from "./registration.ts";
import { createSchedule } from "./schedule.ts";
import { createStarts } from "./starts.ts";
import type { ProxyStatus, TargetStatus } from "./status.ts";
import { readTargetOptions } from "../target-settings.ts";
import { TargetOptionsError } from "../target.ts";
import type { TargetOptions } from "../target.ts";
import { createWatch } from "./running-watch.ts";
import type { Surroundings, Watch } from "./watch.ts";

export interface ResolutionOptions {
  readonly clock?: Clock;
  /** Answers instead of the machine's hosts file and name servers. */
  readonly lookup?: Lookup;
  /** Name servers for targets that name none, `address` or `address:port`. */
  readonly servers?: readonly string[];
  /** Where last good answers are kept from one run to the next; nowhere when not given. */
  readonly stateFile?: string;
  /** Hears of callbacks and subscribers that throw, and of a state file that fails. */
  readonly logger?: Log;
  /** 0 to below 1. */
  readonly random?: () => number;
}

/** So long the end waits for callbacks that run. */
const stopDeadlineMs = 5000;

const chance = (): number => randomInt(2 ** 32) / 2 ** 32;
const nameKey = (hostname: string): string => hostname.toLowerCase().replace(/\.$/, "");

/** One host name of one proxy. */
interface Place {
  readonly deliveries: Deliveries;
  watch: Watch | undefined;
  /** When the one that stands was asked for, beside the others. */
  order: number;
  readonly pending: Set<Watch>;
}

export class RunningResolution {
  readonly bus: Bus;
  readonly #around: Surroundings;
  readonly #options: ResolutionOptions;
  readonly #log: Log;
  readonly #lastKnown: LastKnown | undefined;
  /** By proxy, then by name. */
  readonly #proxies = new Map<string, Map<string, Place>>();
  readonly #asking = new Set<AbortController>();
  /** Deliveries of targets that are gone, while a call of theirs runs. */
  readonly #ending = new Set<Deliveries>();
  #isRunning = false;
  #isPaused = false;
  #orders = 0;
  // Whoever has forgotten to start it has so for all targets: it is said once.
  #warnOnce = (proxyName: string, hostname: string): void => {
    this.#warnOnce = () => undefined;
    this.#log.warn({ proxyName, hostname }, idleWords(proxyName, hostname));
  };

  constructor(options: ResolutionOptions) {
    const { clock = systemClock, random = chance, logger = silentLog, stateFile } = options;
    const schedule = createSchedule(clock);
    this.#options = options;
    this.#log = logger;
    this.bus = createBus(logger);
    this.#lastKnown =
      stateFile === undefined
        ? undefined
        : createLastKnown(stateFile, { clock, schedule, log: logger });
    this.#around = {
      clock,
      schedule,
      random,
      starts: createStarts(schedule, clock),
      lookup: options.lookup === undefined ? createLookup({ clock }) : formed(options.lookup),
      isActive: () => this.#isRunning && !this.#isPaused,
      emit: (event) => this.bus.emit(event),
      log: logger,
      note: (question, addresses) => this.#lastKnown?.note(question, addresses),
    };
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  start(): void {
    this.#isRunning = true;
    this.resume();
  }

  pause(): void {
    this.#isPaused = true;
    for (const watch of this.#watches()) watch.suspend();
  }

  resume(): void {
    this.#isPaused = false;
    for (const watch of this.#watches()) watch.plan(true);
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    this.#isPaused = false;
    for (const proxyName of [...this.#proxies.keys()]) this.unregisterProxy(proxyName);
    for (const asking of this.#asking) asking.abort();
    this.bus.clear();
    await this.#lastKnown?.flush();
    const idle = Promise.all([...this.#ending].map((deliveries) => deliveries.idle()));
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const { clock, schedule } = this.#around;
    const due = schedule.at(clock.monotonic() + stopDeadlineMs, resolve);
    await Promise.race([idle, over]);
    due.cancel();
  }

  async register(
    proxyName: string,
    hostname: string,
    options: TargetOptions,
    onUpdate: OnUpdate,
  ): Promise<TargetStatus> {
    if (typeof proxyName !== "string" || proxyName === "") {
      throw new TargetOptionsError(hostname, "proxyName", "a text that is not empty", proxyName);
    }
    if (typeof onUpdate !== "function") {
      throw new TargetOptionsError(hostname, "onUpdate", "a function", onUpdate);
    }
    const { servers } = this.#options;
    const ours = servers === undefined ? {} : { servers };
    const settings = readTargetOptions(hostname, { ...ours, ...options });
    if (!this.#isRunning) this.#warnOnce(proxyName, hostname);
    if (this.#count() >= mostTargets) throw new TooManyTargetsError(proxyName, hostname);
    const place = this.#place(proxyName, hostname);
    const registration = { proxyName, hostname, settings, onUpdate };
    const watch = createWatch(this.#around, registration, place.watch?.generation() ?? 0);
    this.#orders += 1;
    const order = this.#orders;
    place.pending.add(watch);
    try {
      const recall: LastKnown["recall"] = async (question) =>
        await this.#lastKnown?.recall(question);
      const { clock, random } = this.#around;
      await firstResolution(watch, { clock, random, recall });
      // A subscriber may have taken it back when it heard of the first answer.
      if (watch.isClosed())
        throw new RegistrationEndedError(proxyName, hostname, "it was taken back");
      if (place.order > order) {
        throw new RegistrationEndedError(proxyName, hostname, "a later one took its place");
      }
      this.#install(place, watch, order);
    } catch (error) {
      watch.close();
      throw error;
    } finally {
      place.pending.delete(watch);
      this.#forgetIfEmpty(proxyName, hostname);
    }
    return watch.status();
  }

  #install(place: Place, watch: Watch, order: number): void {
    const taken = place;
    const before = taken.watch;
    const { proxyName, hostname } = watch.registration;
    const other = before === undefined ? undefined : otherWords(before, watch);
    if (other !== undefined) this.#log.warn({ proxyName, hostname }, other);
    before?.close();
    taken.watch = watch;
    taken.order = order;
    watch.install(taken.deliveries, before === undefined ? 0 : before.generation() + 1);
  }

  #place(proxyName: string, hostname: string): Place {
    const names = this.#proxies.get(proxyName) ?? new Map<string, Place>();
    this.#proxies.set(proxyName, names);
    const key = nameKey(hostname);
    const known = names.get(key);
    if (known !== undefined) return known;
    const deliveries = createDeliveries((error, { generation }) => {
      names.get(key)?.watch?.countCallbackFailure();
      const facts = { err: error, proxyName, hostname, generation };
      this.#log.warn(facts, `the callback of ${hostname} for ${proxyName} failed`);
    });
    const place: Place = { deliveries, watch: undefined, order: 0, pending: new Set() };
    names.set(key, place);
    return place;
  }

  #forgetIfEmpty(proxyName: string, hostname: string): void {
    const names = this.#proxies.get(proxyName);
    const place = names?.get(nameKey(hostname));
    if (place !== undefined && place.watch === undefined && place.pending.size === 0) {
      names?.delete(nameKey(hostname));
    }
    if (names?.size === 0) this.#proxies.delete(proxyName);
  }

  unregister(proxyName: string, hostname: string): boolean {
    const place = this.#proxies.get(proxyName)?.get(nameKey(hostname));
    if (place === undefined) return false;
    place.watch?.close();
    place.watch = undefined;
    for (const watch of place.pending) watch.close();
    place.pending.clear();
    this.#forgetIfEmpty(proxyName, hostname);
    void this.#letEnd(place.deliveries);
    return true;
  }

  async #letEnd(deliveries: Deliveries): Promise<void> {
    this.#ending.add(deliveries);
    await deliveries.idle();
    this.#ending.delete(deliveries);
  }

  unregisterProxy(proxyName: string): boolean {
    const names = [...(this.#proxies.get(proxyName)?.keys() ?? [])];
    for (const hostname of names) this.unregister(proxyName, hostname);
    return names.length > 0;
  }

  installed(proxyName: string, hostname: string): Watch | undefined {
    return this.#proxies.get(proxyName)?.get(nameKey(hostname))?.watch;
  }

  #watches(): Watch[] {
    return [...this.#proxies.keys()].flatMap((proxyName) => this.#watchesOf(proxyName));
  }

  #watchesOf(proxyName: string): Watch[] {
    const places = [...(this.#proxies.get(proxyName)?.values() ?? [])];
    return places.flatMap(({ watch }) => watch ?? []);
  }

  #count(): number {
    return [...this.#proxies.values()].reduce((sum, names) => sum + names.size, 0);
  }

  status(proxyName: string): ProxyStatus | undefined {
    const watches = this.#watchesOf(proxyName);
    if (watches.length === 0) return undefined;
    const targets = watches.map((one) => [one.registration.hostname, one.status()] as const);
    return { proxyName, targets: Object.fromEntries(targets) };
  }

  allStatus(): Readonly<Record<string, ProxyStatus>> {
    return Object.fromEntries(
      [...this.#proxies.keys()].flatMap((proxyName) => {
        const status = this.status(proxyName);
        return status === undefined ? [] : [[proxyName, status] as const];
      }),
    );
  }

  async force(proxyName: string, hostname?: string): Promise<boolean> {
    const one = hostname === undefined ? undefined : this.installed(proxyName, hostname);
    const watches =
      hostname === undefined ? this.#watchesOf(proxyName) : [one].flatMap((w) => w ?? []);
    const done = await Promise.all(watches.map((watch) => watch.force()));
    return done.length > 0 && done.every(Boolean);
  }

  async ask(hostname: string, options: OnceOptions = {}): Promise<string[]> {
    const servers = options.servers ?? this.#options.servers ?? [];
    const controller = new AbortController();
    this.#asking.add(controller);
    try {
      return await askOnce(this.#around, hostname, { ...options, servers }, controller.signal);
    } finally {
      this.#asking.delete(controller);
    }
  }
}
