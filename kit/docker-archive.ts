/**
 * Files of a container through the engine's archive API, which works on a container in any state,
 * one that is being torn down included: a file comes and goes as a tar archive (POSIX.1-1988 ustar,
 * with the long names of GNU and pax when read). The engine mounts the container's volumes for each
 * request, which takes it tens of milliseconds.
 */
import type { Readable } from "node:stream";
import { withDeadline } from "./clock.ts";
import type { DockerEngine, FileToWrite } from "./docker-engine.ts";
import { engineError, EngineError } from "./docker-errors.ts";
import type { EngineWay } from "./docker-request.ts";
import { TarReader, tarOf } from "./tar.ts";
import type { TarEntry } from "./tar.ts";

const fileLimitBytes = 64 * 1024 * 1024;
const linkLimit = 8;
const readDeadlineMs = 30_000;

/** Reading and writing files, and listing folders. */
export function archiveCalls(
  way: EngineWay,
): Pick<DockerEngine, "readFile" | "readEntry" | "listFolder" | "writeFiles"> {
  const readEntry: DockerEngine["readEntry"] = (container, path, signal) =>
    follow(way, container, path, signal);
  return {
    readEntry,
    readFile: async (container, path, signal) =>
      (await readEntry(container, path, signal))?.content ?? null,
    listFolder: (container, path, signal) => listFolder(way, container, path, signal),
    writeFiles: async (container, folder, files: readonly FileToWrite[], signal) => {
      const tried = `write ${files.map(({ path }) => path).join(", ")} to ${folder} of ${container}`;
      await way.ask({
        tried,
        method: "PUT",
        path: `/containers/${encodeURIComponent(container)}/archive`,
        query: { path: folder, noOverwriteDirNonDir: 1 },
        archive: archiveOf(files, tried, way),
        signal,
      });
    },
  };
}

function archiveOf(files: readonly FileToWrite[], tried: string, way: EngineWay): Buffer {
  try {
    return tarOf(files);
  } catch (cause) {
    throw engineError(tried, way.url, cause);
  }
}

/** The entry at `path`, or where its links lead. */
async function follow(
  way: EngineWay,
  container: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<TarEntry | null> {
  const tried = `read ${path} of container ${container}`;
  let at = path;
  for (let links = 0; links <= linkLimit; links += 1) {
    const [entry] = await entries(way, tried, { container, path: at, signal, one: true });
    if (entry === undefined) return null;
    if (entry.kind === "file") return entry;
    if (entry.kind !== "link") {
      throw new EngineError(tried, way.url, { fault: "other", words: "it is not a file" });
    }
    at = entry.target.startsWith("/") ? entry.target : `${at.replace(/[^/]*$/, "")}${entry.target}`;
  }
  throw new EngineError(tried, way.url, { fault: "other", words: "too many links" });
}

async function listFolder(
  way: EngineWay,
  container: string,
  path: string,
  signal: AbortSignal | undefined,
): Promise<readonly string[] | null> {
  const tried = `list ${path} of container ${container}`;
  const found = await entries(way, tried, { container, path: `${path}/.`, signal, one: false });
  if (found.length === 0) return null;
  const names = found.slice(1).map(({ name }) => name.replace(/^\.?\//, "").split("/")[0] ?? "");
  return [...new Set(names)].filter((name) => name !== "" && name !== ".");
}

interface Wanted {
  readonly container: string;
  readonly path: string;
  readonly signal: AbortSignal | undefined;
  /** The first entry is enough; a folder's others are not read. */
  readonly one: boolean;
}

async function entries(way: EngineWay, tried: string, wanted: Wanted): Promise<TarEntry[]> {
  const answer = await way.read({
    tried,
    method: "GET",
    path: `/containers/${encodeURIComponent(wanted.container)}/archive`,
    query: { path: wanted.path },
    fine: [404],
    signal: wanted.signal,
  });
  if (answer === undefined) return await noneOf(way, tried, wanted);
  return await readTar(answer, way.url, tried, wanted);
}

/** A file that is not there is an answer; a container that is not there is an error. */
async function noneOf(way: EngineWay, tried: string, { container, signal }: Wanted): Promise<[]> {
  await way.ask({
    tried,
    method: "GET",
    path: `/containers/${encodeURIComponent(container)}/json`,
    signal,
  });
  return [];
}

async function readTar(
  answer: Readable,
  engine: string,
  tried: string,
  { one, signal }: Wanted,
): Promise<TarEntry[]> {
  const reader = new TarReader(fileLimitBytes);
  const take = async (inner: AbortSignal): Promise<TarEntry[]> => {
    inner.addEventListener("abort", () => answer.destroy(), { once: true });
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      reader.take(chunk);
      if (one && reader.entries[0]?.kind === "folder") return reader.entries;
    }
    reader.end();
    return reader.entries;
  };
  try {
    return await withDeadline(tried, readDeadlineMs, take, signal);
  } catch (cause) {
    signal?.throwIfAborted();
    throw engineError(tried, engine, cause);
  } finally {
    answer.destroy();
  }
}
