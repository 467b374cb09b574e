/**
 * What a router has to be told so that a backend has the servers that its names stand for: pure, from
 * what is wanted, what `show servers state` shows and what is remembered. Only servers that were found
 * by DNS are touched.
 *
 * Weight 0 is the mark of a server that is not in service yet or no longer: HAProxy keeps it for us, so
 * that a process that starts anew knows it from one that an operator has taken out (docs/backends.md).
 */
import { isFoundByDns, serverNameAt } from "../../haproxy/backend-sections.ts";
import type { ServerName, ServerView } from "../../haproxy/runtime/servers.ts";
import {
  addOrder,
  checkOrder,
  drainOrder,
  ownState,
  removeOrder,
  startOrder,
  weightOrder,
} from "./server-orders.ts";
import type { BackendPlan, Order, Remembered, WantedCase, WantedServer } from "./server-orders.ts";

export interface Wanted {
  readonly servers: readonly WantedServer[];
  /** False while a name of the backend has had no answer: then nothing may be taken away. */
  readonly isWhole: boolean;
}

export type Memory = ReadonlyMap<string, Remembered>;

/** Something to know that nothing is done about. */
export interface Notice {
  readonly what: "held" | "let-go" | "contested";
  readonly of: ServerName;
  readonly says: string;
}

export interface Plan {
  readonly orders: readonly Order[];
  readonly notices: readonly Notice[];
  readonly memory: Memory;
}

/** HAProxy's greatest weight. */
const greatestWeight = 256;

/**
 * Several lists of addresses as one, in the order of their names: one that stands in two has both
 * weights, as far as HAProxy's limit goes.
 */
