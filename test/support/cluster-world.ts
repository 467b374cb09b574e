/** A cluster in which all is well, as an environment and an observation that a test may break. */
import { environmentSchema } from "../../config/schema.ts";
import type { Environment } from "../../config/schema.ts";
import { Secret } from "../../config/secret.ts";
import { parseLsn } from "../../kit/lsn.ts";
import type {
  MemberObservation,
  Observation,
  Report,
  RouterFacts,
  RouterServer,
} from "../../router/cluster/observation.ts";
import type { ClusterView } from "../../router/cluster/view.ts";
import { assembleView } from "../../router/cluster/view.ts";
import type { PoolerFacts } from "../../router/pooler/console-replies.ts";
import type { PostgresFacts } from "../../router/postgres/facts.ts";
import type { HealthStatus } from "../../sidecars/pg-health/contract.ts";
import type { GateStatus } from "../../sidecars/pool-gate/contract.ts";

export type Loose<T> = T extends bigint | string | number | boolean | null | undefined
  ? T
  : T extends readonly (infer E)[]
    ? Loose<E>[]
    : { -readonly [K in keyof T]: Loose<T[K]> };

export interface World {
  environment: Loose<Omit<Environment, "login">> & Pick<Environment, "login">;
  observation: Loose<Observation>;
}

export const memberNames = ["dal-01", "chi-02"] as const;
const appNames = ["app-01", "app-02"] as const;
const head = parseLsn("0/5000000");

/** The view of a world as it is now. */
export function viewOf(world: World): ClusterView {
  return assembleView(world.environment as unknown as Environment, world.observation);
}

/** A healthy pair with two app hosts: dal-01 takes writes, chi-02 streams from it. */
export function healthyWorld(): World {
  const environment = environmentSchema.parse(environmentFile());
  return {
    environment: { ...environment, name: "testing", file: "testing.yml" },
    observation: {
      at: "2026-11-21T03:00:00.000Z",
      tookMs: 40,
      members: memberNames.map((name, index) => member(name, index)),
      routers: appNames.map((name) => ({
        name,
        runtime: known(router()),
        configuration: known({ drifted: false, firstDifference: "", fenced: [] }),
      })),
      edgePoolers: appNames.map((name) => ({
        name,
        pooler: known(pooler("10.0.1.1", 6433)),
        gate: known(openGate()),
      })),
    },
  };
}

function environmentFile(): object {
  const admin = { user: "admin", password: new Secret("secret") };
  return {
    cluster: "orders",
    login: { user: "postgres", password: new Secret("secret") },
    members: memberNames.map((name, index) => ({
      name,
      ordinal: index,
      postgres: `10.0.0.${index + 1}:5432`,
      pooler: { address: `10.0.0.${index + 1}:6432`, admin },
      health: `http://10.0.0.${index + 1}:8008`,
      slot: name.replace("-", "_"),
    })),
    routers: appNames.map((name, index) => ({
      name,
      listen: {
        write: `10.0.1.${index + 1}:6433`,
        read: `10.0.1.${index + 1}:6434`,
        stats: `10.0.1.${index + 1}:8404`,
      },
      runtime: `unix:/run/${name}.sock`,
      configuration: { path: `/etc/${name}.cfg` },
    })),
    edgePoolers: appNames.map((name, index) => ({
      name,
      address: `10.0.1.${index + 1}:6432`,
      admin,
      databases: ["app"],
      poolMode: "transaction",
      gate: { url: `http://10.0.1.${index + 1}:8009`, token: new Secret("secret") },
    })),
  };
}

export function known<T>(value: T): { state: "known"; tookMs: number; value: T } {
  return { state: "known", tookMs: 5, value };
}

export function unreachable(error: string): {
  state: "unreachable";
  tookMs: number;
  error: string;
} {
  return { state: "unreachable", tookMs: 1000, error };
}

function member(name: string, index: number): Loose<MemberObservation> {
  return {
    name,
    postgres: known(facts(index === 0 ? "primary" : "standby") as Loose<PostgresFacts>),
    health: known(health(name, index === 0 ? "primary" : "standby")),
    pooler: known(pooler(`10.0.0.${index + 1}`, 5432)),
  };
}

const settings = {
  archive_command: "",
  archive_library: "",
  archive_mode: "off",
  data_checksums: "on",
  default_transaction_read_only: "off",
  fsync: "on",
  full_page_writes: "on",
  max_connections: "100",
  max_locks_per_transaction: "64",
  max_prepared_transactions: "0",
  max_wal_senders: "10",
  max_worker_processes: "8",
  recovery_min_apply_delay: "0",
  superuser_reserved_connections: "3",
  synchronous_commit: "on",
  synchronous_standby_names: "",
  wal_level: "replica",
  wal_segment_size: "16777216",
  wal_receiver_status_interval: "10",
};

const now = Date.parse("2026-11-21T03:00:00.000Z");

