/**
 * The master's socket (`haproxy -W -S`): which workers there are, the sessions that a reload has
 * left on old ones (no health check ends those: docs/router.md, G3), and the reload itself.
 * The master keeps a connection open after a command, so each line ends with `;quit`.
 */
import { eventually } from "../../../kit/clock.ts";
import { addressAt } from "./address.ts";
import type { RuntimeAddress, RuntimePlace } from "./address.ts";
import { commands } from "./commands.ts";
import { parseInfo } from "./info.ts";
import { parseProcesses } from "./proc.ts";
import type { Processes, ProcessRow } from "./proc.ts";
import { firstLine } from "./replies.ts";
import { parseSessions } from "./sessions.ts";
import type { Session } from "./sessions.ts";
import { exchange, HaproxyError } from "./transport.ts";

export interface MasterOptions {
  /** For each exchange, or for the whole reload; milliseconds. */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

const workerGone = "Can't find the target PID";
const refusalPattern = /^(Unknown command|Can't find|Permission denied)/;

async function ask(
  address: RuntimeAddress,
  command: string,
  options: MasterOptions,
): Promise<string> {
  const text = await exchange(`${command};quit`, {
    deadlineMs: options.deadlineMs,
    signal: options.signal,
    address,
    tried: command,
    first: "",
    idempotent: true,
    // 3.0 says this and keeps the connection, `quit` or not.
    isWhole: (soFar) => soFar.startsWith(workerGone) && soFar.endsWith("\n"),
  });
  if (!refusalPattern.test(text)) {
    if (!command.includes("show ") || text.endsWith("\n\n")) return text;
    const came = `the answer ends after ${text.length} characters, before its last line`;
    throw new HaproxyError("ERR_HAPROXY_PROTOCOL", { address, tried: command, came });
  }
  const isWorker = text.startsWith("Unknown command") && !command.startsWith("@");
  const hint = isWorker ? " (is this a worker's socket?)" : "";
  throw new HaproxyError("ERR_HAPROXY_REFUSED", {
    address,
    tried: command,
    came: firstLine(text) + hint,
  });
}

function parseAnswer<T>(address: RuntimeAddress, tried: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const came = (error as Error).message;
    throw new HaproxyError("ERR_HAPROXY_PROTOCOL", { address, tried, came, cause: error });
  }
}

/** The master, its worker and the old workers. @throws HaproxyError */
export async function showProcesses(
  place: RuntimePlace,
  options: MasterOptions,
): Promise<Processes> {
  const address = addressAt(place);
  const text = await ask(address, "show proc", options);
  return parseAnswer(address, "show proc", () => parseProcesses(text));
}

export interface WorkerSessions extends ProcessRow {
  readonly sessions: readonly Session[];
}

/**
 * The old workers with the sessions that they still carry; an old worker that ends meanwhile is
 * left out.
 * @throws HaproxyError
 */
export async function showOldWorkers(
  place: RuntimePlace,
  options: MasterOptions,
): Promise<WorkerSessions[]> {
  const address = addressAt(place);
  const { oldWorkers } = await showProcesses(address, options);
  const asked = oldWorkers.map(async (row) => {
    const sessions = await showWorkerSessions(address, row.pid, options);
    return sessions === undefined ? [] : [{ ...row, sessions }];
  });
  return (await Promise.all(asked)).flat();
}

/** The sessions of the worker `pid`; undefined when there is no such worker. */
async function showWorkerSessions(
  address: RuntimeAddress,
  pid: number,
  options: MasterOptions,
): Promise<Session[] | undefined> {
  const tried = `@!${pid} show sess`;
  try {
    const text = await ask(address, tried, options);
    return parseAnswer(address, tried, () => parseSessions(text));
  } catch (error) {
    if (error instanceof HaproxyError && error.message.includes(workerGone)) return undefined;
    throw error;
  }
}

export interface ClosedOnOldWorkers {
  readonly closed: number;
  /** Clients that wait in an old worker's queue: they leave at `timeout queue`. */
  readonly waiting: number;
}

/**
 * Closes the sessions of all old workers, those for which `isWanted` holds, by pointer (nothing
 * else works there: "Proxy is disabled."), until none with a server is left. A client that waits
 * in the queue and has spoken already is told too, but HAProxy keeps it until `timeout queue`.
 * @throws HaproxyError; READBACK when some with a server are left at the deadline
 */
export async function closeOldWorkerSessions(
  place: RuntimePlace,
  options: MasterOptions,
  isWanted: (session: Session) => boolean = () => true,
): Promise<ClosedOnOldWorkers> {
  const address = addressAt(place);
  const closed = new Set<string>();
  const told = new Set<string>();
  const left = { count: 0 };
  const sweep = async (): Promise<ClosedOnOldWorkers | undefined> => {
    const workers = await showOldWorkers(address, options);
    const rest = workers.flatMap(({ pid, sessions }) =>
      sessions.filter(isWanted).map((one) => ({ ...one, pid, key: `${pid} ${one.pointer}` })),
    );
    const connected = rest.filter((one) => one.server !== undefined);
    const waiting = rest.filter((one) => one.server === undefined);
    left.count = connected.length;
    const news = [...connected, ...waiting.filter((one) => !told.has(one.key))];
    if (news.length === 0) return { closed: closed.size, waiting: waiting.length };
    for (const { pid, pointer, key, server } of news) {
      (server === undefined ? told : closed).add(key);
      await closeOne(address, pid, pointer, options);
    }
    return undefined;
  };
  try {
    return await eventually("sweep", { ...bounds(options), intervalMs: 20 }, sweep);
  } catch (error) {
    if (left.count === 0) throw error;
    throw new HaproxyError("ERR_HAPROXY_READBACK", {
      address,
      tried: "shutdown session on old workers",
      came: `${left.count} sessions are still there after ${options.deadlineMs} ms`,
      cause: error,
    });
  }
}

async function closeOne(
  address: RuntimeAddress,
  pid: number,
  pointer: string,
  options: MasterOptions,
): Promise<void> {
  const { line } = commands.shutdownSession(pointer);
  try {
    await ask(address, `@!${pid} ${line}`, options);
  } catch (error) {
    // The old worker ends with its last session.
    if (!(error instanceof HaproxyError) || !error.message.includes(workerGone)) throw error;
  }
}

function bounds(options: MasterOptions): { deadlineMs: number; signal?: AbortSignal } {
  return {
    deadlineMs: options.deadlineMs,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
}

export interface ReloadResult {
  readonly ok: boolean;
  /** What HAProxy printed while it loaded; "" before 3.0, which prints to its own log alone. */
  readonly log: string;
  /** The worker that serves now: the new one, or after a failure the one from before. */
  readonly pid: number;
}

/**
 * Reloads HAProxy and waits until the new worker answers, or the reload is known to have failed.
 * 3.0 answers with the result; 2.6 closes the connection at once, and `show proc` tells.
 * @throws HaproxyError; TIMEOUT when neither is known at the deadline
 */
export async function reloadThroughMaster(
  place: RuntimePlace,
  options: MasterOptions,
): Promise<ReloadResult> {
  const address = addressAt(place);
  const before = await showProcesses(address, options);
  const text = await exchange("reload;quit", {
    deadlineMs: options.deadlineMs,
    signal: options.signal,
    address,
    tried: "reload",
    first: "",
    idempotent: false,
    emptyIsWhole: true,
  });
  const [, success, log = ""] = /^Success=([01])\n--\n([^]*)$/.exec(text) ?? [];
  if (text !== "" && success === undefined) {
    const came = firstLine(text);
    throw new HaproxyError("ERR_HAPROXY_REFUSED", { address, tried: "reload", came });
  }
  const look = (): Promise<ReloadResult | undefined> =>
    resultOf(address, before, log.trim(), options);
  try {
    return await eventually("reload", { ...bounds(options), intervalMs: 20 }, look);
  } catch (error) {
    if (options.signal?.aborted === true) throw error;
    const came = `no new worker and no failure within ${options.deadlineMs} ms`;
    throw new HaproxyError("ERR_HAPROXY_TIMEOUT", { address, tried: "reload", came, cause: error });
  }
}

async function resultOf(
  address: RuntimeAddress,
  before: Processes,
  log: string,
  options: MasterOptions,
): Promise<ReloadResult | undefined> {
  const now = await showProcesses(address, options);
  if (now.master.reloads <= before.master.reloads) return undefined;
  const [worker] = now.workers;
  if (worker === undefined) return undefined;
  if (now.failedReloads > 0) return { ok: false, log, pid: worker.pid };
  if (before.workers.some((one) => one.pid === worker.pid)) return undefined;
  // Forked is not yet serving: it serves when it answers.
  const text = await ask(address, `@!${worker.pid} show info`, options);
  return parseInfo(text).pid === worker.pid ? { ok: true, log, pid: worker.pid } : undefined;
}
