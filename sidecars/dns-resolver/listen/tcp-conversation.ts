/**
 * One connection: questions in, answers out, in whatever order they are ready. A peer that does not
 * read its answers is not read from, so that nothing piles up.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { answer, tcpBytesMax } from "../answers/answers.ts";
import type { Desk } from "../engine/desk.ts";
import { count, countAnswer } from "../engine/tally.ts";
import { FrameReader } from "../wire/frames.ts";
import { write16 } from "../wire/message.ts";

/** Answers that wait to be read by the peer, in bytes; above that nothing more is answered. */
const unreadMax = 256 * 1024;
/** Questions of one connection that upstreams are asked at once. */
const pendingMax = 64;

const scratch = new Uint8Array(tcpBytesMax);
/** What one chunk is answered with, until it is written. */
const batch = Buffer.allocUnsafeSlow(128 * 1024);
let batched = 0;

export class TcpConversation {
  readonly #socket: Socket;
  readonly #desk: Desk;
  readonly #onQuestion: () => void;
  readonly #frames = new FrameReader();
  #pending = 0;
  #hasEnded = false;

  constructor(socket: Socket, desk: Desk, onQuestion: () => void) {
    this.#socket = socket;
    this.#desk = desk;
    this.#onQuestion = onQuestion;
  }

  begin(): void {
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("drain", () => this.#goOn());
    socket.on("end", () => {
      this.#hasEnded = true;
      this.#endWhenDone();
    });
  }

  #take(chunk: Uint8Array): void {
    this.#frames.push(chunk, (query) => this.#answer(query));
    this.#flush();
    if (this.#isFull()) this.#socket.pause();
    this.#endWhenDone();
  }

  /** What was left when it was full comes first. */
  #goOn(): void {
    if (this.#socket.destroyed || this.#isFull()) return;
    this.#take(new Uint8Array(0));
    if (!this.#isFull()) this.#socket.resume();
  }

  #isFull(): boolean {
    const { writableLength } = this.#socket;
    return writableLength + batched >= unreadMax || this.#pending >= pendingMax;
  }

  /** False: not now, since too much is under way. */
  #answer(query: Uint8Array): boolean {
    if (this.#isFull()) return false;
    const { serving, options, tally } = this.#desk;
    this.#onQuestion();
    count(tally, "tcp_queries");
    const size = answer(serving.current(), query, query.length, scratch, options.tcp);
    if (size > 0) {
      countAnswer(tally, scratch);
      this.#put(scratch.subarray(0, size));
    } else if (size === 0) count(tally, "ignored");
    else void this.#forward(size, Uint8Array.from(query));
    return true;
  }

  #put(message: Uint8Array): void {
    if (batched + 2 + message.length > batch.length) this.#flush();
    write16(batch, batched, message.length);
    batch.set(message, batched + 2);
    batched += 2 + message.length;
  }

  /** One chunk is answered at a time, so that what is in the batch is this connection's. */
  #flush(): void {
    if (batched === 0) return;
    const bytes = Buffer.from(batch.subarray(0, batched));
    batched = 0;
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  async #forward(code: number, query: Uint8Array): Promise<void> {
    this.#pending += 1;
    const address = this.#socket.remoteAddress ?? "";
    const found = await this.#desk.miss(code, query, { transport: "tcp", address });
    this.#pending -= 1;
    if (found !== undefined) {
      this.#put(found);
      this.#flush();
    }
    this.#goOn();
    this.#endWhenDone();
  }

  #endWhenDone(): void {
    if (this.#hasEnded && this.#pending === 0 && !this.#isFull()) this.#socket.end();
  }
}
