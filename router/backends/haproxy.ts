/**
 * Keeps the servers of one router's backends in step with what DNS says: looks every second and when
 * it is told to, works out the orders (servers.ts) and carries them out over the Runtime API. A router
 * has a keeper of its own, so one that does not answer delays nobody.
 */
import { systemClock } from "../../kit/clock.ts";
import type { Clock } from "../../kit/clock.ts";
import { shutdownSessions } from "../haproxy/runtime/change.ts";
import { connectRuntime, send, showRouter } from "../haproxy/runtime/client.ts";
import type { Runtime, RuntimeView } from "../haproxy/runtime/client.ts";
import type { FleetRouter } from "../haproxy/runtime/fleet.ts";
import { formatServerName } from "../haproxy/runtime/servers.ts";
import type { ServerView } from "../haproxy/runtime/servers.ts";
import { HaproxyError } from "../haproxy/runtime/transport.ts";
import { isFoundByDns } from "../haproxy/backend-sections.ts";
import { planServers, rememberedOfWorker } from "./servers.ts";
import type { BackendPlan, Deed, Order } from "./server-orders.ts";
import type { Memory, Notice, Wanted } from "./servers.ts";

/** Something that happened at a router, for an operator to read. */
export interface RouterEvent {
  readonly router: string;
  readonly backend?: string;
  readonly server?: string;
  readonly event: Deed | Notice["what"] | "router" | "worker" | "section" | "failed" | "state";
  readonly says: string;
}

