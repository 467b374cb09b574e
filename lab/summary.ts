/** What `up` tells about a lab: the written contract of `bin/lab up --json`. */
import { formatAddress } from "../kit/address.ts";
import type { Address } from "../kit/address.ts";
import type { EnvironmentKeys } from "./driver/driver.ts";
import type { ClusterKind, LabModel } from "./model.ts";
import { labDatabase, labUsers, registryTokenFile } from "./secrets.ts";
import type { LabSecrets } from "./secrets.ts";

export interface LabSummary {
  readonly environment: string;
  /** The addresses of the first app host. */
  readonly write: Address;
  readonly read: Address;
  readonly edge: Address;
  readonly stats: string;
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly superuser: { readonly user: string; readonly password: string };
  readonly members: readonly {
    readonly name: string;
    readonly ordinal: number;
    readonly postgres: Address;
    readonly pooler: Address;
    readonly health: string;
  }[];
  readonly appHosts: readonly {
    readonly name: string;
    readonly write: Address;
    readonly read: Address;
    readonly edge: Address;
    readonly stats: string;
  }[];
  readonly routers: readonly { readonly name: string; readonly runtime: string }[];
  /** Who looks after the primary: "pair", the tools alone; or "pg_auto_failover". */
  readonly cluster: ClusterKind;
  /** The monitor's Postgres; null where there is none. */
  readonly monitor: { readonly name: string; readonly address: Address } | null;
  /** Null in a lab without names. */
  readonly registry: {
    readonly name: string;
    readonly url: string;
    readonly tokenFile: string;
  } | null;
  readonly resolvers: readonly {
    readonly name: string;
    readonly dns: Address;
    readonly status: string;
  }[];
}

/** Describes the lab, passwords included: it is for the one who brought it up. */
export function summarise(model: LabModel, secrets: LabSecrets, keys: EnvironmentKeys): LabSummary {
  const appHosts = model.apps.map(({ name, write, read, edge, stats }) => ({
    name,
    write,
    read,
    edge,
    stats: url(stats),
  }));
  const [first] = appHosts;
  if (first === undefined) throw new TypeError("a lab has at least one app host");
  return {
    environment: model.name,
    write: first.write,
    read: first.read,
    edge: first.edge,
    stats: first.stats,
    database: labDatabase,
    user: labUsers.app,
    password: secrets.app.reveal(),
    superuser: { user: labUsers.superuser, password: secrets.superuser.reveal() },
    members: model.members.map(({ name, ordinal, postgres, pooler, health }) => ({
      name,
      ordinal,
      postgres,
      pooler,
      health: url(health),
    })),
    appHosts,
    routers: model.apps.map((one) => ({
      name: one.router,
      runtime: keys.router(one.router).runtime,
    })),
    ...aside(model),
  };
}

function aside({
  cluster,
  monitor,
  registry,
  resolvers,
  folder,
}: LabModel): Pick<LabSummary, "cluster" | "monitor" | "registry" | "resolvers"> {
  return {
    cluster,
    monitor: monitor ?? null,
    registry:
      registry === undefined
        ? null
        : {
            name: registry.name,
            url: url(registry.address),
            tokenFile: registryTokenFile(folder),
          },
    resolvers: resolvers.map(({ name, dns, status }) => ({ name, dns, status: url(status) })),
  };
}

function url(address: Address): string {
  return `http://${formatAddress(address)}`;
}
