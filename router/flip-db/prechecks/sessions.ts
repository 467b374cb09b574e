/**
 * Which sessions no paused pooler holds: they are closed once by the flip. They are counted and
 * named by who they are and by which way they come.
 */
import { listed, need, overAll, UnreadError } from "./facts.ts";
import type { PrecheckFacts, RouterSession, Twice } from "./facts.ts";
import { whyNotHeld } from "./mode.ts";

type Check = (facts: PrecheckFacts) => string | undefined;

/** What both looks saw: a session that comes or goes meanwhile is seen on one side only. */
function stayed<T>({ first, last }: Twice<T>, idOf: (one: T) => string): T[] {
  const left = new Set(last.map(idOf));
  return first.filter((one) => left.has(idOf(one)));
}

/** `3 of app on orders (psql) from 10.0.0.9`, one for each kind. */
function grouped(kinds: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const most = [...counts].toSorted(([, left], [, right]) => right - left);
  return listed(most.map(([kind, count]) => `${count} ${kind}`));
}

interface Who {
  readonly user: string;
  readonly database: string;
  readonly application: string;
  readonly address: string;
}

function whoWords({ user, database, application, address }: Who): string {
  const called = application === "" ? "" : ` (${application})`;
  return `of ${user} on ${database}${called} from ${address}`;
}

/** Straight on the primary's Postgres, past its node pooler. */
export const direct: Check = ({ sessions, from }) => {
  const backends = need(sessions.backends, `sessions on ${from ?? "the primary"}`);
  const ofPooler = new Set(
    need(sessions.nodeServers, `the node pooler of ${from ?? "the primary"}`).map(
      (one) => one.backendPid,
    ),
  );
  const found = stayed(backends, (one) => String(one.pid)).filter((one) => !ofPooler.has(one.pid));
  return found.length === 0
    ? undefined
    : `${found.length} straight on Postgres of ${from}: ${grouped(found.map(whoWords))}`;
};

function writesTo(facts: PrecheckFacts, router: string): RouterSession[] {
  const seen = need(facts.sessions.routers[router], `sessions of router ${router}`);
  const all = stayed(seen, (one) => `${one.source} ${one.server}`);
  return all.filter((one) => one.server === facts.from || one.server === null);
}

/**
 * On the primary's node pooler, past the routers. Counted, since an address between the two may
 * have been translated; a client that a router brings is a session of that router.
 */
export const pastRouters: Check = (facts) => {
  const { from, view, sessions } = facts;
  const clients = stayed(
    need(sessions.nodeClients, `clients of ${from ?? "the primary"}`),
    (one) => one.id,
  );
  const brought = view.routers.flatMap(({ name }) =>
    writesTo(facts, name).filter((one) => one.server !== null),
  );
  const count = clients.length - brought.length;
  return count <= 0
    ? undefined
    : `${count} of the ${clients.length} clients of the node pooler of ${from} come past the routers: ${grouped(clients.map(whoWords))}`;
};

/** Through a router, and not from an edge pooler. */
export const pastEdges: Check = (facts) => {
  const ofEdges = new Set(
    facts.view.edgePoolers.flatMap(({ name }) =>
      need(facts.sessions.edgeServers[name], `edge pooler ${name}`).map((one) => one.local),
    ),
  );
  return overAll(facts.view.routers, ({ name }) => {
    const found = writesTo(facts, name).filter((one) => !ofEdges.has(one.source));
    const hosts = found.map((one) => `from ${one.source.replace(/:[0-9]+$/, "")}`);
    return found.length === 0
      ? undefined
      : `${found.length} through router ${name}, from no edge pooler: ${grouped(hosts)}`;
  });
};

/** Behind an edge pooler that cannot be paused, or on a database of it that is not paused. */
export const unheld: Check = (facts) =>
  overAll(facts.view.edgePoolers, (edge) => {
    const said = need(edge.pooler, `edge pooler ${edge.name}`);
    if (!said.console) throw new UnreadError(`the console of edge pooler ${edge.name}`);
    const canHold = whyNotHeld(facts, edge) === undefined;
    const isHeld = (database: string): boolean =>
      canHold && edge.declared.databases.includes(database);
    return said.pools
      .filter((pool) => !isHeld(pool.database) && pool.clientsActive + pool.clientsWaiting > 0)
      .map(
        (pool) =>
          `${pool.clientsActive + pool.clientsWaiting} of ${pool.user} on ${pool.database} behind edge pooler ${edge.name}`,
      );
  });
