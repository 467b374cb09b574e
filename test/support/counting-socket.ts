/** A unix socket that passes on to another and counts who comes: what a tool opens, and when. */
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

export interface CountingSocket {
  readonly path: string;
  /** Bytes that clients have sent since the start. */
  readonly sent: () => number;
  /** Connections since the start. */
  readonly opened: () => number;
}

/** Passes on to the unix socket at `target` until the test ends. */
export async function startCountingSocket(t: Teardown, target: string): Promise<CountingSocket> {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-counting-"));
  const path = join(folder, "docker.sock");
  const sockets = new Set<Socket>();
  let opened = 0;
  let sent = 0;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    opened += 1;
    const far = connect({ path: target, allowHalfOpen: true });
    near.on("data", (bytes) => (sent += bytes.length));
    near.pipe(far);
    far.pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
  });
  const { promise: listening, resolve } = Promise.withResolvers<void>();
  server.listen(path, resolve);
  await listening;
  t.teardown(async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
    await rm(folder, { recursive: true, force: true });
  });
  return { path, opened: () => opened, sent: () => sent };
}
