/** An attempt that is over when its time is, or when it is called off, whether it gives up or not. */
import { AttemptError } from "../errors.ts";
import { armed } from "./timing.ts";
import type { Timing } from "./timing.ts";

export interface LimitedOptions<T> {
  readonly ms: number;
  readonly timing: Timing;
  /** What the attempt brought after its end. */
  readonly onLate: (value: T) => void;
}

type Attempt<C, T> = (candidate: C, signal: AbortSignal) => Promise<T>;

/**
 * The same attempt with a limit: after `ms` its signal aborts and it fails as "timeout".
 * @returns an attempt that throws AttemptError "timeout", and the outer signal's reason as soon as
 * that aborts, besides what `attempt` throws
 */
export function limited<C, T>(
  attempt: Attempt<C, T>,
  { ms, timing, onLate }: LimitedOptions<T>,
): Attempt<C, T> {
  return async (candidate, outer) => {
    outer.throwIfAborted();
    const controller = new AbortController();
    let isOver = false;
    let disarm = (): void => undefined;
    const ended = new Promise<never>((_, reject) => {
      disarm = armed(
        timing,
        ms,
        () => {
          isOver = true;
          const error = outer.aborted ? (outer.reason as Error) : expired(ms);
          reject(error);
          controller.abort(error);
        },
        outer,
      );
    });
    const work = attempt(candidate, controller.signal);
    void settleLate(work, (value) => (isOver ? onLate(value) : undefined));
    try {
      return await Promise.race([work, ended]);
    } finally {
      disarm();
    }
  };
}

async function settleLate<T>(work: Promise<T>, onValue: (value: T) => void): Promise<void> {
  try {
    onValue(await work);
  } catch {
    // Whoever ran the attempt has it from the race.
  }
}

const expired = (ms: number): AttemptError =>
  new AttemptError("timeout", `no answer within ${ms} ms`, { code: "ETIMEDOUT" });
