/**
 * One verb at a time on one lab. The lock is a listening socket in the abstract namespace
 * (unix(7)): taking it is atomic, and the kernel gives it back when the holder ends, however it
 * ends. Who holds it says so to whoever connects.
 */
import { createServer, connect } from "node:net";
import type { Server } from "node:net";
import { once } from "node:events";
import { DeadlineError, eventually, withDeadline } from "../kit/clock.ts";

/** Another tool works on the lab. */
export class LabLockedError extends Error {
  override readonly name = "LabLockedError";
  readonly code = "ERR_LOCKED";
}

/** Long enough for an up or a down that is under way. */
const patienceMs = 30_000;
/** A holder says one short line; whatever else listens there is not listened to. */
const purposeLimit = 300;

/**
 * Runs `work` while holding the lock called `name`; `purpose` is what others are told.
 * @throws LabLockedError when another tool holds it for longer than `patience` (ms), or what `work`
 * throws
 */
export async function withLock<T>(
  name: string,
  options: { purpose: string; patience?: number; signal?: AbortSignal },
  work: () => Promise<T>,
): Promise<T> {
  const path = `\0switchyard-${name}`;
  const server = await take(path, name, options);
  try {
    return await work();
  } finally {
    server.close();
  }
}

async function take(
  path: string,
  name: string,
  options: { purpose: string; patience?: number; signal?: AbortSignal },
): Promise<Server> {
  const deadlineMs = options.patience ?? patienceMs;
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  try {
    return await eventually(`the lock of ${name}`, { deadlineMs, intervalMs: 25, ...signal }, () =>
      tryOnce(path, options.purpose),
    );
  } catch (cause) {
    if (!(cause instanceof DeadlineError)) throw cause;
    const holder = await askHolder(path);
    throw new LabLockedError(
      `${name}: ${holder} is at work on it and did not finish within ${deadlineMs} ms`,
      { cause },
    );
  }
}

async function tryOnce(path: string, purpose: string): Promise<Server | undefined> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end(`${purpose} (pid ${process.pid})`);
  });
  server.listen({ path });
  try {
    await once(server, "listening");
    server.unref();
    return server;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return undefined;
    throw error;
  }
}

async function askHolder(path: string): Promise<string> {
  try {
    return await withDeadline("the holder of the lock", 500, async (signal) => {
      const socket = connect({ path });
      signal.addEventListener("abort", () => socket.destroy(), { once: true });
      let text = "";
      for await (const chunk of socket) {
        text += String(chunk);
        if (text.length > purposeLimit) break;
      }
      return text.slice(0, purposeLimit);
    });
  } catch {
    return "another tool";
  }
}