export interface KeeperOptions {
  readonly router: FleetRouter;
  readonly backends: readonly BackendPlan[];
  /** What is wanted of a backend now. */
  readonly wanted: (backend: string) => Wanted;
  /** The deadline of each exchange with the router; ms. */
  readonly deadlineMs: number;
  /** The pace of looks; ms. */
  readonly everyMs: number;
  readonly tell: (event: RouterEvent) => void;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

/** How long ago a server of a worker that is gone may have been seen up to be taken for up. */
const freshMs = 5000;

export interface BackendState {
  readonly name: string;
  /** The router's configuration has a section for it. */
  readonly hasSection: boolean;
  /** Every server that is wanted is there, and none is told anything still. */
  readonly isInStep: boolean;
  readonly servers: readonly ServerView[];
  /** Clients that wait for a server. */
  readonly waiting: number;
}

export interface RouterState {
  readonly router: string;
  /** When it was looked at last with an answer, ms since the epoch; undefined: never. */
  readonly seenAtMs: number | undefined;
  /** Why the last look had none. */
  readonly error: Error | undefined;
  readonly pid: number | undefined;
  readonly version: string | undefined;
  readonly backends: readonly BackendState[];
}

export interface Keeper {
  readonly router: string;
  /** Looks at once: what is wanted has changed. */
  readonly wake: () => void;
  readonly state: () => RouterState;
  /** Resolves when the signal has aborted and nothing is under way. */
  readonly ended: Promise<void>;
}

/** Begins to keep a router; the servers stay as they are when it ends. */
export function keepRouter(options: KeeperOptions): Keeper {
  const waker = { wake: (): void => undefined, isWanted: false };
  const keeping: Keeping = {
    ...options,
    clock: options.clock ?? systemClock,
    memories: new Map(),
    said: new Map(),
    state: {
      router: options.router.name,
      seenAtMs: undefined,
      error: undefined,
      pid: undefined,
      version: undefined,
      backends: [],
    },
  };
  const wake = (): void => {
    waker.isWanted = true;
    waker.wake();
  };
  return {
    router: options.router.name,
    wake,
    state: () => keeping.state,
    ended: run(keeping, waker),
  };
}

interface Keeping extends KeeperOptions {
  readonly clock: Clock;
  /** By backend. */
  readonly memories: Map<string, Memory>;
  /** What was complained of last, by what it is about: nothing is said twice in a row. */
  readonly said: Map<string, string>;
  state: RouterState;
}

interface Waker {
  wake: () => void;
  isWanted: boolean;
}

async function run(keeping: Keeping, waker: Waker): Promise<void> {
  const { signal, clock, everyMs } = keeping;
  while (!signal.aborted) {
    waker.isWanted = false;
    await round(keeping);
    if (waker.isWanted) continue;
    const early = new AbortController();
    waker.wake = () => early.abort();
    const either = AbortSignal.any([signal, early.signal]);
    await clock.sleep(everyMs, either).catch(() => undefined);
    waker.wake = () => undefined;
  }
}

/** One look and what follows from it; never rejects. */
async function round(keeping: Keeping): Promise<void> {
  const { router, deadlineMs, signal } = keeping;
  const runtime = connectRuntime(router.runtime, { deadlineMs, signal });
  try {
    const view = await showRouter(runtime);
    noteWorker(keeping, view);
    const done = await carryOut(keeping, runtime, view);
    // What was done shows in another look; what it shows as not done is not done again before its time.
    look(keeping, done ? await showRouter(runtime) : view);
  } catch (error) {
    if (signal.aborted) return;
    const failure = error instanceof Error ? error : new Error(String(error));
    keeping.state = { ...keeping.state, error: failure };
    sayOnce(keeping, "router", { event: "router", says: `not reached: ${failure.message}` });
  }
}

function noteWorker(keeping: Keeping, { info }: RuntimeView): void {
  const { state, said, memories } = keeping;
  const { pid } = state;
  said.delete("router");
  const worker = `HAProxy ${info.version}, pid ${info.pid}`;
  if (pid === undefined) tell(keeping, { event: "router", says: `answers: ${worker}` });
  else if (pid !== info.pid) {
    const says = `a new worker serves: pid ${pid} → ${info.pid} (reload or restart); its servers are added again`;
    tell(keeping, { event: "worker", says });
    const isFresh = keeping.clock.now() - (state.seenAtMs ?? 0) < freshMs;
    for (const [name, memory] of memories) memories.set(name, rememberedOfWorker(memory, isFresh));
  } else if (state.error !== undefined) {
    tell(keeping, { event: "router", says: `answers again: ${worker}` });
  }
  const seenAtMs = keeping.clock.now();
  const { version } = info;
  keeping.state = { ...state, seenAtMs, error: undefined, pid: info.pid, version };
}

/** Carries out what every backend needs; true when anything was done. */
async function carryOut(keeping: Keeping, runtime: Runtime, view: RuntimeView): Promise<boolean> {
  let isDone = false;
  for (const backend of keeping.backends) {
    const seen = serversOf(view, backend.name);
    if (seen === undefined) {
      const says = `the router has no such section yet: bin/router ${backend.environment} apply brings it there`;
      sayOnce(keeping, `section ${backend.name}`, {
        event: "section",
        backend: backend.name,
        says,
      });
      keeping.memories.delete(backend.name);
      continue;
    }
    keeping.said.delete(`section ${backend.name}`);
    const plan = plannedFor(keeping, backend, seen);
    keeping.memories.set(backend.name, plan.memory);
    for (const { what, of, says } of plan.notices) {
      if (what === "contested")
        sayOnce(keeping, `contested ${formatServerName(of)}`, { event: what, ...of, says });
      else tell(keeping, { event: what, ...of, says });
    }
    for (const order of plan.orders) {
      keeping.signal.throwIfAborted();
      await obey(keeping, runtime, order);
      isDone = true;
    }
  }
  return isDone;
}

function plannedFor(
  { wanted, memories, clock }: Keeping,
  backend: BackendPlan,
  seen: readonly ServerView[],
): ReturnType<typeof planServers> {
  const memory = memories.get(backend.name) ?? new Map();
  return planServers(backend, wanted(backend.name), seen, memory, clock.monotonic());
}

/** The servers of a section, the hold server among them; undefined where there is no such section. */
function serversOf({ servers }: RuntimeView, backend: string): readonly ServerView[] | undefined {
  const found = servers.filter((one) => one.backend === backend);
  return found.length === 0 ? undefined : found;
}

const silent: ReadonlySet<string> = new Set(["ERR_HAPROXY_UNREACHABLE", "ERR_HAPROXY_TIMEOUT"]);

/** Carries an order out. What HAProxy refuses is said, and left to the next look. */
async function obey(keeping: Keeping, runtime: Runtime, order: Order): Promise<void> {
  const { of, deed, acts, says } = order;
  const about = `order ${formatServerName(of)}`;
  try {
    for (const act of acts) {
      if (act === "close-sessions") await shutdownSessions(runtime, of);
      else if (act.length > 0) await send(runtime, act);
    }
    keeping.said.delete(about);
    tell(keeping, { event: deed, ...of, says });
  } catch (error) {
    keeping.signal.throwIfAborted();
    // One that does not answer would cost the deadline again for every order that is left.
    if (!(error instanceof HaproxyError) || silent.has(error.code)) throw error;
    sayOnce(keeping, about, { event: "failed", ...of, says: `${deed}: ${error.message}` });
  }
}

/** Takes down what the routers' status shows, and says what servers have become. */
function look(keeping: Keeping, view: RuntimeView): void {
  const backends = keeping.backends.map((backend): BackendState => {
    const { name } = backend;
    const seen = serversOf(view, name);
    const waiting = view.queues.find((one) => one.backend === name)?.waiting ?? 0;
    if (seen === undefined) {
      return { name, hasSection: false, isInStep: false, servers: [], waiting };
    }
    const plan = plannedFor(keeping, backend, seen);
    const servers = seen.filter((one) => isFoundByDns(one.server));
    sayStates(keeping, servers);
    const isInStep = plan.orders.every((one) => one.deed === "remove" || one.deed === "drain");
    return { name, hasSection: true, isInStep, servers, waiting };
  });
  keeping.state = { ...keeping.state, backends };
  forget(keeping, view);
}

/** So long a server may be down before its first check without a word. */
const firstCheckSeconds = 2;

/** A line when a server has come up or gone down since it was last spoken of. */
function sayStates(keeping: Keeping, servers: readonly ServerView[]): void {
  for (const { backend, server, state, ...view } of servers) {
    if (state !== "up" && state !== "down") continue;
    const about = `state ${backend}/${server}`;
    const known = keeping.said.get(about);
    if (known === state) continue;
    const isNew = known === undefined && view.secondsSinceChange < firstCheckSeconds;
    if (state === "down" && isNew) continue;
    keeping.said.set(about, state);
    tell(keeping, { event: "state", backend, server, says: `is ${state} (${view.check})` });
  }
}

/** What was said of servers that are gone is forgotten, or names that come and go would pile up. */
function forget({ said }: Keeping, { servers }: RuntimeView): void {
  const there = new Set(servers.map(formatServerName));
  for (const about of said.keys()) {
    const [, name = ""] = about.split(" ");
    if (name.includes("/") && !there.has(name) && !about.startsWith("order ")) said.delete(about);
  }
}

type Said = Omit<RouterEvent, "router">;

function tell(keeping: Keeping, event: Said): void {
  keeping.tell({ router: keeping.router.name, ...event });
}

function sayOnce(keeping: Keeping, about: string, event: Said): void {
  if (keeping.said.get(about) === event.says) return;
  keeping.said.set(about, event.says);
  tell(keeping, event);
}
