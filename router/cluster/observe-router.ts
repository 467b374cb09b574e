/** Looks at one router: what its HAProxy says, and how its file compares to the environment. */
import type { Environment, Router } from "../../config/schema.ts";
import { isFoundByDns } from "../haproxy/backend-sections.ts";
import { fenceMarksIn, keepFences } from "../haproxy/fence-marks.ts";
import { readInstalled, renderRouter } from "../haproxy/install.ts";
import type { RunningVersion } from "../haproxy/install.ts";
import { haproxyNames } from "../haproxy/model.ts";
import { connectRuntime } from "../haproxy/runtime/client.ts";
import { observeRouter } from "../haproxy/runtime/fleet.ts";
import type { FleetRouter } from "../haproxy/runtime/fleet.ts";
import type { ServerView } from "../haproxy/runtime/servers.ts";
import type { Session } from "../haproxy/runtime/sessions.ts";
import type { OldWorker, RouterDrift, RouterFacts, RouterServer } from "./observation.ts";

/**
 * What the running HAProxy of `router` says, and its master beside it.
 * @throws HaproxyError, or the signal's reason
 */
export async function observeRuntime(
  router: FleetRouter,
  options: { readonly deadlineMs: number; readonly signal: AbortSignal },
): Promise<RouterFacts> {
  const seen = await observeRouter(connectRuntime(router.runtime, options), router);
  const { info, servers, queues, closedFrontends, oldWorkers, masterError } = seen;
  return {
    version: info.version,
    pid: info.pid,
    uptimeS: info.uptimeSeconds,
    servers: servers.map(serverOf),
    closedFrontends,
    queued: Object.fromEntries(queues.map(({ backend, waiting }) => [backend, waiting])),
    oldWorkers:
      oldWorkers?.map(({ pid, uptimeSeconds, sessions }) => ({
        pid,
        uptimeS: uptimeSeconds,
        sessions: sessions.length,
        writing: writingSessions(sessions),
      })) ?? null,
    masterError: masterError?.message ?? null,
  };
}

function writingSessions(sessions: readonly Session[]): OldWorker["writing"] {
  const counts = new Map<string, number>();
  for (const { backend, server } of sessions) {
    if (backend !== haproxyNames.write || server === undefined) continue;
    counts.set(server, (counts.get(server) ?? 0) + 1);
  }
  return [...counts].map(([server, count]) => ({ server, sessions: count }));
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

/**
 * Own flags only: what a server copies from the one that it tracks is reported there. Of a server that
 * was found by DNS weight 0 is the mark of its coming and going, and whether it is checked is the
 * environment's.
 */
function forcedBy(view: ServerView): string[] {
  const isDynamic = isFoundByDns(view.server);
  if (isDynamic && view.weight === 0) return [];
  const flags = view.admin.filter((flag) => flag === "maint" || flag === "drain");
  const shouldBeChecked =
    view.tracks === undefined && !view.backup && view.server !== haproxyNames.hold && !isDynamic;
  return [
    ...flags,
    ...(view.weight === 0 && flags.length === 0 ? ["weight 0"] : []),
    ...(shouldBeChecked && !view.checked && flags.length === 0 ? ["checks are switched off"] : []),
  ];
}

/**
 * Compares the router's file with what the environment renders for it, as `router diff` does: fenced
 * members belong there and are no difference.
 * `running` is the version of the running HAProxy: a router elsewhere need not have the HAProxy of
 * this machine.
 * @throws InstallError, ChildError, HaproxyVersionError, HaproxyModelError, TemplateError
 */
export async function observeConfiguration(
  environment: Environment,
  router: Router,
  running: RunningVersion,
  signal: AbortSignal,
): Promise<RouterDrift> {
  const [expected, actual] = await Promise.all([
    renderRouter(environment, router, signal, running),
    readInstalled(environment, router, signal),
  ]);
  if (actual === undefined) {
    return { drifted: true, firstDifference: "there is no such file", fenced: [] };
  }
  return driftBetween(keepFences(expected, actual), actual);
}

/**
 * Where two configuration texts first differ: the number of the line and its first words. The rest
 * of a line written by hand may be a password.
 */
function driftBetween(expected: string, actual: string): RouterDrift {
  const fenced = fenceMarksIn(actual);
  if (expected === actual) return { drifted: false, firstDifference: "", fenced };
  const [wanted, found] = [expected.split("\n"), actual.split("\n")];
  const index = wanted.findIndex((line, at) => line !== found[at]);
  const at = index < 0 ? wanted.length : index;
  const line = found[at]?.trim();
  const shown =
    line === undefined
      ? "the file ends there"
      : JSON.stringify(line.split(/\s+/).slice(0, 2).join(" ").slice(0, 60));
  return { drifted: true, firstDifference: `line ${at + 1}: ${shown}`, fenced };
}
