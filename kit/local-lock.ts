/**
 * A lock among the programs of one machine: a listening socket in the abstract namespace (unix(7)).
 * Taking it is atomic, the kernel gives it back when the holder ends, however it ends, and who holds
 * it says so to whoever connects.
 */
import { connect, createServer } from "node:net";
import type { Server } from "node:net";
import { once } from "node:events";
import { withDeadline } from "./clock.ts";

/** A holder says one short line; whatever else listens there is not listened to. */
const purposeLimit = 300;
/** A holder that is at work may take a while to say it; one that is frozen never does. */
const askDeadlineMs = 3000;

/**
 * Takes the lock called `name` (at most 90 bytes) without waiting; `purpose` is what others are told.
 * @returns what gives it back, or undefined when another program has it
 * @throws the operating system's error
 */
export async function tryLocalLock(
  name: string,
  purpose: string,
): Promise<{ readonly release: () => void } | undefined> {
  const server: Server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.end(`${purpose} (pid ${process.pid})`);
  });
  server.listen({ path: abstractPath(name) });
  try {
    await once(server, "listening");
    server.unref();
    return { release: () => void server.close() };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EADDRINUSE") return undefined;
    throw error;
  }
}

/** What the holder of the lock says it is for, with its pid; "another tool" where it says nothing. */
export async function askLocalHolder(name: string): Promise<string> {
  try {
    return await withDeadline("the holder of the lock", askDeadlineMs, async (signal) => {
      const socket = connect({ path: abstractPath(name) });
      signal.addEventListener("abort", () => socket.destroy(), { once: true });
      let text = "";
      for await (const chunk of socket) {
        text += String(chunk);
        if (text.length > purposeLimit) break;
      }
      return text.slice(0, purposeLimit) || "another tool";
    });
  } catch {
    return "another tool";
  }
}

function abstractPath(name: string): string {
  return `\0switchyard-${name}`;
}
