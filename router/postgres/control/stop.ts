/**
 * The fast shutdown of a member's Postgres: whom to ask for it, and whether it is still ours to ask.
 */
import { join } from "node:path";
import type { MemberControlKeys } from "../../../config/schema.ts";
import type { HostChannel, HostLook } from "./channel.ts";
import { nameProcesses } from "./judge.ts";

const hookDeadlineMs = 10_000;

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

/** As HostControl.stop. @throws ArmedByAnotherError, HostControlError */
export async function stopPostgres(
  host: Stopped,
  signal: AbortSignal,
  armed: { readonly by: string | null } | undefined,
): Promise<void> {
  const { channel, keys, member } = host;
  const { service } = channel;
  const isSlow = service !== undefined && channel.isQuick === false;
  const look = isSlow && armed === undefined ? undefined : await channel.look("light", signal);
  if (armed !== undefined) requireArmed(member, armed.by, look?.signalFile ?? null);
  // It sends the signal as well, later by what an engine takes.
  if (look === undefined || isSlow) return await service?.stop(signal);
  const pid = postmasterOf(look);
  const asked =
    armed === undefined
      ? pid !== null && channel.kill(pid, "SIGINT", signal)
      : await askArmed(host, armed.by, { pid, signalFile: look.signalFile }, signal);
  const byHook = (): Promise<unknown> | undefined =>
    keys.stop && channel.run(keys.stop, "channel", { deadlineMs: hookDeadlineMs, signal });
  const marked = service === undefined ? byHook() : service.stop(signal);
  for (const one of await Promise.allSettled([asked, marked])) {
    if (one.status === "rejected") throw one.reason;
  }
}

/**
 * Sends the signal while the member is armed as it was. Who was frozen, or is far away, looked long
 * ago: that is judged where the signal is sent, and nothing is marked before.
 * @throws ArmedByAnotherError
 */
async function askArmed(
  { channel, keys, member }: Stopped,
  by: string | null,
  { pid, signalFile }: { readonly pid: number | null; readonly signalFile: string | null },
  signal: AbortSignal,
): Promise<boolean> {
  if (pid === null) return false;
  const path = join(keys.data, "standby.signal");
  const only = { path, text: signalFile?.replace(/\n+$/, "") ?? null };
  const isSent = await channel.kill(pid, "SIGINT", signal, only);
  if (!isSent) {
    requireArmed(member, by, (await channel.read(path, signal))?.toString("utf8") ?? null);
  }
  return isSent;
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
