/**
 * Orders to one router in an operator's terms: a server's administrative state, and the end of a
 * server's sessions. Each reports what it read before and after.
 */
import { eventually } from "../../../kit/clock.ts";
import { change, send, showRouter, showSessions } from "./client.ts";
import type { Runtime } from "./client.ts";
import { commands } from "./commands.ts";
import type { AdminState, Command } from "./commands.ts";
import { commandsForState } from "./orders.ts";
import { findServer, formatServerName, trackersOf } from "./servers.ts";
import type { ServerName, ServerView } from "./servers.ts";
import type { Session } from "./sessions.ts";
import { HaproxyError } from "./transport.ts";

export interface StateChange {
  readonly before: ServerView;
  readonly after: ServerView;
  /** The lines that were sent; none when the server was in that state already. */
  readonly sent: readonly string[];
  /** backend/server of those that copy this one's state and changed with it. */
  readonly followers: readonly string[];
  /** Pid of the worker that shows it. */
  readonly pid: number;
}

/** Finds a server or says which are there. @throws HaproxyError REFUSED */
function requireServer(
  runtime: Runtime,
  servers: readonly ServerView[],
  of: ServerName,
): ServerView {
  const found = findServer(servers, of);
  if (found !== undefined) return found;
  throw new HaproxyError("ERR_HAPROXY_REFUSED", {
    address: runtime.address,
    tried: formatServerName(of),
    came: `no such server; there is ${servers.map(formatServerName).join(", ")}`,
  });
}

/**
 * Brings a server to `ready`, `drain` or `maint`, by the rules of commandsForState, and reads it
 * back.
 * @throws HaproxyError
 */
export async function setServerState(
  runtime: Runtime,
  of: ServerName,
  wanted: AdminState,
): Promise<StateChange> {
  const first = await showRouter(runtime);
  const before = requireServer(runtime, first.servers, of);
  const list = commandsForState(first.servers, before, wanted);
  const view = list.length === 0 ? first : await change(runtime, list);
  const after = requireServer(runtime, view.servers, of);
  if (wanted === "ready" && after.admin.length > 0) {
    throw new HaproxyError("ERR_HAPROXY_READBACK", {
      address: runtime.address,
      tried: `set server ${formatServerName(of)} state ready`,
      came: `it is still ${after.status}`,
    });
  }
  return {
    before,
    after,
    sent: list.map((one) => one.line),
    followers: trackersOf(view.servers, of).map(formatServerName),
    pid: view.info.pid,
  };
}

export interface ClosedSessions {
  /** Sessions that the server had. */
  readonly found: number;
  /** Of these, those that `shutdown sessions server` had left and that were closed one by one. */
  readonly swept: number;
}

const sweepDeadlineMs = 5000;
const pointersPerLine = 100;

/**
 * Closes all sessions of a server in the current worker and proves it. Before 3.0 HAProxy forgets
 * sessions that came out of the queue (docs/router.md, G6), so what `show sess` still lists is closed by
 * pointer, until nothing is left. Meant for a server that gets no new ones: 5 s at most.
 * @throws HaproxyError; READBACK when some are left
 */
export async function shutdownSessions(runtime: Runtime, of: ServerName): Promise<ClosedSessions> {
  const isOurs = (one: Session): boolean => one.backend === of.backend && one.server === of.server;
  const found = (await showSessions(runtime)).filter(isOurs);
  await send(runtime, [commands.shutdownServerSessions(of)]);
  const swept = new Set<string>();
  const left = { count: 0 };
  try {
    const { signal } = runtime;
    const patience = { deadlineMs: sweepDeadlineMs, intervalMs: 20, ...(signal && { signal }) };
    await eventually("sweep", patience, async () => {
      const rest = (await showSessions(runtime)).filter(isOurs);
      left.count = rest.length;
      if (rest.length === 0) return true;
      for (const one of rest) swept.add(one.pointer);
      await closeByPointer(runtime, rest);
      return undefined;
    });
  } catch (error) {
    runtime.signal?.throwIfAborted();
    if (left.count === 0) throw error;
    throw new HaproxyError("ERR_HAPROXY_READBACK", {
      address: runtime.address,
      tried: `shutdown sessions server ${formatServerName(of)}`,
      came: `${left.count} sessions are still there after ${sweepDeadlineMs} ms`,
      cause: error,
    });
  }
  return { found: found.length, swept: swept.size };
}

async function closeByPointer(runtime: Runtime, sessions: readonly Session[]): Promise<void> {
  for (let at = 0; at < sessions.length; at += pointersPerLine) {
    const list: Command[] = sessions
      .slice(at, at + pointersPerLine)
      .map((one) => commands.shutdownSession(one.pointer));
    try {
      await send(runtime, list);
    } catch (error) {
      // A session that has ended meanwhile is what was wanted.
      if (!(error instanceof HaproxyError) || !/No such session/.test(error.message)) throw error;
    }
  }
}