export function mergeServers(lists: readonly (readonly WantedServer[])[]): WantedServer[] {
  const byName = new Map<string, WantedServer>();
  for (const { ip, port, weight } of lists.flat()) {
    const name = serverNameAt(ip, port);
    const sum = (byName.get(name)?.weight ?? 0) + weight;
    byName.set(name, { ip, port, weight: Math.max(1, Math.min(greatestWeight, Math.round(sum))) });
  }
  return [...byName].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

/**
 * What is remembered of a worker's servers when another worker has taken its place; `isFresh` when they
 * were seen a moment ago, so that those that were up can be taken to be.
 */
export function rememberedOfWorker(memory: Memory, isFresh: boolean): Memory {
  return new Map(
    [...memory].map(([name, { up, held }]) => {
      const former = isFresh && up ? ({ up, isFormer: true } as const) : { up: false };
      return [name, held === undefined ? former : { ...former, held }];
    }),
  );
}

/**
 * Compares one backend on one router with what is wanted of it.
 * @param seen the servers of the backend's section, those of others included
 * @param memory as the last plan left it
 */
export function planServers(
  backend: BackendPlan,
  wanted: Wanted,
  seen: readonly ServerView[],
  memory: Memory,
  nowMs: number,
): Plan {
  const byName = new Map(
    seen.filter((one) => isFoundByDns(one.server)).map((one) => [one.server, one]),
  );
  const isServed = wanted.servers.some(({ ip, port }) => {
    const view = byName.get(serverNameAt(ip, port));
    return view?.state === "up" && view.weight > 0;
  });
  // Where nobody is wanted there is nobody to wait for.
  const keepsMs = isServed || wanted.servers.length === 0 ? 0 : backend.keepUntilUpMs;
  const leave = { backend, isWhole: wanted.isWhole, keepsMs, nowMs };
  const wantedNames = new Set(wanted.servers.map(({ ip, port }) => serverNameAt(ip, port)));
  const verdicts = [
    ...wanted.servers.map((one) => {
      const name = serverNameAt(one.ip, one.port);
      const of = { backend: backend.name, server: name };
      return judgeWanted({ backend, of, one, view: byName.get(name), known: memory.get(name) });
    }),
    ...[...byName.values()]
      .filter((view) => !wantedNames.has(view.server))
      .map((view) => judgeUnwanted(leave, view, memory.get(view.server))),
  ];
  return {
    orders: verdicts.flatMap((one) => one.order ?? []),
    notices: verdicts.flatMap((one) => one.notice ?? []),
    memory: new Map(verdicts.map((one) => [one.of.server, one.remembered])),
  };
}

interface Verdict {
  readonly of: ServerName;
  readonly order?: Order;
  readonly notice?: Notice;
  readonly remembered: Remembered;
}

function judgeWanted(given: WantedCase): Verdict {
  const { of, one, view, known } = given;
  if (view === undefined) {
    const { held, isFormer } = known ?? {};
    const remembered = { up: isFormer === true, ...(held === undefined ? {} : { held }) };
    return { of, order: addOrder(given), remembered };
  }
  const up = view.state === "up";
  const own = ownState(view);
  if (view.weight > 0 && own !== undefined) return heldByHand(given, view, own);
  if (view.weight === 0) {
    const order = startOrder(given, view);
    if (known?.settled !== "in") return { of, order, remembered: { up } };
    return { of, order, remembered: { up }, notice: contested(of, "takes it out of service") };
  }
  const serves = { settled: "in", up } as const;
  if (given.backend.check !== undefined && !view.checked) {
    return { of, order: checkOrder(given), remembered: { up } };
  }
  const notice: Notice | undefined =
    known?.held === undefined
      ? undefined
      : { what: "let-go", of, says: `is in service again; it was in ${known.held}` };
  const noticed = notice === undefined ? {} : { notice };
  if (view.weight === one.weight) return { of, remembered: serves, ...noticed };
  return { of, order: weightOrder(given, view), remembered: serves, ...noticed };
}

function heldByHand(given: WantedCase, view: ServerView, held: "maint" | "drain"): Verdict {
  const { of, known } = given;
  const remembered = { held, up: known?.up ?? false } as const;
  if (known?.held === held) return { of, remembered };
  const name = `${view.backend}/${view.server}`;
  const says = `is in ${held} by hand and is left so; bin/router ${given.backend.environment} set ${name} ready puts it back`;
  return { of, remembered, notice: { what: "held", of, says } };
}

interface Leave {
  readonly backend: BackendPlan;
  readonly isWhole: boolean;
  /** How long one that is up serves on. */
  readonly keepsMs: number;
  readonly nowMs: number;
}

function judgeUnwanted(
  { backend, isWhole, keepsMs, nowMs }: Leave,
  view: ServerView,
  known: Remembered | undefined,
): Verdict {
  const of = { backend: view.backend, server: view.server };
  const up = view.state === "up";
  if (!isWhole) return { of, remembered: known ?? { up } };
  const isLeaving = view.weight === 0;
  if (!isLeaving && ownState(view) !== "maint") {
    const sparedSinceMs = known?.sparedSinceMs ?? nowMs;
    if (view.state === "up" && known?.settled !== "out" && nowMs - sparedSinceMs < keepsMs) {
      return { of, remembered: { up, sparedSinceMs } };
    }
    const order = drainOrder(backend, view);
    const remembered = { up, leavingSinceMs: nowMs } as const;
    const notice =
      known?.settled === "out" ? contested(of, "puts it back into service") : undefined;
    return { of, order, remembered, ...(notice === undefined ? {} : { notice }) };
  }
  const leavingSinceMs = known?.leavingSinceMs ?? nowMs;
  const remembered = { settled: "out", up: false, leavingSinceMs } as const;
  const left = view.sessions + view.queued;
  if (left > 0 && nowMs - leavingSinceMs < backend.drainGraceMs) return { of, remembered };
  return { of, remembered, order: removeOrder(backend, view, left) };
}

function contested(of: ServerName, does: string): Notice {
  const says = `somebody else ${does}: does a second backends process serve this router?`;
  return { what: "contested", of, says };
}
