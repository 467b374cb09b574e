/** How it goes with the registry: what is told to the operator, and a log line for each change of it. */
import { faultWords } from "../../../kit/fault-words.ts";
import type { Logger } from "../../../kit/logger.ts";
import {
  RegistryDeniedError,
  RegistryProblemError,
  RegistryUnreachableError,
} from "../../../registry/client.ts";

export interface SyncState {
  /** When the registry last confirmed what is held; milliseconds since 1970; null: never. */
  readonly lastSyncAt: number | null;
  /** Why the last try failed; null when it did not. */
  readonly lastError: string | null;
  /** In a row. */
  readonly failures: number;
  /** The generation that the registry knows to be served here. */
  readonly acknowledged: number | null;
  /** Whole zones that had to be fetched because a change did not fit. */
  readonly resyncs: number;
  /** What is wrong with what is served: records left out, a snapshot that could not be written. */
  readonly wrong: readonly string[];
}

/** Nothing has happened yet. */
export const noSync: SyncState = {
  lastSyncAt: null,
  lastError: null,
  failures: 0,
  acknowledged: null,
  resyncs: 0,
  wrong: [],
};

const unanswered = [RegistryUnreachableError, RegistryDeniedError, RegistryProblemError] as const;

/** True of an exchange that brought nothing that could be taken, or be refused. */
export function broughtNothing(error: unknown): boolean {
  return unanswered.some((one) => error instanceof one);
}

/** An exchange that failed, in one line; where the registry says no, also which settings to look at. */
export function syncFaultWords(error: unknown, node: number): string {
  if (!(error instanceof RegistryDeniedError)) return faultWords(error);
  const id = `is ${node} (DNS_RESOLVER_NODE) the id of this node`;
  return `${faultWords(error)}; ${id}, and is its token in DNS_RESOLVER_TOKEN_FILE or DNS_RESOLVER_TOKEN?`;
}

export class Ledger {
  readonly #tell: (state: SyncState) => void;
  readonly #logger: Pick<Logger, "info" | "warn">;
  #state: SyncState = noSync;
  #pollError: string | null = null;
  #ackError: string | null = null;

  constructor(tell: (state: SyncState) => void, logger: Pick<Logger, "info" | "warn">) {
    this.#tell = tell;
    this.#logger = logger;
  }

  get state(): SyncState {
    return this.#state;
  }

  /** The registry has confirmed what is held, at that time. */
  confirmed(lastSyncAt: number): void {
    this.#pollError = null;
    this.#change({ lastSyncAt, failures: 0 });
  }

  /** This is wrong with what is served now. */
  serves(wrong: readonly string[]): void {
    this.#change({ wrong });
  }

  /** Of what is wrong this is over. @returns whether any of it was told */
  mended(gone: readonly string[]): boolean {
    const before = this.#state.wrong;
    const wrong = before.filter((one) => !gone.includes(one));
    if (wrong.length < before.length) this.#change({ wrong });
    return wrong.length < before.length;
  }

  /** A try to ask has failed. */
  failed(words: string): void {
    this.#pollError = words;
    this.#change({ failures: this.#state.failures + 1 });
  }

  /** An acknowledgement was heard; `at` is given where the registry has nothing newer. */
  heard(acknowledged: number, at: number | undefined): void {
    this.#ackError = null;
    this.#change({ acknowledged, ...(at === undefined ? {} : { lastSyncAt: at }) });
  }

  /** An acknowledgement was not heard. */
  unheard(words: string): void {
    this.#ackError = words;
    this.#change({});
  }

  /** A change did not fit. */
  resync(why: string, generation: number | undefined): void {
    this.#logger.warn({ generation, reason: why }, "asks for the whole zone");
    this.#change({ resyncs: this.#state.resyncs + 1 });
  }

  #change(some: Partial<SyncState>): void {
    const lastError = this.#pollError ?? this.#ackError;
    const before = this.#state.lastError;
    this.#state = { ...this.#state, ...some, lastError };
    const { acknowledged: generation } = this.#state;
    if (lastError !== null && lastError !== before) {
      this.#logger.warn({ generation, reason: lastError }, "the registry cannot be followed");
    } else if (lastError === null && before !== null) {
      this.#logger.info({ generation }, "the registry is followed again");
    }
    this.#tell(this.#state);
  }
}
