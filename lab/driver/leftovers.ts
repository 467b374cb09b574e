/**
 * What killed programs leave behind outside of every folder: segments and semaphores of System V,
 * of which a machine has few thousand, and the files that Postgres keeps dynamic shared memory in.
 * Each is known by its part's group id, so only root's labs are cleared of them. proc(5),
 * /proc/sysvipc; PostgreSQL manual, 19.4.1 "Shared Memory and Semaphores".
 */
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { runChild } from "../../kit/child.ts";
import type { Part } from "../model.ts";
import { findProgram } from "../programs.ts";
import { plainEnvironment } from "./part.ts";

const deadlineMs = 10_000;
const memoryFolder = "/dev/shm";

/** A row of /proc/sysvipc/shm or sem. */
export interface LeftoverRow {
  readonly id: number;
  /** Group id of whoever made it. */
  readonly gid: number;
  /** How many processes have it; a semaphore has none. */
  readonly attached: number;
}

/** Reads /proc/sysvipc/shm or /proc/sysvipc/sem by the names in its first line. */
export function parseLeftovers(text: string): LeftoverRow[] {
  const [head = "", ...lines] = text.split("\n");
  const names = head.trim().split(/\s+/);
  return lines
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const fields = line.trim().split(/\s+/);
      const of = (name: string): number => Number(fields[names.indexOf(name)] ?? 0);
      return {
        id: of(names.includes("shmid") ? "shmid" : "semid"),
        gid: of("cgid"),
        attached: of("nattch"),
      };
    });
}

/**
 * Removes what the parts left; none of them has a process. Where the machine does not say what there
 * is, nothing is removed.
 * @throws ChildError, DeadlineError
 */
export async function removeLeftovers(parts: readonly Part[]): Promise<void> {
  const gids = new Set(parts.map(({ gid }) => gid));
  const rows = async (kind: "shm" | "sem"): Promise<LeftoverRow[]> => {
    const text = await readFile(`/proc/sysvipc/${kind}`, "latin1").catch(() => "");
    return parseLeftovers(text).filter((one) => gids.has(one.gid) && one.attached === 0);
  };
  const [segments, semaphores] = await Promise.all([rows("shm"), rows("sem")]);
  const words = [
    ...segments.flatMap(({ id }) => ["--shmem-id", String(id)]),
    ...semaphores.flatMap(({ id }) => ["--semaphore-id", String(id)]),
  ];
  if (words.length > 0) {
    // One that has gone meanwhile (1) is as it should be.
    const options = { deadlineMs, env: plainEnvironment, accept: [0, 1] };
    await runChild(await findProgram("ipcrm"), words, options);
  }
  await removeMemoryFiles(gids);
}

async function removeMemoryFiles(gids: ReadonlySet<number>): Promise<void> {
  const entries = await readdir(memoryFolder).catch(() => []);
  const files = entries.filter((one) => one.startsWith("PostgreSQL."));
  await Promise.all(
    files.map(async (one) => {
      const path = join(memoryFolder, one);
      const facts = await stat(path).catch(() => undefined);
      if (facts !== undefined && gids.has(facts.gid)) await rm(path, { force: true });
    }),
  );
}
