/** Where labs keep their state, and which user their processes run as. */
import { chmod, mkdir, readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { inCheckout } from "../kit/checkout.ts";

export interface LabPlace {
  /** The folder with one folder per lab. */
  readonly root: string;
  /** The checkout's config folder: a lab named X is the environment X there. */
  readonly configFolder: string;
  /** True when we are root: parts get group ids of their own, and cuts are possible. */
  readonly privileged: boolean;
  /** The engine of labs of containers, such as unix:///var/run/docker.sock. */
  readonly engine: string;
  /** The user that Postgres, PgBouncer and HAProxy run as. */
  readonly uid: number;
}

/** This machine lacks something that the lab needs. */
export class LabUnavailableError extends Error {
  override readonly name = "LabUnavailableError";
  readonly code = "ERR_LAB_UNAVAILABLE";
}

const defaultEngine = "unix:///var/run/docker.sock";

export const systemRoot = "/var/lib/switchyard/lab";

/**
 * Works out the place for the user who runs this.
 * @throws LabUnavailableError when we are root and there is no user postgres
 */
export async function labPlace(
  options: { stateHome?: string | undefined; engine?: string | undefined } = {},
): Promise<LabPlace> {
  const uid = process.getuid?.() ?? -1;
  const stateHome = options.stateHome ?? "";
  const base = stateHome.startsWith("/") ? stateHome : join(homedir(), ".local/state");
  return {
    root: uid === 0 ? systemRoot : join(base, "switchyard/lab"),
    configFolder: inCheckout("config"),
    privileged: uid === 0,
    engine: options.engine || defaultEngine,
    uid: uid === 0 ? await postgresUid() : uid,
  };
}

async function postgresUid(): Promise<number> {
  const users = await readFile("/etc/passwd", "utf8");
  const uid = /^postgres:[^:]*:([0-9]+):/m.exec(users)?.[1];
  if (uid === undefined) {
    throw new LabUnavailableError(
      "there is no user postgres on this machine, and Postgres never runs as root: run bin/setup",
    );
  }
  return Number(uid);
}

/** Makes a folder and its parents, each open for traversal whatever the umask is. */
export async function makeOpenFolder(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true });
  if (made === undefined) return;
  for (let folder = path; folder.length >= made.length; folder = dirname(folder)) {
    await chmod(folder, 0o755);
  }
}
