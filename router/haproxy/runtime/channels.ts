/**
 * All routers of a cluster as a flip moves them: over connections opened ahead, one line for each
 * move, at all routers at once. Only the server lines for writes are told (and with them what
 * tracks them), only in a way that the routers' own checks undo by themselves.
 */
import { systemClock } from "../../../kit/clock.ts";
import { haproxyNames } from "../model.ts";
import { shutdownSessions } from "./change.ts";
import { change, connectRuntime, showRouter } from "./client.ts";
import type { Runtime, RuntimeView } from "./client.ts";
import type { HealthState } from "./commands.ts";
import { overRouters } from "./fleet.ts";
import type { FleetResult, FleetRouter } from "./fleet.ts";
import { commandsForHealth, upForWrites } from "./orders.ts";
import { keepReady } from "./ready-connections.ts";
import type { ReadyConnections } from "./ready-connections.ts";
import { findServer, formatServerName, trackersOf } from "./servers.ts";
import type { ServerView } from "./servers.ts";
import { HaproxyError } from "./transport.ts";

/** Not every router did what it was told; those that are not named did. */
export class RoutersError extends Error {
  override readonly name = "RoutersError";
  readonly code = "ERR_ROUTERS";
  readonly failed: readonly { readonly router: string; readonly error: Error }[];
  constructor(what: string, failed: RoutersError["failed"]) {
    const words = failed.map(({ router, error }) => `${router}: ${error.message}`);
    super(`${what}: ${words.join("; ")}`, { cause: failed[0]?.error });
    this.failed = failed;
  }
}

export interface RouterLook {
  readonly name: string;
  readonly reached: boolean;
  /** Members that it gives new write connections to. */
  readonly up: readonly string[];
  /** Members whose own check for writes passed when it last ran. */
  readonly passing: readonly string[];
  /** Write sessions, and reads that fell back to the primary, by member. */
  readonly sessions: Readonly<Record<string, number>>;
  /** Why it was not reached; null when it was. */
  readonly error: string | null;
}

export interface RouterChannels {
  /** Opens connections ahead and looks once. @throws RoutersError naming those that cannot be reached */
  warm(signal: AbortSignal): Promise<void>;
  /**
   * Takes new write connections away from `member` and cuts those that it has, at once.
   * @returns the routers with the sessions that the member had there, as last looked
   * @throws RoutersError
   */
  divertFrom(member: string, signal: AbortSignal): Promise<readonly Moved[]>;
  /** Gives new write connections to `member` before its check says so. @throws RoutersError */
  undivert(member: string, signal: AbortSignal): Promise<readonly Moved[]>;
  /** `down` down, then `up` up, in one line. @throws RoutersError */
  route(
    move: { readonly down: string; readonly up: string },
    signal: AbortSignal,
  ): Promise<readonly Moved[]>;
  /**
   * Closes what `member` still has of write sessions in the current workers, and proves it.
   * @throws RoutersError
   */
  closeSessions(member: string, signal: AbortSignal): Promise<readonly Moved[]>;
  /** How every router is; never fails for one that is not reached. @throws the signal's reason */
  look(signal: AbortSignal): Promise<readonly RouterLook[]>;
  close(): void;
}

export interface Moved {
  readonly router: string;
  /** Sessions that the member that lost them had. */
  readonly sessions: number;
}

type Change = { readonly member: string; readonly health: HealthState };

interface Channel extends FleetRouter {
  readonly ready: ReadyConnections;
  /** As last seen. */
  servers: readonly ServerView[] | undefined;
  /** When a change was read back that no look has used yet; monotonic ms. */
  readBackAt: number;
}

/** A change is read back in its own line: for this long that is as good as one look. */
const readbackServesMs = 20;

/**
 * Channels to the routers of an environment; nothing is opened yet. `members` are the names of its
 * members, `deadlineMs` bounds each exchange with each router.
 */
export function openRouterChannels(
  routers: readonly FleetRouter[],
  members: readonly string[],
  options: { readonly deadlineMs: number },
): RouterChannels {
  return new OpenChannels(routers, members, options.deadlineMs);
}

class OpenChannels implements RouterChannels {
  readonly #channels: readonly Channel[];
  readonly #members: readonly string[];
  readonly #deadlineMs: number;

