/**
 * One connection for one line: connect, write, read to the end of the stream. Servers of 2.6 and
 * 3.x frame several lines on one connection differently; the end of the stream is the one frame
 * that all share. We never half-close: `wait` on 3.2 takes that for an interruption.
 */
import { connect } from "node:net";
import { DeadlineError, systemClock, withDeadline } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";
import type { RuntimeAddress } from "./address.ts";
import { connectInContainer } from "./relay.ts";
import type { Connection } from "./relay.ts";
import { createReplyReader, ReplyError } from "./replies.ts";
import type { ReplyReader } from "./replies.ts";

export type HaproxyErrorCode =
  | "ERR_HAPROXY_UNREACHABLE"
  | "ERR_HAPROXY_TIMEOUT"
  | "ERR_HAPROXY_PERMISSION"
  | "ERR_HAPROXY_PROTOCOL"
  | "ERR_HAPROXY_REFUSED"
  | "ERR_HAPROXY_VERSION"
  | "ERR_HAPROXY_READBACK";

/** Something asked of a HAProxy did not happen: `tried` on `address`, and what came back. */
export class HaproxyError extends Error {
  override readonly name = "HaproxyError";
  readonly code: HaproxyErrorCode;
  /** As it is written in an environment file. */
  readonly address: string;
  readonly tried: string;
  constructor(
    code: HaproxyErrorCode,
    what: { address: RuntimeAddress; tried: string; came: string; cause?: unknown },
  ) {
    const { text } = what.address;
    super(`${what.tried} on ${text}: ${what.came}`, { cause: what.cause });
    this.code = code;
    this.address = text;
    this.tried = what.tried;
  }
}

export interface ExchangeOptions {
  readonly address: RuntimeAddress;
  /** What stands in messages for the line. */
  readonly tried: string;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** What an answer begins with (see createReplyReader). */
  readonly first: string;
  readonly limitBytes?: number;
  /** True when a failed connect may be tried once more. */
  readonly idempotent: boolean;
  /** Tells from the text so far that no more will come, where HAProxy keeps the connection open. */
  readonly isWhole?: (soFar: string) => boolean;
  /** True where an end without a byte is an answer. */
  readonly emptyIsWhole?: boolean;
  /** Owns the pause before the second connect. */
  readonly clock?: Clock;
  /** Hands over a connection that is open already, for this line alone; undefined when there is none. */
  readonly ready?: (() => Connection | undefined) | undefined;
}

const retryAfterMs = 50;

/**
 * Sends `line` and resolves with the whole answer.
 * @throws HaproxyError UNREACHABLE, PERMISSION, TIMEOUT, PROTOCOL; or the signal's reason
 */
export async function exchange(line: string, options: ExchangeOptions): Promise<string> {
  const reader = createReplyReader(options.first, options.limitBytes);
  try {
    return await withDeadline(
      options.tried,
      options.deadlineMs,
      async (signal) => {
        const bounded = { ...options, signal };
        const mayTryAgain = (): boolean =>
          options.idempotent && !signal.aborted && reader.soFar() === "";
        const ready = options.ready?.();
        if (ready !== undefined) {
          try {
            return await readToEnd(ready, line, reader, bounded);
          } catch (error) {
            // HAProxy may have closed it a moment ago, as it does with those that are idle.
            if (!mayTryAgain()) throw error;
          }
        }
        const socket = await openSocket(options, signal);
        try {
          return await readToEnd(socket, line, reader, bounded);
        } catch (error) {
          // In a container, a connect that is refused is known only now, and a way into it that
          // was kept may have ended with it a moment ago.
          if (options.address.kind !== "docker" || !mayTryAgain()) throw error;
          await (options.clock ?? systemClock).sleep(retryAfterMs, signal);
          return await readToEnd(await openSocket(options, signal), line, reader, bounded);
        }
      },
      options.signal,
    );
  } catch (error) {
    throw explain(error, reader, options);
  }
}

/**
 * Opens a connection; one that is refused is tried once more where the command allows it, because
 * a reload may just be handing over the socket.
 * @throws the system's error, or the signal's reason
 */
