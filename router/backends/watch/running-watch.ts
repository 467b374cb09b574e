/**
 * One registered target: it looks its name up, keeps what stands, tells its consumer of changes and
 * plans the next look. Until it is installed it tells nobody and plans nothing.
 */
import { attempt } from "./attempt.ts";
import type { Attempt, Attempted } from "./attempt.ts";
import type { Deliveries } from "./deliveries.ts";
import type { BackendEvent } from "./events.ts";
import { step } from "../membership/membership.ts";
import { remembered, told, unknownYet } from "../membership/membership-state.ts";
import type { Happening, Membership } from "../membership/membership-state.ts";
import type { Outcome, Question } from "../lookup/outcome.ts";
import { pauseAfter } from "./pauses.ts";
import type { Remembered } from "./registration.ts";
import type { Due } from "./schedule.ts";
import { statusOf } from "./status.ts";
import type { TargetStatus } from "./status.ts";
import type { Registration, Surroundings, Watch } from "./watch.ts";

/** A watch of one target that knows nothing yet and counts its generations on from `generation`. */
export function createWatch(
  around: Surroundings,
  registration: Registration,
  generation: number,
): Watch {
  return new RunningWatch(around, registration, generation);
}

type Facts = Pick<
  TargetStatus,
  "lastError" | "lastAttemptAt" | "lastResolvedAt" | "ttlSeconds" | "source" | "latencyMs"
>;

const nothingYet: Facts = {
  lastError: undefined,
  lastAttemptAt: undefined,
  lastResolvedAt: undefined,
  ttlSeconds: undefined,
  source: undefined,
  latencyMs: undefined,
};

/** So much sooner a look may begin together with another one. */
const mostEarlyMs = 250;
const earlyShare = 0.01;

class RunningWatch implements Watch {
  readonly registration: Registration;
  readonly question: Question;
  readonly #around: Surroundings;
  #state: Membership;
  #facts = nothingYet;
  #attempts = 0;
  #failedAttempts = 0;
  #deliveries: Deliveries | undefined;
  #isClosed = false;
  #attempt: Attempt | undefined;
  #looking: Promise<Attempted | undefined> | undefined;
  #forced: Promise<boolean> | undefined;
  #planned: { readonly atMs: number; readonly due: Due } | undefined;
  #dueMs: number | undefined;
  #lastBeganMs = Number.NEGATIVE_INFINITY;
  #lastPlannedMs: number | undefined;
  #last: Attempted | undefined;
  #pauses = 0;
  #wake = (): void => undefined;
  #callbackFailures = 0;
  /** What was last said to be no address of a host. */
  #leftOut = "";
  /** Events of before it was installed. */
  readonly #unsaid: BackendEvent[] = [];

  constructor(around: Surroundings, registration: Registration, generation: number) {
    this.#around = around;
    this.registration = registration;
    this.#state = { ...unknownYet, generation };
    const { hostname, settings } = registration;
    const { srv, family, servers, timeoutMs, trustNxdomain } = settings;
    this.question = { hostname, srv, family, servers, timeoutMs, trustNxdomain };
  }

  generation(): number {
    return this.#state.generation;
  }

  look(): Promise<Attempted | undefined> {
    this.#looking ??= this.#lookOnce();
    return this.#looking;
  }

  async #lookOnce(): Promise<Attempted | undefined> {
    if (this.#isClosed) return undefined;
    this.#lastPlannedMs = this.#planned?.atMs;
    this.suspend();
    this.#attempt = attempt(this.#around, this.question);
    const attempted = await this.#attempt.ended;
    this.#attempt = undefined;
    this.#looking = undefined;
    if (attempted === undefined || this.#isClosed) return undefined;
    this.#take(attempted);
    this.plan();
    return attempted;
  }

  #take(attempted: Attempted): void {
    const { outcome, beganMs, latencyMs } = attempted;
    const { clock, note } = this.#around;
    this.#attempts += 1;
    this.#last = attempted;
    this.#lastBeganMs = beganMs;
    const nowMs = clock.monotonic();
    const result = step(this.#state, outcome, this.registration.settings, nowMs);
    this.#state = result.state;
    this.#dueMs = result.dueMs;
    const at = clock.now();
    this.#sayLeftOut(outcome);
    if (outcome.kind === "found") {
      const { ttlSeconds, source, addresses } = outcome;
      const good = { ttlSeconds, source, lastResolvedAt: at };
      this.#facts = { ...this.#facts, ...good, lastAttemptAt: at, latencyMs };
      note(this.question, addresses);
    } else {
      this.#failedAttempts += 1;
      const { failure, code, message } = outcome;
      const lastError = { failure, code, message, at };
      this.#facts = { ...this.#facts, lastError, lastAttemptAt: at, latencyMs };
    }
    // The consumer comes first: who hears of a change may rely on its having been told.
    if (result.changed) this.#tell();
    const lateMs = Math.max(0, beganMs - (this.#lastPlannedMs ?? beganMs));
    this.#lastPlannedMs = undefined;
    this.#emit(result.events, { latencyMs, lateMs, attempt: this.#attempts });
  }

  /** Says it when it is not what was said last; a failure without an answer says nothing new. */
  #sayLeftOut({ kind, leftOut = [] }: Outcome): void {
    if (kind === "failed" && leftOut.length === 0) return;
    const now = leftOut.join(", ");
    if (now !== "" && now !== this.#leftOut) {
      const { proxyName, hostname } = this.registration;
      const facts = { proxyName, hostname, leftOut };
      this.#around.log.warn(
        facts,
        `${hostname}: left out of its answer, as no host can have it: ${now}`,
      );
    }
    this.#leftOut = now;
  }

  #emit(events: readonly Happening[], facts: Readonly<Record<string, unknown>>): void {
    const { proxyName, hostname } = this.registration;
    const timestamp = this.#around.clock.now();
    for (const { type, data } of events) {
      const event = { type, proxyName, hostname, timestamp, data: { ...data, ...facts } };
      // Until it is installed nobody goes by what it finds; that a lookup fails is true all the same.
      if (this.#deliveries === undefined && type !== "dns-failed") this.#unsaid.push(event);
      // A subscriber may end the target at any of them.
      else if (!this.#isClosed) this.#around.emit(event);
    }
  }

  #tell(): void {
    const { proxyName, hostname, settings, onUpdate } = this.registration;
    const { targets = [], generation } = this.#state;
    const about = { proxyName, hostname, generation, drainGraceMs: settings.drainGraceMs };
    this.#deliveries?.tell({ teller: this, onUpdate, targets, about });
  }

  async force(): Promise<boolean> {
    // One that runs may have asked before whatever made the caller ask.
    this.#forced ??= this.#forceOnce();
    return await this.#forced;
  }

  async #forceOnce(): Promise<boolean> {
    await this.#looking;
    this.#forced = undefined;
    const attempted = await this.look();
    return attempted?.outcome.kind === "found";
  }

