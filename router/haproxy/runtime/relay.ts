/**
 * Connections to sockets inside containers. A relay is one program in a container (a shell that
 * starts socat), opened once through the engine and kept: it makes one connection after the other,
 * so that a command costs no new program of the engine, and a connection that was made ahead waits
 * for its line without any. Ended input ends the relay, so none outlives the tool.
 */
import { randomUUID } from "node:crypto";
import { Duplex } from "node:stream";
import { withDeadline } from "../../../kit/clock.ts";
import { openEngine } from "../../../kit/docker.ts";
import type { ContainerStream, DockerEngine } from "../../../kit/docker-engine.ts";
import type { ContainerSocket } from "./address.ts";
import { createRelayReader, relayScript } from "./relay-frames.ts";
import type { RelayEnd } from "./relay-frames.ts";

/** What a connection needs to have, on the network or in a container. */
export type Connection = Duplex & { ref(): unknown; unref(): unknown };

/** A connection in a container did not come about, or broke; `code` is the system's word for it. */
export class RelayError extends Error {
  override readonly name = "RelayError";
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** Relays that wait for their next connection; more of them end. */
const idleLimit = 8;

interface Engine {
  readonly opened: Promise<DockerEngine>;
  /** By container. */
  readonly idle: Map<string, Relay[]>;
}

const engines = new Map<string, Engine>();

/**
 * The engine behind an address, opened once in this process and kept.
 * @throws EngineError, or what says why its address is not known
 */
export async function engineOf({ engine }: Pick<ContainerSocket, "engine">): Promise<DockerEngine> {
  return await shared(engine).opened;
}

function shared(source: ContainerSocket["engine"]): Engine {
  const known = engines.get(source.key);
  if (known !== undefined) return known;
  const opened = source.read().then(openEngine);
  const made: Engine = { opened, idle: new Map() };
  engines.set(source.key, made);
  // What could not be read now may be there the next time.
  opened.catch(() => engines.delete(source.key));
  return made;
}

/**
 * Opens a connection to a socket in a container. That the socket cannot be connected to is known
 * only later: the connection then ends with an error.
 * @throws EngineError when there is no way into the container, or the signal's reason
 */
export async function connectInContainer(
  socket: ContainerSocket,
  signal: AbortSignal,
): Promise<Connection> {
  const engine = shared(socket.engine);
  const idle = engine.idle.get(socket.container);
  const kept = idle?.pop();
  if (kept !== undefined) return kept.connect(socket.path);
  const relay = await openRelay(engine, socket.container, signal);
  return relay.connect(socket.path);
}

const openDeadlineMs = 10_000;

async function openRelay(engine: Engine, container: string, signal: AbortSignal): Promise<Relay> {
  const mark = `switchyard-relay-${randomUUID()}`;
  const argv = ["sh", "-c", relayScript, "switchyard-relay", mark];
  const docker = await engine.opened;
  // The relay is kept for others, so it must not end with the one who opened it.
  const tried = `reach container ${container}`;
  const opening = docker
    .openExec(container, argv, { tried })
    .then((stream) => new Relay(engine, container, stream, mark));
  const open = async (): Promise<Relay> => {
    const relay = await opening;
    await relay.opened;
    return relay;
  };
  return await withDeadline(tried, openDeadlineMs, open, signal).catch((error: unknown) => {
    opening.then(
      (late) => late.fail("it came too late"),
      () => undefined,
    );
    throw error;
  });
}

class Relay {
  readonly #engine: Engine;
  readonly #container: string;
  readonly #stream: ContainerStream;
  readonly #hello = Promise.withResolvers<void>();
  /** Resolves when the program runs; rejects when it did not come to that. */
  readonly opened = this.#hello.promise;
  #current: RelayConnection | undefined;
  /** What was printed that belongs to no connection. */
  #said = "";
  #isOver = false;

