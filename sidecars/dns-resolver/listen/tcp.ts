/**
 * Questions over TCP (RFC 1035, 4.2.2; RFC 7766): many on one connection, answered as they are ready,
 * all that one chunk asks in one write. A connection that asks nothing ends; where there are too many,
 * the one that has been quiet longest makes room.
 */
import { createServer } from "node:net";
import type { Server, Socket } from "node:net";
import type { Address } from "../../../kit/address.ts";
import type { Desk } from "../engine/desk.ts";
import { count } from "../engine/tally.ts";
import { TcpConversation } from "./tcp-conversation.ts";

export interface TcpLimits {
  readonly connections: number;
  readonly connectionsPerAddress: number;
  /** Milliseconds without a byte in or out. */
  readonly idleMs: number;
}

export const tcpLimits: TcpLimits = {
  connections: 512,
  connectionsPerAddress: 100,
  idleMs: 10_000,
};

export interface TcpListener {
  /** Connections that are open. */
  readonly connections: number;
  close(): Promise<void>;
}

/** Listens and answers. @throws the system's error when the address cannot be bound */
export async function startTcp(
  address: Address,
  desk: Desk,
  limits: TcpLimits = tcpLimits,
): Promise<TcpListener> {
  // In the order of their last question: the first one has been quiet longest.
  const open = new Map<Socket, string>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const host = socket.remoteAddress ?? "";
    open.set(socket, host);
    count(desk.tally, "tcp_connections");
    makeRoom(open, host, limits, desk);
    socket.setTimeout(limits.idleMs, () => socket.destroy());
    // Whatever ended it, nobody is left to be told.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => open.delete(socket));
    const onQuestion = (): void => {
      if (!open.delete(socket)) return;
      open.set(socket, host);
    };
    new TcpConversation(socket, desk, onQuestion).begin();
  });
  await listening(server, address);
  return {
    get connections() {
      return open.size;
    },
    close: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      for (const socket of open.keys()) socket.destroy();
      return promise;
    },
  };
}

function makeRoom(
  open: ReadonlyMap<Socket, string>,
  host: string,
  limits: TcpLimits,
  desk: Desk,
): void {
  let ofHost = 0;
  for (const other of open.values()) if (other === host) ofHost += 1;
  const isHostFull = ofHost > limits.connectionsPerAddress;
  if (!isHostFull && open.size <= limits.connections) return;
  for (const [socket, other] of open) {
    if (isHostFull && other !== host) continue;
    socket.destroy();
    count(desk.tally, "tcp_evictions");
    return;
  }
}

function listening(server: Server, address: Address): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  const { host, port } = address;
  server.listen({ host, port, ipv6Only: true, exclusive: true, backlog: 511 }, () => {
    server.off("error", reject);
    // A connection that could not be accepted, for want of files: the listener goes on.
    server.on("error", () => undefined);
    resolve();
  });
  return promise;
}
