/**
 * The stream that an outer pg client gets: to pg a net.Socket, in truth a search for a session that
 * somebody else has logged in. It swallows pg's startup message, answers with what the server said
 * when the session was started, and passes bytes both ways from then on.
 */
import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { AttemptError } from "../errors.ts";
import { endOf } from "./faults.ts";
import type { Recording } from "./recording.ts";
import { startupLength } from "./wire.ts";

/** What a search brings. */
export interface Handover {
  /** What to answer to the startup message; undefined passes it on, for a cancel request. */
  readonly startup: Recording | undefined;
  /** The paused socket, the taker's from here on. */
  take(): Duplex;
  /** Closes what nobody takes. */
  close(): void;
  /** What to say where it turns out to have ended already. */
  lost?(cause: AttemptError): Error;
}

/**
 * Finds a session; rejects with why there is none, soon after `signal` aborts.
 * @param isRefed false where it must not keep Node running
 */
export type Search = (signal: AbortSignal, isRefed: boolean) => Promise<Handover>;

type Done = (error?: Error | null) => void;
/** A socket, TLS or not, or whatever the app's own `stream` makes. */
type Link = Duplex & {
  [K in keyof TLSSocket as K extends keyof Duplex ? never : K]?: TLSSocket[K] | undefined;
};

/** Up to this size the pieces of a query are cheaper to copy than to hand over one by one. */
const copiedBytes = 16 * 1024;
const ignoreDone: Done = () => undefined;

export class HandoverStream extends Duplex {
  readonly #search: Search;
  readonly #stopped = new AbortController();
  #isSearching = false;
  /** Who closes the stream while it searches waits for what the search has to say. */
  #onSearched: Done | undefined;
  #socket: Link | undefined;
  /** What is to be answered to the startup message; undefined once it has been. */
  #startup: Recording | undefined;
  #swallowed: Buffer = Buffer.alloc(0);
  #isFull = false;
  #onDrained: Done | undefined;
  #isRefed = true;
  #noDelay: boolean | undefined;
  #keepAlive: readonly [boolean, number] | undefined;

  constructor(search: Search) {
    // As a net.Socket: the error is heard at once, "close" a turn later, when the socket has closed.
    super({ allowHalfOpen: false, emitClose: false });
    this.#search = search;
  }

