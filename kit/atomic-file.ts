/**
 * Replaces a file as a whole: readers see the old content or the new one, never a part, and after
 * a return the new one survives a power cut. write(2) to a neighbour, fsync, rename(2), fsync of
 * the folder.
 */
import { randomUUID } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Writes `content` to `path` atomically and durably.
 * `mode` is the permission bits of the new file; `owner` is set where given (root only).
 * @throws the file system's error; the neighbour file is removed then
 */
export async function writeFileAtomically(
  path: string,
  content: string | Uint8Array,
  options: { mode: number; owner?: { uid: number; gid: number } },
): Promise<void> {
  const temporary = `${path}.${randomUUID()}.new`;
  try {
    const file = await open(temporary, "wx", options.mode);
    try {
      // open() applies the umask; the caller's bits are meant as they stand.
      await file.chmod(options.mode);
      if (options.owner !== undefined) await file.chown(options.owner.uid, options.owner.gid);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Makes the entries of a folder durable (a rename or an unlink in it). */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
