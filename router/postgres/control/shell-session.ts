/**
 * A shell that is kept open, and asked one thing after the other: a script goes in as one write, its
 * output comes back up to a line with a mark that nobody can guess. At its end a session can become
 * a program, whose output then is its own.
 */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import type { Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import type { ProgramEnd } from "../../../kit/docker-engine.ts";
import { markedScript } from "./shell-script.ts";

/** A shell's input and outputs. A container's stream (kit/docker-engine.ts) is one as it stands. */
export interface ShellStream {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves, never rejects, when the shell has ended. */
  readonly ended: Promise<ProgramEnd>;
  /** Ends it at once. */
  destroy(): void;
}

/** Starts the shell by `words`, such as [ssh, dal-01, sudo, sh]. */
export function spawnShell([program = "", ...words]: readonly string[]): ShellStream {
  // A group of its own: Ctrl-C in a terminal is for the tool, which ends its programs itself.
  const child = spawn(program, words, { stdio: "pipe", detached: true });
  const { promise, resolve } = Promise.withResolvers<ProgramEnd>();
  child.on("error", ({ message }) => resolve({ code: null, words: message }));
  child.on("close", (code, killedBy) =>
    resolve({ code, words: killedBy === null ? `exit code ${code}` : `ended by ${killedBy}` }),
  );
  const { stdin, stdout, stderr } = child;
  const destroy = (): void => {
    child.kill("SIGKILL");
    // A shell's own children may hold the pipes open, and us waiting for them.
    for (const stream of [stdin, stdout, stderr]) stream.destroy();
  };
  return { stdin, stdout, stderr, ended: promise, destroy };
}

/** The shell ended, or was ended, before it had answered. The message says what it said last. */
export class ShellEndedError extends Error {
  override readonly name = "ShellEndedError";
  readonly code = "ERR_SHELL_ENDED";
}

export interface ShellReply {
  /** Exit status of the script, or the shell's process id where it becomes a program. */
  readonly status: number;
  readonly output: Buffer;
}

/** What a shell becomes at its end. */
export interface Program {
  /** All that it reads. */
  readonly input: string;
  /** Its process id on its host, before it prints anything. */
  readonly onBegin: (pid: number) => void;
  readonly onOutput: (name: "stdout" | "stderr", chunk: Buffer) => void;
}

interface Waiting {
  readonly word: "status" | "pid";
  readonly mark: string;
  readonly resolve: (reply: ShellReply) => void;
  readonly reject: (reason: unknown) => void;
}

const replyLimitBytes = 64 * 1024 * 1024;
const saidLimit = 2000;
const queueLimit = 64;

export class ShellSession {
  readonly #stream: ShellStream;
  readonly #closed: Promise<ProgramEnd>;
  /** What came since the last reply. */
  #chunks: Buffer[] = [];
  #bytes = 0;
  #said = "";
  #waiting: Waiting | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #queued = 0;
  #program: Program | undefined;
  #how: ProgramEnd | undefined;

  /** Takes over a shell that has been opened. */
  constructor(stream: ShellStream) {
    this.#stream = stream;
    this.#closed = this.#close();
    // A shell that ends without reading is judged by how it ended, not by EPIPE.
    stream.stdin.on("error", () => undefined);
    stream.stdout.on("data", (chunk: Buffer) => this.#hear(chunk));
    stream.stderr.on("data", (chunk: Buffer) => {
      this.#said = `${this.#said}${chunk.toString("utf8")}`.slice(-saidLimit);
      // It may overtake the mark on the other output.
      this.#program?.onOutput("stderr", chunk);
    });
  }

  /** False once the shell has ended. */
  get isOpen(): boolean {
    return this.#how === undefined;
  }

  /**
   * Runs a script after those that were asked before it. A reply that is given up ends the session:
   * what comes late must not be taken for the answer to the next question.
   * @throws ShellEndedError, or the signal's reason
   */
  async ask(script: string, signal: AbortSignal): Promise<ShellReply> {
    if (this.#queued >= queueLimit) {
      throw new ShellEndedError(`${queueLimit} questions wait for the shell already`);
    }
    this.#queued += 1;
    const turn = this.#last.then(
      () => this.#exchange(script, "status", signal),
      () => this.#exchange(script, "status", signal),
    );
    this.#last = turn;
    try {
      return await turn;
    } finally {
      this.#queued -= 1;
    }
  }

  /**
   * Lets the shell become what `script` ends in (by exec).
   * @returns how the program ended
   */
  async become(script: string, program: Program, signal: AbortSignal): Promise<ProgramEnd> {
    await this.#last.catch(() => undefined);
    this.#program = program;
    await this.#exchange(script, "pid", signal);
    this.#stream.stdin.end(program.input);
    return await this.#closed;
  }

  /** Ends the shell at once. What is asked of it fails. */
  end(): void {
    this.#how ??= { code: null, words: "it was ended here" };
    this.#waiting?.reject(this.#endedError());
    this.#waiting = undefined;
    this.#stream.destroy();
  }

  /** Waits for the end of the shell. @returns how it ended */
  async #close(): Promise<ProgramEnd> {
    const { stdout, stderr, ended } = this.#stream;
    const [how] = await Promise.all([
      ended,
      ...[stdout, stderr].map((one) => finished(one).catch(() => undefined)),
    ]);
    this.#how ??= how;
    this.#waiting?.reject(this.#endedError());
    this.#waiting = undefined;
    return this.#how;
  }

  async #exchange(
    script: string,
    word: "status" | "pid",
    signal: AbortSignal,
  ): Promise<ShellReply> {
    signal.throwIfAborted();
    if (!this.isOpen) throw this.#endedError();
    const { promise, resolve, reject } = Promise.withResolvers<ShellReply>();
    const mark = randomUUID();
    this.#waiting = { mark, word, resolve, reject };
    const giveUp = (): void => {
      // Once the answer is there, the session may be a program already, which has a signal too.
      if (this.#waiting?.mark !== mark) return;
      reject(signal.reason);
      this.end();
    };
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      this.#stream.stdin.write(markedScript(script, mark, word));
      return await promise;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
  }

  #hear(chunk: Buffer): void {
    if (this.#waiting === undefined) return this.#program?.onOutput("stdout", chunk);
    const { mark, word, resolve, reject } = this.#waiting;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > replyLimitBytes) {
      reject(new ShellEndedError(`the shell printed more than ${replyLimitBytes} bytes`));
      return this.end();
    }
    // Only a line's end can end a reply.
    if (!chunk.includes(10)) return undefined;
    const all = Buffer.concat(this.#chunks);
    const at = all.lastIndexOf(`\n${mark} `);
    const end = at < 0 ? -1 : all.indexOf("\n", at + 1);
    if (end < 0) return undefined;
    const status = Number(all.toString("latin1", at + mark.length + 2, end));
    this.#chunks = [];
    this.#bytes = 0;
    this.#waiting = undefined;
    resolve({ status, output: all.subarray(0, at) });
    if (word === "pid") this.#program?.onBegin(status);
    if (end + 1 < all.length) this.#program?.onOutput("stdout", all.subarray(end + 1));
    return undefined;
  }

  #endedError(): ShellEndedError {
    const said = this.#said.trim();
    return new ShellEndedError(
      `the shell ended: ${this.#how?.words}${said === "" ? "" : `: ${said}`}`,
    );
  }
}