/** What Postgres of the pair says in the given role. */
export function facts(role: "primary" | "standby"): PostgresFacts {
  const isPrimary = role === "primary";
  return {
    version: "15.18",
    versionNumber: 150_018,
    role,
    readOnly: false,
    armed: false,
    signature: null,
    systemIdentifier: "7000000000000000001",
    timeline: 2,
    history: isPrimary ? [{ timeline: 1, endLsn: parseLsn("0/4000000") }] : null,
    startedAt: "2026-11-20T03:00:00.000Z",
    clockMs: now,
    writeLsn: isPrimary ? head : null,
    receiveLsn: isPrimary ? null : head,
    replayLsn: isPrimary ? null : head,
    replayPaused: false,
    replayLagMs: isPrimary ? null : 0,
    receiver: isPrimary
      ? null
      : { status: "streaming", senderHost: "10.0.0.1", senderPort: 5432, slot: "chi_02" },
    senders: isPrimary
      ? [
          {
            name: "chi-02",
            address: "10.0.0.2",
            state: "streaming",
            syncState: "async",
            repliedAtMs: now - 5000,
          },
        ]
      : [],
    slots: isPrimary ? [slot("chi_02", true)] : [],
    settings: { ...settings },
    pendingRestart: [],
    laxRoles: [],
    archiver: { failedCount: 0, lastFailedAt: null, lastFailedWal: null, lastArchivedAt: null },
    sessions: 10,
    preparedTransactions: 0,
    oldestPreparedS: null,
    oldestTransactionS: null,
    checksumFailures: 0,
    xidAge: 1000,
    managers: [],
    dataFileSystem: "ext4",
  };
}

/** A physical slot; an active one keeps nothing back. */
export function slot(name: string, active: boolean): Loose<PostgresFacts>["slots"][number] {
  return {
    name,
    type: "physical",
    active,
    temporary: false,
    synced: false,
    restartLsn: head,
    walStatus: "reserved",
    retainedBytes: 0,
  };
}

function health(name: string, role: "primary" | "standby"): HealthStatus {
  return {
    member: name,
    answer: role,
    slow: false,
    since: "2026-11-20T03:00:00.000Z",
    reason: `Postgres is ${role}`,
    postgres: {
      role,
      readOnly: false,
      systemIdentifier: "7000000000000000001",
      timeline: 2,
      startedAt: "2026-11-20T03:00:00.000Z",
      writeLsn: null,
      receiveLsn: null,
      replayLsn: null,
      lagBytes: null,
      lagMs: null,
    },
    link: "up",
    probeAgeMs: 100,
    pooler: { state: "ok", detail: "" },
    peers: [],
  };
}

type Console = Extract<PoolerFacts, { console: true }>;

function pooler(host: string, port: number): Loose<Console> {
  return {
    console: true,
    version: "1.24.1",
    state: "active",
    databases: [{ name: "app", host, port, paused: false, disabled: false }],
    pools: [
      {
        database: "app",
        user: "app",
        clientsActive: 3,
        clientsWaiting: 0,
        servers: 2,
        maxWaitMs: 0,
        mode: "transaction",
      },
    ],
  };
}

/** A gate that holds nothing. */
export function openGate(): Loose<GateStatus> {
  return {
    state: "open",
    reason: "nothing is paused",
    holder: null,
    expiresInMs: null,
    databases: [],
    waitingClients: 0,
    busy: [],
    pooler: { version: "1.24.1", poolModes: { app: "transaction" } },
  };
}

function server(backend: string, name: string, isUp: boolean): Loose<RouterServer> {
  return {
    backend,
    server: name,
    address: name === "dal-01" ? "10.0.0.1" : "10.0.0.2",
    port: 6432,
    state: isUp ? "up" : "down",
    status: isUp ? "UP" : "DOWN",
    forced: [],
    check: isUp ? "L7OK/200 in 1ms" : "L7STS/503 in 1ms",
    sinceS: 300,
    sessions: isUp ? 4 : 0,
    queued: 0,
    backup: false,
  };
}

function router(): Loose<RouterFacts> {
  return {
    version: "2.6.12",
    pid: 4711,
    uptimeS: 600,
    servers: [
      server("pg-primary", "dal-01", true),
      server("pg-primary", "chi-02", false),
      server("pg-replica", "dal-01", false),
      server("pg-replica", "chi-02", true),
    ],
    closedFrontends: [],
    queued: { "pg-primary": 0, "pg-replica": 0 },
    oldWorkers: [],
    masterError: null,
  };
}

function valueIn<T>(report: Loose<Report<T>> | undefined): Loose<T> {
  if (report?.state !== "known") throw new Error("this part is not known in this world");
  return report.value;
}

/** Handles on the parts of a world, to break them with. */
export function partsOf({ observation }: World) {
  const memberOf = (name: string): Loose<MemberObservation> => {
    const found = observation.members.find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no member ${name}`);
    return found;
  };
  const routerOf = (name: string) => {
    const found = observation.routers.find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no router ${name}`);
    return found;
  };
  return {
    member: memberOf,
    postgres: (name: string) => valueIn<PostgresFacts>(memberOf(name).postgres),
    health: (name: string) => valueIn<HealthStatus>(memberOf(name).health),
    pooler: (name: string) => valueIn<Console>(memberOf(name).pooler as never),
    router: routerOf,
    runtime: (name: string) => valueIn<RouterFacts>(routerOf(name).runtime),
    server: (name: string, backend: string, member: string) => {
      const found = valueIn<RouterFacts>(routerOf(name).runtime).servers.find(
        (one) => one.backend === backend && one.server === member,
      );
      if (found === undefined) throw new Error(`router ${name} has no ${backend}/${member}`);
      return found;
    },
    gate: (name: string) =>
      valueIn<GateStatus>(observation.edgePoolers.find((one) => one.name === name)?.gate as never),
    edge: (name: string) =>
      valueIn<Console>(observation.edgePoolers.find((one) => one.name === name)?.pooler as never),
  };
}
