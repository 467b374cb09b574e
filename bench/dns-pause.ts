/**
 * How long a resolver that is asked all the time makes an asker wait: a thread of bench/dns.ts, so that
 * what the bench does meanwhile is not measured. Asks the same question every millisecond or as soon as the
 * last is answered, until it is told to stop; then it tells the longest waits.
 */
import { createSocket } from "node:dgram";
import { constants, setPriority } from "node:os";
import { parentPort, Worker, workerData } from "node:worker_threads";
import type { Address } from "../kit/address.ts";
import { systemClock } from "../kit/clock.ts";
import { nameFromText } from "../sidecars/dns-resolver/wire/names.ts";

interface Asked {
  readonly name: string;
  readonly address: Address;
}

/** Longest waits for an answer, in milliseconds, longest first. */
export interface Waits {
  readonly longest: readonly number[];
  readonly asked: number;
}

/** Begins to ask. @returns what ends it, and resolves with the waits */
export function startAsking(asked: Asked): () => Promise<Waits> {
  const worker = new Worker(new URL("../bench/dns-pause.ts", import.meta.url), {
    workerData: asked,
  });
  const { promise, resolve, reject } = Promise.withResolvers<Waits>();
  worker.on("message", resolve);
  worker.on("error", reject);
  return () => {
    // The rule takes every postMessage for that of a window.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    worker.postMessage("stop");
    return promise;
  };
}

async function askOn({ name, address }: Asked, isOver: () => boolean): Promise<Waits> {
  const question = [...nameFromText(name), 0, 1, 0, 1];
  const query = Uint8Array.from([0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...question]);
  const socket = createSocket("udp4");
  let answered = Promise.withResolvers<void>();
  socket.on("message", () => answered.resolve());
  const connected = Promise.withResolvers<void>();
  socket.connect(address.port, address.host, () => connected.resolve());
  await connected.promise;
  const waits: number[] = [];
  while (!isOver()) {
    answered = Promise.withResolvers<void>();
    const began = systemClock.monotonic();
    socket.send(query);
    await answered.promise;
    waits.push(systemClock.monotonic() - began);
    // Not faster than an app might: who never pauses takes the processor from what is measured.
    await systemClock.sleep(1);
  }
  socket.close();
  const longest = waits.toSorted((left, right) => right - left).slice(0, 10);
  return { longest, asked: waits.length };
}

/** The asker is to wait for answers, and not for a processor: the bench makes a large zone meanwhile. */
function hurry(): void {
  try {
    setPriority(0, constants.priority.PRIORITY_HIGHEST);
  } catch {
    // Without the right to it, the waits are the longer.
  }
}

if (parentPort !== null) {
  const port = parentPort;
  hurry();
  let isOver = false;
  port.on("message", () => (isOver = true));
  const waits = await askOn(workerData as Asked, () => isOver);
  // The rule takes every postMessage for that of a window.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  port.postMessage(waits);
  port.close();
}
