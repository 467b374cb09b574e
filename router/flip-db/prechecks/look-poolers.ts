/**
 * Looks at the poolers' settings and at who is connected by which way. The looks are nested: the
 * far ends first and last, what lies between them in the middle. So a session that both looks at
 * its near end saw must be found further on, and no one that just comes or goes is taken for more.
 */
import type { Environment } from "../../../config/schema.ts";
import { formatAddress } from "../../../kit/address.ts";
import { withPgSession } from "../../../kit/pg-session.ts";
import type { AskPostgres } from "../../../kit/pg-session.ts";
import { consoleTarget } from "../../../kit/pooler-console.ts";
import type { ConsoleLogin } from "../../../kit/pooler-console.ts";
import type { Report } from "../../cluster/observation.ts";
import type { Look } from "../../cluster/look.ts";
import { haproxyNames } from "../../haproxy/model.ts";
import { fleetOf } from "../../haproxy/addresses.ts";
import { showSessions } from "../../haproxy/runtime/client.ts";
import { overRouters } from "../../haproxy/runtime/fleet.ts";
import { showOldWorkers } from "../../haproxy/runtime/master.ts";
import type { Session } from "../../haproxy/runtime/sessions.ts";
import { endpoint, readClients, readServers, readSettings } from "../../pooler/sessions.ts";
import type { PoolerClient, PoolerServer } from "../../pooler/sessions.ts";
import { backendsStatement, parseBackends } from "../../postgres/flip-facts.ts";
import type { Backend } from "../../postgres/flip-facts.ts";
import { memberTarget } from "../../postgres/session.ts";
import type {
  MemberLook,
  PoolerSettings,
  PrecheckFacts,
  RouterSession,
  SessionLooks,
  Twice,
} from "./facts.ts";

interface Looking {
  readonly from: string | null;
  readonly look: Look;
  /** The first look at the members, under way. */
  readonly postgres: Promise<Readonly<Record<string, Report<MemberLook>>>>;
  readonly signal: AbortSignal | undefined;
}

type Poolers = Pick<PrecheckFacts, "nodeSettings" | "edgeSettings" | "sessions">;
type Endpoint = Environment["edgePoolers"][number]["address"];

interface NodeLook {
  readonly clients: readonly PoolerClient[];
  readonly settings: PoolerSettings;
}

interface EdgeLook {
  readonly servers: readonly PoolerServer[];
  readonly settings: PoolerSettings;
}

const nobody: Report<never> = {
  state: "unreachable",
  tookMs: 0,
  error: "nobody is known to write",
};

/** Looks at all poolers and routers. @throws the signal's reason */
export async function lookAtPoolers(environment: Environment, looking: Looking): Promise<Poolers> {
  const { from, look } = looking;
  const primary = environment.members.find((one) => one.name === from);
  const nodeClients = (): Promise<Report<readonly PoolerClient[]>> =>
    primary === undefined
      ? Promise.resolve(nobody)
      : onConsole(look, primary.pooler.address, primary.pooler.admin, clientsOf);

  const [nodes, seen] = await Promise.all([lookAtNodes(environment, look), looking.postgres]);
  const firstRouters = await routerSessions(environment, looking.signal);
  const [edges, nodeServers] = await Promise.all([
    lookAtEdges(environment, look),
    primary === undefined
      ? nobody
      : onConsole(look, primary.pooler.address, primary.pooler.admin, async (ask) =>
          readServers(await ask("SHOW SERVERS")),
        ),
  ]);
  const lastRouters = await routerSessions(environment, looking.signal);
  const [lastClients, lastBackends] = await Promise.all([
    nodeClients(),
    backendsOf(environment, from, look),
  ]);

  const firstBackends = from === null ? nobody : (seen[from] ?? nobody);
  const firstClients = from === null ? nobody : (nodes[from] ?? nobody);
  const sessions: SessionLooks = {
    backends: both(
      map(firstBackends, (one) => one.backends),
      lastBackends,
    ),
    nodeClients: both(
      map(firstClients, (one) => one.clients),
      lastClients,
    ),
    nodeServers,
    routers: mapEach(firstRouters, (first, name) => both(first, lastRouters[name] ?? first)),
    edgeServers: mapEach(edges, (one) => map(one, ({ servers }) => servers)),
  };
  return {
    sessions,
    nodeSettings: mapEach(nodes, (one) => map(one, ({ settings }) => settings)),
    edgeSettings: mapEach(edges, (one) => map(one, ({ settings }) => settings)),
  };
}

