/**
 * The thread of the batched engine: waits for datagrams, takes up to 64 with one system call, answers
 * them from the zone and sends the answers with another. It never returns to an event loop; news from
 * the main thread wake it by a signal. What the zone does not answer goes to the main thread.
 */
import { flushCompileCache } from "node:module";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { answer } from "../answers/answers.ts";
import type { AnswerOptions } from "../answers/answers.ts";
import { viewOf } from "../zone/served.ts";
import type { Served, ServedView } from "../zone/served.ts";
import { createBatch, slotsPerBatch, socketsMax } from "./batch.ts";
import type { Batch } from "./batch.ts";
import { loadSystemCalls, systemFlags } from "./system-calls.ts";
import type { SystemCalls } from "./system-calls.ts";
import { count, countAnswer, newTally } from "./tally.ts";
import type { Tally } from "./tally.ts";

/** What the thread is started with. */
export interface BatchedOrder {
  readonly served: Served;
  readonly options: AnswerOptions;
  readonly tally: SharedArrayBuffer;
  /** [0]: misses that went to the main thread, [1]: those that it has taken. */
  readonly misses: SharedArrayBuffer;
  /** The descriptor that wakes this thread. */
  readonly signal: number;
}

/** From the main thread; each is answered with `done` and its number. */
export type ToBatched = { readonly number: number } & (
  | { readonly kind: "serve"; readonly served: Served }
  | { readonly kind: "open"; readonly fd: number; readonly addressBytes: number }
  | { readonly kind: "close"; readonly fd: number }
  | { readonly kind: "stop" }
);

/** A question that the zone does not answer. */
export interface Miss {
  readonly fd: number;
  readonly code: number;
  readonly query: Uint8Array;
  readonly peer: Uint8Array;
}

export type FromBatched =
  | { readonly kind: "ready" }
  | { readonly kind: "done"; readonly number: number }
  | { readonly kind: "misses"; readonly misses: readonly Miss[] };

/** Misses that the main thread has not taken yet; above that they are dropped. */
const missesMax = 4096;
/** How often the thread looks up though nothing wakes it. */
const backstopMs = 1000;
const pollEntry = { bytes: 8, events: 4, result: 6 } as const;
/** A socket that never runs dry lets the others have their turn. */
const batchesPerTurn = 16;

interface OpenSocket {
  readonly fd: number;
  readonly batch: Batch;
}

class BatchedThread {
  readonly #calls: SystemCalls;
  readonly #port: MessagePort;
  readonly #order: BatchedOrder;
  readonly #tally: Tally;
  readonly #missCounts: Int32Array;
  readonly #poll: { readonly at: bigint; readonly view: DataView };
  readonly #sockets: OpenSocket[] = [];
  readonly #collect = youngCollector();
  #view: ServedView;
  #isRunning = true;

  constructor(calls: SystemCalls, port: MessagePort, order: BatchedOrder) {
    this.#calls = calls;
    this.#port = port;
    this.#order = order;
    this.#tally = newTally(order.tally);
    this.#missCounts = new Int32Array(order.misses);
    this.#view = viewOf(order.served);
    const { at, memory } = calls.allocate(pollEntry.bytes * (socketsMax + 1));
    this.#poll = { at, view: new DataView(memory) };
    this.#writePoll();
  }

  /** Answers until it is told to stop. */
  run(): void {
    this.#say({ kind: "ready" });
    const { view, at } = this.#poll;
    while (this.#isRunning) {
      const ready = this.#calls.poll(at, this.#sockets.length + 1, backstopMs);
      if (ready <= 0 || view.getInt16(pollEntry.result, true) !== 0) this.#hear();
      for (const [index, socket] of this.#sockets.entries()) {
        const result = (index + 1) * pollEntry.bytes + pollEntry.result;
        if (ready > 0 && view.getInt16(result, true) !== 0) this.#serve(socket);
      }
    }
  }

