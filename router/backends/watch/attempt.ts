/**
 * One lookup of one target, which always ends: by its answer, by its deadline, or because nobody
 * wants to know any longer.
 */
import type { Clock } from "../../../kit/clock.ts";
import { failedByDeadline, failedWith } from "../lookup/outcome.ts";
import type { Lookup, Outcome, Question } from "../lookup/outcome.ts";
import type { Schedule } from "./schedule.ts";
import type { Starts } from "./starts.ts";

/** What lookups go by. */
export interface Means {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly starts: Starts;
  readonly lookup: Lookup;
}

export interface Attempted {
  readonly outcome: Outcome;
  /** When it began, by the clock's monotonic time, and how long it took. */
  readonly beganMs: number;
  readonly latencyMs: number;
}

export interface Attempt {
  /** Undefined when it was cancelled. */
  readonly ended: Promise<Attempted | undefined>;
  cancel(): void;
}

const unwanted = new Error("nobody waits for this lookup any longer");

/** Begins a lookup as soon as there is a place for it. Its `timeoutMs` counts from then on. */
export function attempt(means: Means, question: Question): Attempt {
  const { clock, schedule, starts, lookup } = means;
  const controller = new AbortController();
  const { promise: ended, resolve } = Promise.withResolvers<Attempted | undefined>();
  const what = `look up ${question.srv ?? question.hostname}`;
  let deadline: { cancel(): void } | undefined;
  let isOver = false;
  let beganMs = clock.monotonic();
  const finish = (outcome: Outcome | undefined): void => {
    if (isOver) return;
    isOver = true;
    deadline?.cancel();
    giveBack();
    const latencyMs = clock.monotonic() - beganMs;
    resolve(outcome === undefined ? undefined : { outcome, beganMs, latencyMs });
  };
  /** A lookup that goes on is told that nobody waits for it. */
  const cutOff = (outcome: Outcome | undefined): void => {
    finish(outcome);
    controller.abort(unwanted);
  };
  const begin = async (): Promise<void> => {
    beganMs = clock.monotonic();
    deadline = schedule.at(beganMs + question.timeoutMs, () =>
      cutOff(failedByDeadline(what, question.timeoutMs)),
    );
    try {
      finish(await lookup(question, controller.signal));
    } catch (error) {
      finish(failedWith(what, error));
    }
  };
  // It may begin, and even end, before the place is ours to give back.
  let giveBack = (): void => undefined;
  giveBack = starts.begin(() => void begin());
  if (isOver) giveBack();
  return { ended, cancel: () => cutOff(undefined) };
}
