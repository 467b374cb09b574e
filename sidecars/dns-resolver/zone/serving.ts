/**
 * What is served now, for every engine of the process: one place to put a new state of the zone, which
 * each engine answers from as soon as it has heard of it.
 */
import type { ZoneSettings } from "../parts.ts";
import { unloadedZone } from "./build.ts";
import { viewOf } from "./served.ts";
import type { Served, ServedView } from "./served.ts";

export interface Serving {
  /** Before the first put a zone that says that it is not loaded. */
  current(): ServedView;
  /** Resolves when every engine answers from it, in whatever thread that is. */
  put(served: Served): Promise<void>;
  /** Calls `listener` with each new state, until the returned function is called. */
  onPut(listener: (served: Served) => Promise<void> | void): () => void;
}

/** Nothing is loaded in it. @throws NameError for a zone or alias that is no domain name */
export function createServing(settings: ZoneSettings): Serving {
  let view = viewOf(unloadedZone(settings));
  const listeners = new Set<(served: Served) => Promise<void> | void>();
  return {
    current: () => view,
    put: async (served) => {
      view = viewOf(served);
      await Promise.all([...listeners].map(async (listener) => await listener(served)));
    },
    onPut: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