  #say(message: FromBatched): void {
    // The rule takes every postMessage for that of a window.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    this.#port.postMessage(message);
  }

  #writePoll(): void {
    const fds = [this.#order.signal, ...this.#sockets.map(({ fd }) => fd)];
    for (const [index, fd] of fds.entries()) {
      this.#poll.view.setInt32(index * pollEntry.bytes, fd, true);
      this.#poll.view.setInt16(
        index * pollEntry.bytes + pollEntry.events,
        systemFlags.pollIn,
        true,
      );
    }
  }

  #hear(): void {
    this.#calls.takeSignal(this.#order.signal);
    for (;;) {
      const got = receiveMessageOnPort(this.#port);
      if (got === undefined) return;
      const message = got.message as ToBatched;
      this.#obey(message);
      this.#say({ kind: "done", number: message.number });
    }
  }

  #obey(message: ToBatched): void {
    if (message.kind === "serve") {
      this.#view = viewOf(message.served);
      this.#collect();
    } else if (message.kind === "stop") this.#isRunning = false;
    else if (message.kind === "close") {
      const at = this.#sockets.findIndex(({ fd }) => fd === message.fd);
      if (at >= 0) this.#sockets.splice(at, 1);
    } else {
      const { fd, addressBytes } = message;
      const batch = createBatch(this.#calls, addressBytes, this.#order.options.udpSizeMax);
      this.#sockets.push({ fd, batch });
    }
    this.#writePoll();
  }

  #serve({ fd, batch }: OpenSocket): void {
    const { dontWait } = systemFlags;
    for (let turn = 0; turn < batchesPerTurn; turn += 1) {
      const got = this.#calls.recvmmsg(fd, batch.incoming, slotsPerBatch, dontWait);
      if (got <= 0) return;
      const prepared = this.#answerAll(fd, batch, got);
      if (prepared > 0) this.#send(fd, batch, prepared);
      if (got < slotsPerBatch) return;
    }
  }

  /** @returns how many answers are prepared */
  #answerAll(fd: number, batch: Batch, got: number): number {
    const tally = this.#tally;
    const misses: Miss[] = [];
    let place = 0;
    for (let slot = 0; slot < got; slot += 1) {
      const query = batch.queries[slot];
      const out = batch.answers[place];
      if (query === undefined || out === undefined) continue;
      const length = batch.received(slot);
      const size = answer(this.#view, query, length, out, this.#order.options);
      count(tally, "udp_queries");
      if (size > 0) {
        countAnswer(tally, out);
        batch.prepare(place, slot, size);
        place += 1;
      } else if (size === 0) count(tally, "ignored");
      else {
        const peer = Uint8Array.from(batch.peers[slot] ?? []);
        misses.push({ fd, code: size, query: query.slice(0, length), peer });
      }
    }
    if (misses.length > 0) this.#pass(misses);
    return place;
  }

  #pass(misses: readonly Miss[]): void {
    // Both go round at 32 bits.
    const waiting = (Atomics.load(this.#missCounts, 0) - Atomics.load(this.#missCounts, 1)) | 0;
    if (waiting + misses.length > missesMax) {
      for (const _ of misses) count(this.#tally, "forward_drops");
      return;
    }
    Atomics.add(this.#missCounts, 0, misses.length);
    this.#say({ kind: "misses", misses });
  }

  /** What cannot be sent now is lost, as any datagram can be: nobody else is held up for it. */
  #send(fd: number, batch: Batch, prepared: number): void {
    let at = 0;
    while (at < prepared) {
      const pointer = batch.outgoingFrom(at);
      const sent = this.#calls.sendmmsg(fd, pointer, prepared - at, systemFlags.dontWait);
      if (sent <= 0) count(this.#tally, "send_failures");
      at += Math.max(1, sent);
    }
  }
}

/**
 * Collects young objects, in about a millisecond. A zone that was replaced is one; this thread makes
 * so few others that its heap would hold hundreds of zones before it is collected by itself.
 */
function youngCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { readonly type: "minor" }) => void;
  setFlagsFromString("--no-expose-gc");
  return () => collect({ type: "minor" });
}

if (parentPort !== null) {
  const calls = await loadSystemCalls();
  // Each thread writes its own, and only at its end, which may be a kill; compiling costs 10 MB.
  flushCompileCache();
  new BatchedThread(calls, parentPort, workerData as BatchedOrder).run();
}
