/** Reads the PgBouncer templates and the version of the PgBouncer at hand, and renders. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Environment } from "../../config/schema.ts";
import { inCheckout } from "../../kit/checkout.ts";
import { runChild } from "../../kit/child.ts";
import { renderTemplate } from "../../kit/template.ts";
import { edgePoolerModel, nodePoolerModel, parsePoolerVersion } from "./model.ts";
import type { PoolerPlace, PoolerVersion } from "./model.ts";

const templates = inCheckout("templates/pgbouncer");
const programs = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
const versionDeadlineMs = 10_000;

/**
 * The pgbouncer.ini of the PgBouncer beside the member `memberName`. `version` is that of the
 * PgBouncer that will read it; this machine's when not given.
 * @throws PoolerModelError, TemplateError
 */
export async function nodePoolerConfiguration(
  environment: Environment,
  memberName: string,
  local: PoolerPlace,
  version?: PoolerVersion,
): Promise<string> {
  const template = await readFile(join(templates, "node.ini.mustache"), "utf8");
  const model = nodePoolerModel(environment, memberName, local, version ?? (await localVersion()));
  return renderTemplate(template, model);
}

/**
 * The pgbouncer.ini of the edge pooler `edgeName`, in front of the router `routerName`.
 * @throws PoolerModelError, TemplateError
 */
export async function edgePoolerConfiguration(
  environment: Environment,
  edgeName: string,
  routerName: string,
  local: PoolerPlace,
  version?: PoolerVersion,
): Promise<string> {
  const template = await readFile(join(templates, "edge.ini.mustache"), "utf8");
  const known = version ?? (await localVersion());
  return renderTemplate(template, edgePoolerModel(environment, edgeName, routerName, local, known));
}

/** Where a PgBouncer in a container of our image has its files. Its log is the container's. */
export function placeInImage(adminUsers: readonly string[]): PoolerPlace {
  return {
    logFile: "/dev/null",
    pidFile: "/run/pgbouncer/pgbouncer.pid",
    userlistFile: "/etc/pgbouncer/userlist.txt",
    adminUsers,
  };
}

/** Our image's, which is Debian trixie's. */
export const versionInImage: PoolerVersion = { major: 1, minor: 24 };

let asked: Promise<PoolerVersion> | undefined;

/** The version of this machine's PgBouncer; undefined where there is none. Asked once. */
function localVersion(): Promise<PoolerVersion> {
  asked ??= askVersion();
  return asked;
}

async function askVersion(): Promise<PoolerVersion> {
  for (const program of programs) {
    const result = await runChild(program, ["--version"], {
      deadlineMs: versionDeadlineMs,
    }).catch(() => undefined);
    const version = parsePoolerVersion(result?.stdout ?? "");
    if (version !== undefined) return version;
  }
  return undefined;
}
