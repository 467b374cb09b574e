/**
 * Open ways to programs in containers: the engine hands its connection over, and sends both outputs
 * of the program over it in frames (Engine API, "Attach to a container": stream format).
 */
import { PassThrough } from "node:stream";
import type { Duplex } from "node:stream";
import type { ContainerStream, ProgramEnd } from "./docker-engine.ts";

const headerBytes = 8;

/** Parts frames, in whatever pieces they arrive; `onBytes` gets a frame's as they come. */
export class FrameReader {
  readonly #onBytes: (name: "stdout" | "stderr", bytes: Buffer) => void;
  #header: Buffer = Buffer.alloc(0);
  #name: "stdout" | "stderr" = "stdout";
  #left = 0;

  constructor(onBytes: (name: "stdout" | "stderr", bytes: Buffer) => void) {
    this.#onBytes = onBytes;
  }

  take(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#left === 0) {
        const missing = headerBytes - this.#header.length;
        this.#header = Buffer.concat([this.#header, rest.subarray(0, missing)]);
        rest = rest.subarray(missing);
        if (this.#header.length < headerBytes) return;
        this.#name = this.#header[0] === 2 ? "stderr" : "stdout";
        this.#left = this.#header.readUInt32BE(4);
        this.#header = Buffer.alloc(0);
        continue;
      }
      const bytes = rest.subarray(0, this.#left);
      rest = rest.subarray(bytes.length);
      this.#left -= bytes.length;
      this.#onBytes(this.#name, bytes);
    }
  }
}

/** Both outputs out of a whole reply of frames, as text. */
export function readFrames(bytes: Buffer): { readonly stdout: string; readonly stderr: string } {
  const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  new FrameReader((name, part) => parts[name].push(part)).take(bytes);
  return {
    stdout: Buffer.concat(parts.stdout).toString("utf8"),
    stderr: Buffer.concat(parts.stderr).toString("utf8"),
  };
}

/**
 * The stream over a connection that the engine handed over. Both outputs have to be read: one that
 * nobody reads holds up the other.
 * @param socket what the engine handed over
 * @param end asked once, when the connection has ended, how the program did
 * @param letGo called once by destroy
 */
export function containerStream(
  socket: Duplex,
  end: (fault: Error | undefined) => Promise<ProgramEnd>,
  letGo: () => void = () => undefined,
): ContainerStream {
  const outputs = { stdout: new PassThrough(), stderr: new PassThrough() };
  /** Those that wait to be read. */
  const full = new Set<"stdout" | "stderr">();
  const reader = new FrameReader((name, bytes) => {
    // One piece of the connection holds many frames.
    if (outputs[name].write(bytes) || full.has(name)) return;
    full.add(name);
    socket.pause();
    outputs[name].once("drain", () => {
      full.delete(name);
      if (full.size === 0) socket.resume();
    });
  });
  const { promise: closed, resolve } = Promise.withResolvers<Error | undefined>();
  let fault: Error | undefined;
  socket.on("data", (chunk: Buffer) => reader.take(chunk));
  socket.on("error", (error) => {
    fault = error;
  });
  const onEnd = (): void => {
    outputs.stdout.end();
    outputs.stderr.end();
    resolve(fault);
  };
  socket.on("end", onEnd);
  socket.on("close", onEnd);
  let isDestroyed = false;
  return {
    stdin: socket,
    stdout: outputs.stdout,
    stderr: outputs.stderr,
    ended: closed.then(end).catch(brokenOff),
    destroy: () => {
      if (isDestroyed) return;
      isDestroyed = true;
      socket.destroy();
      letGo();
    },
    ref: () => holdProcess(socket, "ref"),
    unref: () => holdProcess(socket, "unref"),
  };
}

/** Sockets and the programs that stand for one know how; another stream keeps no process alive. */
function holdProcess(socket: Duplex, how: "ref" | "unref"): void {
  (socket as Partial<Record<"ref" | "unref", () => unknown>>)[how]?.();
}

/** A program that ended by itself. */
export function endedWith(code: number): ProgramEnd {
  return { code, words: `exit code ${code}` };
}

/** A program of which nobody knows how it ended, because of `error`. */
export function brokenOff(error: unknown): ProgramEnd {
  return { code: null, words: error instanceof Error ? error.message : String(error) };
}
