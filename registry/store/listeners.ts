/**
 * Who in this process wants to know of what. A listener is called at once, in a turn of its own: what
 * it throws is never taken for a failure of the change that it hears of.
 */
import type { RegistryStore, Topic } from "./store.ts";

export interface Notice {
  readonly topic: Topic;
  readonly payload: string;
}

export interface Listeners {
  tell(notice: Notice): void;
  readonly subscribe: RegistryStore["subscribe"];
}

/** Listeners of one process. */
export function createListeners(): Listeners {
  const byTopic = new Map<Topic, Set<(payload: string) => void>>();
  return {
    tell: ({ topic, payload }) => {
      for (const listener of byTopic.get(topic) ?? []) queueMicrotask(() => listener(payload));
    },
    subscribe: (topic, listener) => {
      const set = byTopic.get(topic) ?? new Set();
      byTopic.set(topic, set);
      // The same function may be subscribed twice; each subscription ends by itself.
      const own = (payload: string): void => listener(payload);
      set.add(own);
      return () => void set.delete(own);
    },
  };
}

/**
 * A right that one at a time in this process has; `takeTerm` gives each its term. It aborts `lost` when
 * `closing` does.
 * @returns what waits for the right
 */
export function createLocalLead(
  closing: AbortSignal,
  takeTerm: () => Promise<number>,
): RegistryStore["lead"] {
  let holder: Promise<void> | undefined;
  const isFree = (): boolean => holder === undefined;
  return async (signal) => {
    const either = AbortSignal.any([signal, closing]);
    while (!isFree()) await Promise.race([holder, rejectedBy(either)]);
    either.throwIfAborted();
    const { promise, resolve } = Promise.withResolvers<void>();
    holder = promise;
    const release = async (): Promise<void> => {
      if (holder === promise) holder = undefined;
      resolve();
      await promise;
    };
    try {
      return { term: await takeTerm(), lost: closing, release };
    } catch (error) {
      await release();
      throw error;
    }
  };
}

function rejectedBy(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  const fail = (): void => reject(signal.reason);
  if (signal.aborted) fail();
  else signal.addEventListener("abort", fail, { once: true });
  return promise;
}
