/**
 * The start of a target: its first resolution, and what a failure of it means. Nothing of it can be
 * seen before it is done.
 */
import type { FoundAddress, Failed, Question } from "./outcome.ts";
import type { FailureKind } from "./target.ts";
import { pauseAfter } from "./pauses.ts";
import type { Watch } from "./watch.ts";
import type { Clock } from "../../kit/clock.ts";

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
  for (let failures = 1; ; failures += 1) {
    const attempted = await watch.look();
    if (attempted === undefined) {
      throw new RegistrationEndedError(proxyName, hostname, "it was taken back");
    }
    const { outcome } = attempted;
    if (outcome.kind === "found" || settings.startup === "empty") return;
    if (settings.startup === "last-known" && (await recalled(watch, means))) return;
    const facts = { outcome, failures, dueInMs: undefined, isFirst: false };
    const pause = pauseAfter(settings, facts, random());
    if (settings.startup !== "wait" || clock.monotonic() + pause > endMs) {
      throw new FirstResolutionError(proxyName, hostname, outcome);
    }
    await watch.rest(pause);
  }
}

/** Starts the watch from the addresses of an earlier run; false when there are none young enough. */
async function recalled(watch: Watch, { recall, clock }: FirstMeans): Promise<boolean> {
  const known = await recall(watch.question);
  const { maxStaleMs } = watch.registration.settings;
  if (known === undefined) return false;
  if (maxStaleMs > 0 && clock.now() - known.resolvedAt >= maxStaleMs) return false;
  watch.remember(known.addresses, known.resolvedAt);
  return true;
}
