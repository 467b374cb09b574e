/**
 * A peer on a real socket that misbehaves as a Runtime API can: it answers what the test says,
 * byte for byte, or breaks off, resets, goes silent, or never ends.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import type { PlainAddress } from "../../router/haproxy/runtime/address.ts";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the peer does with a line; `count` is 1 for the first line since the start. */
export type Answer = (socket: Socket, line: string, count: number) => void;

export interface FakeHaproxy {
  /** As the environment file writes it: unix:/path or tcp://host:port. */
  readonly address: PlainAddress;
  /** The lines that came, in order. */
  readonly lines: readonly string[];
  readonly stop: () => Promise<void>;
}

/** Starts a peer that gives `answer` to each line; on a unix socket, or on TCP where told so. */
export async function startFakeHaproxy(
  answer: Answer,
  tcp?: { readonly host: string; readonly port: number },
): Promise<FakeHaproxy> {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-fake-"));
  const path = join(folder, "admin.sock");
  const sockets = new Set<Socket>();
  const lines: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    let text = "";
    socket.on("data", (bytes: Buffer) => {
      text += bytes.toString();
      if (!text.endsWith("\n")) return;
      lines.push(text.trimEnd());
      answer(socket, text.trimEnd(), lines.length);
      text = "";
    });
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  if (tcp === undefined) server.listen(path, resolve);
  else server.listen(tcp.port, tcp.host, resolve);
  await promise;
  return {
    address: tcp === undefined ? `unix:${path}` : `tcp://${tcp.host}:${tcp.port}`,
    lines,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      await closed.promise;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Answers `text` and ends well. */
export const whole =
  (text: string): Answer =>
  (socket) =>
    void socket.end(text);

/** Answers `text` and then nothing more, with the connection kept open. */
export const silentAfter =
  (text: string): Answer =>
  (socket) =>
    void socket.write(text);

/** Answers without an end, 64 kB at a time. */
export const endless: Answer = (socket) => {
  const chunk = `${"x".repeat(65_535)}\n`;
  const more = (): void => {
    if (!socket.destroyed) socket.write(chunk, more);
  };
  socket.write("\n", more);
};
