/**
 * Knocks at a TCP address: connects, says a few bytes if there are any to say, and hangs up. It
 * tells a peer that takes connections from one that is gone or frozen, without a login.
 */
import { connect } from "node:net";
import type { Address } from "./address.ts";
import { withDeadline } from "./clock.ts";
import { faultWords } from "./fault-words.ts";

export interface KnockOptions {
  /** What is tried, for messages, such as "knock at 10.0.0.1:5432". */
  readonly what: string;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  /** What to say; an answer is waited for then. */
  readonly say?: Buffer;
}

/** Nothing takes connections there, or it hung up without a word. */
export class KnockError extends Error {
  override readonly name = "KnockError";
  readonly code = "ERR_KNOCK";
  constructor(what: string, cause: unknown) {
    super(`${what}: ${faultWords(cause)}`, { cause });
  }
}

/**
 * Resolves with the first bytes of the answer, or with none as soon as the connection stands where
 * there is nothing to say.
 * @throws KnockError, DeadlineError, or the signal's reason
 */
export async function knock(address: Address, options: KnockOptions): Promise<Buffer> {
  const { what, deadlineMs, signal, say } = options;
  return await withDeadline(
    what,
    deadlineMs,
    async (inTime) => {
      const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
      const socket = connect({ host: address.host, port: address.port, signal: inTime });
      socket.on("connect", () =>
        say === undefined ? resolve(Buffer.alloc(0)) : socket.write(say),
      );
      socket.on("data", resolve);
      socket.on("error", (cause) => reject(new KnockError(what, cause)));
      socket.on("close", () => reject(new KnockError(what, new Error("closed without an answer"))));
      try {
        return await promise;
      } finally {
        socket.destroy();
      }
    },
    signal,
  );
}
