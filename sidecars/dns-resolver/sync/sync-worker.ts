/**
 * The thread in which the zone is kept: what comes from the registry is read, judged, built and
 * written here, so that no answer waits for it. sync-thread.ts starts it and speaks to it.
 */
import { constants, setPriority } from "node:os";
import { setFlagsFromString } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { systemClock } from "../../../kit/clock.ts";
import type { Logger } from "../../../kit/logger.ts";
import type { ZoneSettings } from "../parts.ts";
import { Sync } from "./sync.ts";
import type { Offer, SyncOptions } from "./sync.ts";
import type { SyncState } from "./sync-ledger.ts";

/** What the thread is started with. */
export interface SyncOrder {
  readonly registry: string;
  readonly node: number;
  readonly token: string;
  readonly zone: ZoneSettings;
  readonly folder: string;
}

type LogLevel = keyof Logger;

/** What the thread says. */
export type FromSync =
  | { readonly kind: "offer"; readonly offer: Offer }
  | { readonly kind: "loaded" }
  | { readonly kind: "state"; readonly state: SyncState }
  | {
      readonly kind: "log";
      readonly level: LogLevel;
      readonly facts: object;
      readonly text: string;
    };

/** What it is told. */
export type ToSync =
  | { readonly kind: "served"; readonly wrong: readonly string[] }
  | { readonly kind: "mended"; readonly gone: readonly string[] }
  | { readonly kind: "follow" }
  | { readonly kind: "stop" };

/** Answers come before news, where there are more threads than processors (setpriority(2), of a thread). */
function standBack(): void {
  setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);
  // A small heap is what main.ts is after; a large zone's would be collected all the time that way, and
  // the processors that answers need would be at that.
  setFlagsFromString("--heap-growing-percent=0");
  setFlagsFromString("--no-optimize-for-size");
}

async function run(port: MessagePort, order: SyncOrder): Promise<void> {
  const say = (message: FromSync): void => port.postMessage(message);
  const log =
    (level: LogLevel) =>
    (facts: object, text: string): void =>
      say({ kind: "log", level, facts, text });
  // One at a time: the next state is built when this one is served.
  let served: ((wrong: readonly string[]) => void) | undefined;
  const options: SyncOptions = {
    ...order,
    registry: { url: order.registry, token: () => order.token },
    clock: systemClock,
    logger: {
      debug: log("debug"),
      info: log("info"),
      warn: log("warn"),
      error: log("error"),
    } as SyncOptions["logger"],
    serve: (offer) => {
      const { promise, resolve } = Promise.withResolvers<readonly string[]>();
      served = resolve;
      say({ kind: "offer", offer });
      return promise;
    },
    tell: (state) => say({ kind: "state", state }),
  };
  const sync = new Sync(options);
  const loading = sync.load();
  const does: Readonly<Record<ToSync["kind"], (message: ToSync) => void>> = {
    served: (message) => served?.("wrong" in message ? message.wrong : []),
    mended: (message) => sync.mended("gone" in message ? message.gone : []),
    follow: () => void loading.then(() => sync.follow()),
    stop: () => void sync.stop().finally(() => port.close()),
  };
  port.on("message", (message: ToSync) => does[message.kind](message));
  await loading;
  say({ kind: "loaded" });
}

if (parentPort !== null) {
  standBack();
  await run(parentPort, workerData as SyncOrder);
}
