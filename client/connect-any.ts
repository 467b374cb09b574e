/**
 * A TCP connection to the first of all addresses of a host that takes one, for any service: the same
 * search as for Postgres, where an optional check decides which connection will do.
 */
import { connect } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import { asAttemptError, AttemptError } from "./errors.ts";
import type { DialAddress, Pass } from "./search/finder.ts";
import { createSharedFinder, finderOf } from "./search/finder-handle.ts";
import type { SharedFinder } from "./search/finder-handle.ts";
import { closedFault, endOf } from "./session/faults.ts";

export interface ConnectAnyOptions {
  /** Of the whole search, in milliseconds (default 10 s). */
  readonly deadlineMs?: number | undefined;
  /** How long one address is tried alone (default 250 ms). */
  readonly staggerMs?: number | undefined;
  /** How long one address may take in all (default 5 s). */
  readonly attemptTimeoutMs?: number | undefined;
  /** Name servers to ask instead of the system: `address` or `address:port`. */
  readonly servers?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Decides whether this connection will do; what it throws sends the search to the next address. */
  readonly check?: ((socket: Socket, signal: AbortSignal) => Promise<void>) | undefined;
  /** Given, TLS comes first; the certificate is verified against the host. */
  readonly tls?: ConnectionOptions | undefined;
  readonly localAddress?: string | undefined;
  /** Shares what it knows with other searches; its options stand instead of those above. */
  readonly finder?: SharedFinder | undefined;
}

/**
 * Connects to `host`, which may be several names or addresses separated by commas, or the path of a
 * Unix socket with port 0.
 * @returns a connected socket, to be ended by the caller; it has no listener of ours on it
 * @throws ConnectError with every address and its reason, or the signal's reason
 */
export async function connectAny(
  host: string,
  port: number,
  options: ConnectAnyOptions = {},
): Promise<Socket> {
  const { servers, staggerMs, attemptTimeoutMs, deadlineMs, signal } = options;
  const shared = options.finder ?? createSharedFinder({ servers, staggerMs, attemptTimeoutMs });
  const { value } = await finderOf(shared).find<Socket>({
    endpoints: host.split(",").map((one) => ({ host: one.trim(), port, hostaddr: undefined })),
    attributes: "any",
    wanted: "a connection",
    deadlineMs,
    signal,
    attempt: (address, pass, ended) => connected(address, pass, { ...options, signal: ended }),
    discard: (socket) => socket.destroy(),
  });
  return value;
}

async function connected(
  address: DialAddress,
  pass: Pass,
  options: ConnectAnyOptions & { readonly signal: AbortSignal },
): Promise<Socket> {
  const { check, localAddress, signal, tls } = options;
  const plain = connect({
    ...(address.family === 0
      ? { path: address.address }
      : { host: address.address, port: address.port, localAddress }),
  });
  const socket = await opened(plain, "connect", signal);
  if (tls === undefined && check === undefined) return socket;
  const endTurn = await turnOf(pass, socket, signal);
  try {
    const secured = tls === undefined ? socket : await secure(socket, address, tls, signal);
    if (check !== undefined) await checked(secured, check, signal);
    return secured;
  } finally {
    endTurn();
  }
}

/** @throws AttemptError where the connection is lost before there is a turn, or the signal's reason */
async function turnOf(pass: Pass, socket: Socket, signal: AbortSignal): Promise<() => void> {
  // Nobody else listens while it waits, and an error that nobody hears would end the process.
  const onError = (): void => undefined;
  socket.on("error", onError);
  try {
    const endTurn = await pass.turn(signal);
    const end = endOf(socket);
    if (end === undefined) {
      socket.off("error", onError);
      return endTurn;
    }
    endTurn();
    throw end;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function secure(
  socket: Socket,
  { host }: DialAddress,
  tls: ConnectionOptions,
  signal: AbortSignal,
): Promise<Socket> {
  // `host` alone would send no name at all to an IP address, which is right (RFC 6066, section 3).
  const secured = connectTls({ host, ...tls, socket });
  return opened(secured, "secureConnect", signal);
}

/** Resolves with the socket once it has said `event`; else it is destroyed. */
function opened<S extends Socket>(
  socket: S,
  event: "connect" | "secureConnect",
  signal: AbortSignal,
): Promise<S> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      signal.removeEventListener("abort", onAbort);
      socket.off("error", onError).off("close", onClose).off(event, onOpen);
    };
    const fail = (error: unknown): void => {
      settle();
      // A destroyed socket may still have an error to tell.
      socket.on("error", () => undefined).destroy();
      reject(asAttemptError(error, event === "connect" ? "unreachable" : "tls"));
    };
    const onError = (error: Error): void => fail(error);
    const onAbort = (): void => fail(signal.reason);
    const onClose = (): void =>
      fail(new AttemptError("closed", "the connection was closed", { code: "ECONNRESET" }));
    const onOpen = (): void => {
      settle();
      resolve(socket);
    };
    socket.on("error", onError).on("close", onClose).on(event, onOpen);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

async function checked(
  socket: Socket,
  check: (socket: Socket, signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const onError = (): void => undefined;
  const onAbort = (): void => void socket.destroy();
  let onClose = (): void => undefined;
  // A check may wait for words that cannot come any more.
  const closed = new Promise<never>((_, reject) => {
    onClose = () => reject(endOf(socket) ?? closedFault());
  });
  socket.on("error", onError).on("close", onClose);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([check(socket, signal), closed]);
    const end = endOf(socket);
    if (end !== undefined) throw end;
    socket.off("error", onError);
  } catch (error) {
    socket.destroy();
    throw asAttemptError(error, "server");
  } finally {
    socket.off("close", onClose);
    signal.removeEventListener("abort", onAbort);
  }
}
