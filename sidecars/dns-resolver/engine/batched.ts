/**
 * The main thread's side of the batched engine: it opens the sockets, hands them to the thread that
 * answers, tells it each new zone, and answers what the thread passes on. A thread that dies is started
 * again; its sockets stay open meanwhile, and questions wait in the kernel.
 */
import { Worker } from "node:worker_threads";
import { formatAddress } from "../../../kit/address.ts";
import type { Address } from "../../../kit/address.ts";
import { systemClock, withDeadline } from "../../../kit/clock.ts";
import { faultWords } from "../../../kit/fault-words.ts";
import type { Logger } from "../../../kit/logger.ts";
import type { Served } from "../zone/served.ts";
import { socketsMax } from "./batch.ts";
import type { BatchedOrder, FromBatched, Miss, ToBatched } from "./batched-thread.ts";
import type { Desk } from "./desk.ts";
import type { UdpEngine } from "./dgram.ts";
import { hostOf, socketAddressBytes } from "./socket-address.ts";
import { loadSystemCalls, systemFlags } from "./system-calls.ts";
import type { SystemCalls } from "./system-calls.ts";
import { count, newTally } from "./tally.ts";
import type { Tally } from "./tally.ts";

// With its folder, so that whoever looks for what starts this file finds it.
const file = new URL("../engine/batched-thread.ts", import.meta.url);
/** It allocates next to nothing, and a heap that may grow would. */
const resourceLimits = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 64 };
const stopDeadlineMs = 3000;
/** Until a thread that died is started again, doubled each time: it does not take the machine with it. */
const restart = { firstMs: 100, lastMs: 3000 } as const;
/** A thread that answered for so long is sound, and the next one that dies is the first. */
const soundMs = 60_000;

type Asked = ToBatched extends infer One
  ? One extends { number: number }
    ? Omit<One, "number">
    : never
  : never;

/**
 * Starts it. Rejects where it cannot run; see system-calls.ts. The thread has `deadlineMs` for each thing
 * that it is told.
 */
export async function startBatched(
  desk: Desk,
  logger: Logger,
  deadlineMs = 10_000,
): Promise<BatchedEngine> {
  const calls = await loadSystemCalls();
  const engine = new BatchedEngine(calls, desk, logger, deadlineMs);
  try {
    await engine.ready();
  } catch (error) {
    await engine.close();
    throw error;
  }
  return engine;
}

export class BatchedEngine {
  readonly name = "batched";
  readonly #calls: SystemCalls;
  readonly #desk: Desk;
  readonly #logger: Logger;
  readonly #signal: number;
  readonly #tally: Tally;
  readonly #taken = new Int32Array(new SharedArrayBuffer(8));
  readonly #tallyMemory = new SharedArrayBuffer(newTally().slots.byteLength);
  /** Open sockets: by descriptor, the length of an address. */
  readonly #sockets = new Map<number, number>();
  readonly #waiting = new Map<number, () => void>();
  readonly #stopListening: () => void;
  readonly #deadlineMs: number;
  readonly #closing = new AbortController();
  /** Of the first thread: one that never answers is not started again. */
  readonly #isReady = Promise.withResolvers<void>();
  #worker: Worker | undefined;
  #hasBeenReady = false;
  /** Of the thread that lives now. */
  #readyAt: number | undefined;
  #restartMs: number = restart.firstMs;
  #number = 0;
  /** Whoever waits for these numbers is answered by the thread's being ready. */
  #toldBefore = 0;

