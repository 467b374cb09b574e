/** Asks resolvers for one name all the time, and remembers when each began to answer otherwise. */
import type { Address } from "../kit/address.ts";
import { systemClock } from "../kit/clock.ts";
import type { Clock } from "../kit/clock.ts";
import { askName, ResolverError } from "../sidecars/dns-resolver/client.ts";

export interface NameWatchRequest {
  /** Whom to ask, each by the name that it is shown under. */
  readonly resolvers: readonly { readonly name: string; readonly dns: Address }[];
  /** Such as primary.demo.temps.local. */
  readonly question: string;
  /** Pause between two questions to one resolver, in ms. */
  readonly intervalMs: number;
  readonly clock?: Clock;
}

/** An answer that was not the one before. */
export interface NameChange {
  /** Monotonic time at which it came, in ms. */
  readonly at: number;
  /** The addresses, in their order; the response code where there is none. */
  readonly answer: string;
}

/** What a resolver answered, first to last; empty when it never did. */
export interface WatchedName {
  readonly resolver: string;
  readonly changes: readonly NameChange[];
}

const askDeadlineMs = 1000;

/** A running watch. */
export class NameWatch {
  readonly #request: NameWatchRequest;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  readonly #seen: ReadonlyMap<string, NameChange[]>;
  readonly #askers: readonly Promise<void>[];

  constructor(request: NameWatchRequest) {
    this.#request = request;
    this.#clock = request.clock ?? systemClock;
    this.#seen = new Map(request.resolvers.map(({ name }) => [name, []]));
    this.#askers = request.resolvers.map(({ name, dns }) => this.#ask(name, dns));
  }

  /** What was answered up to now. */
  report(): WatchedName[] {
    return [...this.#seen].map(([resolver, changes]) => ({ resolver, changes: [...changes] }));
  }

  /** Ends the watch, and reports. */
  async stop(): Promise<WatchedName[]> {
    this.#stopping.abort();
    await Promise.all(this.#askers);
    return this.report();
  }

  async #ask(resolver: string, address: Address): Promise<void> {
    const { signal } = this.#stopping;
    const { question: name, intervalMs } = this.#request;
    while (!signal.aborted) {
      try {
        const asked = { address, name, type: "A", deadlineMs: askDeadlineMs, signal } as const;
        const { addresses, rcode } = await askName(asked);
        this.#note(resolver, addresses.length === 0 ? rcode : addresses.join(" "));
      } catch (error) {
        if (signal.aborted) return;
        // No answer is no other answer; whoever watches sees that the new one did not come.
        if (!(error instanceof ResolverError)) throw error;
      }
      await this.#clock.sleep(intervalMs, signal).catch(() => undefined);
    }
  }

  #note(resolver: string, answer: string): void {
    const changes = this.#seen.get(resolver);
    if (changes?.at(-1)?.answer !== answer) changes?.push({ at: this.#clock.monotonic(), answer });
  }
}
