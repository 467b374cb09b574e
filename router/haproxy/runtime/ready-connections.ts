/**
 * Connections to one Runtime API that are opened before they are needed, each for one line: while
 * clients are held, no connect stands in the way. HAProxy closes those that are idle for its
 * `stats timeout`; they are forgotten then. One that outlived a reload talks to the old worker, so
 * who uses it looks whether the worker that answered is stopping.
 */
import { withDeadline } from "../../../kit/clock.ts";
import { addressAt } from "./address.ts";
import type { RuntimePlace } from "./address.ts";
import type { Connection } from "./relay.ts";
import { openSocket } from "./transport.ts";

/** HAProxy takes ten connections at once on a stats socket, and others need some. */
const stockSize = 4;

export interface ReadyConnections {
  /** Opens what is missing. @throws the system's error, DeadlineError, or the signal's reason */
  fill(deadlineMs: number, signal?: AbortSignal): Promise<void>;
  /** An open connection that is the caller's now; undefined when there is none. Refills behind itself. */
  take(): Connection | undefined;
  /** How many are open. */
  readonly size: number;
  /** Forgets those that are open. */
  drop(): void;
  /** Closes all, and opens no more. */
  close(): void;
}

/** Keeps a small stock of connections to `place`; none yet. */
export function keepReady(place: RuntimePlace): ReadyConnections {
  const address = addressAt(place);
  const life = new AbortController();
  let stock: Connection[] = [];
  let filling: Promise<void> | undefined;

  const openOne = async (): Promise<void> => {
    const socket = await openSocket({ address, idempotent: true }, life.signal);
    if (life.signal.aborted) return void socket.destroy();
    socket.once("close", () => (stock = stock.filter((one) => one !== socket)));
    // Flowing, or the end that HAProxy sends would not be noticed.
    socket.resume();
    socket.unref();
    stock.push(socket);
  };
  const fillOnce = (): Promise<void> => {
    const missing = Math.max(0, stockSize - stock.length);
    filling ??= Promise.all(Array.from({ length: missing }, openOne))
      .then(() => undefined)
      .finally(() => (filling = undefined));
    return filling;
  };
  const drop = (): void => {
    for (const socket of stock) socket.destroy();
    stock = [];
  };
  return {
    fill: async (deadlineMs, signal) =>
      await withDeadline(`connect to ${address.text}`, deadlineMs, fillOnce, signal),
    take: () => {
      const socket = stock.find((one) => !one.destroyed && one.writable);
      if (socket === undefined) return undefined;
      stock = stock.filter((one) => one !== socket);
      socket.ref();
      // In a container the next one is free for the stock when this one is over: nothing has to be
      // started there meanwhile.
      const refill = (): void => {
        if (!life.signal.aborted) fillOnce().catch(() => undefined);
      };
      if (address.kind === "docker") socket.once("close", refill);
      else refill();
      return socket;
    },
    get size() {
      return stock.length;
    },
    drop,
    close: () => {
      life.abort(new Error(`the connections to ${address.text} are closed`));
      drop();
    },
  };
}