  constructor(routers: readonly FleetRouter[], members: readonly string[], deadlineMs: number) {
    this.#channels = routers.map(({ name, runtime, master }) => ({
      name,
      runtime,
      master,
      ready: keepReady(runtime),
      servers: undefined,
      readBackAt: Number.NEGATIVE_INFINITY,
    }));
    this.#members = members;
    this.#deadlineMs = deadlineMs;
  }

  async warm(signal: AbortSignal): Promise<void> {
    const results = await this.#over(signal, async (runtime, one) => {
      // A look says better what is wrong.
      await one.ready.fill(this.#deadlineMs, signal).catch(() => undefined);
      await see(runtime, one);
    });
    valuesOf("reach the routers", results);
  }

  async divertFrom(member: string, signal: AbortSignal): Promise<readonly Moved[]> {
    return await this.#move(`take writes from ${member}`, [{ member, health: "down" }], signal);
  }

  async undivert(member: string, signal: AbortSignal): Promise<readonly Moved[]> {
    return await this.#move(`give writes to ${member}`, [{ member, health: "up" }], signal);
  }

  async route(
    { down, up }: { readonly down: string; readonly up: string },
    signal: AbortSignal,
  ): Promise<readonly Moved[]> {
    const changes: Change[] = [
      { member: down, health: "down" },
      { member: up, health: "up" },
    ];
    return await this.#move(`move writes from ${down} to ${up}`, changes, signal);
  }

  async closeSessions(member: string, signal: AbortSignal): Promise<readonly Moved[]> {
    const of = { backend: haproxyNames.write, server: member };
    const results = await this.#over(signal, async (runtime, one): Promise<Moved> => {
      one.readBackAt = Number.NEGATIVE_INFINITY;
      const { found } = await shutdownSessions(runtime, of);
      return { router: one.name, sessions: found };
    });
    return valuesOf(`close the sessions of ${member}`, results);
  }

  async look(signal: AbortSignal): Promise<readonly RouterLook[]> {
    const results = await this.#over(signal, seeUnlessReadBack);
    return results.map((one) => lookOf(one, this.#members));
  }

  close(): void {
    for (const one of this.#channels) one.ready.close();
  }

  async #move(
    what: string,
    changes: readonly Change[],
    signal: AbortSignal,
  ): Promise<readonly Moved[]> {
    return valuesOf(what, await this.#over(signal, (by, one) => apply(by, one, changes)));
  }

  async #over<T>(
    signal: AbortSignal,
    work: (runtime: Runtime, one: Channel) => Promise<T>,
  ): Promise<FleetResult<Channel, T>[]> {
    const deadlineMs = this.#deadlineMs;
    const bounds = { deadlineMs, overallMs: 2 * deadlineMs, signal };
    return await overRouters(this.#channels, bounds, (runtime, one) =>
      work({ ...runtime, ready: () => one.ready.take() }, one),
    );
  }
}

function valuesOf<T>(what: string, results: readonly FleetResult<Channel, T>[]): T[] {
  const failed = results.flatMap((one) =>
    "error" in one ? [{ router: one.router.name, error: one.error }] : [],
  );
  if (failed.length > 0) throw new RoutersError(what, failed);
  return results.flatMap((one) => ("value" in one ? [one.value] : []));
}

async function see(runtime: Runtime, one: Channel): Promise<readonly ServerView[]> {
  return await fromWorker(runtime, one, showRouter);
}

async function seeUnlessReadBack(runtime: Runtime, one: Channel): Promise<readonly ServerView[]> {
  const isFresh = systemClock.monotonic() - one.readBackAt < readbackServesMs;
  one.readBackAt = Number.NEGATIVE_INFINITY;
  return one.servers !== undefined && isFresh ? one.servers : await see(runtime, one);
}

async function apply(runtime: Runtime, one: Channel, changes: readonly Change[]): Promise<Moved> {
  const known = one.servers ?? (await see(runtime, one));
  const named = changes.map(({ member, health }) => ({
    of: { backend: haproxyNames.write, server: member },
    health,
  }));
  const sessions = changes
    .filter(({ health }) => health === "down")
    .reduce((sum, { member }) => sum + (sessionsOf(known, member) ?? 0), 0);
  const orders = commandsForHealth(known, named);
  await fromWorker(runtime, one, (by) => change(by, orders));
  one.readBackAt = systemClock.monotonic();
  return { router: one.name, sessions };
}

/** What a worker says to a change when a reload has told it to stop. */
const oldWorker = /Proxy is disabled/;

/**
 * Does `work` and keeps what it saw. An answer of a worker that is stopping is no answer: a reload
 * left it the connections that were open, and another worker takes the clients.
 */
async function fromWorker(
  runtime: Runtime,
  one: Channel,
  work: (runtime: Runtime) => Promise<RuntimeView>,
): Promise<readonly ServerView[]> {
  const first = await work(runtime).catch((error: unknown) => {
    if (error instanceof HaproxyError && oldWorker.test(error.message)) return undefined;
    throw error;
  });
  if (first !== undefined && !first.info.stopping) {
    one.servers = first.servers;
    return first.servers;
  }
  one.ready.drop();
  const { servers } = await work(connectRuntime(runtime.address, runtime));
  one.servers = servers;
  return servers;
}

function sessionsOf(servers: readonly ServerView[], member: string): number | undefined {
  const of = { backend: haproxyNames.write, server: member };
  const server = findServer(servers, of);
  if (server === undefined) return undefined;
  return trackersOf(servers, of).reduce((sum, one) => sum + one.sessions, server.sessions);
}

const passed = /^\*? ?L[467]OKC?\b/;

function lookOf(
  result: FleetResult<Channel, readonly ServerView[]>,
  members: readonly string[],
): RouterLook {
  const { name } = result.router;
  if ("error" in result) {
    const { message } = result.error;
    return { name, reached: false, up: [], passing: [], sessions: {}, error: message };
  }
  const servers = result.value;
  const checkOf = (member: string): string => {
    const server = findServer(servers, { backend: haproxyNames.write, server: member });
    const probe = servers.find((one) => formatServerName(one) === server?.tracks);
    return (probe ?? server)?.check ?? "";
  };
  return {
    name,
    reached: true,
    up: upForWrites(servers)
      .map((one) => one.server)
      .filter((one) => members.includes(one)),
    passing: members.filter((one) => passed.test(checkOf(one))),
    sessions: Object.fromEntries(members.map((one) => [one, sessionsOf(servers, one) ?? 0])),
    error: null,
  };
}
