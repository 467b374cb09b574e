/**
 * One attempt at one address: dial, log in, and look at the role, all on the session that is handed
 * over when it fits. An inner pg client does the talking and is let go at the end.
 */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Client as PgClient } from "pg";
import type { ClientConfig as PgClientConfig } from "pg";
import type { Role } from "../target/attributes.ts";
import { dial, ignoreError } from "./dial.ts";
import type { DialOptions } from "./dial.ts";
import { AttemptError } from "../errors.ts";
import { attemptFault, endOf } from "./faults.ts";
import type { Phase } from "./faults.ts";
import type { DialAddress, Pass } from "../search/finder.ts";
import { createRecorder } from "./recording.ts";
import type { Recording } from "./recording.ts";
import { describeRole, readRole } from "./role.ts";
import { StartupStream } from "./startup-stream.ts";
import { terminate } from "./wire.ts";

export interface AttemptConfig {
  readonly dial: DialOptions;
  /** What the session is started with: user, database, password, options and their like. */
  readonly startup: PgClientConfig;
  /** Whether the session is one of physical replication, which takes no SELECT. */
  readonly physical: boolean;
}

/** A session that is logged in, has the wanted role, and has nobody who reads it. */
export interface Session {
  readonly address: DialAddress;
  /** When the attempt began there: what was seen of the server later is newer than its role here. */
  readonly since: number;
  readonly startup: Recording;
  /** Undefined where nobody asked, since every role fits. */
  readonly role: Role | undefined;
  /** The paused socket, without any listener of ours: it is the caller's from here on. */
  take(): Duplex;
  /** Says goodbye and closes the socket; nothing after `take`. */
  close(): void;
}

export type Attempt = (address: DialAddress, pass: Pass, signal: AbortSignal) => Promise<Session>;

/**
 * What makes one attempt at one address.
 * @returns a function that resolves with a session, and throws AttemptError or the signal's reason
 */
export function createAttempt(config: AttemptConfig): Attempt {
  return async (address, pass, signal) => {
    const since = performance.now();
    const socket = await dial(address, config.dial, signal);
    const endTurn = await pass.turn(signal).catch((error: unknown) => {
      socket.destroy();
      throw error;
    });
    try {
      assertOpen(socket);
      return { ...(await startSession(socket, address, pass, config, signal)), since };
    } finally {
      endTurn();
    }
  };
}

/** Nobody listened while it waited for its turn. @throws AttemptError where it was lost meanwhile */
function assertOpen(socket: Duplex): void {
  const end = endOf(socket);
  if (end === undefined) return;
  socket.destroy();
  throw end;
}

async function startSession(
  socket: Duplex,
  address: DialAddress,
  pass: Pass,
  config: AttemptConfig,
  signal: AbortSignal,
): Promise<Omit<Session, "since">> {
  const recorder = createRecorder();
  const stream = new StartupStream(socket, recorder);
  const inner = innerClient(stream, address, config);
  let phase: Phase = "startup";
  // An inner client that is given up must see it, so that nothing waits for it any more.
  const onAbort = (): void => {
    stream.destroy(signal.reason as Error);
  };
  signal.addEventListener("abort", onAbort);
  try {
    signal.throwIfAborted();
    await inner.connect();
    phase = "role";
    const ask = (): void => stream.proceed();
    const role = pass.needsRole ? await readRole(inner, ask, config.physical) : undefined;
    signal.throwIfAborted();
    if (role !== undefined && !pass.accepts(role)) {
      throw new AttemptError("role", `${describeRole(role)}, wanted ${pass.wants}`);
    }
    return { address, role, startup: recorder, ...ownership(socket, stream) };
  } catch (error) {
    stream.release();
    depart(socket, phase === "role");
    signal.throwIfAborted();
    throw attemptFault(error, phase);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** The client that logs in. It never sees the socket, and what becomes of it later is nobody's. */
function innerClient(stream: Duplex, address: DialAddress, config: AttemptConfig): PgClient {
  const inner = new PgClient({
    ...config.startup,
    host: address.host,
    port: address.port,
    ssl: false,
    sslnegotiation: "postgres",
    stream: () => stream,
  });
  inner.on("error", ignoreError);
  return inner;
}

function ownership(socket: Duplex, stream: StartupStream): Pick<Session, "take" | "close"> {
  let isTaken = false;
  stream.release();
  return {
    take: () => {
      isTaken = true;
      socket.off("error", ignoreError);
      return socket;
    },
    close: () => {
      if (!isTaken) depart(socket, true);
    },
  };
}

/** How long a server may take to close its side of a session that is not wanted. */
const farewellMs = 1000;

/** Closes a socket, with Terminate where the server waits for a query. */
function depart(socket: Duplex, isLoggedIn: boolean): void {
  if (!isLoggedIn || socket.destroyed) {
    socket.destroy();
    return;
  }
  const timer = setTimeout(() => socket.destroy(), farewellMs).unref();
  socket.once("close", () => clearTimeout(timer));
  // Neither the farewell nor who does not answer it keeps Node running.
  (socket as Partial<Socket>).unref?.();
  // Unread bytes would keep the end of the stream from being seen.
  socket.resume();
  socket.end(terminate);
}
