/**
 * UDP by node:dgram, in the main thread: one socket for an address, so that answers leave from where
 * the question came to. Answers are written into a ring of buffers, since what is sent may wait in the
 * socket's queue.
 */
import { Buffer } from "node:buffer";
import { createSocket } from "node:dgram";
import type { RemoteInfo, Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import type { Address } from "../../../kit/address.ts";
import { answer } from "../answers/answers.ts";
import type { Desk } from "./desk.ts";
import { count, countAnswer } from "./tally.ts";

/** Something that answers over UDP at one address. */
export interface UdpEngine {
  close(): Promise<void>;
}

const ringSlots = 512;
/** How many sends pass between two looks at the socket's queue; the ring has room for more than that. */
const sendsPerLook = 64;
const queuedMax = ringSlots - 2 * sendsPerLook;
/** A burst of a whole host waits in the kernel, not in the bin; the kernel may allow less. */
const receiveBufferBytes = 4 * 1024 ** 2;

/** Listens and answers. @throws the system's error when the address cannot be bound */
export async function startDgram(address: Address, desk: Desk): Promise<UdpEngine> {
  const family = isIPv6(address.host) ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? "udp6" : "udp4",
    ipv6Only: family === 6,
    // Peers are addresses already: nothing is looked up, and a send happens at once.
    lookup: (host, _options, found) => found(null, host, family),
  });
  await bound(socket, address);
  socket.setRecvBufferSize(receiveBufferBytes);
  // What could not be sent is lost, as any datagram can be.
  socket.on("error", () => count(desk.tally, "send_failures"));
  socket.on("message", answering(socket, desk));
  return {
    close: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      socket.close(() => resolve());
      return promise;
    },
  };
}

function bound(socket: Socket, address: Address): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (error: Error): void => {
    socket.close();
    reject(error);
  };
  socket.once("error", fail);
  socket.bind({ address: address.host, port: address.port, exclusive: true }, () => {
    socket.off("error", fail);
    resolve();
  });
  return promise;
}

function answering(socket: Socket, desk: Desk): (query: Buffer, peer: RemoteInfo) => void {
  const { serving, tally } = desk;
  const options = desk.options.udp;
  const ring = Array.from({ length: ringSlots }, () => Buffer.allocUnsafeSlow(options.udpSizeMax));
  let turn = 0;
  let isJammed = false;
  return (query, peer) => {
    count(tally, "udp_queries");
    turn = (turn + 1) % ringSlots;
    if (turn % sendsPerLook === 0) isJammed = socket.getSendQueueCount() > queuedMax;
    const slot = ring[turn];
    if (slot === undefined || isJammed || peer.port === 0) {
      count(tally, "send_failures");
      return;
    }
    const size = answer(serving.current(), query, query.length, slot, options);
    if (size > 0) {
      countAnswer(tally, slot);
      socket.send(slot, 0, size, peer.port, peer.address);
    } else if (size === 0) count(tally, "ignored");
    else void forward(socket, desk, query, { code: size, peer });
  };
}

async function forward(
  socket: Socket,
  desk: Desk,
  query: Uint8Array,
  miss: { readonly code: number; readonly peer: RemoteInfo },
): Promise<void> {
  const { address, port } = miss.peer;
  const found = await desk.miss(miss.code, query, { transport: "udp", address });
  if (found === undefined) return;
  try {
    socket.send(found, port, address);
  } catch {
    // The socket was closed meanwhile.
    count(desk.tally, "send_failures");
  }
}
