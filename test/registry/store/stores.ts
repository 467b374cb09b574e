/** Stores for tests: an embedded one in a folder of its own, and one in a database of its own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import type { EndpointDraft, RegistryStore, StoreOptions } from "../../../registry/store/store.ts";
import { openPostgresStore } from "../../../registry/store/postgres.ts";
import { openSqliteStore } from "../../../registry/store/sqlite.ts";
import { RealPostgres, superuser } from "../../support/real-postgres.ts";

export const zone = "temps.local";

interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

/** Opens what lies at one place; several times side by side where the store takes that. */
export type Open = (options?: Partial<StoreOptions>) => Promise<RegistryStore>;

/** A new place for a store on each call. */
export type NewPlace = (t: Teardown) => Promise<Open>;

/** A folder that ends with the test. */
export async function newFolder(t: Teardown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "registry-store-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Embedded stores, each in a folder that does not exist yet. */
export const newSqlitePlace: NewPlace = async (t) => {
  const folder = join(await newFolder(t), "deep", "registry");
  return (options) => openSqliteStore(folder, { zone, ...options });
};

/** A real Postgres, started with the test, which commits as it does in production. */
export function startPostgres(t: Teardown, host: string): Promise<RealPostgres> {
  return RealPostgres.create(t, host, { max_connections: "60" });
}

/** A new empty database; its URL. */
export async function newDatabase(postgres: RealPostgres): Promise<string> {
  const name = `registry_${randomUUID().slice(0, 8)}`;
  await postgres.sql(`CREATE DATABASE ${name}`);
  const { user, password } = superuser;
  return `postgresql://${user}:${password}@${postgres.host}:${postgres.port}/${name}`;
}

/** Stores on a Postgres, each in a database of its own. */
export function newPostgresPlace(postgres: RealPostgres): NewPlace {
  return async () => {
    const url = await newDatabase(postgres);
    return (options) => openPostgresStore(url, { zone, ...options });
  };
}

/** An address record of `name`, in the zone. */
export function address(
  name: string,
  ip: string,
  facts: Partial<EndpointDraft> = {},
): EndpointDraft {
  return {
    fqdn: name === "" ? zone : `${name}.${zone}`,
    record_type: "A",
    target_ip: ip,
    target_port: 5432,
    ttl: 30,
    node_id: null,
    ...facts,
  };
}
