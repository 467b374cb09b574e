/**
 * Knocks at Postgres's port: asks a new connection for GSS encryption, to which a living
 * postmaster answers one byte, and hangs up. A postmaster that is stopped while its old
 * connections live on would otherwise never be noticed. The knock takes no slot and no login, is
 * answered when every slot is taken, and writes nothing to Postgres's log unless log_connections
 * is on. PostgreSQL manual, 55.2.11 "GSSAPI Session Encryption".
 */
import { formatAddress } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";
import type { Clock } from "../../kit/clock.ts";
import { knock } from "../../kit/knock.ts";

const gssEncryptionRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30]);

export interface DoorOptions {
  readonly address: Address;
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
  const { address, deadlineMs } = options;
  const what = `knock at ${formatAddress(address)}`;
  let silentSince: number | null = null;
  while (!signal.aborted) {
    const started = options.clock.monotonic();
    const unanswered: number = silentSince ?? started;
    // Told beforehand: the knock itself may hang for as long as its deadline.
    onChange(unanswered);
    try {
      await knock(address, { what, deadlineMs, signal, say: gssEncryptionRequest });
      silentSince = null;
    } catch {
      silentSince = unanswered;
    }
    onChange(silentSince);
    await options.clock.sleep(options.intervalMs, signal).catch(() => undefined);
  }
}
