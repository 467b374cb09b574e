/**
 * The stream that an inner pg client speaks through while it starts a session. It hands over whole
 * messages and stops behind each ReadyForQuery, so that whoever takes the socket next misses no byte
 * and the inner client never touches the socket itself.
 */
import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { Recorder } from "./recording.ts";
import { closedFault } from "./faults.ts";
import { createFramer } from "./wire.ts";

/** Answers to what pg calls on a net.Socket. */
export class StartupStream extends Duplex {
  readonly #socket: Duplex;
  readonly #recorder: Recorder;
  readonly #framer = createFramer();
  #open = true;
  /** For SCRAM with channel binding; absent without TLS, as on a net.Socket. */
  readonly getPeerCertificate?: TLSSocket["getPeerCertificate"];

  constructor(socket: Duplex, recorder: Recorder) {
    super();
    this.#socket = socket;
    this.#recorder = recorder;
    const secure = socket as Partial<TLSSocket>;
    if (secure.getPeerCertificate !== undefined) {
      this.getPeerCertificate = secure.getPeerCertificate.bind(socket);
    }
    socket.on("data", this.#onData);
    socket.on("error", this.#onError);
    socket.on("end", this.#onEnd);
    socket.on("close", this.#onEnd);
  }

  /** The socket is connected already; pg waits for the event. */
  connect(): this {
    process.nextTick(() => this.emit("connect"));
    return this;
  }

  /** Reads on behind the last ReadyForQuery; to be called before each further query. */
  proceed(): void {
    this.#open = true;
    this.#socket.resume();
  }

  /** Lets go of the socket, which stays paused; unread bytes lie in it. */
  release(): void {
    this.#open = false;
    this.#socket.pause();
    this.#socket.off("data", this.#onData);
    this.#socket.off("error", this.#onError);
    this.#socket.off("end", this.#onEnd);
    this.#socket.off("close", this.#onEnd);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#framer.feed(chunk);
    try {
      this.#pump();
    } catch (error) {
      this.destroy(error as Error);
    }
  };

  readonly #onError = (error: Error): void => {
    this.destroy(error);
  };

  readonly #onEnd = (): void => {
    this.destroy(closedFault());
  };

  #pump(): void {
    for (;;) {
      const message = this.#framer.next();
      if (message === undefined) return;
      this.#recorder.note(message);
      if (message.type === "Z") this.#stop();
      this.push(message.bytes);
      if (!this.#open) return;
    }
  }

  /** Only what the server says of itself can follow; it goes back for whoever reads next. */
  #stop(): void {
    this.#open = false;
    this.#socket.pause();
    const rest = this.#framer.rest();
    if (rest.length > 0) this.#socket.unshift(rest);
  }

  override _read(): void {
    // What comes is a few hundred bytes; the socket is paused at each ReadyForQuery.
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  /** The socket has its settings from dialling. */
  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}
