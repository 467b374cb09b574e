/**
 * The fast shutdown of a member's Postgres: whom to ask for it, and whether it is still ours to ask.
 */
import { join } from "node:path";
import type { MemberControlKeys } from "../../../config/schema.ts";
import { systemClock } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";
import type { FileAsSeen, HostChannel, HostLook } from "./channel.ts";
import { nameProcesses } from "./judge.ts";

const hookDeadlineMs = 10_000;
/** An answer that took longer may be about what another run has overtaken since. */
const lateMs = 500;

/** How a signature stands in standby.signal. Postgres does not look at what is in the file. */
const signaturePattern = /^switchyard (.+)\n?$/;

interface Stopped {
  readonly member: string;
  readonly keys: MemberControlKeys;
  readonly channel: HostChannel;
}

/** The member is armed by someone else, or not at all; it was not stopped. */
export class ArmedByAnotherError extends Error {
  override readonly name = "ArmedByAnotherError";
  readonly code = "ERR_ARMED_BY_ANOTHER";
  readonly member: string;
  constructor(member: string, by: string | null) {
    super(`stop ${member}: its standby.signal says ${by ?? "nothing: there is none"}`);
    this.member = member;
  }
}

/**
 * As HostControl.stop; `clock` tells a late answer. Who was frozen, or is far away, looked long ago:
 * whether the member is armed as it was is judged where the signal is sent, and nothing is marked
 * before. Nor is it where answers come late and the member has become another's meanwhile, who may
 * have started it again.
 * @throws ArmedByAnotherError, HostControlError
 */
export async function stopPostgres(
  host: Stopped,
  signal: AbortSignal,
  armed: { readonly by: string | null } | undefined,
  clock: Pick<Clock, "monotonic"> = systemClock,
): Promise<void> {
  const { channel, keys, member } = host;
  const { service } = channel;
  const isSlow = service !== undefined && channel.isQuick === false;
  const askedAt = clock.monotonic();
  const look = isSlow && armed === undefined ? undefined : await channel.look("light", signal);
  if (armed !== undefined) requireArmed(member, armed.by, look?.signalFile ?? null);
  // What is slow sends the signal as well, later by what an engine takes.
  const pid = look === undefined || isSlow ? null : postmasterOf(look);
  const only = armed && signalFileAsSeen(host, look);
  const sending = pid === null ? undefined : channel.kill(pid, "SIGINT", signal, only);
  if (armed !== undefined) {
    const isSent = await sending;
    if (isSent === false || clock.monotonic() - askedAt > lateMs) {
      const now = await channel.read(signalPath(host), signal);
      requireArmed(member, armed.by, now?.toString("utf8") ?? null);
    }
  }
  const byHook = (): Promise<unknown> | undefined =>
    keys.stop && channel.run(keys.stop, "channel", { deadlineMs: hookDeadlineMs, signal });
  const marked = service === undefined ? byHook() : service.stop(signal);
  for (const one of await Promise.allSettled([sending, marked])) {
    if (one.status === "rejected") throw one.reason;
  }
}

function signalPath({ keys }: Stopped): string {
  return join(keys.data, "standby.signal");
}

function signalFileAsSeen(host: Stopped, look: HostLook | undefined): FileAsSeen {
  return { path: signalPath(host), text: look?.signalFile?.replace(/\n+$/, "") ?? null };
}

function requireArmed(member: string, by: string | null, text: string | null): void {
  const found = armedBy(text)?.by ?? null;
  if (found !== by) throw new ArmedByAnotherError(member, found);
}

/** What the text of a standby.signal says; null where there is none. */
export function armedBy(text: string | null): { readonly by: string } | null {
  return text === null ? null : { by: signaturePattern.exec(text)?.[1] ?? "" };
}

/** The postmaster; one that has only just been started has not written its file yet. */
export function postmasterOf(look: HostLook): number | null {
  if (look.processes === null) return look.postmaster;
  return nameProcesses(look.processes).find((one) => one.kind === "postmaster")?.pid ?? null;
}
