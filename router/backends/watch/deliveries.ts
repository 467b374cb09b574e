/**
 * The telling of one consumer: one call at a time, only the latest news, and never the same targets
 * twice in a row. What it throws harms nobody else.
 */
import { areSameTargets } from "../target.ts";
import type { WeightedTarget } from "../target.ts";

/** Of which targets a call tells. */
export interface About {
  readonly proxyName: string;
  readonly hostname: string;
  /** Rises with every change; may skip numbers when a call took longer than the next change. */
  readonly generation: number;
  /** How long removed addresses may end what they serve, in milliseconds. */
  readonly drainGraceMs: number;
}

export type OnUpdate = (targets: readonly WeightedTarget[], about: About) => void | Promise<void>;

export interface News {
  /** The registration that tells; a new one tells first of all, whatever was told before. */
  readonly teller: object;
  readonly onUpdate: OnUpdate;
  readonly targets: readonly WeightedTarget[];
  readonly about: About;
}

export interface Deliveries {
  /** Tells it now, or as soon as the call before has ended, unless newer news come first. */
  tell(news: News): void;
  /** Lets the waiting news go; a call that runs is not ended. */
  cancel(): void;
  /** Resolves when no call runs. */
  readonly idle: () => Promise<void>;
}

/** Deliveries of one target of one proxy; `onError` takes what a call throws. */
export function createDeliveries(onError: (error: unknown, about: About) => void): Deliveries {
  let waiting: News | undefined;
  let last: Pick<News, "teller" | "targets"> | undefined;
  let isRunning = false;
  let running: Promise<void> | undefined;
  const call = async ({ teller, onUpdate, targets, about }: News): Promise<void> => {
    if (last?.teller === teller && areSameTargets(last.targets, targets)) return;
    last = { teller, targets };
    try {
      // A copy: what a consumer does with its own is its affair.
      const own = targets.map((one) => ({ ...one }));
      await onUpdate(own, about);
    } catch (error) {
      onError(error, about);
    }
  };
  const deliver = async (): Promise<void> => {
    isRunning = true;
    for (let news = waiting; news !== undefined; news = waiting) {
      waiting = undefined;
      await call(news);
    }
    isRunning = false;
  };
  return {
    tell: (news) => {
      waiting = news;
      if (!isRunning) running = deliver();
    },
    cancel: () => {
      waiting = undefined;
    },
    idle: async () => await running,
  };
}
