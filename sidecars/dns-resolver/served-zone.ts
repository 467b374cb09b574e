/**
 * The zone that this process serves now: it changes as a whole, and after each change the resolver
 * asks itself, at each address, whether it is what is answered.
 */
import type { ListenState } from "./listen/listeners.ts";
import { proveAddresses } from "./listen/self-question.ts";
import type { Faults } from "./listen/self-question.ts";
import type { ServedFacts } from "./status.ts";
import type { Offer } from "./sync/sync.ts";
import type { Serving } from "./zone/serving.ts";

export interface ServedZone {
  /** Undefined: none is loaded. */
  facts(): ServedFacts | undefined;
  /** What was found when it last asked itself. */
  faults(): Faults;
  /** Serves it from now on. @returns what is wrong with that, one sentence each */
  serve(offer: Offer): Promise<readonly string[]>;
  /** Asks itself at every address, twice where one fails. @returns what is wrong there, one sentence each */
  prove(): Promise<readonly string[]>;
  /**
   * As prove, for a state that was proven before. @returns what `serve` said of it that holds no
   * longer: all of that, once nothing is wrong any more
   */
  proveAgain(): Promise<readonly string[]>;
}

/** Nothing is served yet; `listens` tells the addresses, as soon as there are some. */
export function createServedZone(
  serving: Serving,
  zone: string,
  listens: () => readonly ListenState[],
): ServedZone {
  let facts: ServedFacts | undefined;
  let faults: Faults = new Map();
  let told: readonly string[] = [];
  const prove = async (): Promise<readonly string[]> => {
    const asked = facts;
    if (asked === undefined) return [];
    const ask = (): Promise<Faults> => proveAddresses(listens(), zone, asked.generation);
    const first = await ask();
    // One answer that was late or lost is no fault.
    const found = first.size === 0 ? first : await ask();
    // Of a state that is served no more nothing is to be said.
    if (facts !== asked) return [];
    faults = found;
    return [...found].map(([address, fault]) => `${address}: ${fault}`);
  };
  return {
    facts: () => facts,
    faults: () => faults,
    prove,
    serve: async ({ from, served, zoneHash }) => {
      // A sync thread that was started again comes with what is on disk, which is not newer.
      if (from === "snapshot" && facts !== undefined) return [];
      await serving.put(served);
      const { epoch, generation, recordCount: records } = served;
      facts = { epoch, from, generation, records, zoneHash };
      told = await prove();
      return told;
    },
    proveAgain: async () => {
      const asked = facts;
      return (await prove()).length > 0 || facts !== asked ? [] : told;
    },
  };
}