  /** @throws what keeps a thread from being started; nothing is left behind then */
  constructor(calls: SystemCalls, desk: Desk, logger: Logger, deadlineMs: number) {
    this.#calls = calls;
    this.#desk = desk;
    this.#logger = logger;
    this.#deadlineMs = deadlineMs;
    this.#signal = calls.openSignal();
    this.#tally = newTally(this.#tallyMemory);
    try {
      this.#start();
    } catch (error) {
      calls.close(this.#signal);
      throw error;
    }
    this.#stopListening = desk.serving.onPut((served) => this.#serve(served));
  }

  /** Resolves when the thread answers. @throws DeadlineError, or what the thread died of */
  async ready(): Promise<void> {
    await withDeadline("start the batched engine", this.#deadlineMs, () => this.#isReady.promise);
  }

  tallies(): readonly Tally[] {
    return [this.#tally];
  }

  /** @throws the system's error when the address cannot be bound */
  async listen(address: Address): Promise<UdpEngine> {
    if (this.#sockets.size >= socketsMax) throw new Error(`more than ${socketsMax} addresses`);
    const fd = this.#calls.openSocket(address);
    this.#sockets.set(fd, socketAddressBytes(address.host));
    try {
      await this.#ask({ kind: "open", fd, addressBytes: socketAddressBytes(address.host) });
    } catch (error) {
      // Whoever tries again finds the address free.
      await this.#release(fd).catch(() => undefined);
      throw error;
    }
    this.#logger.debug({ step: "listen" }, `${formatAddress(address)}: batched`);
    return {
      close: () => this.#release(fd),
    };
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new Error("the batched engine is closed"));
    this.#stopListening();
    const worker = this.#worker;
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    if (worker === undefined) resolve();
    else worker.once("exit", () => resolve());
    this.#tell({ kind: "stop" });
    await withDeadline("stop the batched engine", stopDeadlineMs, () => ended).catch(() =>
      worker?.terminate(),
    );
    for (const fd of [...this.#sockets.keys(), this.#signal]) this.#calls.close(fd);
    this.#sockets.clear();
    this.#answerWaiting(this.#number);
  }

  /** Closed when the thread reads it no more: its number may be given to another file at once. */
  async #release(fd: number): Promise<void> {
    if (!this.#sockets.delete(fd)) return;
    try {
      if (this.#worker !== undefined) await this.#ask({ kind: "close", fd });
    } finally {
      this.#calls.close(fd);
    }
  }

  async #serve(served: Served): Promise<void> {
    await this.#ask({ kind: "serve", served });
  }

  #start(): void {
    const { serving, options } = this.#desk;
    const order: BatchedOrder = {
      served: serving.current().served,
      options: options.udp,
      tally: this.#tallyMemory,
      misses: this.#taken.buffer,
      signal: this.#signal,
    };
    const worker = new Worker(file, { workerData: order, resourceLimits });
    this.#worker = worker;
    this.#toldBefore = this.#number;
    for (const [fd, addressBytes] of this.#sockets) this.#tell({ kind: "open", fd, addressBytes });
    let reason: unknown;
    worker.on("message", (message: FromBatched) => this.#hear(message));
    worker.on("error", (error) => (reason = error));
    worker.on("exit", (code) => this.#died(reason ?? new Error(`it ended with ${code}`)));
  }

  #died(reason: unknown): void {
    this.#worker = undefined;
    // What it passed on has come, and what it had counted beyond that never will.
    for (const slot of [0, 1]) Atomics.store(this.#taken, slot, 0);
    if (this.#closing.signal.aborted) return;
    if (this.#hasBeenReady) void this.#restart(reason);
    else this.#isReady.reject(reason);
  }

  async #restart(reason: unknown): Promise<void> {
    const now = systemClock.monotonic();
    if (now - (this.#readyAt ?? now) > soundMs) this.#restartMs = restart.firstMs;
    this.#readyAt = undefined;
    for (let why = reason; this.#worker === undefined;) {
      const words = "the thread that answers died, and is started again";
      this.#logger.error({ reason: faultWords(why) }, words);
      await systemClock.sleep(this.#restartMs, this.#closing.signal).catch(() => undefined);
      if (this.#closing.signal.aborted) return;
      this.#restartMs = Math.min(restart.lastMs, this.#restartMs * 2);
      try {
        this.#start();
      } catch (error) {
        why = error;
      }
    }
  }

  #answerWaiting(upTo: number): void {
    for (const [number, resolve] of this.#waiting) if (number <= upTo) resolve();
  }

  #tell(asked: Asked): number {
    this.#number += 1;
    const message = { ...asked, number: this.#number };
    // The rule takes every postMessage for that of a window.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    this.#worker?.postMessage(message);
    this.#calls.signal(this.#signal);
    return this.#number;
  }

  async #ask(asked: Asked): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const number = this.#tell(asked);
    this.#waiting.set(number, resolve);
    try {
      const what = `tell the batched engine: ${asked.kind}`;
      await withDeadline(what, this.#deadlineMs, () => promise);
    } finally {
      this.#waiting.delete(number);
    }
  }

  #hear(message: FromBatched): void {
    if (message.kind === "ready") {
      this.#hasBeenReady = true;
      this.#readyAt = systemClock.monotonic();
      this.#isReady.resolve();
      // What they wait for is what this thread has begun with.
      this.#answerWaiting(this.#toldBefore);
    } else if (message.kind === "done") this.#waiting.get(message.number)?.();
    else {
      Atomics.add(this.#taken, 1, message.misses.length);
      for (const miss of message.misses) void this.#forward(miss);
    }
  }

  async #forward({ fd, code, query, peer }: Miss): Promise<void> {
    const address = hostOf(peer);
    const found = await this.#desk.miss(code, query, { transport: "udp", address });
    if (found === undefined || !this.#sockets.has(fd)) return;
    const sent = this.#calls.sendto(fd, found, systemFlags.dontWait, peer);
    if (sent < 0) count(this.#desk.tally, "send_failures");
  }
}
