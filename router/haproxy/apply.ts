/**
 * Brings a rendered configuration to one router: what it will do is said first, then the file is
 * replaced, HAProxy reloaded and the new worker compared with the text. When that fails, the file
 * from before is put back. No server-state file is used (it would bring back old ports): what
 * operators have forced is read before and set again while the new worker still holds clients.
 */
import type { Environment, Router } from "../../config/schema.ts";
import { eventually, systemClock, withDeadline } from "../../kit/clock.ts";
import { masterAddressOf, runtimeAddressOf } from "./addresses.ts";
import { isFoundByDns } from "./backend-sections.ts";
import { refuseTooMany } from "./descriptors.ts";
import { stranded, waitForFound } from "./found-servers.ts";
import { serverDrift, serversIn } from "./drift.ts";
import { keepFences } from "./fence-marks.ts";
import {
  checkText,
  InstallError,
  isRemote,
  readInstalled,
  runProgram,
  writeInstalled,
} from "./install.ts";
import { haproxyNames } from "./model.ts";
import { setServerState } from "./runtime/change.ts";
import { connectRuntime, showRouter } from "./runtime/client.ts";
import type { Runtime, RuntimeView } from "./runtime/client.ts";
import { reloadThroughMaster } from "./runtime/master.ts";
import type { ServerName, ServerView } from "./runtime/servers.ts";

const reloadDeadlineMs = 20_000;
const lookEveryMs = 50;

/** A server that an operator has taken out, which a reload alone would bring back. */
export interface ForcedServer {
  readonly backend: string;
  readonly server: string;
  readonly state: "maint" | "drain";
}

