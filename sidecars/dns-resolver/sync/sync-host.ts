/**
 * Where the zone is kept: a small one in this thread, which costs no memory of its own; a large one,
 * whose changes would hold up answers, in a thread of its own.
 */
import type { Logger } from "../../../kit/logger.ts";
import { noSync } from "./sync-ledger.ts";
import type { SyncState } from "./sync-ledger.ts";
import { Sync } from "./sync.ts";
import { SyncThread } from "./sync-thread.ts";
import type { SyncThreadOptions } from "./sync-thread.ts";

/** What is at most read, judged and written in this thread: a few milliseconds each. */
export const smallZone = { bytes: 1024 * 1024, records: 4096 } as const;

export class SyncHost {
  readonly #options: SyncThreadOptions;
  readonly #loaded: Promise<void>;
  readonly #here: Sync;
  #state: SyncState = noSync;
  #thread: SyncThread | undefined;
  #isFollowing = false;
  #isStopped = false;

  /** Reads the snapshot at once, and follows the registry when it is told to. */
  constructor(options: SyncThreadOptions) {
    this.#options = options;
    const { clock, logger, order, serve } = options;
    const outgrown = (): void => void this.#move(logger);
    this.#here = new Sync({
      ...order,
      registry: { url: order.registry, token: () => order.token },
      ...{ clock, logger, serve },
      tell: (state) => {
        this.#state = state;
      },
      bounds: { ...smallZone, outgrown },
    });
    this.#loaded = this.#load();
  }

  get state(): SyncState {
    return this.#thread?.state ?? this.#state;
  }

  /** Resolves when the snapshot is served, or there is none that can be. */
  get loaded(): Promise<void> {
    return this.#loaded;
  }

  /** From now on the registry is followed. */
  follow(): void {
    this.#isFollowing = true;
    if (this.#thread === undefined) this.#here.follow();
    else this.#thread.follow();
  }

  /** As Sync's. */
  mended(gone: readonly string[]): void {
    (this.#thread ?? this.#here).mended(gone);
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all([this.#here.stop(), this.#thread?.stop()]);
  }

  async #load(): Promise<void> {
    await this.#here.load();
    await this.#thread?.loaded;
  }

  async #move(logger: Logger): Promise<void> {
    if (this.#thread !== undefined || this.#isStopped) return;
    logger.info({ step: "sync" }, "the zone is large: it is kept in a thread of its own");
    // What is on disk is whole: a write under way goes on under another name.
    this.#thread = new SyncThread(this.#options);
    if (this.#isFollowing) this.#thread.follow();
    await this.#here.stop();
  }
}
