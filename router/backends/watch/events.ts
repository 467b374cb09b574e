/**
 * What subscribers are told, and the telling: in the order in which it happened, each subscriber on
 * its own, so that one that throws harms nobody.
 */
import type { BackendEventType } from "../membership/membership-state.ts";

export interface BackendEvent {
  readonly type: BackendEventType;
  readonly proxyName: string;
  readonly hostname: string;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  /** What stands in it for each type: docs/backends.md, "Events". */
  readonly data: Readonly<Record<string, unknown>>;
}

export type Listener = (event: BackendEvent) => void | Promise<void>;

/** The least that is needed of a logger; kit/logger.ts makes one. */
export interface Log {
  readonly warn: (facts: object, text: string) => void;
}

export const silentLog: Log = { warn: () => undefined };

export interface Bus {
  /** Returns what ends the subscription; more than one call of it ends it once. */
  subscribe(listener: Listener): () => void;
  emit(event: BackendEvent): void;
  /** Ends all subscriptions. */
  clear(): void;
}

/** A bus without subscribers; what a subscriber throws is logged. */
export function createBus(log: Log): Bus {
  const subscriptions = new Set<{ readonly listener: Listener }>();
  const lost = (error: unknown, { type, proxyName, hostname }: BackendEvent): void =>
    log.warn({ err: error, proxyName, hostname }, `a subscriber failed at ${type}`);
  const tell = async (listener: Listener, event: BackendEvent): Promise<void> => {
    try {
      await listener(event);
    } catch (error) {
      lost(error, event);
    }
  };
  return {
    subscribe: (listener) => {
      // The same function twice is two subscriptions, each with its own end.
      const subscription = { listener };
      subscriptions.add(subscription);
      return () => void subscriptions.delete(subscription);
    },
    emit: (event) => {
      for (const subscription of [...subscriptions]) {
        // One may have ended another's subscription meanwhile.
        if (subscriptions.has(subscription)) void tell(subscription.listener, event);
      }
    },
    clear: () => subscriptions.clear(),
  };
}
