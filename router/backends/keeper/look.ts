/**
 * What a look at one router comes to: a plan for each of its backends, the state for whoever asks, and a
 * word of servers that have come up or gone down. One backend that cannot be planned is no other's
 * affair.
 */
import { isFoundByDns } from "../../haproxy/backend-sections.ts";
import type { RuntimeView } from "../../haproxy/runtime/client.ts";
import { formatServerName } from "../../haproxy/runtime/servers.ts";
import type { ServerView } from "../../haproxy/runtime/servers.ts";
import { orderKey, sayOnce, tell } from "./keeping.ts";
import type { BackendState, Keeping } from "./keeping.ts";
import type { BackendPlan } from "./server-orders.ts";
import { planServers } from "./servers.ts";
import type { Plan } from "./servers.ts";

/** One backend of a router as a look found it. */
export interface Planned {
  readonly backend: BackendPlan;
  /** The servers of its section, the hold server among them; undefined where there is no section. */
  readonly seen: readonly ServerView[] | undefined;
  /** Undefined where there is no section, or none could be made. */
  readonly plan: Plan | undefined;
}

/** Plans every backend of the router; one whose plan fails is said to, once. */
export function planAll(keeping: Keeping, { servers }: RuntimeView): Planned[] {
  const byBackend = Map.groupBy(servers, (one) => one.backend);
  return keeping.backends.map((backend) => {
    const seen = byBackend.get(backend.name);
    if (seen === undefined) return { backend, seen, plan: undefined };
    return { backend, seen, plan: planned(keeping, backend, seen) };
  });
}

function planned(
  keeping: Keeping,
  backend: BackendPlan,
  seen: readonly ServerView[],
): Plan | undefined {
  const { wanted, memories, clock, said } = keeping;
  const { name } = backend;
  try {
    const memory = memories.get(name) ?? new Map();
    const plan = planServers(backend, wanted(name), seen, memory, clock.monotonic());
    said.delete(`plan ${name}`);
    return plan;
  } catch (error) {
    const says = `its servers stay as they are: ${(error as Error).message}`;
    sayOnce(keeping, `plan ${name}`, { event: "failed", backend: name, says });
    return undefined;
  }
}

/** Keeps what the plans are to be remembered by, and says what nothing is done about. */
export function heed(keeping: Keeping, all: readonly Planned[]): void {
  for (const { backend, seen, plan } of all) {
    const { name, environment } = backend;
    const about = `section ${name}`;
    if (seen === undefined) {
      const says = `the router has no such section yet: bin/router ${environment} apply brings it there`;
      sayOnce(keeping, about, { event: "section", backend: name, says });
      keeping.memories.delete(name);
      continue;
    }
    keeping.said.delete(about);
    if (plan === undefined) continue;
    keeping.memories.set(name, plan.memory);
    for (const { what, of, says } of plan.notices) {
      const event = { event: what, ...of, says };
      if (what === "contested") sayOnce(keeping, `contested ${formatServerName(of)}`, event);
      else tell(keeping, event);
    }
  }
}

/** Takes down what the router's status shows, and says what servers have become. */
export function look(keeping: Keeping, view: RuntimeView, all: readonly Planned[]): void {
  const waitingIn = new Map(view.queues.map((one) => [one.backend, one.waiting]));
  const backends = all.map(({ backend: { name }, seen, plan }): BackendState => {
    const waiting = waitingIn.get(name) ?? 0;
    if (seen === undefined) {
      return { name, hasSection: false, isInStep: false, servers: [], waiting };
    }
    const servers = seen.filter((one) => isFoundByDns(one.server));
    sayStates(keeping, servers);
    sayEmpty(keeping, name, servers, waiting);
    const isInStep = plan?.orders.every(({ deed }) => deed === "remove" || deed === "drain");
    return { name, hasSection: true, isInStep: isInStep === true, servers, waiting };
  });
  keeping.state = { ...keeping.state, backends };
  forget(keeping, view, all);
}

/** So long a server may be down before its first check without a word. */
const firstCheckSeconds = 2;

/** A line when a server has come up or gone down since it was last spoken of. */
function sayStates(keeping: Keeping, servers: readonly ServerView[]): void {
  for (const view of servers) {
    const { backend, server, state, check, secondsSinceChange } = view;
    if (state !== "up" && state !== "down") continue;
    const about = `state ${backend}/${server}`;
    const known = keeping.said.get(about);
    if (known === state) continue;
    const isNew = known === undefined && secondsSinceChange < firstCheckSeconds;
    // Nor is one down that has not been checked yet.
    if (state === "down" && (isNew || check.startsWith("INI"))) continue;
    keeping.said.set(about, state);
    tell(keeping, { event: "state", backend, server, says: `is ${state} (${check})` });
    if (state === "down") keeping.down(view);
  }
}

/** A line when the last server that takes clients has gone. */
function sayEmpty(
  keeping: Keeping,
  backend: string,
  servers: readonly ServerView[],
  waiting: number,
): void {
  const about = `serving ${backend}`;
  if (servers.some((one) => one.state === "up" && one.weight > 0)) {
    keeping.said.set(about, "somebody");
  } else if (keeping.said.delete(about)) {
    const who = waiting === 1 ? "1 client waits" : `${waiting} clients wait`;
    tell(keeping, { event: "empty", backend, says: `has nobody in service now; ${who}` });
  }
}

/** What was said of servers that are gone is forgotten, or names that come and go would pile up. */
function forget({ said }: Keeping, { servers }: RuntimeView, all: readonly Planned[]): void {
  const there = new Set(servers.map(formatServerName));
  const orders = all.flatMap(({ plan }) => plan?.orders ?? []);
  const ordered = new Set(orders.map(({ of }) => orderKey(of)));
  for (const about of said.keys()) {
    const [, name = ""] = about.split(" ");
    if (name.includes("/") && !there.has(name) && !ordered.has(about)) said.delete(about);
  }
}