export async function openSocket(
  options: Pick<ExchangeOptions, "address" | "idempotent" | "clock">,
  signal: AbortSignal,
): Promise<Connection> {
  try {
    return await connectOnce(options.address, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const mayPass = code === "ECONNREFUSED" || code === "EAGAIN" || code === "ECONNRESET";
    if (!options.idempotent || !mayPass) throw error;
    await (options.clock ?? systemClock).sleep(retryAfterMs, signal);
    return await connectOnce(options.address, signal);
  }
}

async function connectOnce(address: RuntimeAddress, signal: AbortSignal): Promise<Connection> {
  signal.throwIfAborted();
  if (address.kind === "docker") {
    const connection = await connectInContainer(address, signal);
    connection.on("error", () => undefined);
    return connection;
  }
  const socket =
    address.kind === "unix"
      ? connect({ path: address.path })
      : connect({ host: address.host, port: address.port });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("connect", resolve);
  // Stays for the socket's life: an error after the answer must not end the process.
  socket.on("error", reject);
  const give = (): void => void socket.destroy();
  signal.addEventListener("abort", give, { once: true });
  socket.once("close", () => {
    signal.removeEventListener("abort", give);
    reject(new Error("closed"));
  });
  await promise;
  return socket;
}

function readToEnd(
  socket: Connection,
  line: string,
  reader: ReplyReader,
  options: ExchangeOptions,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      reject(error);
    }
  };
  const isEmpty = (): boolean => options.emptyIsWhole === true && reader.soFar() === "";
  socket.on("data", (bytes: Buffer) =>
    attempt(() => {
      reader.push(bytes);
      if (options.isWhole?.(reader.soFar()) === true) resolve(reader.soFar());
    }),
  );
  socket.on("end", () => attempt(() => resolve(isEmpty() ? "" : reader.end())));
  socket.on("error", (error) => (isEmpty() ? resolve("") : reject(error)));
  socket.on("close", () => reject(new ReplyError("truncated", "the connection closed")));
  const give = (): void => void socket.destroy();
  options.signal?.addEventListener("abort", give, { once: true });
  socket.write(`${line}\n`);
  return promise.finally(() => {
    options.signal?.removeEventListener("abort", give);
    socket.destroy();
  });
}

const systemErrors: Readonly<Record<string, readonly [HaproxyErrorCode, string]>> = {
  ENOENT: ["ERR_HAPROXY_UNREACHABLE", "no such socket"],
  ENOTSOCK: ["ERR_HAPROXY_UNREACHABLE", "not a socket"],
  ECONNREFUSED: ["ERR_HAPROXY_UNREACHABLE", "connection refused: nothing listens there"],
  ENOTFOUND: ["ERR_HAPROXY_UNREACHABLE", "the host name is not known"],
  EHOSTUNREACH: ["ERR_HAPROXY_UNREACHABLE", "no route to the host"],
  ENETUNREACH: ["ERR_HAPROXY_UNREACHABLE", "no route to the network"],
  EACCES: ["ERR_HAPROXY_PERMISSION", "permission denied on the socket's file"],
  EPERM: ["ERR_HAPROXY_PERMISSION", "permission denied on the socket's file"],
};

function explain(error: unknown, reader: ReplyReader, options: ExchangeOptions): unknown {
  if (options.signal?.aborted === true) return error;
  const got = new TextEncoder().encode(reader.soFar()).length;
  const make = (code: HaproxyErrorCode, came: string): HaproxyError =>
    new HaproxyError(code, { address: options.address, tried: options.tried, came, cause: error });
  if (error instanceof DeadlineError) {
    const part = got === 0 ? "" : ` (${got} bytes of an unfinished one came)`;
    return make("ERR_HAPROXY_TIMEOUT", `no reply within ${options.deadlineMs} ms${part}`);
  }
  if (error instanceof ReplyError) return make("ERR_HAPROXY_PROTOCOL", error.message);
  const { code = "", message } = error as NodeJS.ErrnoException;
  const known = systemErrors[code];
  if (known !== undefined) return make(known[0], known[1]);
  return code === "ECONNRESET" || code === "EPIPE"
    ? make("ERR_HAPROXY_PROTOCOL", `the connection was reset after ${got} bytes of the answer`)
    : make("ERR_HAPROXY_UNREACHABLE", message);
}
