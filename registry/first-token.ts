/**
 * The first admin token of a store, and the files that tokens are written to. A token is on disk
 * before the store knows it, so that none is valid that nobody has.
 */
import { chmod, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { syncFolder } from "../kit/atomic-file.ts";
import type { RegistryStore } from "./store/store.ts";
import { hashToken, makeToken } from "./tokens.ts";

/** The file of a token cannot be written, or there is one already; nothing was changed. */
export class TokenFileError extends Error {
  override readonly name = "TokenFileError";
  readonly code = "ERR_REGISTRY_TOKEN_FILE";
  readonly path: string;
  constructor(path: string, cause: NodeJS.ErrnoException) {
    const said =
      cause.code === "EEXIST" ? "it is there already, and is not overwritten" : cause.message;
    super(`write a token to ${path}: ${said}`, { cause });
    this.path = path;
  }
}

/** The store has an admin token already; nothing was changed. */
export class TokenExistsError extends Error {
  override readonly name = "TokenExistsError";
  readonly code = "ERR_REGISTRY_TOKEN_EXISTS";
}

/**
 * Makes a file of mode 0600 that was not there, for a token that is not known yet.
 * @returns what writes the token and makes it durable, and what removes the file again
 * @throws TokenFileError
 */
export async function reserveTokenFile(path: string): Promise<{
  readonly write: (token: string) => Promise<void>;
  readonly remove: () => Promise<void>;
}> {
  const failed = (cause: unknown): never => {
    throw new TokenFileError(path, cause as NodeJS.ErrnoException);
  };
  const file = await open(path, "wx", 0o600).catch(failed);
  await file.close();
  return {
    write: async (token) => {
      try {
        const opened = await open(path, "r+");
        await opened.writeFile(`${token}\n`);
        await opened.sync();
        await opened.close();
        await chmod(path, 0o600);
        await syncFolder(dirname(path));
      } catch (cause) {
        failed(cause);
      }
    },
    remove: async () => await rm(path, { force: true }),
  };
}

/**
 * Writes an admin token to `path` and makes it valid; `another`: beside those that there are.
 * @throws TokenExistsError, TokenFileError, StoreError
 */
export async function writeAdminToken(
  store: Pick<RegistryStore, "hasAdminToken" | "addAdminToken">,
  path: string,
  { another }: { readonly another: boolean },
): Promise<void> {
  if (!another && (await store.hasAdminToken())) {
    throw new TokenExistsError(
      "this registry has an admin token already (--another-token writes one more, where it is lost)",
    );
  }
  const file = await reserveTokenFile(path);
  try {
    const token = makeToken("admin");
    await file.write(token);
    await store.addAdminToken(hashToken(token));
  } catch (error) {
    await file.remove();
    throw error;
  }
}
