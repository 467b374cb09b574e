/**
 * The configuration of a router in a container, through the engine of its host: read and written
 * where the container sees it, checked by the HAProxy that is in it.
 */
import { randomUUID } from "node:crypto";
import { posix } from "node:path";
import type { DockerEngine, ExecResult, Mount } from "../../kit/docker-engine.ts";
import type { ContainerSocket } from "./runtime/address.ts";
import { engineOf } from "./runtime/relay.ts";
import { parseBuild } from "./version.ts";
import type { HaproxyBuild } from "./version.ts";

const programDeadlineMs = 30_000;

/** A configuration file cannot be replaced in its container, or a program there did not end. */
export class ContainerFileError extends Error {
  override readonly name = "ContainerFileError";
  readonly code = "ERR_CONTAINER_FILE";
}

/**
 * The text of the file at `path`; undefined when there is none. The container need not run.
 * @throws EngineError
 */
export async function readInContainer(
  socket: ContainerSocket,
  path: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const engine = await engineOf(socket);
  return (await engine.readFile(socket.container, path, signal))?.toString("utf8");
}

/**
 * What an operator should know about where the file is, in words; undefined when it is well.
 * @throws EngineError
 */
export async function warnOfPlace(
  socket: ContainerSocket,
  path: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const facts = await (await engineOf(socket)).inspect(socket.container, signal);
  const mounts = facts?.mounts ?? [];
  if (mounts.some((one) => covers(one, path))) return objectionTo(mounts, path);
  return `${path} is in the container alone: one that is made anew starts without it; mount a volume at ${posix.dirname(path)}`;
}

/** Has the HAProxy in the container check `text`; every exit code is a result. @throws EngineError */
export async function checkInContainer(
  socket: ContainerSocket,
  text: string,
  signal: AbortSignal,
): Promise<ExecResult> {
  return await run(await engineOf(socket), socket, ["haproxy", "-c", "-f", "/dev/stdin"], {
    input: text,
    signal,
  });
}

/** Which HAProxy is in the container; undefined when it does not say. @throws EngineError */
export async function buildInContainer(
  socket: ContainerSocket,
  signal: AbortSignal,
): Promise<HaproxyBuild | undefined> {
  const printed = await run(await engineOf(socket), socket, ["haproxy", "-vv"], { signal });
  return parseBuild(printed.stdout);
}

/**
 * Replaces the file at `path`: it is written beside and renamed, so that HAProxy reads the old text
 * or the new one; owner and mode stay.
 * @throws ContainerFileError where that cannot be done, EngineError
 */
export async function writeInContainer(
  socket: ContainerSocket,
  path: string,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const { container } = socket;
  const engine = await engineOf(socket);
  const facts = await engine.inspect(container, signal);
  const objection = objectionTo(facts?.mounts ?? [], path);
  if (objection !== undefined) throw new ContainerFileError(`${container}: ${objection}`);
  const old = await engine.readEntry(container, path, signal);
  const folder = posix.dirname(path);
  const name = `.${posix.basename(path)}.${randomUUID()}`;
  const owner = old === null ? {} : { uid: old.uid, gid: old.gid };
  const file = { path: name, content: text, mode: old === null ? 0o644 : old.mode & 0o777 };
  await engine.writeFiles(container, folder, [{ ...file, ...owner }], signal);
  // As root: the one as whom HAProxy runs need not be allowed to write the folder.
  const renamed = await run(engine, socket, ["sh", "-c", renameScript, "", name, path], {
    signal,
    user: "0",
  });
  if (renamed.code === 0) return;
  const said = renamed.stderr.trim().split("\n").at(-1) ?? "";
  throw new ContainerFileError(
    `rename ${folder}/${name} to ${path} in container ${container}: exit code ${renamed.code}: ${said || "it printed nothing"}`,
  );
}

/** On disk before the rename, where the container's `sync` can do that for one file. */
const renameScript = `cd "\${2%/*}/" || exit
sync "$1" 2>/dev/null
mv -f "$1" "$2" || { rm -f "$1"; exit 1; }`;

function covers({ target }: Mount, path: string): boolean {
  return `${path}/`.startsWith(`${target}/`);
}

/** Why a file at `path` cannot be replaced in a container with these mounts; undefined if it can. */
export function objectionTo(mounts: readonly Mount[], path: string): string | undefined {
  const [nearest] = mounts
    .filter((one) => covers(one, path))
    .sort((a, b) => b.target.length - a.target.length);
  if (nearest === undefined) return undefined;
  if (nearest.target === path) {
    return `${path} is mounted alone, and would stay the old one for HAProxy when it is replaced: mount its folder ${posix.dirname(path)} instead`;
  }
  return nearest.readOnly === true ? `${nearest.target} is mounted read-only` : undefined;
}

async function run(
  engine: DockerEngine,
  { container }: ContainerSocket,
  argv: readonly string[],
  options: { readonly signal: AbortSignal; readonly input?: string; readonly user?: string },
): Promise<ExecResult> {
  const result = await engine.exec(container, argv, { deadlineMs: programDeadlineMs, ...options });
  if (result.code >= 0) return result;
  throw new ContainerFileError(
    `run ${argv[0]} in container ${container}: it did not end by itself: ${result.stderr.trim() || "it printed nothing"}`,
  );
}
