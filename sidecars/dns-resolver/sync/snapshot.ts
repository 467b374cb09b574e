/**
 * The zone on disk, by which a resolver that starts while the registry is away answers as before.
 * The file is replaced as a whole and carries a checksum, and the one before it is kept: whoever is
 * killed at any moment leaves one of the two that can be read.
 */
import { createHash } from "node:crypto";
import { link, mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../../../kit/atomic-file.ts";
import type { ZoneRecord } from "../parts.ts";

/** What a snapshot holds. */
export interface Snapshot {
  readonly zone: string;
  readonly epoch: string;
  readonly generation: number;
  /** What the registry said the zone's hash is; "" where it did not. */
  readonly zoneHash: string;
  /** When it was written; milliseconds since 1970. */
  readonly writtenAt: number;
  readonly records: readonly ZoneRecord[];
}

/** The snapshot cannot be written; the message says what failed on which path. */
export class SnapshotError extends Error {
  override readonly name = "SnapshotError";
  readonly code = "ERR_DNS_SNAPSHOT";
  readonly path: string;
  constructor(what: string, path: string, cause: unknown) {
    super(`${what} ${path}: ${(cause as Error).message}`, { cause });
    this.path = path;
  }
}

const format = 1;
const names = { current: "zone.snapshot", previous: "zone.snapshot.previous" } as const;
/** What an interrupted writing leaves beside them: of writeFileAtomically, and of `keep`. */
const leftover = /^zone\.snapshot\.(.*\.new|previous\.linked)$/;

const shape = z.object({
  format: z.literal(format),
  zone: z.string(),
  epoch: z.string(),
  generation: z.number().int().min(0),
  zoneHash: z.string(),
  writtenAt: z.number(),
  records: z.array(
    z.object({
      id: z.number().int(),
      fqdn: z.string(),
      record_type: z.enum(["A", "AAAA", "SRV", "CNAME"]),
      target_ip: z.string().nullable(),
      target_port: z.number().int().nullable(),
      ttl: z.number().int(),
    }),
  ),
});

/** The size of the snapshot in `folder`, in bytes; 0 where there is none that can be read. */
export async function snapshotBytes(folder: string): Promise<number> {
  try {
    return (await stat(join(folder, names.current))).size;
  } catch {
    return 0;
  }
}

/**
 * Makes the folder and reads the newest snapshot of `zone` in it that is whole; undefined when there
 * is none. What cannot be used is left where it is and told to `alarm`, one sentence each.
 * @throws SnapshotError when the folder cannot be made or listed
 */
export async function readSnapshot(
  folder: string,
  zone: string,
  alarm: (sentence: string) => void,
): Promise<Snapshot | undefined> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(folder)) {
      if (leftover.test(name)) await rm(join(folder, name), { force: true });
    }
  } catch (cause) {
    throw new SnapshotError("make ready the folder", folder, cause);
  }
  for (const name of [names.current, names.previous]) {
    const path = join(folder, name);
    try {
      return readText(await readFile(path, "utf8"), zone);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") continue;
      alarm(`the snapshot ${path} is not used: ${(error as Error).message}`);
    }
  }
  return undefined;
}

function readText(text: string, zone: string): Snapshot {
  const end = text.indexOf("\n");
  const body = text.slice(end + 1);
  if (end < 0 || text.slice(0, end) !== checksum(body)) throw new Error("its checksum is wrong");
  const result = shape.safeParse(JSON.parse(body));
  if (!result.success) throw new Error("its format is another one");
  if (result.data.zone !== zone) {
    throw new Error(`it is of the zone ${JSON.stringify(result.data.zone.slice(0, 253))}`);
  }
  return result.data;
}

/**
 * Replaces the snapshot in `folder`, durably, and keeps the one before it.
 * @throws SnapshotError; the snapshot that was there is there still
 */
export async function writeSnapshot(folder: string, snapshot: Snapshot): Promise<void> {
  const path = join(folder, names.current);
  const body = `${JSON.stringify({ format, ...snapshot })}\n`;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await keep(path, join(folder, names.previous));
    await writeFileAtomically(path, `${checksum(body)}\n${body}`, { mode: 0o600 });
  } catch (cause) {
    throw new SnapshotError("write the snapshot", path, cause);
  }
}

/** Gives what stands at `path` a second name, at no moment leaving either name without a file. */
async function keep(path: string, previous: string): Promise<void> {
  const linked = `${previous}.linked`;
  await rm(linked, { force: true });
  try {
    await link(path, linked);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await rename(linked, previous);
  // rename(2) of two names of one file does nothing, and leaves both.
  await rm(linked, { force: true });
}

function checksum(body: string): string {
  return createHash("sha256").update(body, "utf8").digest("hex");
}
