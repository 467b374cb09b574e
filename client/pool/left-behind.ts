/**
 * Statements that are still in flight on a primary that was left for another one. A server that lives
 * may finish them; one that does not answer any more would hold them for ever, so they are ended.
 */
import { createAttempt } from "../session/attempt.ts";
import { readConfig } from "../client-config.ts";
import type { ClientConfig } from "../client-config.ts";
import { AttemptError } from "../errors.ts";
import type { AttemptReason } from "../errors.ts";
import type { DialAddress, Pass } from "../search/finder.ts";
import { unlessAnswered } from "../search/timing.ts";

export interface LeftBehindOptions {
  /** Pause before the second look at the same server, in ms; twice as long each time, up to a bound. */
  readonly pauseMs: number;
  /** Ends it: what is left is nobody's any more. */
  readonly signal: AbortSignal;
  /** How long its answer may take, in ms. */
  readonly timeoutMs: number;
  /** False when nothing is in flight there any more, or it is the primary again. */
  isLeft(address: DialAddress): boolean;
  /** False where the server says nothing; true for any answer, a refusal as well. */
  answers(address: DialAddress, signal: AbortSignal): Promise<boolean>;
  /** Ends what is in flight there. */
  cut(address: DialAddress): void;
}

/** Each look is a login, and a statement that takes long may take hours. */
const longestPauseMs = 30_000;

/** Looks after `address` until nothing is left there. Its timers do not keep Node running. */
export async function lookAfter(address: DialAddress, options: LeftBehindOptions): Promise<void> {
  const { timeoutMs, signal } = options;
  const isLeft = (): boolean => !signal.aborted && options.isLeft(address);
  for (let pauseMs = options.pauseMs; isLeft(); pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    const stop = new AbortController();
    const onAbort = (): void => stop.abort();
    signal.addEventListener("abort", onAbort);
    const disarm = unlessAnswered(timeoutMs, onAbort);
    const isAlive = await options.answers(address, stop.signal).catch(() => !stop.signal.aborted);
    disarm();
    signal.removeEventListener("abort", onAbort);
    if (!isLeft()) return;
    if (!isAlive) {
      options.cut(address);
      return;
    }
    await new Promise<void>((resolve) => {
      setTimeout(resolve, pauseMs).unref();
    });
  }
}

/** As an address fails that no packet comes back from. */
const silent: readonly AttemptReason[] = ["timeout", "unreachable"];

/** Any role is an answer, but Postgres has to give it: a pooler before it may live on. */
const anyRole: Pass = {
  wants: "any",
  needsRole: true,
  accepts: () => true,
  turn: () => Promise.resolve(() => undefined),
};

/**
 * Logs in at one address and asks for the role.
 * @returns false where nothing comes back
 * @throws the signal's reason
 */
export async function answersAt(
  config: ClientConfig,
  address: DialAddress,
  signal: AbortSignal,
): Promise<boolean> {
  const { dial, startup, physical } = readConfig(config);
  const attempt = createAttempt({ dial: { ...dial, isUnref: true }, startup, physical });
  try {
    const session = await attempt(address, anyRole, signal);
    session.close();
    return true;
  } catch (error) {
    signal.throwIfAborted();
    return !(error instanceof AttemptError && silent.includes(error.reason));
  }
}