export interface ApplyPlan {
  readonly router: Router;
  readonly text: string;
  /** The file as it is now; undefined where there is none. */
  readonly installed: string | undefined;
  /** What differs between the running worker and the text. */
  readonly drift: readonly string[];
  /** True when the text sends writes to other servers, or to other addresses of theirs. */
  readonly movesWrites: boolean;
  /** Pid of the worker that runs now. */
  readonly pid: number;
  /**
   * Sessions that can write, which stay in the old worker until `hard-stop-after`: those of the
   * write backend, and those that the read backend has sent to the primary.
   */
  readonly sessions: number;
  /** False where the running worker takes no writes for anybody, as before its first configuration. */
  readonly serves: boolean;
  /** Members that take writes now, as the router sees it. */
  readonly up: readonly string[];
  readonly forced: readonly ForcedServer[];
  /** Servers that were found by DNS; a new worker begins without them. */
  readonly found: number;
  /** Their sessions, which stay in the old worker as those that write do. */
  readonly foundSessions: number;
  /** The backends whose servers those are, as far as the text has them still. */
  readonly foundIn: readonly string[];
  /** What would be lost of backends, whose clients wait: a sentence each. */
  readonly stranded: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Looks at what an apply of `wanted` would do; changes nothing. Members that are fenced in the file
 * as it is now stay fenced.
 * @throws InstallError when HAProxy refuses the text or there is no way to reload, HaproxyError
 * when the running HAProxy does not answer
 */
export async function planApply(
  environment: Environment,
  router: Router,
  wanted: string,
  signal: AbortSignal,
): Promise<ApplyPlan> {
  if (router.master === undefined && router.configuration.reload === undefined) {
    const how = "it needs master (the master socket) or configuration.reload (a program)";
    throw new InstallError("ERR_HAPROXY_NO_RELOAD", `${router.name}: no way to reload it: ${how}`);
  }
  const installed = await readInstalled(environment, router, signal);
  const text = keepFences(wanted, installed);
  const warnings = await checkText(environment, router, text, signal);
  const view = await showRouter(runtimeOf(environment, router, signal));
  if (!isRemote(router)) await refuseTooMany(router, text, view.info.pid);
  const onWrite = view.servers.filter(
    (one) => one.backend === haproxyNames.write && one.server !== haproxyNames.hold,
  );
  const onFallback = view.servers.filter(isReadFallback);
  const found = view.servers.filter((one) => isFoundByDns(one.server));
  const rendered = serversIn(text);
  const isWrite = (one: ServerName): boolean => one.backend === haproxyNames.write;
  return {
    router,
    text,
    installed,
    drift: serverDrift(rendered, view.servers),
    movesWrites: serverDrift(rendered.filter(isWrite), view.servers.filter(isWrite)).length > 0,
    pid: view.info.pid,
    sessions: sumOfSessions([...onWrite, ...onFallback]),
    serves: view.servers.some((one) => one.backend === haproxyNames.write),
    up: onWrite.filter((one) => one.state === "up").map((one) => one.server),
    forced: forcedServers(view),
    found: found.length,
    foundSessions: sumOfSessions(found),
    foundIn: [...new Set(found.map((one) => one.backend))].filter((name) =>
      rendered.some((one) => one.backend === name),
    ),
    stranded: environment.backends.flatMap(({ name }) => stranded(name, view)),
    warnings,
  };
}

function sumOfSessions(servers: readonly ServerView[]): number {
  return servers.reduce((sum, one) => sum + one.sessions, 0);
}

/** True for the server by which the read backend reaches the primary where there is no standby. */
function isReadFallback({ backend, server }: ServerName): boolean {
  return backend === haproxyNames.read && server.startsWith(haproxyNames.readFallback(""));
}

/**
 * Why this is a bad moment for a reload, in one sentence; undefined when it is not. The old worker
 * keeps its queue but no longer checks its servers, so nobody in the queue would ever be served.
 */
export function objectionTo(plan: ApplyPlan): string | undefined {
  const isIdle = plan.up.length === 0 && plan.serves;
  const writes = `no member is up for writes: clients that wait in its queue would be left waiting in the old worker until their time is over`;
  const all = [...(isIdle ? [writes] : []), ...plan.stranded];
  return all.length === 0 ? undefined : `${plan.router.name}: ${all.join("; ")}`;
}

/** True when neither the file nor the running worker differs from the text. */
export function isApplied(plan: ApplyPlan): boolean {
  return plan.installed === plan.text && plan.drift.length === 0;
}

/** Those that were found by DNS go with the reload, whatever state they are in. */
function forcedServers({ servers }: RuntimeView): ForcedServer[] {
  return servers.flatMap(({ backend, server, admin }): ForcedServer[] => {
    if (isFoundByDns(server)) return [];
    const state = (["maint", "drain"] as const).find((one) => admin.includes(one));
    return state === undefined ? [] : [{ backend, server, state }];
  });
}

export interface Applied {
  /** Pid of the worker that runs the text. */
  readonly pid: number;
  /** Servers that were taken out before and are again. */
  readonly kept: readonly ForcedServer[];
}

/**
 * Carries a plan out, and waits until backends have servers again.
 * @throws InstallError; RELOAD says whether the file from before is back
 */
export async function applyPlan(
  environment: Environment,
  plan: ApplyPlan,
  signal: AbortSignal,
): Promise<Applied> {
  const applied = await loadPlan(environment, plan, signal);
  await waitForFound(environment, plan, runtimeOf(environment, plan.router, signal));
  return applied;
}

async function loadPlan(
  environment: Environment,
  plan: ApplyPlan,
  signal: AbortSignal,
): Promise<Applied> {
  const { router } = plan;
  if (plan.installed !== plan.text) await replace(environment, plan, signal);
  try {
    await reload(environment, router, signal);
    const runtime = runtimeOf(environment, router, signal);
    const pid = await waitForWorker(runtime, plan);
    return { pid, kept: await forceAgain(runtime, plan, pid) };
  } catch (error) {
    throw await putBack(environment, plan, error as Error);
  }
}

/** Somebody may have fenced a member since the plan was made. */
async function replace(
  environment: Environment,
  { router, installed, text }: ApplyPlan,
  signal: AbortSignal,
): Promise<void> {
  if ((await readInstalled(environment, router, signal)) !== installed) {
    const what = `${router.configuration.path} has changed since it was looked at`;
    throw new InstallError("ERR_HAPROXY_FILE", `${router.name}: ${what}; nothing was written`);
  }
  await writeInstalled(environment, router, text, signal);
}

async function reload(
  environment: Environment,
  router: Router,
  signal: AbortSignal,
): Promise<void> {
  const program = router.configuration.reload;
  if (program !== undefined) {
    const result = await runProgram(program, "", signal);
    if (result.code === 0) return;
    const said = result.stderr.trim() || result.stdout.trim() || "it printed nothing";
    throw new Error(`${program.join(" ")}: exit code ${result.code}: ${said}`);
  }
  const master = masterAddressOf(environment, router);
  if (master === undefined) throw new Error("no way to reload it");
  const result = await reloadThroughMaster(master, { deadlineMs: reloadDeadlineMs, signal });
  if (result.ok) return;
  const said = result.log.replaceAll("\n", "; ") || "HAProxy's own log says why";
  throw new Error(`HAProxy could not load it and goes on with the old one: ${said}`);
}

/** Waits for another worker on the Runtime API and compares it with the text. */
async function waitForWorker(runtime: Runtime, plan: ApplyPlan): Promise<number> {
  const rendered = serversIn(plan.text);
  const last = { drift: [`worker ${plan.pid} still answers`] };
  const options = { deadlineMs: reloadDeadlineMs, intervalMs: lookEveryMs };
  const look = async (): Promise<number | undefined> => {
    const { info, servers } = await showRouter(runtime);
    if (info.pid === plan.pid || info.stopping) return undefined;
    last.drift = serverDrift(rendered, servers);
    return last.drift.length === 0 ? info.pid : undefined;
  };
  const signalled = runtime.signal === undefined ? {} : { signal: runtime.signal };
  return await eventually("the new worker", { ...options, ...signalled }, look).catch(
    (cause: unknown) => {
      runtime.signal?.throwIfAborted();
      const path = plan.router.configuration.path;
      const why = `${last.drift.join(", ")}; is ${path} the file that HAProxy reads?`;
      throw new Error(`the worker after the reload does not run the text: ${why}`, { cause });
    },
  );
}

/** Both workers take connections until the old one has heard that it is to stop. */
async function forceAgain(runtime: Runtime, plan: ApplyPlan, pid: number): Promise<ForcedServer[]> {
  const known = new Set(serversIn(plan.text).map((one) => `${one.backend}/${one.server}`));
  const wanted = plan.forced.filter((one) => known.has(`${one.backend}/${one.server}`));
  const force = async (one: ForcedServer, signal: AbortSignal): Promise<void> => {
    while ((await setServerState({ ...runtime, signal }, one, one.state)).pid !== pid) {
      await systemClock.sleep(lookEveryMs, signal);
    }
  };
  for (const one of wanted) {
    const what = `worker ${pid} takes ${one.backend}/${one.server} ${one.state}`;
    await withDeadline(what, reloadDeadlineMs, (inner) => force(one, inner), runtime.signal);
  }
  return wanted;
}

async function putBack(environment: Environment, plan: ApplyPlan, cause: Error): Promise<Error> {
  const { router, installed } = plan;
  const path = router.configuration.path;
  const because = `${router.name}: ${cause.message}`;
  if (installed === undefined || installed === plan.text) {
    return new InstallError("ERR_HAPROXY_RELOAD", `${because}; ${path} holds the new text`, cause);
  }
  // The caller's signal may be why it failed, and must not keep the old file from coming back.
  const { signal } = new AbortController();
  const fate = await writeInstalled(environment, router, installed, signal).then(
    () => `the file from before is back at ${path}`,
    (error: Error) => `the file from before could NOT be put back: ${error.message}`,
  );
  return new InstallError("ERR_HAPROXY_RELOAD", `${because}; ${fate}`, cause);
}

function runtimeOf(environment: Environment, router: Router, signal: AbortSignal): Runtime {
  const deadlineMs = environment.thresholds.probe;
  return connectRuntime(runtimeAddressOf(environment, router), { deadlineMs, signal });
}
