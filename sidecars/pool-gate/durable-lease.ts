/**
 * The one lease that this gate may have paused for, on disk: written before the pause and removed
 * after its end was seen, so that a gate that was killed resumes, at its next start, what it had
 * paused and nothing else.
 */
import { mkdir, readFile, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { syncFolder, writeFileAtomically } from "../../kit/atomic-file.ts";
import type { LeaseTerms } from "./lease.ts";

/** The file of the gate's lease cannot be used; the message says how, on which path. */
export class GateStateError extends Error {
  override readonly name = "GateStateError";
  readonly code = "ERR_GATE_STATE";
  readonly path: string;
  constructor(what: string, path: string, cause: unknown) {
    super(`${what} ${path}: ${(cause as Error).message}`, { cause });
    this.path = path;
  }
}

const shape = z.object({
  version: z.literal(1),
  lease: z.string(),
  holder: z.string(),
  databases: z.array(z.string()),
});

/**
 * Reads what an earlier gate left; undefined when it left nothing. Makes the folder.
 * @throws GateStateError when it cannot be read or understood
 */
export async function readLease(path: string): Promise<LeaseTerms | undefined> {
  try {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const text = await readFile(path, "utf8");
    const { lease, holder, databases } = shape.parse(JSON.parse(text));
    return { lease, holder, databases };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new GateStateError("read the lease in", path, cause);
  }
}

/**
 * Writes the lease, for its owner alone.
 * @throws GateStateError
 */
export async function writeLease(path: string, terms: LeaseTerms): Promise<void> {
  const { lease, holder, databases } = terms;
  const text = `${JSON.stringify({ version: 1, lease, holder, databases })}\n`;
  await writeFileAtomically(path, text, { mode: 0o600 }).catch((cause: unknown) => {
    throw new GateStateError("write the lease to", path, cause);
  });
}

/**
 * Removes it.
 * @throws GateStateError
 */
export async function clearLease(path: string): Promise<void> {
  try {
    await rm(path, { force: true });
    await syncFolder(dirname(path));
  } catch (cause) {
    throw new GateStateError("remove the lease from", path, cause);
  }
}
