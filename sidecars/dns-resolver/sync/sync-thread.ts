/**
 * Runs the thread that keeps the zone, and starts it again when it dies: what is served stays as it
 * is meanwhile.
 */
import { Worker } from "node:worker_threads";
import type { Clock } from "../../../kit/clock.ts";
import { withDeadline } from "../../../kit/clock.ts";
import { faultWords } from "../../../kit/fault-words.ts";
import type { Logger } from "../../../kit/logger.ts";
import { backoff } from "./pace.ts";
import type { Offer } from "./sync.ts";
import { noSync } from "./sync-ledger.ts";
import type { SyncState } from "./sync-ledger.ts";
import type { FromSync, SyncOrder, ToSync } from "./sync-worker.ts";

export interface SyncThreadOptions {
  readonly order: SyncOrder;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Serves a zone from now on. @returns what is wrong with that, one sentence each */
  readonly serve: (offer: Offer) => Promise<readonly string[]>;
}

// With its folder, so that whoever looks for what starts this file finds it.
const file = new URL("./sync-worker.ts", import.meta.url);
const stopDeadlineMs = 2000;

export class SyncThread {
  readonly #options: SyncThreadOptions;
  readonly #stopping = new AbortController();
  readonly #loaded = Promise.withResolvers<void>();
  readonly #running: Promise<void>;
  #worker: Worker | undefined;
  #state: SyncState = noSync;
  #isFollowing = false;
  /** Since it was last seen to work. */
  #deaths = 0;

  /** Starts it; it reads the snapshot at once, and follows the registry when it is told to. */
  constructor(options: SyncThreadOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  get state(): SyncState {
    return this.#state;
  }

  /** Resolves when the snapshot is served, or there is none that can be. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** From now on the registry is followed. */
  follow(): void {
    this.#isFollowing = true;
    this.#tell({ kind: "follow" });
  }

  /** As Sync's. */
  mended(gone: readonly string[]): void {
    this.#tell({ kind: "mended", gone });
  }

  /** Ends it, in good order where it can. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the resolver stops"));
    const worker = this.#worker;
    this.#tell({ kind: "stop" });
    const ended = (): Promise<void> => this.#running;
    await withDeadline("stop the sync thread", stopDeadlineMs, ended).catch(async () => {
      await worker?.terminate();
    });
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const stopping = this.#stopping.signal;
    while (!stopping.aborted) {
      const reason = faultWords(await this.#live().catch((error: unknown) => error));
      if (!stopping.aborted) {
        this.#state = { ...this.#state, lastError: `the sync thread died: ${reason}` };
        this.#options.logger.error({ reason }, "the sync thread died, and is started again");
      }
      this.#deaths += 1;
      await clock.sleep(backoff(this.#deaths), stopping).catch(() => undefined);
    }
  }

  /** One life of the thread. @returns what ended it @throws what keeps one from being started */
  async #live(): Promise<unknown> {
    const { order } = this.#options;
    const { promise: ended, resolve } = Promise.withResolvers<unknown>();
    const worker = new Worker(file, { workerData: order });
    this.#worker = worker;
    worker.on("message", (message: FromSync) => this.#hear(message));
    worker.on("error", resolve);
    worker.on("exit", (code) => resolve(new Error(`it ended with ${code}`)));
    const reason = await ended;
    this.#worker = undefined;
    return reason;
  }

  #hear(message: FromSync): void {
    if (message.kind === "state") this.#state = message.state;
    else if (message.kind === "log") {
      this.#options.logger[message.level](message.facts, message.text);
    } else if (message.kind === "offer") void this.#serve(message.offer);
    else {
      this.#deaths = 0;
      this.#loaded.resolve();
      if (this.#isFollowing) this.#tell({ kind: "follow" });
    }
  }

  async #serve(offer: Offer): Promise<void> {
    const wrong = await this.#options
      .serve(offer)
      .catch((error: unknown) => [`it cannot be served: ${faultWords(error)}`]);
    this.#tell({ kind: "served", wrong });
  }

  #tell(message: ToSync): void {
    // The rule takes every postMessage for that of a window.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    this.#worker?.postMessage(message);
  }
}