type ByName<T> = Readonly<Record<string, T>>;

function mapEach<T, U>(all: ByName<T>, change: (one: T, name: string) => U): ByName<U> {
  return Object.fromEntries(Object.entries(all).map(([name, one]) => [name, change(one, name)]));
}

function map<T, U>(report: Report<T>, change: (value: T) => U): Report<U> {
  return report.state === "known" ? { ...report, value: change(report.value) } : report;
}

function both<T>(first: Report<readonly T[]>, last: Report<readonly T[]>): Report<Twice<T>> {
  if (first.state !== "known") return first;
  return map(last, (value) => ({ first: first.value, last: value }));
}

async function onConsole<T>(
  look: Look,
  address: Endpoint,
  admin: ConsoleLogin | undefined,
  work: (ask: AskPostgres) => Promise<T>,
): Promise<Report<T>> {
  if (admin === undefined) {
    return { state: "unreachable", tookMs: 0, error: "no admin login is declared" };
  }
  const target = consoleTarget("PgBouncer", address, admin, "switchyard-prechecks");
  const what = `PgBouncer at ${formatAddress(address)}`;
  return await look(what, (options) => withPgSession(target, options, work));
}

async function clientsOf(ask: AskPostgres): Promise<readonly PoolerClient[]> {
  return readClients(await ask("SHOW CLIENTS"));
}

async function lookAtNodes(
  { members }: Environment,
  look: Look,
): Promise<ByName<Report<NodeLook>>> {
  const looks = members.map(
    async ({ name, pooler }) =>
      [
        name,
        await onConsole(look, pooler.address, pooler.admin, async (ask) => ({
          clients: await clientsOf(ask),
          settings: readSettings(await ask("SHOW CONFIG")),
        })),
      ] as const,
  );
  return Object.fromEntries(await Promise.all(looks));
}

async function lookAtEdges(
  { edgePoolers }: Environment,
  look: Look,
): Promise<ByName<Report<EdgeLook>>> {
  const looks = edgePoolers.map(
    async ({ name, address, admin }) =>
      [
        name,
        await onConsole(look, address, admin, async (ask) => ({
          servers: readServers(await ask("SHOW SERVERS")),
          settings: readSettings(await ask("SHOW CONFIG")),
        })),
      ] as const,
  );
  return Object.fromEntries(await Promise.all(looks));
}

async function backendsOf(
  environment: Environment,
  from: string | null,
  look: Look,
): Promise<Report<readonly Backend[]>> {
  const member = environment.members.find((one) => one.name === from);
  if (member === undefined) return nobody;
  return await look(`Postgres of ${member.name}`, async (options) => {
    const target = await memberTarget(environment, member, "switchyard-prechecks");
    return await withPgSession({ ...target, values: "parsed" }, options, async (ask) => {
      const [row = {}] = await ask(backendsStatement);
      return parseBackends(row);
    });
  });
}

/** The sessions of every router, those on old workers included where a master can be asked. */
async function routerSessions(
  environment: Environment,
  signal: AbortSignal | undefined,
): Promise<ByName<Report<readonly RouterSession[]>>> {
  const options = { deadlineMs: environment.thresholds.probe, signal };
  const results = await overRouters(fleetOf(environment), options, async (runtime, { master }) => {
    const [current, old] = await Promise.all([
      showSessions(runtime),
      // Whether they could be asked at all is a check of its own.
      master === undefined ? [] : showOldWorkers(master, runtime).catch(() => []),
    ]);
    return [
      ...current.map((one) => sessionOf(one, false)),
      ...old.flatMap((worker) => worker.sessions.map((one) => sessionOf(one, true))),
    ].flat();
  });
  return Object.fromEntries(
    results.map((one) => [
      one.router.name,
      "value" in one
        ? { state: "known" as const, tookMs: 0, value: one.value }
        : { state: "unreachable" as const, tookMs: 0, error: one.error.message },
    ]),
  );
}

function sessionOf({ source, backend, server }: Session, old: boolean): RouterSession[] {
  if (server === undefined && backend !== haproxyNames.write) return [];
  const at = source.lastIndexOf(":");
  const from = endpoint(source.slice(0, at), source.slice(at + 1));
  return [{ source: from, server: server ?? null, old }];
}
