/**
 * Keeps the servers of one router's backends in step with what DNS says: looks every second and when
 * it is told to, works out the orders (servers.ts) and carries them out over the Runtime API. A router
 * has a keeper of its own, so one that does not answer delays nobody.
 */
import { systemClock } from "../../../kit/clock.ts";
import { connectRuntime, showRouter } from "../../haproxy/runtime/client.ts";
import type { RuntimeView } from "../../haproxy/runtime/client.ts";
import { HaproxyError } from "../../haproxy/runtime/transport.ts";
import { sayOnce, tell } from "./keeping.ts";
import type { KeeperOptions, Keeping, RouterState } from "./keeping.ts";
import { heed, look, planAll } from "./look.ts";
import { carryOut } from "./obey.ts";
import { rememberedOfWorker } from "./servers.ts";

/** How long ago a server of a worker that is gone may have been seen up to be taken for up. */
const freshMs = 5000;

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
  const waker = { wake: (): void => undefined };
  const keeping: Keeping = {
    ...options,
    clock: options.clock ?? systemClock,
    memories: new Map(),
    said: new Map(),
    isWanted: false,
    isOneByOne: false,
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
    keeping.isWanted = true;
    waker.wake();
  };
  return {
    router: options.router.name,
    wake,
    state: () => keeping.state,
    ended: run(keeping, waker),
  };
}

async function run(keeping: Keeping, waker: { wake: () => void }): Promise<void> {
  const { signal, clock, everyMs } = keeping;
  while (!signal.aborted) {
    keeping.isWanted = false;
    await round(keeping);
    if (keeping.isWanted) continue;
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
    const all = planAll(keeping, view);
    heed(keeping, all);
    const orders = all.flatMap(({ plan }) => plan?.orders ?? []);
    const after = await carryOut(keeping, runtime, orders);
    // What it shows as not done is not done again before its time.
    if (after === undefined) look(keeping, view, all);
    else look(keeping, after, planAll(keeping, after));
  } catch (error) {
    if (signal.aborted) return;
    const failure = error instanceof Error ? error : new Error(String(error));
    keeping.state = { ...keeping.state, error: failure };
    const what = failure instanceof HaproxyError ? "not reached" : "not kept";
    const says = `${what}: ${failure.message}`;
    sayOnce(keeping, "router", { event: "router", says });
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
