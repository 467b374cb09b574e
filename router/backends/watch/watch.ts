/** What watches one registered target, and what it needs for that. running-watch.ts is the one. */
import type { Attempted, Means } from "./attempt.ts";
import type { Deliveries, OnUpdate } from "./deliveries.ts";
import type { BackendEvent, Log } from "./events.ts";
import type { FoundAddress, Question } from "../lookup/outcome.ts";
import type { Remembered } from "./registration.ts";
import type { TargetStatus } from "./status.ts";
import type { TargetSettings } from "../target.ts";

/** What watches have in common. */
export interface Surroundings extends Means {
  /** 0 to below 1. */
  readonly random: () => number;
  /** Whether names are to be looked up by the clock: running, and not paused. */
  readonly isActive: () => boolean;
  readonly emit: (event: BackendEvent) => void;
  readonly log: Log;
  /** Hears of each good answer. */
  readonly note: (question: Question, addresses: readonly FoundAddress[]) => void;
}

export interface Registration {
  readonly proxyName: string;
  readonly hostname: string;
  readonly settings: TargetSettings;
  readonly onUpdate: OnUpdate;
}

export interface Watch {
  readonly registration: Registration;
  readonly question: Question;
  /** How often its targets have changed. */
  readonly generation: () => number;
  /** Looks now, or waits for the look that runs. Undefined when it was closed meanwhile. */
  look(): Promise<Attempted | undefined>;
  /** A look that begins after this call; false when it fails or is cut off. */
  force(): Promise<boolean>;
  /** Starts from addresses of an earlier time (milliseconds of the clock's `now`). */
  remember(known: Remembered): void;
  /** From now on it tells, by `deliveries`, and looks again by the clock. */
  install(deliveries: Deliveries, generation: number): void;
  /** Plans the next look, if there is none and it may; after a rest the pause counts from the last. */
  plan(isRested?: boolean): void;
  /** Forgets the planned look. */
  suspend(): void;
  /** Looks as soon as its least pause allows. @returns whether that is sooner than planned */
  lookSoon(): boolean;
  status(): TargetStatus;
  /** Resolves after `ms`, or as soon as it is closed. */
  rest(ms: number): Promise<void>;
  /** Counts a call of the consumer that threw. */
  countCallbackFailure(): void;
  readonly isClosed: () => boolean;
  /** Nothing comes from it any more. */
  close(): void;
}
