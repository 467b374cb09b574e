/**
 * What a search expects of addresses before it dials them, from what its finder remembers of earlier
 * ones: who passed last, and who is slow or dead.
 */
import { keyOf } from "../target/address.ts";
import type { Lead } from "./company.ts";
import type { DialAddress, FinderParts } from "./finder.ts";
import { orderAddresses } from "./order.ts";

export interface GuessFacts {
  /** What tells the target of the search from others. */
  readonly key: string;
  /** One server at a time fits. */
  readonly single: boolean;
  readonly loadBalance: boolean;
}

export class Guess {
  readonly #parts: Pick<FinderParts, "memory" | "random" | "staggerMs">;
  readonly #facts: GuessFacts;

  constructor(parts: Pick<FinderParts, "memory" | "random" | "staggerMs">, facts: GuessFacts) {
    this.#parts = parts;
    this.#facts = facts;
  }

  /** Who passed last, where one server at a time fits, unless it does not answer. */
  known(): Lead | undefined {
    const { key, single } = this.#facts;
    const winner = single ? this.#parts.memory.winner(key) : undefined;
    return winner === undefined || this.isDoubtful(winner.address) ? undefined : winner;
  }

  /** It was slow or dead a moment ago. */
  isDoubtful(address: DialAddress): boolean {
    return this.#parts.memory.isPenalised(keyOf(address));
  }

  /** Addresses of all endpoints in the order in which to dial them. */
  ordered(lists: readonly (readonly DialAddress[])[]): DialAddress[] {
    const known = this.known()?.address;
    return orderAddresses(lists, {
      isKnown: (one) => known !== undefined && keyOf(one) === keyOf(known),
      isPenalised: (one) => this.isDoubtful(one),
      loadBalance: this.#facts.loadBalance,
      random: this.#parts.random,
    });
  }

  /** No answer yet: others shall not begin with it, unless it is far away and was as slow before. */
  slow(address: DialAddress): void {
    const { memory, staggerMs } = this.#parts;
    const winner = memory.winner(this.#facts.key);
    const isFar = winner !== undefined && winner.ms * 2 > staggerMs;
    if (!isFar || keyOf(winner.address) !== keyOf(address)) memory.penalise(keyOf(address));
  }

  /** Its name no longer gives it. */
  gone(address: DialAddress): void {
    this.#parts.memory.forget(keyOf(address), this.#facts.key);
  }
}
