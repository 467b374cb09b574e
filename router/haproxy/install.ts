/**
 * The configuration of one router, where it is: renders it for the HAProxy there, reads the file,
 * has HAProxy check a text, replaces the file. The environment's programs come first; without them a
 * router in a container is reached through its engine, and every other is here.
 */
import { readFile, stat } from "node:fs/promises";
import type { Environment, Router } from "../../config/schema.ts";
import { writeFileAtomically } from "../../kit/atomic-file.ts";
import { ChildError, runChild } from "../../kit/child.ts";
import type { ChildResult } from "../../kit/child.ts";
import { runtimeAddressOf } from "./addresses.ts";
import {
  buildInContainer,
  checkInContainer,
  readInContainer,
  warnOfPlace,
  writeInContainer,
} from "./container-files.ts";
import { keepFences } from "./fence-marks.ts";
import { haproxyConfiguration, readBuild } from "./files.ts";
import type { ContainerSocket } from "./runtime/address.ts";
import { connectRuntime, showInfo } from "./runtime/client.ts";
import { HaproxyError } from "./runtime/transport.ts";
import { oldestVersion, parseVersion } from "./version.ts";
import type { HaproxyBuild } from "./version.ts";

/** HAProxy refused a configuration, or the file could not be read or written. */
export class InstallError extends Error {
  override readonly name = "InstallError";
  readonly code:
    | "ERR_HAPROXY_CONFIGURATION"
    | "ERR_HAPROXY_FILE"
    | "ERR_HAPROXY_NO_RELOAD"
    | "ERR_HAPROXY_RELOAD";
  constructor(code: InstallError["code"], message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

const programDeadlineMs = 30_000;

/** True when the router's file is reached by programs or in a container, so that it may be on another host. */
export function isRemote(router: Router): boolean {
  const { read, check, write, reload } = router.configuration;
  const programs = [read, check, write, reload].some((one) => one !== undefined);
  return programs || router.runtime.startsWith("docker:");
}

/** The container that the router's HAProxy is in; undefined where it is in none. */
function containerOf(environment: Environment, router: Router): ContainerSocket | undefined {
  const address = runtimeAddressOf(environment, router);
  return address.kind === "docker" ? address : undefined;
}

/** What the running worker of a router says its version is; null when it does not answer. */
export type RunningVersion = string | null;

/**
 * Which HAProxy will read the router's configuration. Of a remote router the running worker counts,
 * since the program on this machine need not be the router's; `running` is for a caller that has
 * asked it already. A container that is not there yet will have one that is new enough.
 * @throws HaproxyVersionError when neither the worker nor a program can say
 */
export async function routerBuild(
  environment: Environment,
  router: Router,
  signal: AbortSignal,
  running?: RunningVersion,
): Promise<HaproxyBuild> {
  if (isRemote(router)) {
    const said = running === undefined ? await askVersion(environment, router, signal) : running;
    const version = parseVersion(said ?? "");
    if (version !== undefined) return { version, services: undefined };
  }
  const container = containerOf(environment, router);
  if (container !== undefined) {
    const found = await buildInContainer(container, signal).catch(() => undefined);
    signal.throwIfAborted();
    return found ?? { version: oldestVersion, services: undefined };
  }
  return await readBuild(environment.haproxy.program, signal);
}

async function askVersion(
  environment: Environment,
  router: Router,
  signal: AbortSignal,
): Promise<RunningVersion> {
  const deadlineMs = environment.thresholds.probe;
  const address = runtimeAddressOf(environment, router);
  try {
    return (await showInfo(connectRuntime(address, { deadlineMs, signal }))).version;
  } catch (error) {
    if (error instanceof HaproxyError) return null;
    throw error;
  }
}

/**
 * The configuration of `router`, for the HAProxy that will read it; `running` as for routerBuild.
 * @throws HaproxyVersionError, HaproxyModelError, TemplateError
 */
export async function renderRouter(
  environment: Environment,
  router: Router,
  signal: AbortSignal,
  running?: RunningVersion,
): Promise<string> {
  const build = await routerBuild(environment, router, signal, running);
  return await haproxyConfiguration(environment, router.name, { build, signal });
}

/**
 * The same with the members fenced that are fenced in the router's file now; where that file cannot
 * be read, without.
 * @throws as renderRouter
 */
export async function renderWithFences(
  environment: Environment,
  router: Router,
  signal: AbortSignal,
): Promise<string> {
  const [text, installed] = await Promise.all([
    renderRouter(environment, router, signal),
    readInstalled(environment, router, signal).catch(() => undefined),
  ]);
  signal.throwIfAborted();
  return keepFences(text, installed);
}

/**
 * Has HAProxy check `text` (`haproxy -c`), on the router's host where it has a program for that,
 * which gets the text on standard input, or in the router's container.
 * @returns the warnings, one a line
 * @throws InstallError with what HAProxy found, HaproxyVersionError where there is no HAProxy,
 * EngineError
 */
export async function checkText(
  environment: Environment,
  router: Router,
  text: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { check } = router.configuration;
  const container = check === undefined ? containerOf(environment, router) : undefined;
  const own = [container === undefined ? environment.haproxy.program : "haproxy", "-c"];
  const words = check ?? [...own, "-f", "/dev/stdin"];
  if (check === undefined && container === undefined) await readBuild(own[0] ?? "", signal);
  const result =
    container === undefined
      ? await runProgram(words, text, signal)
      : await checkInContainer(container, text, signal);
  const said = messages(result);
  if (result.code === 0) {
    const place =
      container === undefined
        ? undefined
        : await warnOfPlace(container, router.configuration.path, signal);
    const warnings = said.filter((line) => line.startsWith("[WARNING]"));
    return place === undefined ? warnings : [...warnings, `[WARNING] ${place}`];
  }
  const found = said.filter((line) => line.startsWith("[ALERT]"));
  throw new InstallError(
    "ERR_HAPROXY_CONFIGURATION",
    `${router.name}: ${words.join(" ")}: exit code ${result.code}: ${(found.length > 0 ? found : said).join("; ") || "it printed nothing"}`,
  );
}

/** The messages of HAProxy, without the process id and the name of the file it was given. */
function messages(result: ChildResult): string[] {
  return `${result.stderr}\n${result.stdout}`
    .split("\n")
    .map((line) => line.replace(/^(\[[A-Z]+\]) *\(\d+\) *:/, "$1").trim())
    .filter((line) => line !== "" && !line.startsWith("[NOTICE]"));
}

/**
 * The text of the router's configuration file as it stands there; undefined when there is none.
 * @throws InstallError when it cannot be read
 */
export async function readInstalled(
  environment: Environment,
  router: Router,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { path, read } = router.configuration;
  if (read !== undefined) {
    const result = await runProgram(read, "", signal);
    if (result.code === 0) return result.stdout;
    throw fileError(router, `${read.join(" ")}: exit code ${result.code}: ${lastLine(result)}`);
  }
  const container = containerOf(environment, router);
  if (container !== undefined) {
    return await readInContainer(container, path, signal).catch((cause: Error) => {
      signal.throwIfAborted();
      throw fileError(router, cause.message, cause);
    });
  }
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fileError(router, `cannot read ${path}: ${(cause as Error).message}`, cause);
  }
}

/**
 * Replaces the router's configuration file. Here and in a container it is written beside and renamed,
 * keeping mode and owner; elsewhere the router's program gets the text on standard input and does it
 * its way.
 * @throws InstallError
 */
export async function writeInstalled(
  environment: Environment,
  router: Router,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const { path, write } = router.configuration;
  if (write !== undefined) {
    const result = await runProgram(write, text, signal);
    if (result.code === 0) return;
    throw fileError(router, `${write.join(" ")}: exit code ${result.code}: ${lastLine(result)}`);
  }
  const container = containerOf(environment, router);
  if (container !== undefined) {
    await writeInContainer(container, path, text, signal).catch((cause: Error) => {
      signal.throwIfAborted();
      throw fileError(router, cause.message, cause);
    });
    return;
  }
  try {
    const old = await stat(path).catch(() => undefined);
    await writeFileAtomically(path, text, {
      mode: old === undefined ? 0o640 : old.mode & 0o777,
      ...(old === undefined ? {} : { owner: { uid: old.uid, gid: old.gid } }),
    });
  } catch (cause) {
    throw fileError(router, `cannot write ${path}: ${(cause as Error).message}`, cause);
  }
}

/** Runs a router's program; every exit code is a result. @throws ChildError, DeadlineError */
export async function runProgram(
  argv: readonly string[],
  input: string,
  signal: AbortSignal,
): Promise<ChildResult> {
  // Node hands a child a socket for standard input, and a socket cannot be opened as /dev/stdin;
  // cat turns it into a pipe. The program's words stay words: no shell reads them.
  const [program = "", ...args] =
    input === "" ? argv : ["/bin/sh", "-c", 'cat | "$0" "$@"', ...argv];
  const everyCode = Array.from({ length: 256 }, (_, code) => code);
  try {
    return await runChild(program, args, {
      deadlineMs: programDeadlineMs,
      input,
      signal,
      accept: everyCode,
    });
  } catch (error) {
    if (error instanceof ChildError && error.code === "ERR_CHILD_FAILED") {
      return { code: error.exitCode ?? -1, stdout: "", stderr: error.message };
    }
    throw error;
  }
}

function lastLine(result: ChildResult): string {
  return (result.stderr.trim() || result.stdout.trim()).split("\n").at(-1) || "it printed nothing";
}

function fileError(router: Router, message: string, cause?: unknown): InstallError {
  return new InstallError("ERR_HAPROXY_FILE", `${router.name}: ${message}`, cause);
}
