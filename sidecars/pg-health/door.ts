/**
 * Knocks at Postgres's port: asks a new connection for GSS encryption, to which a living
 * postmaster answers one byte, and hangs up. A postmaster that is stopped while its old
 * connections live on would otherwise never be noticed. The knock takes no slot and no login, is
 * answered when every slot is taken, and writes nothing to Postgres's log unless log_connections
 * is on. PostgreSQL manual, 55.2.11 "GSSAPI Session Encryption".
 */
import { connect } from "node:net";
import { withDeadline } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";

const gssEncryptionRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]);

/** Resolves when the server has answered a byte; rejects when it has not by the deadline. */
export function knock(
  address: { readonly host: string; readonly port: number },
  deadlineMs: number,
  signal: AbortSignal,
): Promise<void> {
  const what = `knock at ${address.host}:${address.port}`;
  return withDeadline(what, deadlineMs, (inTime) => firstByte(address, inTime), signal);
}

function firstByte(address: { host: string; port: number }, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host: address.host, port: address.port });
  const settle = (done: () => void): void => {
    signal.removeEventListener("abort", onAbort);
    socket.destroy();
    done();
  };
  const onAbort = (): void => settle(() => reject(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  socket.on("connect", () => socket.write(gssEncryptionRequest));
  socket.on("data", () => settle(resolve));
  socket.on("error", (error) => settle(() => reject(error)));
  socket.on("end", () => settle(() => reject(new Error("closed without an answer"))));
  return promise;
}

export interface DoorOptions {
  readonly address: { readonly host: string; readonly port: number };
  readonly intervalMs: number;
  readonly deadlineMs: number;
  readonly clock: Clock;
}

/** Keeps knocking until `signal` aborts; tells since when there was no answer, or null. */
export async function watchDoor(
  options: DoorOptions,
  signal: AbortSignal,
  onChange: (silentSince: number | null) => void,
): Promise<void> {
  let silentSince: number | null = null;
  while (!signal.aborted) {
    const started = options.clock.monotonic();
    const unanswered: number = silentSince ?? started;
    // Told beforehand: the knock itself may hang for as long as its deadline.
    onChange(unanswered);
    try {
      await knock(options.address, options.deadlineMs, signal);
      silentSince = null;
    } catch {
      silentSince = unanswered;
    }
    onChange(silentSince);
    await options.clock.sleep(options.intervalMs, signal).catch(() => undefined);
  }
}
