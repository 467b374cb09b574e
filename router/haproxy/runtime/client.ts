/**
 * The Runtime API of one worker: sends typed commands, one connection for each line, and reads back
 * what they changed. An answer is complete or it is an error; silence is never taken for success.
 */
import { formatAddress } from "../../../kit/address.ts";
import { eventually } from "../../../kit/clock.ts";
import { oldestVersion } from "../version.ts";
import { addressAt } from "./address.ts";
import type { RuntimeAddress, RuntimePlace } from "./address.ts";
import { CommandError, commands, levels } from "./commands.ts";
import type { Command, Level } from "./commands.ts";
import { isAtLeast, parseInfo } from "./info.ts";
import type { ProcessInfo } from "./info.ts";
import { firstLine, refusalOf, ReplyError, splitReplies } from "./replies.ts";
import type { Refusal, Reply } from "./replies.ts";
import { formatServerName, joinServers, serversByName } from "./servers.ts";
import type { ServerView } from "./servers.ts";
import { parseServersState } from "./servers-state.ts";
import { parseSessions } from "./sessions.ts";
import type { Session } from "./sessions.ts";
import { parseStat } from "./stat.ts";
import type { StatRow } from "./stat.ts";
import { exchange, HaproxyError } from "./transport.ts";
import type { ExchangeOptions, HaproxyErrorCode } from "./transport.ts";

export interface Runtime {
  readonly address: RuntimeAddress;
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
  /** Connections opened ahead, one for each line (see ready-connections.ts). */
  readonly ready?: ExchangeOptions["ready"];
}

/**
 * Names a Runtime API and the deadline of each exchange with it in milliseconds (default 2000).
 * Nothing is opened yet: each line has a connection of its own, because one that outlives a reload
 * stays with the old worker, and answers.
 */
export function connectRuntime(
  place: RuntimePlace,
  options: { readonly deadlineMs?: number; readonly signal?: AbortSignal | undefined } = {},
): Runtime {
  return {
    address: addressAt(place),
    deadlineMs: options.deadlineMs ?? 2000,
    signal: options.signal,
  };
}

const longestLine = 8192;

/**
 * Sends commands in one line and resolves with a reply for each. A refusal of any is an error; the
 * others of the line were carried out all the same (HAProxy goes on).
 * @throws HaproxyError, CommandError for a line that is too long
 */
export async function send(runtime: Runtime, list: readonly Command[]): Promise<Reply[]> {
  const tried = list.map((one) => one.line).join(";");
  const line = `set severity-output number;${tried}`;
  if (line.length > longestLine) throw new CommandError(`a line of ${line.length} characters`);
  await checkVersions(runtime, list);
  const text = await exchange(line, {
    ...runtime,
    tried,
    first: "\n",
    idempotent: list.every((one) => one.idempotent),
  });
  try {
    const replies = splitReplies(text, list);
    for (const [index, reply] of replies.entries()) refuse(runtime, tried, reply, list[index]);
    return replies;
  } catch (error) {
    if (!(error instanceof ReplyError)) throw error;
    // An error whose empty line is missing (2.6) may have swallowed the replies behind it.
    const said = text.split("\n").find((one) => one.startsWith("[3]: "));
    if (said !== undefined) refuse(runtime, tried, { severity: 3, text: said.slice(5) });
    throw failure(runtime, "ERR_HAPROXY_PROTOCOL", tried, error.message, error);
  }
}

const refusals: Readonly<Record<Refusal, readonly [HaproxyErrorCode, string]>> = {
  permission: ["ERR_HAPROXY_PERMISSION", "the socket's level is too low for it: "],
  "unknown-command": ["ERR_HAPROXY_VERSION", "this HAProxy does not know it: "],
  refused: ["ERR_HAPROXY_REFUSED", ""],
};

/** `command` is the one that the reply answers, where that is known; else `tried` is the whole line. */
function refuse(runtime: Runtime, tried: string, reply: Reply, command?: Command): void {
  const refusal = refusalOf(reply);
  if (refusal === undefined) return;
  const [code, why] = refusals[refusal];
  const needs =
    refusal === "permission" && command !== undefined ? ` (it needs level ${command.level})` : "";
  throw failure(runtime, code, command?.line ?? tried, why + firstLine(reply.text) + needs);
}

function failure(
  runtime: Runtime,
  code: HaproxyErrorCode,
  tried: string,
  came: string,
  cause?: unknown,
): HaproxyError {
  return new HaproxyError(code, { address: runtime.address, tried, came, cause });
}

async function checkVersions(runtime: Runtime, list: readonly Command[]): Promise<void> {
  const gated = list.filter((one) => one.since !== undefined);
  if (gated.length === 0) return;
  const { version } = await showInfo(runtime);
  for (const { line, since } of gated) {
    if (since === undefined || isAtLeast(version, since)) continue;
    const came = `HAProxy ${version} is too old: it needs ${since} or newer`;
    throw failure(runtime, "ERR_HAPROXY_VERSION", line, came);
  }
}

/** Parses what came back; what cannot be parsed is a protocol error that says which command. */
function parseReply<T>(runtime: Runtime, tried: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw failure(runtime, "ERR_HAPROXY_PROTOCOL", tried, (error as Error).message, error);
  }
}

/** What `show info` says. @throws HaproxyError */
export async function showInfo(runtime: Runtime): Promise<ProcessInfo> {
  const [info] = await send(runtime, [commands.showInfo()]);
  return parseReply(runtime, "show info", () => parseInfo(info?.text ?? ""));
}