  /** Begins the search, wherever pg wanted to go; `connect` is emitted at its end. */
  connect(): this {
    // Whoever connects waits for an event, also where the stream was closed before.
    if (this.destroyed) setImmediate(() => this.emit("close"));
    if (this.destroyed || this.#isSearching || this.#socket !== undefined) return this;
    this.#isSearching = true;
    void this.#find();
    return this;
  }

  async #find(): Promise<void> {
    try {
      const found = await this.#search(this.#stopped.signal, this.#isRefed);
      // What listens to the stream must throw into the event loop, not into this promise.
      process.nextTick(() => this.#adopt(found));
    } catch (error) {
      this.#searched(error as Error);
    }
  }

  #searched(fault: Error): void {
    this.#isSearching = false;
    if (this.#onSearched === undefined) this.destroy(fault);
    else this.#onSearched(fault);
  }

  #adopt(found: Handover): void {
    const { aborted, reason } = this.#stopped.signal;
    if (aborted) {
      found.close();
      this.#searched(reason as Error);
      return;
    }
    this.#isSearching = false;
    const socket: Link = found.take();
    this.#socket = socket;
    socket.on("error", (error: Error) => this.destroy(error));
    socket.on("end", () => this.push(null));
    socket.on("close", () => this.#onClosed());
    socket.on("drain", () => this.#drained());
    this.#settle(socket);
    const fault = endOf(socket);
    if (fault !== undefined) {
      this.destroy(found.lost?.(fault) ?? fault);
      return;
    }
    this.#startup = found.startup;
    if (found.startup === undefined) this.#flow(socket);
    this.emit("connect");
  }

  #settle(socket: Link): void {
    if (this.#noDelay !== undefined) socket.setNoDelay?.(this.#noDelay);
    if (this.#keepAlive !== undefined) socket.setKeepAlive?.(...this.#keepAlive);
    if (this.#isRefed) socket.ref?.();
    else socket.unref?.();
  }

  #flow(socket: Duplex): void {
    socket.on("data", (chunk: Buffer) => {
      if (this.push(chunk)) return;
      this.#isFull = true;
      socket.pause();
    });
    socket.resume();
  }

  /** A socket whose end was read lets the reader take what is left; any other is gone at once. */
  #onClosed(): void {
    if (this.#socket?.readableEnded !== true || this.writableFinished) this.destroy();
    else if (!this.writableEnded) this.end();
  }

  /** Ends the wait of whoever wrote, with why where it was in vain. */
  #drained(error?: Error): void {
    const done = this.#onDrained;
    this.#onDrained = undefined;
    done?.(error);
  }

  override _read(): void {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#socket?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    const socket = this.#socket;
    if (socket === undefined) this.#giveUp(done);
    else if (this.#startup !== undefined) this.#swallow(chunk, this.#startup, socket, done);
    else if (socket.write(chunk)) done();
    else this.#onDrained = done;
  }

  override _writev(
    chunks: readonly { chunk: Buffer; encoding: BufferEncoding }[],
    done: Done,
  ): void {
    const all = chunks.map(({ chunk }) => chunk);
    const size = all.reduce((sum, { length }) => sum + length, 0);
    if (size <= copiedBytes) this._write(Buffer.concat(all, size), "binary", done);
    else this.#writeEach(all, done);
  }

  /** One write to the system for all of them, without a copy. */
  #writeEach(chunks: readonly Buffer[], done: Done): void {
    this.#socket?.cork();
    const last = chunks.length - 1;
    chunks.forEach((chunk, at) => this._write(chunk, "binary", at === last ? done : ignoreDone));
    this.#socket?.uncork();
  }

  /** Before there is a session, pg writes only one thing: Terminate, since `end` was called. */
  #giveUp(done: Done): void {
    this.#stopped.abort(new Error("the client was ended while it was connecting"));
    done();
  }

  /** Takes the startup message away; what lies behind it is the server's. */
  #swallow(chunk: Buffer, startup: Recording, socket: Duplex, done: Done): void {
    this.#swallowed = Buffer.concat([this.#swallowed, chunk]);
    const length = startupLength(this.#swallowed);
    if (length === undefined || this.#swallowed.length < length) {
      done();
      return;
    }
    const rest = this.#swallowed.subarray(length);
    this.#swallowed = Buffer.alloc(0);
    this.#startup = undefined;
    if (rest.length > 0) socket.write(rest);
    this.push(startup.replay());
    this.#flow(socket);
    done();
  }

  override _final(done: Done): void {
    const socket = this.#socket;
    if (socket === undefined) this.#giveUp(done);
    else if (socket.destroyed || socket.writableEnded) done();
    else socket.end(() => done());
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#stopped.abort(error ?? new Error("the client was closed while it was connecting"));
    const socket = this.#socket;
    socket?.destroy();
    this.#drained(error ?? new Error("the connection was closed before this was written"));
    const finish: Done = (fault) => {
      done(fault);
      const onClosed = (): unknown => setImmediate(() => this.emit("close"));
      if (socket === undefined || socket.closed) onClosed();
      else socket.once("close", onClosed);
    };
    if (this.#isSearching && error === null) this.#onSearched = finish;
    else finish(error);
  }

  /** As on a net.Socket: whether the connection keeps Node running; also before it is there. */
  ref(): this {
    this.#isRefed = true;
    this.#socket?.ref?.();
    return this;
  }

  unref(): this {
    this.#isRefed = false;
    this.#socket?.unref?.();
    return this;
  }

  setNoDelay(noDelay = true): this {
    this.#noDelay = noDelay;
    this.#socket?.setNoDelay?.(noDelay);
    return this;
  }

  setKeepAlive(enable = false, initialDelay = 0): this {
    this.#keepAlive = [enable, initialDelay];
    this.#socket?.setKeepAlive?.(enable, initialDelay);
    return this;
  }

  /** The rest is what the socket says of itself. */
  get connecting(): boolean {
    return this.#isSearching;
  }

  get encrypted(): boolean {
    return this.#socket?.encrypted === true;
  }

  get authorized(): boolean {
    return this.#socket?.authorized === true;
  }

  get remoteAddress(): string | undefined {
    return this.#socket?.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket?.remotePort;
  }

  get remoteFamily(): string | undefined {
    return this.#socket?.remoteFamily;
  }

  get localAddress(): string | undefined {
    return this.#socket?.localAddress;
  }

  get localPort(): number | undefined {
    return this.#socket?.localPort;
  }

  getPeerCertificate(detailed = false): object {
    return this.#socket?.getPeerCertificate?.(detailed) ?? {};
  }
}
