/** Facts by which every precheck is fine, for a test to break; and a case for every row. */
import { Secret } from "../../../config/secret.ts";
import type { PrecheckFacts } from "../../../router/flip-db/prechecks/facts.ts";
import type { Backend } from "../../../router/postgres/flip-facts.ts";
import {
  healthyWorld,
  known,
  openGate,
  partsOf,
  slot,
  unreachable,
  viewOf,
} from "../../support/cluster-world.ts";
import type { Loose, World } from "../../support/cluster-world.ts";

export type Extra = Loose<Omit<PrecheckFacts, "view">>;

/** A whole world: topology's part and the prechecks' own. */
export interface PrecheckWorld {
  readonly world: World;
  readonly extra: Extra;
}

const clusterId = "7000000000000000001";
const startedAt = Date.parse("2026-11-20T03:00:00.000Z");
const now = Date.parse("2026-11-21T03:00:00.000Z");

export const backend: Backend = {
  pid: 900,
  user: "app",
  database: "orders",
  application: "cron",
  address: "10.0.0.9",
};

/** A pair with two app hosts whose edge poolers stand behind gates, and hosts that can be acted on. */
export function fineWorld(): PrecheckWorld {
  const world = healthyWorld();
  for (const member of world.environment.members) {
    member.control = { data: "/data", start: ["start"], programs: "/programs" };
  }
  for (const edge of world.environment.edgePoolers) {
    edge.gate = { url: { host: "10.0.1.1", port: 8009 }, token: new Secret("secret") };
  }
  return { world, extra: fineExtra() };
}

/** The facts of a world as it is now. */
export function factsOf({ world, extra }: PrecheckWorld): PrecheckFacts {
  return { ...(extra as unknown as PrecheckFacts), view: viewOf(world) };
}

function fineExtra(): Extra {
  const settings = {
    server_login_retry: "0.5",
    query_wait_timeout: "60",
    query_timeout: "0",
    client_login_timeout: "60",
    server_connect_timeout: "30",
  };
  return {
    limits: {
      holdMs: 2000,
      lagBytes: 1024 ** 2,
      archiveBacklog: 16,
      routerHoldMs: 25_000,
      synchronous: "wait",
    },
    from: "dal-01",
    to: "chi-02",
    postgres: { "dal-01": known(memberLook(true)), "chi-02": known(memberLook(false)) },
    hosts: { "dal-01": known(hostLook(true)), "chi-02": known(hostLook(false)) },
    nodeSettings: { "dal-01": known({ ...settings }), "chi-02": known({ ...settings }) },
    edgeSettings: { "app-01": known({ ...settings }), "app-02": known({ ...settings }) },
    gates: { "app-01": known(openGate()), "app-02": known(openGate()) },
    sessions: fineSessions(),
    localRecords: [],
  };
}

type Member = Extract<Extra["postgres"][string], { state: "known" }>["value"];
type Host = Extract<Extra["hosts"][string], { state: "known" }>["value"];

function memberLook(isPrimary: boolean): Member {
  return {
    superuser: true,
    settings: {
      max_replication_slots: "10",
      max_wal_senders: "10",
      recovery_target: "",
      recovery_target_lsn: "",
      shared_buffers: "16384",
      wal_sender_timeout: "60000",
    },
    clockMs: now + 100,
    lsn: "0/5000000",
    transactions: [],
    prepared: [],
    lockHolders: [],
    senders: isPrimary
      ? [
          {
            pid: 500,
            application: "chi-02",
            address: "10.0.0.2",
            state: "streaming",
            slot: "chi_02",
            logical: false,
            flushLsn: "0/5000000",
          },
        ]
      : [],
    logicalSlots: [],
    slots: isPrimary ? ["chi_02"] : [],
    archiveReady: 0,
    archiveFailures: 0,
    archiveLastFailedWal: null,
    archivedAtMs: null,
    archiveFailedAtMs: null,
    dataBytes: 1024 ** 3,
    startedAtMs: startedAt,
    canPrewarm: true,
    backends: [],
    primaryConninfo: "host=10.0.0.2",
    restoreCommand: "",
    lockHolder: null,
    records: [],
  };
}

function hostLook(isPrimary: boolean): Host {
  return {
    systemIdentifier: clusterId,
    freeBytes: 10 * 1024 ** 3,
    missingPrograms: [],
    restoreMs: null,
    reverse: isPrimary ? known(clusterId) : null,
  };
}

/** One client behind each edge pooler, all the way down. */
function fineSessions(): Extra["sessions"] {
  const pooled = { ...backend, pid: 700, application: "web" };
  const twice = <T>(one: T): { first: T[]; last: T[] } => ({ first: [one], last: [one] });
  const client = {
    id: "c1",
    user: "app",
    database: "app",
    address: "10.0.1.1",
    application: "web",
  };
  const session = (host: string) => ({ source: `${host}:40000`, server: "dal-01", old: false });
  const server = (host: string) => ({ database: "app", local: `${host}:40000`, backendPid: 1 });
  return {
    backends: known(twice(pooled)),
    nodeClients: known({
      first: [client, { ...client, id: "c2" }],
      last: [client, { ...client, id: "c2" }],
    }),
    nodeServers: known([{ database: "app", local: "10.0.0.1:50000", backendPid: 700 }]),
    routers: {
      "app-01": known(twice(session("10.0.1.1"))),
      "app-02": known(twice(session("10.0.1.2"))),
    },
    edgeServers: { "app-01": known([server("10.0.1.1")]), "app-02": known([server("10.0.1.2")]) },
  };
}

/** Handles on the parts of a world, to break them with. */
export function handlesOf({ world, extra }: PrecheckWorld) {
  const value = <T>(report: T | undefined): Extract<T, { state: "known" }> => {
    if ((report as { state?: string } | undefined)?.state !== "known") throw new Error("unknown");
    return report as Extract<T, { state: "known" }>;
  };
  return {
    ...partsOf(world),
    world,
    extra,
    environment: world.environment,
    from: value(extra.postgres["dal-01"]).value,
    to: value(extra.postgres["chi-02"]).value,
    hostFrom: value(extra.hosts["dal-01"]).value,
    hostTo: value(extra.hosts["chi-02"]).value,
    gate: value(extra.gates["app-01"]).value,
    settings: (side: "node" | "edge", name: string) =>
      value((side === "node" ? extra.nodeSettings : extra.edgeSettings)[name]).value,
    backends: value(extra.sessions.backends).value,
    nodeClients: value(extra.sessions.nodeClients).value,
    sessions: (router: string) => value(extra.sessions.routers[router]).value,
    facts: (name: string) => partsOf(world).postgres(name),
  };
}

export type Handles = ReturnType<typeof handlesOf>;

/** Every report in the facts, as a way to make it unknown. */
export function unknowns(one: PrecheckWorld): { name: string; make: () => void }[] {
  const found: { name: string; make: () => void }[] = [];
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== "object" || value === null || value instanceof Secret) return;
    for (const [key, inner] of Object.entries(value)) {
      const place = value as Record<string, unknown>;
      if ((inner as { state?: unknown } | null)?.state === "known") {
        const make = (): void => void (place[key] = unreachable("no answer"));
        found.push({ name: `${path}.${key}`, make });
      }
      walk(inner, `${path}.${key}`);
    }
  };
  walk(one.world.observation, "view");
  walk(one.extra, "extra");
  return found;
}

export { slot };