  constructor(engine: Engine, container: string, stream: ContainerStream, mark: string) {
    this.#engine = engine;
    this.#container = container;
    this.#stream = stream;
    const frames = createRelayReader(mark);
    stream.stdout.on("data", (bytes: Buffer) => this.#read(() => frames.push(bytes)));
    stream.stderr.on("data", (bytes: Buffer) => this.#hear(bytes));
    this.opened.catch(() => undefined);
    for (const one of [stream.stdin, stream.stdout, stream.stderr]) {
      one.on("error", (error) => this.fail(error.message));
    }
    void stream.ended.then(({ words }) => this.#lose(this.#said.trim() || words));
  }

  /** Makes the next connection; the one before must have ended. */
  connect(path: string): Connection {
    const made = new RelayConnection(this, this.#stream);
    this.#current = made;
    made.ref();
    this.#stream.stdin.write(`${path}\n`);
    return made;
  }

  #read(take: () => (Uint8Array | RelayEnd)[]): void {
    try {
      for (const one of take()) {
        if (!(one instanceof Uint8Array)) this.#end(one);
        else if (this.#current === undefined) this.#hear(one);
        else this.#current.answer(one);
      }
    } catch (error) {
      this.fail((error as Error).message);
    }
  }

  #hear(bytes: Uint8Array): void {
    this.#said = (this.#said + Buffer.from(bytes).toString()).slice(-500);
  }

  #end(how: RelayEnd): void {
    this.#hello.resolve();
    const ended = this.#current;
    if (ended === undefined) return;
    this.#current = undefined;
    ended.unref();
    // A line that nobody answered may be waiting still, and would be the next connection's.
    if (ended.asked && !ended.answered) this.fail("its last line was not taken");
    else this.#keep();
    ended.finish(how.code === 0 ? undefined : failureOf(this.#container, how));
  }

  #keep(): void {
    const { idle } = this.#engine;
    const list = idle.get(this.#container) ?? [];
    idle.set(this.#container, list);
    if (list.length < idleLimit) list.push(this);
    else this.#stream.destroy();
  }

  /** It ended by itself, with its container most likely: those that wait there have ended, too. */
  #lose(why: string): void {
    if (this.#isOver) return;
    this.fail(why);
    for (const one of this.#engine.idle.get(this.#container)?.splice(0) ?? []) one.fail(why);
  }

  /** It can make no more connections; the one that it has breaks. */
  fail(why: string): void {
    this.#isOver = true;
    const list = this.#engine.idle.get(this.#container) ?? [];
    const at = list.indexOf(this);
    if (at >= 0) list.splice(at, 1);
    this.#stream.destroy();
    this.#hello.reject(notOpened(this.#container, why));
    const broken = this.#current;
    this.#current = undefined;
    broken?.finish(new RelayError("ECONNRESET", `the way into ${this.#container} ended: ${why}`));
  }
}

const advice =
  "use the image switchyard/haproxy or haproxy:3.0-alpine since November 2025, or mount the folder of the socket and name it unix:/path";

/** The program did not start: `why` is what came instead. */
function notOpened(container: string, why: string): RelayError {
  // The engine says that on the program's own output.
  return /executable file not found/.test(why)
    ? new RelayError("ERR_NO_SOCAT", `there is no sh in ${container}: ${advice}`)
    : new RelayError("ERR_RELAY", `the way into ${container} did not open: ${why}`);
}

/** What socat says when it cannot connect, and the system's code for it. */
const words: readonly (readonly [RegExp, string])[] = [
  [/No such file or directory/, "ENOENT"],
  [/Connection refused/, "ECONNREFUSED"],
  [/Permission denied/, "EACCES"],
  [/Socket operation on non-socket|Protocol wrong type/, "ENOTSOCK"],
  [/Broken pipe|Connection reset/, "ECONNRESET"],
];

function failureOf(container: string, { code, said }: RelayEnd): RelayError {
  if (code === 127) {
    return new RelayError("ERR_NO_SOCAT", `there is no socat in ${container}: ${advice}`);
  }
  const known = words.find(([pattern]) => pattern.test(said))?.[1] ?? "ERR_RELAY";
  return new RelayError(known, said === "" ? `socat ended with exit code ${code}` : said);
}

/** One connection of a relay, with the manners of a socket. */
class RelayConnection extends Duplex {
  readonly #relay: Relay;
  readonly #stream: ContainerStream;
  #over = false;
  asked = false;
  answered = false;

  constructor(relay: Relay, stream: ContainerStream) {
    super({ allowHalfOpen: false });
    this.#relay = relay;
    this.#stream = stream;
  }

  answer(bytes: Uint8Array): void {
    this.answered = true;
    this.push(bytes);
  }

  /** It has ended: well, or because of `error`. */
  finish(error: RelayError | undefined): void {
    this.#over = true;
    if (error === undefined) this.push(null);
    else this.destroy(error);
  }

  ref(): void {
    this.#stream.ref();
  }

  unref(): void {
    this.#stream.unref();
  }

  override _read(): void {
    // The engine's stream pushes.
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.asked = true;
    if (this.#over) done(new RelayError("EPIPE", "the connection has ended"));
    else this.#stream.stdin.write(chunk, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // Whose answer nobody waits for any more cannot be used again.
    if (!this.#over) {
      this.#over = true;
      this.#relay.fail("it was given up");
    }
    done(error);
  }
}
