/**
 * Where a secret comes from: `${NAME}` in the process's environment, or `file:/absolute/path`. A
 * secret never stands in the environment file, and a file with one is not open to other users.
 */
import { readFile, realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { Secret } from "./secret.ts";

/** A secret cannot be had. The message says why, and never holds the secret. */
export class SecretError extends Error {
  override readonly name = "SecretError";
  readonly code = "ERR_SECRET";
  /** The file that the operating system did not let this user read; undefined for another cause. */
  readonly denied: string | undefined;
  constructor(message: string, options: { cause?: unknown; denied?: string | undefined } = {}) {
    super(message, { cause: options.cause });
    this.denied = options.denied;
  }
}

const sizeLimitBytes = 4096;
/** Container platforms put secrets there, world-readable, in a file system of the container's own. */
const platformFolder = "/run/secrets/";
const readableByOthers = 0o004;
const writableByOthers = 0o002;
const enterableByOthers = 0o001;

/**
 * Resolves the text of a secret key to a Secret.
 * @throws SecretError when it is not a reference, or what it refers to is missing or unsafe
 */
export async function resolveSecret(
  reference: unknown,
  variables: Readonly<Record<string, string | undefined>>,
): Promise<Secret> {
  const text = typeof reference === "string" ? reference : "";
  const variable = /^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$/.exec(text)?.[1];
  if (variable !== undefined) return fromVariable(variable, variables);
  if (/^file:\/[^\p{Cc}]+$/u.test(text)) return await fromFile(text.slice("file:".length));
  throw new SecretError(
    "a secret never stands in the file: expected ${NAME} (an environment variable) or file:/absolute/path",
  );
}

function fromVariable(
  name: string,
  variables: Readonly<Record<string, string | undefined>>,
): Secret {
  const value = variables[name];
  if (value === undefined || value === "") {
    throw new SecretError(`environment variable ${name} is not set`);
  }
  return checked(value, `environment variable ${name}`);
}

async function fromFile(path: string): Promise<Secret> {
  try {
    const actual = await realpath(path);
    const { mode, size, isRegular } = await facts(actual);
    if (!isRegular) throw new SecretError(`${path} is not a regular file`);
    if (size > sizeLimitBytes) {
      throw new SecretError(`${path} has ${size} bytes: expected at most ${sizeLimitBytes}`);
    }
    await refuseOpenFile(path, actual, mode);
    return checked((await readFile(actual, "utf8")).replace(/\r?\n$/, ""), path);
  } catch (cause) {
    if (cause instanceof SecretError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    const denied = code === "EACCES" ? path : undefined;
    throw new SecretError(`cannot read ${path}: ${message}`, { cause, denied });
  }
}

async function facts(path: string): Promise<{ mode: number; size: number; isRegular: boolean }> {
  const found = await stat(path);
  return { mode: found.mode, size: found.size, isRegular: found.isFile() };
}

async function refuseOpenFile(path: string, actual: string, mode: number): Promise<void> {
  if (actual.startsWith(platformFolder)) return;
  if ((mode & (readableByOthers | writableByOthers)) === 0) return;
  if (!(await isReachableByOthers(dirname(actual)))) return;
  const what = (mode & readableByOthers) === 0 ? "written" : "read";
  throw new SecretError(`${path} can be ${what} by every user of this machine: chmod 600 ${path}`);
}

/** True when every folder up to the root lets other users through. */
async function isReachableByOthers(folder: string): Promise<boolean> {
  const { mode } = await facts(folder);
  if ((mode & enterableByOthers) === 0) return false;
  return folder === "/" ? true : await isReachableByOthers(dirname(folder));
}

function checked(text: string, source: string): Secret {
  if (text === "") throw new SecretError(`${source} is empty`);
  // A line break would end the line of a password file or an authentication file that it goes into.
  if (/\p{Cc}/u.test(text)) {
    throw new SecretError(`${source} holds a line break or another control character`);
  }
  return new Secret(text);
}
