/**
 * HAProxy's own feed of server changes: `show events health -w -n` streams the lines of the ring
 * named `health` within about a millisecond. A reload leaves a feed with the old worker, silent, and
 * the feed alone would keep that worker alive: each tick compares pids, and moves it. Where there is
 * no such ring it only ticks, so that the listener polls.
 */
import { systemClock, withDeadline } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";
import { haproxyNames } from "../model.ts";
import { addressAt } from "./address.ts";
import type { RuntimeAddress, RuntimePlace } from "./address.ts";
import { connectRuntime, showInfo } from "./client.ts";
import type { Connection } from "./relay.ts";
import { openSocket } from "./transport.ts";

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
const connectDeadlineMs = 5000;
/** The longest piece of a line that is kept: a line of the ring has some hundred characters. */
const lineLimit = 64 * 1024;

/**
 * The events of one router until the signal aborts (then it ends, without an error). Begins with
 * "connected" or "lost". When the listener is slower than the feed the oldest lines are dropped and
 * "connected" stands for them.
 */
export async function* routerEvents(
  place: RuntimePlace,
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
  const address = addressAt(place);
  const source: Source = { address, signal, pollMs: options.pollMs, clock, put, pid: undefined };
  const workers = Promise.all([feed(source), ticks(source)]);
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

interface Source {
  readonly address: RuntimeAddress;
  readonly signal: AbortSignal;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly put: (event: RouterEvent) => void;
  /** The worker that the feed is attached to, while it is. */
  pid: number | undefined;
  /** Ends the feed's connection. */
  detach?: () => void;
}

async function ticks(source: Source): Promise<void> {
  const { signal, pollMs } = source;
  while (await pause(source.clock, pollMs, signal)) {
    source.put({ kind: "tick" });
    const { pid } = source;
    if (pid === undefined) continue;
    const runtime = connectRuntime(source.address, { deadlineMs: pollMs, signal });
    // Not reached is for the listener's own look to find.
    const now = await showInfo(runtime).catch(() => undefined);
    if (now !== undefined && now.pid !== pid && source.pid === pid) source.detach?.();
  }
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

async function feed(source: Source): Promise<void> {
  const { address, signal, put } = source;
  const told = { why: "" };
  do {
    try {
      const socket = await connectFeed(address, signal);
      source.detach = () => void socket.destroy();
      // 2.6 ends an idle feed after `stats timeout` (10 s); where the level is too low to raise
      // it, that is refused and the feed comes all the same.
      socket.write(`set timeout cli 3600;show info;show events ${haproxyNames.ring} -w -n\n`);
      const why = await readLines(socket, source);
      source.pid = undefined;
      if (why !== "") throw new Error(why);
      told.why = "";
    } catch (error) {
      const why = (error as Error).message;
      if (!signal.aborted && why !== told.why) put({ kind: "lost", why });
      told.why = why;
    }
  } while (await pause(source.clock, source.pollMs, signal));
}

/** Connects in good time; the connection then lasts until `signal` aborts or either side ends it. */
async function connectFeed(address: RuntimeAddress, signal: AbortSignal): Promise<Connection> {
  const what = `connect to ${address.text}`;
  const open = (inTime: AbortSignal): Promise<Connection> =>
    openSocket({ address, idempotent: false }, inTime);
  const socket = await withDeadline(what, connectDeadlineMs, open, signal);
  const end = (): void => void socket.destroy();
  signal.addEventListener("abort", end, { once: true });
  socket.once("close", () => signal.removeEventListener("abort", end));
  return socket;
}

/** Streams lines until the connection ends; resolves with why there is no feed, or "". */
async function readLines(socket: Connection, source: Source): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const decoder = new TextDecoder();
  const state = { rest: "", refused: "" };
  socket.on("data", (bytes: Buffer) => {
    state.rest += decoder.decode(bytes, { stream: true });
    const lines = state.rest.split("\n");
    state.rest = lines.pop() ?? "";
    if (state.rest.length > lineLimit) {
      state.refused = `a line of more than ${lineLimit} characters`;
      socket.destroy();
    }
    const refused = lines.find((line) => /^(No such event|Unknown command)/.test(line));
    state.refused = refused ?? state.refused;
    const pid = lines.map((line) => /^Pid: ([0-9]+)$/.exec(line)?.[1]).find(Boolean);
    if (pid !== undefined && source.pid === undefined) {
      source.pid = Number(pid);
      if (refused === undefined) source.put({ kind: "connected" });
    }
    for (const line of lines) {
      if (line.startsWith("Server ")) source.put({ kind: "line", text: line });
    }
  });
  // In a container, a connect that failed is known only now.
  socket.once("error", (error: Error) => (state.refused ||= error.message));
  socket.on("close", () => resolve(state.refused));
  return await promise;
}
