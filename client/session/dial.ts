/**
 * From one address to a stream on which the Postgres protocol can begin: TCP or a unix socket, then
 * TLS where it is asked for, as pg negotiates it (manual 55.2.10 "SSL Session Encryption").
 */
import { isIP, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as tlsConnect } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import { AttemptError } from "../errors.ts";
import { attemptFault, closedFault, tlsSettingsFault } from "./faults.ts";
import type { Phase } from "./faults.ts";
import type { DialAddress } from "../search/finder.ts";
import { sslRequest } from "./wire.ts";

export interface DialOptions {
  /** What pg makes of `ssl` and sslmode: false, true, or the options of tls.connect. */
  readonly ssl: boolean | ConnectionOptions;
  /** "direct" begins TLS at once (PostgreSQL 17). */
  readonly sslNegotiation: "postgres" | "direct";
  readonly keepAlive: boolean;
  readonly keepAliveInitialDelayMillis: number;
  /** The socket does not keep Node running while nothing has come of it. */
  readonly isUnref?: boolean;
  /** Makes the socket, as pg's own option `stream`; it gets `connect(port, address)`. */
  readonly makeSocket: (() => Duplex) | undefined;
}

/** Errors come to whoever waits; nobody waiting is no reason to end the process. */
export function ignoreError(): void {
  // What was lost is seen by the next who reads or writes.
}

/**
 * Connects to `address` and brings up TLS where it is asked for, against the name.
 * @returns a socket in plain text to its user, with `ignoreError` as its only lasting listener
 * @throws AttemptError; the socket is closed then
 */
export async function dial(
  address: DialAddress,
  options: DialOptions,
  signal: AbortSignal,
): Promise<Duplex> {
  signal.throwIfAborted();
  let phase: Phase = "tcp";
  const socket = open(address, options);
  socket.on("error", ignoreError);
  try {
    await happened(socket, "connect", signal);
    if (options.ssl === false) return socket;
    phase = "tls";
    if (options.sslNegotiation === "postgres") await requestTls(socket, signal);
    return await secure(socket, address, options, signal);
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw attemptFault(error, phase);
  }
}

/** A socket that is connecting. */
function open(address: DialAddress, options: DialOptions): Duplex {
  const { port } = address;
  const socket = (options.makeSocket?.() ?? new Socket()) as Socket;
  socket.setNoDelay?.(true);
  socket.setKeepAlive?.(options.keepAlive, options.keepAliveInitialDelayMillis);
  if (options.isUnref === true) socket.unref?.();
  if (address.family === 0) socket.connect({ path: socketPath(address) });
  else if (options.makeSocket !== undefined) socket.connect(port, address.address);
  else socket.connect({ host: address.address, port, autoSelectFamily: false });
  return socket;
}

/** Where a server that listens in a folder has its socket (manual, unix_socket_directories). */
function socketPath({ address, port }: DialAddress): string {
  const file = `/.s.PGSQL.${port}`;
  return address.endsWith(file) ? address : address + file;
}

/** Resolves with what `event` brings; rejects when the socket fails or closes, or by the signal. */
function happened(socket: Duplex, event: string, signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const clear = (): void => {
      socket.off(event, onEvent);
      socket.off("error", onError);
      socket.off("close", onClose);
      socket.off("end", onClose);
      signal.removeEventListener("abort", onAbort);
    };
    const onEvent = (value: unknown): void => {
      clear();
      resolve(value);
    };
    const onError = (error: Error): void => {
      clear();
      reject(error);
    };
    const onClose = (): void => onError(closedFault());
    const onAbort = (): void => onError(signal.reason as Error);
    socket.on(event, onEvent);
    socket.on("error", onError);
    socket.on("close", onClose);
    socket.on("end", onClose);
    signal.addEventListener("abort", onAbort);
  });
}

/** Asks for TLS. @throws AttemptError where the server has none, or speaks out of turn */
async function requestTls(socket: Duplex, signal: AbortSignal): Promise<void> {
  const answered = happened(socket, "data", signal);
  socket.write(sslRequest);
  const answer = (await answered) as Buffer;
  const word = answer.toString("latin1", 0, 1);
  if (word === "N") throw new AttemptError("tls", "The server does not support SSL connections");
  if (word !== "S")
    throw new AttemptError("tls", "There was an error establishing an SSL connection");
  // Plain bytes behind the S could be taken for bytes of the secure session (CVE-2021-23222).
  if (answer.length > 1)
    throw new AttemptError("tls", "the server sent plain text where TLS begins");
}

/** Brings up TLS, with the options that pg would give. */
async function secure(
  socket: Duplex,
  address: DialAddress,
  { ssl, sslNegotiation }: DialOptions,
  signal: AbortSignal,
): Promise<Duplex> {
  const given: ConnectionOptions = typeof ssl === "object" ? ssl : {};
  const options: ConnectionOptions = { socket, host: address.host, ...given };
  // pg hides the key from those who list an object's properties.
  if (given.key !== undefined) options.key = given.key;
  if (sslNegotiation === "direct") options.ALPNProtocols = ["postgresql"];
  // An address must not be a server name (RFC 6066 section 3).
  if (isIP(address.host) === 0) options.servername = address.host;
  const secured = begin(options);
  secured.on("error", ignoreError);
  try {
    await happened(secured, "secureConnect", signal);
    return secured;
  } catch (error) {
    secured.destroy();
    throw error;
  }
}

function begin(options: ConnectionOptions): Duplex {
  try {
    return tlsConnect(options);
  } catch (error) {
    throw tlsSettingsFault(error);
  }
}
