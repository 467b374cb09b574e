/**
 * The start of a target: its first resolution, and what a failure of it means. Nothing of it can be
 * seen before it is done, but that lookups fail.
 */
import type { FoundAddress, Failed, Question } from "../lookup/outcome.ts";
import type { FailureKind } from "../target.ts";
import { pauseAfter } from "./pauses.ts";
import type { Watch } from "./watch.ts";
import type { Clock } from "../../../kit/clock.ts";

/** The name did not resolve when it was registered; nothing was registered. */
export class FirstResolutionError extends Error {
  override readonly name = "FirstResolutionError";
  readonly code = "ERR_BACKEND_UNRESOLVED";
  readonly proxyName: string;
  readonly hostname: string;
  readonly failure: FailureKind;
  /** c-ares's code, such as ENOTFOUND. */
  readonly reason: string;
  constructor(proxyName: string, hostname: string, failed: Failed) {
    super(`register ${hostname} for ${proxyName}: ${failed.message}`);
    this.proxyName = proxyName;
    this.hostname = hostname;
    this.failure = failed.failure;
    this.reason = failed.code;
  }
}

/** The registration was taken back, or another one took its place, before it was done. */
export class RegistrationEndedError extends Error {
  override readonly name = "RegistrationEndedError";
  readonly code = "ERR_BACKEND_REGISTRATION";
  readonly proxyName: string;
  readonly hostname: string;
  constructor(proxyName: string, hostname: string, why: string) {
    super(`register ${hostname} for ${proxyName}: ${why} before its first resolution was done`);
    this.proxyName = proxyName;
    this.hostname = hostname;
  }
}

/** More targets than this are refused: a bound, not a wish. */
export const mostTargets = 20_000;

/** Too many targets. */
export class TooManyTargetsError extends Error {
  override readonly name = "TooManyTargetsError";
  readonly code = "ERR_BACKEND_TARGETS";
  constructor(proxyName: string, hostname: string) {
    super(`register ${hostname} for ${proxyName}: there are ${mostTargets} targets already`);
  }
}

/** Addresses of an earlier run. */
export interface Remembered {
  readonly addresses: readonly FoundAddress[];
  /** Milliseconds since the epoch. */
  readonly resolvedAt: number;
}

export interface FirstMeans {
  readonly clock: Clock;
  readonly random: () => number;
  readonly recall: (question: Question) => Promise<Remembered | undefined>;
}

/**
 * Resolves a watch for the first time, by its `startup` policy.
 * @returns when it may be installed
 * @throws FirstResolutionError when it may not; RegistrationEndedError when it was closed meanwhile
 */
export async function firstResolution(watch: Watch, means: FirstMeans): Promise<void> {
  const { proxyName, hostname, settings } = watch.registration;
  const { clock, random } = means;
  const endMs = clock.monotonic() + settings.startupWaitMs;
  const known = settings.startup.startsWith("last-known") ? await recall(watch, means) : undefined;
  for (let failures = 1; ; failures += 1) {
    const looked = watch.look();
    if (known !== undefined && (await isSlow(looked, clock))) return watch.remember(known);
    const attempted = await looked;
    if (attempted === undefined) {
      throw new RegistrationEndedError(proxyName, hostname, "it was taken back");
    }
    const { outcome } = attempted;
    if (outcome.kind === "found" || settings.startup === "empty") return;
    if (known !== undefined) return watch.remember(known);
    if (settings.startup === "last-known-or-empty") return;
    const facts = { outcome, failures, dueInMs: undefined, isFirst: false };
    const pause = pauseAfter(settings, facts, random());
    if (settings.startup !== "wait" || clock.monotonic() + pause > endMs) {
      throw new FirstResolutionError(proxyName, hostname, outcome);
    }
    await watch.rest(pause);
  }
}

/** What is known of an earlier run does not wait longer than this for an answer; ms. */
const answerMs = 1000;

/** Whether an answer takes so long that one begins without it; the lookup goes on. */
async function isSlow(looked: Promise<unknown>, clock: Clock): Promise<boolean> {
  const ending = new AbortController();
  const late = clock.sleep(answerMs, ending.signal).then(
    () => true,
    () => false,
  );
  try {
    return await Promise.race([looked.then(() => false), late]);
  } finally {
    ending.abort();
  }
}

/** The addresses of an earlier run, if they are young enough. */
async function recall(watch: Watch, means: FirstMeans): Promise<Remembered | undefined> {
  const known = await means.recall(watch.question);
  const { maxStaleMs } = watch.registration.settings;
  const isOld =
    known !== undefined && maxStaleMs > 0 && means.clock.now() - known.resolvedAt >= maxStaleMs;
  return isOld ? undefined : known;
}

/** What is said of a registration with a resolution that has not been started. */
export function idleWords(proxyName: string, hostname: string): string {
  return `${hostname} is registered for ${proxyName} before start(): it is not looked up again until then`;
}

/** What is said of one that takes the place of another with another port or spelling, if it does. */
export function otherWords(before: Watch, now: Watch): string | undefined {
  const of = ({ registration: { hostname, settings } }: Watch): string =>
    `${hostname}, port ${settings.port ?? "of its SRV records"},`;
  if (of(before) === of(now)) return undefined;
  return `${of(now)} takes the place of ${of(before)} for ${now.registration.proxyName}`;
}
