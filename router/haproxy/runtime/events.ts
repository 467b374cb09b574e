/**
 * HAProxy's own feed of server changes: `show events health -w -n` streams the lines of the ring
 * named `health` within about a millisecond. It comes back after a reload, and where there is no
 * such ring it only ticks, so that the listener polls.
 */
import type { Socket } from "node:net";
import { systemClock } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";
import { openSocket } from "./transport.ts";

/** The ring that the template renders. */
export const healthRing = "health";

export type RouterEvent =
  /** A line of the ring, such as "Server pg-primary/dal-01 is DOWN, reason: …". */
  | { readonly kind: "line"; readonly text: string }
  /** The feed has begun or begun again: what happened before may be unknown. */
  | { readonly kind: "connected" }
  /** There is no feed now; `why` says what came back. */
  | { readonly kind: "lost"; readonly why: string }
  /** Time to look, whatever the feed says. */
  | { readonly kind: "tick" };

export interface EventOptions {
  readonly signal: AbortSignal;
  /** The pace of ticks, and of new connections; milliseconds. */
  readonly pollMs: number;
  readonly clock?: Clock;
}

const queueLimit = 1000;

/**
 * The events of one router until the signal aborts (then it ends, without an error). Begins with
 * "connected" or "lost". When the listener is slower than the feed the oldest lines are dropped and
 * "connected" stands for them.
 */
export async function* routerEvents(
  address: string,
  options: EventOptions,
): AsyncGenerator<RouterEvent, void, void> {
  const clock = options.clock ?? systemClock;
  const queue: RouterEvent[] = [];
  const wake = { call: (): void => undefined };
  const put = (event: RouterEvent): void => {
    if (queue.length >= queueLimit) queue.splice(0, queue.length, { kind: "connected" });
    queue.push(event);
    wake.call();
  };
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  const workers = Promise.all([
    feed(address, signal, options.pollMs, clock, put),
    ticks(signal, options.pollMs, clock, put),
  ]);
  const onAbort = (): void => wake.call();
  options.signal.addEventListener("abort", onAbort, { once: true });
  try {
    while (!options.signal.aborted) {
      const event = queue.shift();
      if (event !== undefined) {
        yield event;
        continue;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      wake.call = resolve;
      await promise;
    }
  } finally {
    options.signal.removeEventListener("abort", onAbort);
    stop.abort();
    await workers;
  }
}

async function ticks(
  signal: AbortSignal,
  pollMs: number,
  clock: Clock,
  put: (event: RouterEvent) => void,
): Promise<void> {
  while (await pause(clock, pollMs, signal)) put({ kind: "tick" });
}

/** False when the signal aborted. */
async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return true;
  } catch {
    return false;
  }
}

async function feed(
  address: string,
  signal: AbortSignal,
  pollMs: number,
  clock: Clock,
  put: (event: RouterEvent) => void,
): Promise<void> {
  const told = { why: "" };
  do {
    try {
      const socket = await openSocket({ address, idempotent: false }, signal);
      // 2.6 ends an idle feed after `stats timeout` (10 s); where the level is too low to raise
      // it, the answer is refused and the feed comes all the same.
      socket.write(`set timeout cli 3600;show events ${healthRing} -w -n\n`);
      const why = await readLines(socket, (event) => {
        if (event.kind === "connected") told.why = "";
        put(event);
      });
      if (why !== "") throw new Error(why);
    } catch (error) {
      const why = (error as Error).message;
      if (!signal.aborted && why !== told.why) put({ kind: "lost", why });
      told.why = why;
    }
  } while (await pause(clock, pollMs, signal));
}

/** Streams lines until the connection ends; resolves with why there is no feed, or "". */
async function readLines(socket: Socket, put: (event: RouterEvent) => void): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const decoder = new TextDecoder();
  const state = { rest: "", refused: "", connected: false };
  socket.on("data", (bytes: Buffer) => {
    state.rest += decoder.decode(bytes, { stream: true });
    const lines = state.rest.split("\n");
    state.rest = lines.pop() ?? "";
    for (const line of lines) {
      if (/^(No such event sink|Unknown command)/.test(line)) state.refused = line;
      // The answer to `set timeout` is the first line, and says that we are in.
      if (!state.connected && state.refused === "") {
        state.connected = true;
        put({ kind: "connected" });
      }
      if (line.startsWith("Server ")) put({ kind: "line", text: line });
    }
  });
  socket.on("close", () => resolve(state.refused));
  return await promise;
}
