/**
 * The routers' side of a fence: their servers now, by the Runtime API, and their files for every
 * reload to come. All routers are told at once; one that fails does not hold up the others.
 */
import type { Environment, Router } from "../../config/schema.ts";

import { fleetOf } from "../haproxy/addresses.ts";
import { fenceMarksIn, withFenceMarks } from "../haproxy/fence-marks.ts";
import type { FenceMark } from "../haproxy/fence-marks.ts";
import { checkText, InstallError, readInstalled, writeInstalled } from "../haproxy/install.ts";
import { haproxyNames } from "../haproxy/model.ts";
import { setServerState, shutdownSessions } from "../haproxy/runtime/change.ts";
import { showServers } from "../haproxy/runtime/client.ts";
import { RoutersError } from "../haproxy/runtime/channels.ts";
import { overRouters } from "../haproxy/runtime/fleet.ts";
import type { FleetResult } from "../haproxy/runtime/fleet.ts";
import { findServer } from "../haproxy/runtime/servers.ts";
import type { ServerName } from "../haproxy/runtime/servers.ts";
import type { FileFence, RouterFence } from "./observation.ts";

const deadlineMs = 2000;
const overallMs = 15_000;

/** Where members stand for writes and for reads; `primary.<member>` follows the first. */
function serversOf(member: string): readonly [ServerName, ServerName] {
  return [
    { backend: haproxyNames.write, server: member },
    { backend: haproxyNames.read, server: member },
  ];
}

/** How the servers of `member` stand on each router. @throws the signal's reason */
export async function lookAtRouters(
  environment: Environment,
  member: string,
  signal: AbortSignal,
): Promise<RouterFence[]> {
  const results = await overRouters(fleetOf(environment), { deadlineMs, signal }, showServers);
  return results.map((one): RouterFence => {
    const { name } = one.router;
    if ("error" in one) return { name, reached: false, down: false };
    const down = serversOf(member).every((of) =>
      findServer(one.value, of)?.admin.some((flag) => flag === "maint"),
    );
    return { name, reached: true, down };
  });
}

/** Whether the files of the routers keep `member` down. @throws the signal's reason */
export async function lookAtFiles(
  environment: Environment,
  member: string,
  signal: AbortSignal,
): Promise<FileFence[]> {
  const looks = environment.routers.map(async (router): Promise<FileFence> => {
    const { name } = router;
    const text = await readInstalled(environment, router, signal).catch(() => undefined);
    signal.throwIfAborted();
    if (text === undefined) return { name, read: false, mark: null };
    const marks = fenceMarksIn(text);
    // A mark whose servers somebody has opened again keeps nothing down.
    const holds = withFenceMarks(text, marks) === text;
    const mark = marks.find((one) => one.member === member);
    return { name, read: true, mark: holds && mark !== undefined ? mark : null };
  });
  return await Promise.all(looks);
}

/** Maintenance for both servers, and the end of their sessions. @throws RoutersError */
export async function takeDown(
  environment: Environment,
  member: string,
  signal: AbortSignal,
): Promise<{ readonly sessionsClosed: number }> {
  const options = { deadlineMs, overallMs, signal };
  const results = await overRouters(fleetOf(environment), options, async (runtime) => {
    const [write, read] = serversOf(member);
    for (const one of [write, read]) await setServerState(runtime, one, "maint");
    const fallback = { backend: haproxyNames.read, server: haproxyNames.readFallback(member) };
    let closed = 0;
    // HAProxy 2.6 leaves sessions that came out of the queue where they are.
    for (const one of [write, read, fallback]) {
      closed += (await shutdownSessions(runtime, one)).found;
    }
    return closed;
  });
  requireAll(`take ${member} down`, results);
  const counts = results.map((one) => ("value" in one ? one.value : 0));
  return { sessionsClosed: counts.reduce((sum, one) => sum + one, 0) };
}

/** Both servers as their checks find them. @throws RoutersError */
export async function letUp(
  environment: Environment,
  member: string,
  signal: AbortSignal,
): Promise<void> {
  const options = { deadlineMs, overallMs, signal };
  const results = await overRouters(fleetOf(environment), options, async (runtime) => {
    for (const one of serversOf(member)) await setServerState(runtime, one, "ready");
  });
  requireAll(`let ${member} up`, results);
}

/**
 * Changes the marks in every router's file; nothing else in it changes, and HAProxy checks it first.
 * @throws RoutersError
 */
export async function rewriteFiles(
  environment: Environment,
  tried: string,
  marksFrom: (marks: readonly FenceMark[]) => readonly FenceMark[],
  signal: AbortSignal,
): Promise<void> {
  const results = await Promise.all(
    environment.routers.map(async (router): Promise<FleetResult<Router, void>> => {
      try {
        await rewriteFile(environment, router, marksFrom, signal);
        return { router, value: undefined };
      } catch (error) {
        return { router, error: error as Error };
      }
    }),
  );
  requireAll(tried, results);
}

async function rewriteFile(
  environment: Environment,
  router: Router,
  marksFrom: (marks: readonly FenceMark[]) => readonly FenceMark[],
  signal: AbortSignal,
): Promise<void> {
  const installed = await readInstalled(environment, router, signal);
  if (installed === undefined) {
    const path = router.configuration.path;
    throw new InstallError("ERR_HAPROXY_FILE", `${router.name}: there is no ${path}`);
  }
  const text = withFenceMarks(installed, marksFrom(fenceMarksIn(installed)));
  if (text === installed) return;
  await checkText(environment, router, text, signal);
  await writeInstalled(environment, router, text, signal);
}

function requireAll(
  tried: string,
  results: readonly FleetResult<{ readonly name: string }, unknown>[],
): void {
  const failed = results.flatMap((one) =>
    "error" in one ? [{ router: one.router.name, error: one.error }] : [],
  );
  if (failed.length > 0) throw new RoutersError(tried, failed);
}
