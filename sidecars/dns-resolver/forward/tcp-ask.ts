/**
 * One question over TCP to an upstream, for an answer that does not fit into a datagram, or that
 * came back in another case than it was asked (RFC 7766). Nobody off the path can forge it.
 */
import { connect } from "node:net";
import type { Address } from "../../../kit/address.ts";
import { FrameReader } from "../wire/frames.ts";
import { read16 } from "../wire/message.ts";
import { matchReply } from "./match.ts";
import type { Sending } from "./sockets.ts";

/** The upstream closed the connection, or answered something else. */
export class TcpAnswerError extends Error {
  override readonly name = "TcpAnswerError";
  readonly code = "ERR_FORWARD_TCP";
  constructor(address: Address, what: string) {
    super(`ask ${address.host}:${address.port} over TCP: ${what}`);
  }
}

/**
 * Sends a query, which has its id, on a connection of its own.
 * @returns what gives up: nothing is told after it
 */
export function askOverTcp(
  address: Address,
  query: Uint8Array,
  sending: Omit<Sending, "onOtherCase">,
): () => void {
  const socket = connect({ host: address.host, port: address.port, noDelay: true });
  const frames = new FrameReader();
  let isOver = false;
  const end = (tell: () => void): void => {
    if (isOver) return;
    isOver = true;
    socket.destroy();
    tell();
  };
  const fail = (error: Error): void => end(() => sending.onError(error));
  socket.on("connect", () => {
    const frame = Buffer.allocUnsafe(query.length + 2);
    frame.writeUInt16BE(query.length, 0);
    frame.set(query, 2);
    socket.write(frame);
  });
  const take = (message: Uint8Array): boolean => {
    const isOurs = read16(message, 0) === read16(query, 0);
    const match = isOurs ? matchReply(message, sending.question) : "foreign";
    if (match === "foreign") fail(new TcpAnswerError(address, "the answer to another question"));
    else end(() => sending.onReply(message));
    return true;
  };
  socket.on("data", (chunk: Buffer) => {
    frames.push(chunk, (message) => take(new Uint8Array(message)));
  });
  socket.on("error", fail);
  socket.on("close", () => fail(new TcpAnswerError(address, "closed without an answer")));
  return () => end(() => undefined);
}
