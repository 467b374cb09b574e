/** Where the operations of an environment leave their files, and how an operation is named. */
import { randomBytes } from "node:crypto";
import { access, constants } from "node:fs/promises";
import { homedir, hostname, userInfo } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../kit/clock.ts";
import { makeOperationFolder, pruneOperations } from "../../router/operation/store.ts";
import { stateHome } from "../cli/state-home.ts";

/** The folder that every operation needs for its journal cannot be made, or written to. */
export class StateFolderError extends Error {
  override readonly name = "StateFolderError";
  readonly code = "ERR_STATE_FOLDER";
  readonly folder: string;
  constructor(folder: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(
      `the folder for the journals of operations, ${folder}, cannot be used: ${why}; XDG_STATE_HOME moves it`,
      { cause },
    );
    this.folder = folder;
  }
}

/**
 * The folder of an environment's flips, or the one beside them for operations of another kind, made
 * for its owner alone if it is not there. What is too old to keep is removed from it.
 * @throws StateFolderError when it cannot be made, or nothing can be written into it
 */
export async function operationsFolder(
  environment: string,
  kind?: "fence" | "rebuilds",
): Promise<string> {
  const folder = join(operationsPath(environment), kind ?? "");
  try {
    await makeOperationFolder(folder);
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new StateFolderError(folder, error);
  }
  // What cannot be removed is in nobody's way.
  await pruneOperations(folder).catch(() => undefined);
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