  remember({ addresses, resolvedAt }: Remembered): void {
    const { clock } = this.#around;
    const ageMs = Math.max(0, clock.now() - resolvedAt);
    const before = remembered(addresses, clock.monotonic() - ageMs, this.#state);
    const after = told(before, this.registration.settings, "last-known");
    this.#state = after.state;
    this.#facts = { ...this.#facts, source: "last-known", lastResolvedAt: resolvedAt };
    const ips = addresses.map(({ ip }) => ip);
    const stale: Happening = { type: "dns-stale", data: { ips, ageMs, source: "last-known" } };
    this.#emit([stale, ...after.events], {});
  }

  install(deliveries: Deliveries, generation: number): void {
    const after = told(this.#state, this.registration.settings);
    const next = Math.max(after.state.generation, generation);
    this.#state = { ...after.state, generation: next };
    this.#deliveries = deliveries;
    this.#tell();
    for (const event of this.#unsaid.splice(0)) if (!this.#isClosed) this.#around.emit(event);
    this.plan();
  }

  plan(isRested = false): void {
    const { clock, schedule, random, isActive } = this.#around;
    const isIdle = this.#planned === undefined && this.#looking === undefined;
    if (this.#deliveries === undefined || this.#isClosed || !isActive() || !isIdle) return;
    const nowMs = clock.monotonic();
    const isFirst = this.#pauses === 0;
    this.#pauses += 1;
    const dueInMs = this.#dueMs === undefined ? undefined : this.#dueMs - nowMs;
    const outcome = this.#last?.outcome;
    const { failures } = this.#state;
    const { settings } = this.registration;
    const pause =
      outcome === undefined
        ? 0
        : pauseAfter(settings, { outcome, failures, dueInMs, isFirst }, random());
    const since = isRested ? this.#lastBeganMs : nowMs;
    // Pauses without chance are meant to the moment.
    const earlyMs = settings.jitter === 0 ? 0 : Math.min(mostEarlyMs, pause * earlyShare);
    this.#planAt(Math.max(nowMs, since + pause), schedule, earlyMs);
  }

  #planAt(atMs: number, { at }: Pick<Surroundings["schedule"], "at">, earlyMs = 0): void {
    this.#planned = { atMs, due: at(atMs, () => void this.look(), earlyMs) };
  }

  suspend(): void {
    this.#planned?.due.cancel();
    this.#planned = undefined;
  }

  lookSoon(): boolean {
    const { clock, schedule, isActive } = this.#around;
    const { minRefreshMs } = this.registration.settings;
    if (this.#isClosed || this.#deliveries === undefined || !isActive()) return false;
    if (this.#looking !== undefined) return false;
    const atMs = Math.max(clock.monotonic(), this.#lastBeganMs + minRefreshMs);
    if (this.#planned !== undefined && this.#planned.atMs <= atMs) return false;
    this.suspend();
    this.#planAt(atMs, schedule);
    return true;
  }

  status(): TargetStatus {
    const { hostname, settings } = this.registration;
    const { clock } = this.#around;
    const inMs = this.#planned === undefined ? undefined : this.#planned.atMs - clock.monotonic();
    return {
      ...statusOf(hostname, settings, this.#state),
      ...this.#facts,
      nextAttemptAt: inMs === undefined ? undefined : clock.now() + Math.max(0, inMs),
      resolving: this.#looking !== undefined,
      attempts: this.#attempts,
      failedAttempts: this.#failedAttempts,
      callbackFailures: this.#callbackFailures,
    };
  }

  async rest(ms: number): Promise<void> {
    const { clock, schedule } = this.#around;
    if (this.#isClosed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const due = schedule.at(clock.monotonic() + ms, resolve);
    this.#wake = () => {
      due.cancel();
      resolve();
    };
    await promise;
  }

  countCallbackFailure(): void {
    this.#callbackFailures += 1;
  }

  isClosed(): boolean {
    return this.#isClosed;
  }

  close(): void {
    this.#isClosed = true;
    this.suspend();
    this.#deliveries?.cancel();
    this.#attempt?.cancel();
    this.#wake();
  }
}
