/** Looks at one router: its worker by the Runtime API, its old workers, and its file. */
import { readFile } from "node:fs/promises";
import type { Environment, Router } from "../../config/schema.ts";
import { runChild } from "../../kit/child.ts";
import { haproxyConfiguration } from "../haproxy/files.ts";
import { parseVersion } from "../haproxy/version.ts";
import { connectRuntime, send } from "../haproxy/runtime/client.ts";
import { commands } from "../haproxy/runtime/commands.ts";
import { isAtLeast, parseInfo } from "../haproxy/runtime/info.ts";
import { showOldWorkers } from "../haproxy/runtime/master.ts";
import { joinServers } from "../haproxy/runtime/servers.ts";
import type { ServerView } from "../haproxy/runtime/servers.ts";
import { parseServersState } from "../haproxy/runtime/servers-state.ts";
import { parseStat } from "../haproxy/runtime/stat.ts";
import type { StatRow } from "../haproxy/runtime/stat.ts";
import type { RouterDrift, RouterFacts, RouterServer } from "./observation.ts";

export interface LookOptions {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/**
 * What the running HAProxy of `router` says, read on one connection; the master is asked beside it.
 * @throws HaproxyError, TypeError for an answer that is none
 */
export async function observeRuntime(router: Router, options: LookOptions): Promise<RouterFacts> {
  const runtime = connectRuntime(router.runtime, options);
  const asked = send(runtime, [
    commands.showInfo(),
    commands.showServersState(),
    commands.showStat(),
  ]);
  const [replies, old] = await Promise.all([asked, observeOldWorkers(router, options)]);
  const [info = "", states = "", stats = ""] = replies.map((one) => one.text);
  const process = parseInfo(info);
  if (!isAtLeast(process.version, "2.6")) {
    throw new TypeError(`HAProxy ${process.version} on ${router.runtime}: 2.6 or newer is needed`);
  }
  const rows = parseStat(stats);
  return {
    version: process.version,
    pid: process.pid,
    uptimeS: process.uptimeSeconds,
    servers: joinServers(parseServersState(states), rows).map(serverOf),
    closedFrontends: rows
      .filter((row) => row.kind === "frontend" && row.status !== "OPEN")
      .map((row) => row.backend),
    queued: queuesOf(rows),
    ...old,
  };
}

async function observeOldWorkers(
  router: Router,
  options: LookOptions,
): Promise<Pick<RouterFacts, "oldWorkers" | "masterError">> {
  if (router.master === undefined) return { oldWorkers: null, masterError: null };
  try {
    const workers = await showOldWorkers(router.master, options);
    return {
      oldWorkers: workers.map(({ pid, uptimeSeconds, sessions }) => ({
        pid,
        uptimeS: uptimeSeconds,
        sessions: sessions.length,
      })),
      masterError: null,
    };
  } catch (error) {
    return { oldWorkers: null, masterError: error instanceof Error ? error.message : "failed" };
  }
}

function queuesOf(rows: readonly StatRow[]): Record<string, number> {
  const waiting = new Map<string, number>();
  for (const row of rows) {
    // Servers have queues of their own; a backend's line counts its own queue alone.
    if (row.kind !== "backend" && row.kind !== "server") continue;
    waiting.set(row.backend, (waiting.get(row.backend) ?? 0) + row.queued);
  }
  return Object.fromEntries(waiting);
}

function serverOf(view: ServerView): RouterServer {
  return {
    backend: view.backend,
    server: view.server,
    address: view.host,
    port: view.port,
    state: view.state === "up" || view.state === "down" ? view.state : "other",
    status: view.status,
    forced: forcedBy(view),
    check: view.check,
    sinceS: view.secondsSinceChange,
    sessions: view.sessions,
    queued: view.queued,
    backup: view.backup,
  };
}

/** Own flags only: what a server copies from the one that it tracks is reported there. */
function forcedBy(view: ServerView): string[] {
  const flags = view.admin.filter((flag) => flag === "maint" || flag === "drain");
  const shouldBeChecked = view.tracks === undefined && !view.backup && view.server !== "hold";
  return [
    ...flags,
    ...(view.weight === 0 && flags.length === 0 ? ["weight 0"] : []),
    ...(shouldBeChecked && !view.checked && flags.length === 0 ? ["checks are switched off"] : []),
  ];
}

/**
 * Compares the router's file with what the environment renders for it. `version` is that of the
 * running HAProxy, where it is known: a router elsewhere need not have the HAProxy of this machine.
 * @throws Error of the file system, ChildError, HaproxyVersionError, HaproxyModelError
 */
export async function observeConfiguration(
  environment: Environment,
  router: Router,
  version: string | undefined,
  options: LookOptions,
): Promise<RouterDrift> {
  const { path, read } = router.configuration;
  const found = version === undefined ? undefined : parseVersion(version);
  const isElsewhere = read !== undefined && found !== undefined;
  const [expected, actual] = await Promise.all([
    haproxyConfiguration(environment, router.name, {
      ...(isElsewhere ? { build: { version: found, services: undefined } } : {}),
      signal: options.signal,
    }),
    readActual(path, read, options),
  ]);
  return driftBetween(expected, actual);
}

async function readActual(
  path: string,
  read: readonly string[] | undefined,
  options: LookOptions,
): Promise<string> {
  const [program, ...words] = read ?? [];
  if (program === undefined) return await readFile(path, { encoding: "utf8", ...options });
  return (await runChild(program, words, options)).stdout;
}

/**
 * Where two configuration texts first differ: the number of the line and its first words. The rest
 * of a line written by hand may be a password.
 */
export function driftBetween(expected: string, actual: string): RouterDrift {
  if (expected === actual) return { drifted: false, firstDifference: "" };
  const [wanted, found] = [expected.split("\n"), actual.split("\n")];
  const index = wanted.findIndex((line, at) => line !== found[at]);
  const at = index < 0 ? wanted.length : index;
  const line = found[at]?.trim();
  const shown =
    line === undefined
      ? "the file ends there"
      : JSON.stringify(line.split(/\s+/).slice(0, 2).join(" ").slice(0, 60));
  return { drifted: true, firstDifference: `line ${at + 1}: ${shown}` };
}
