/**
 * The store as the process that has the lead uses it: all that it writes goes under its own term, and
 * it knows how often others have changed the zone, so that what it has written is looked at again then.
 */
import { LeadLostError } from "./store/store.ts";
import type { Lead, RegistryStore, Written } from "./store/store.ts";

export interface LedStore extends RegistryStore {
  /** Another number than before: somebody else has changed the zone meanwhile. */
  readonly foreignMoves: () => number;
  /** Aborts when a write was refused because somebody else has the lead. */
  readonly overruled: AbortSignal;
  /** Stops listening; the store stays open. */
  readonly end: () => void;
}

/** Puts a store under a lead. */
export function ledStore(store: RegistryStore, { term }: Pick<Lead, "term">): LedStore {
  const moves = createMoves();
  const overruled = new AbortController();
  const end = store.subscribe("generation", (payload) => moves.heard(Number(payload)));
  const fenced = async <T>(written: Promise<T>): Promise<T> => {
    try {
      return await written;
    } catch (error) {
      if (error instanceof LeadLostError) overruled.abort(error);
      throw error;
    }
  };
  return {
    ...store,
    snapshot: async () => {
      const read = await store.snapshot();
      moves.heard(read.head.generation);
      return read;
    },
    putEndpoints: async (owned) => {
      const written = await fenced(store.putEndpoints(owned, term));
      moves.wrote(written);
      return written;
    },
    putRoles: (clusterId, roles) => fenced(store.putRoles(clusterId, roles, term)),
    foreignMoves: moves.foreign,
    overruled: overruled.signal,
    end,
  };
}

interface Moves {
  heard(generation: number): void;
  wrote(written: Written): void;
  readonly foreign: () => number;
}

/** Generations have no gaps: what of them is not of our own making is of others'. */
function createMoves(): Moves {
  let first: number | undefined;
  let newest = 0;
  let own = 0;
  const heard = (generation: number): void => {
    first ??= generation;
    newest = Math.max(newest, generation);
  };
  return {
    heard,
    wrote: ({ head, changed }) => {
      heard(head.generation);
      if (changed) own += 1;
    },
    foreign: () => newest - (first ?? newest) - own,
  };
}