/** The level of this socket: user, operator or admin. @throws HaproxyError */
export async function showLevel(runtime: Runtime): Promise<Level> {
  const [reply] = await send(runtime, [commands.showLevel()]);
  return parseReply(runtime, "show cli level", () => {
    const level = levels.find((one) => one === reply?.text.trim());
    if (level !== undefined) return level;
    throw new TypeError(`it said ${JSON.stringify((reply?.text ?? "").slice(0, 60))}`);
  });
}

export interface RuntimeView {
  readonly info: ProcessInfo;
  readonly servers: readonly ServerView[];
  /** Clients that wait, for each backend: in its own queue and in those of its servers. */
  readonly queues: readonly { readonly backend: string; readonly waiting: number }[];
  /** Frontends that take no connections, by name. */
  readonly closedFrontends: readonly string[];
}

const viewCommands = [commands.showInfo(), commands.showServersState(), commands.showStat()];

/**
 * The process and all its servers, read on one connection, so from one worker at one time.
 * @throws HaproxyError; VERSION when HAProxy is older than 2.6
 */
export async function showRouter(runtime: Runtime): Promise<RuntimeView> {
  return readView(runtime, await send(runtime, viewCommands));
}

function readView(runtime: Runtime, replies: readonly Reply[]): RuntimeView {
  const [info, states, stats] = replies.map((one) => one.text);
  const view = parseReply(runtime, "show info;show servers state;show stat", () => {
    const rows = parseStat(stats ?? "");
    return {
      info: parseInfo(info ?? ""),
      servers: joinServers(parseServersState(states ?? ""), rows),
      queues: queuesOf(rows),
      closedFrontends: rows
        .filter((row) => row.kind === "frontend" && row.status !== "OPEN")
        .map((row) => row.backend),
    };
  });
  if (isAtLeast(view.info.version, oldestVersion)) return view;
  const came = `HAProxy ${view.info.version} is too old: ${oldestVersion} or newer is needed`;
  throw failure(runtime, "ERR_HAPROXY_VERSION", "show info", came);
}

/** A backend's line counts its own queue alone: servers have queues of their own. */
function queuesOf(rows: readonly StatRow[]): RuntimeView["queues"] {
  const waiting = new Map<string, number>();
  for (const { kind, backend, queued } of rows) {
    if (kind !== "server" && kind !== "backend") continue;
    waiting.set(backend, (waiting.get(backend) ?? 0) + queued);
  }
  return [...waiting].map(([backend, count]) => ({ backend, waiting: count }));
}

/** All servers of all backends. @throws HaproxyError */
export async function showServers(runtime: Runtime): Promise<readonly ServerView[]> {
  return (await showRouter(runtime)).servers;
}

/** The current worker's sessions, those of the Runtime API left out. @throws HaproxyError */
export async function showSessions(runtime: Runtime): Promise<Session[]> {
  const [reply] = await send(runtime, [commands.showSessions()]);
  return parseReply(runtime, "show sess", () => parseSessions(reply?.text ?? ""));
}

const settleMs = 500;

/**
 * Sends changing commands and the readback in one line; resolves with what was read.
 * @throws HaproxyError; READBACK when HAProxy said yes and the server does not show it
 */
export async function change(runtime: Runtime, list: readonly Command[]): Promise<RuntimeView> {
  const replies = await send(runtime, [...list, ...viewCommands]);
  const first = readView(runtime, replies.slice(list.length));
  if (unproven(list, serversByName(first.servers)) === undefined) return first;
  // Some versions apply a change a moment after the answer.
  const last = { view: first };
  const settled = await eventually(
    "readback",
    { deadlineMs: settleMs, intervalMs: 20, ...(runtime.signal && { signal: runtime.signal }) },
    async () => {
      last.view = await showRouter(runtime);
      return unproven(list, serversByName(last.view.servers)) === undefined ? last.view : undefined;
    },
  ).catch((error: unknown) => {
    if (runtime.signal?.aborted === true) throw error;
    return undefined;
  });
  if (settled !== undefined) return settled;
  const [tried = "", shown = ""] = unproven(list, serversByName(last.view.servers)) ?? [];
  throw failure(runtime, "ERR_HAPROXY_READBACK", tried, `HAProxy took it, but reads ${shown}`);
}

/**
 * The first command of which the readback shows no proof, and what it shows; undefined when all hold.
 * @param servers as serversByName makes them
 */
export function unproven(
  list: readonly Command[],
  servers: ReadonlyMap<string, ServerView>,
): readonly [tried: string, shown: string] | undefined {
  // Of two orders to one server the later one decides.
  const last = new Map<string, { readonly name: string; readonly command: Command }>();
  const gone = new Set<string>();
  for (const command of list) {
    if (command.proof === undefined) continue;
    const name = formatServerName(command.proof.of);
    if (command.proof.about === "absence") gone.add(name);
    last.set(`${name} ${command.proof.about}`, { name, command });
  }
  for (const { name, command } of last.values()) {
    const seen = servers.get(name);
    // Of a server that was to be deleted its absence is enough.
    if (seen === undefined && gone.has(name)) continue;
    if (seen === undefined) return [command.line, "no such server"];
    if (command.proof?.holds(seen) === false) {
      const shown = `${name} ${formatAddress(seen)} ${seen.status}`;
      return [
        command.line,
        `${shown}, weight ${seen.weight}, maxconn ${seen.maxConnections ?? "none"}`,
      ];
    }
  }
  return undefined;
}
