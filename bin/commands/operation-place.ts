/** Where the operations of an environment leave their files, and how an operation is named. */
import { randomBytes } from "node:crypto";
import { homedir, hostname, userInfo } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../kit/clock.ts";
import { makeOperationFolder } from "../../router/operation/store.ts";
import { stateHome } from "../cli/state-home.ts";

/**
 * The folder of an environment's flips, or the one beside them for operations of another kind, made
 * for its owner alone if it is not there.
 */
export async function operationsFolder(
  environment: string,
  kind?: "fence" | "rebuilds",
): Promise<string> {
  const folder = join(operationsPath(environment), kind ?? "");
  await makeOperationFolder(folder);
  return folder;
}

/** The folder of its flips, not made. */
export function operationsPath(environment: string): string {
  const given = stateHome() ?? "";
  const base = given.startsWith("/") ? given : join(homedir(), ".local/state");
  return join(base, "switchyard/operations", environment);
}

/** A new operation's id: when it was begun (UTC), so that ids sort, and four digits of chance. */
export function newOperationId(): string {
  const time = new Date(systemClock.now()).toISOString().slice(0, 19).replaceAll(/[-:]/g, "");
  return `${time}-${randomBytes(2).toString("hex")}`;
}

/** A new name for one run of the tool: it signs what the run arms, holds and pauses. */
export function newRun(): string {
  return randomBytes(8).toString("hex");
}

/** Who runs this, as others see it who find the lock taken. */
export function holderName(): string {
  return `${userInfo().username}@${hostname()}`;
}
