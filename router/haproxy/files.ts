/** Reads what rendering needs from this machine: the template, and which HAProxy there is. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../../config/schema.ts";
import { inCheckout } from "../../kit/checkout.ts";
import { ChildError, runChild } from "../../kit/child.ts";
import { renderHaproxy } from "./render.ts";
import { featuresOf, HaproxyVersionError, parseBuild } from "./version.ts";
import type { HaproxyBuild } from "./version.ts";

const ownTemplates = inCheckout("templates/haproxy");
const versionDeadlineMs = 10_000;

export interface HaproxyFilesOptions {
  /** Folder with haproxy.cfg.mustache; the checkout's own when not given. */
  readonly templateFolder?: string;
  /** The HAProxy that will read the text; the environment's program on this machine when not given. */
  readonly build?: HaproxyBuild;
  readonly signal?: AbortSignal;
}

/**
 * The text of the HAProxy configuration of the router `routerName`.
 * @throws HaproxyVersionError, HaproxyModelError, TemplateError
 */
export async function haproxyConfiguration(
  environment: Environment,
  routerName: string,
  options: HaproxyFilesOptions = {},
): Promise<string> {
  const { program } = environment.haproxy;
  const build = options.build ?? (await readBuild(program, options.signal));
  const path = join(options.templateFolder ?? ownTemplates, "haproxy.cfg.mustache");
  const template = await readFile(path, "utf8");
  return renderHaproxy(template, environment, routerName, featuresOf(build, program));
}

const builds = new Map<string, HaproxyBuild>();

/**
 * What `program -vv` says about itself; asked once for each state of the file.
 * @throws HaproxyVersionError when there is no such program or it is not HAProxy
 */
export async function readBuild(program: string, signal?: AbortSignal): Promise<HaproxyBuild> {
  const file = await stat(program).catch((cause: Error) => {
    throw missing(program, cause.message, cause);
  });
  const key = `${program} ${file.mtimeMs} ${file.size}`;
  const known = builds.get(key);
  if (known !== undefined) return known;
  const printed = await runChild(program, ["-vv"], {
    deadlineMs: versionDeadlineMs,
    ...(signal === undefined ? {} : { signal }),
  }).catch((cause: Error) => {
    if (cause instanceof ChildError) throw missing(program, cause.message, cause);
    throw cause;
  });
  const build = parseBuild(printed.stdout);
  if (build === undefined) {
    const [line = ""] = printed.stdout.split("\n");
    throw missing(program, `${program} -vv printed ${JSON.stringify(line.slice(0, 80))}`);
  }
  builds.set(key, build);
  return build;
}

function missing(program: string, found: string, cause?: unknown): HaproxyVersionError {
  return new HaproxyVersionError(
    "ERR_HAPROXY_MISSING",
    `no HAProxy at ${program} (haproxy.program): ${found}; 2.6 or newer is needed`,
    cause,
  );
}
