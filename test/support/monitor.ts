/**
 * The monitor of pg_auto_failover: a real Postgres with its extension, and keepers that speak its
 * protocol by hand (node_active), so that a test says what a node reports and when.
 */
import { Client } from "pg";
import { RealPostgres, superuser } from "./real-postgres.ts";

interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

const database = "pg_auto_failover";

export interface Keeper {
  readonly formation: string;
  readonly name: string;
  readonly id: string;
  /** The state that it reported last. */
  state: string;
}

export class TestMonitor {
  readonly postgres: RealPostgres;
  readonly database = database;
  #client: Client | undefined;

  private constructor(postgres: RealPostgres) {
    this.postgres = postgres;
  }

  /** A monitor on `host`, started. */
  static async create(t: Teardown, host: string): Promise<TestMonitor> {
    const postgres = await RealPostgres.create(t, host, {
      shared_preload_libraries: "pgautofailover",
      "pgautofailover.enable_health_checks": "off",
      "pgautofailover.primary_demote_timeout": "500",
      "pgautofailover.startup_grace_period": "0",
    });
    const monitor = new TestMonitor(postgres);
    t.teardown(() => monitor.disconnect());
    await postgres.sql(`CREATE DATABASE ${database}`);
    await monitor.sql("CREATE EXTENSION pgautofailover CASCADE");
    await monitor.sql(`ALTER ROLE autoctl_node PASSWORD '${superuser.password}'`);
    return monitor;
  }

  /** Runs one statement as the superuser; values come back as text. */
  async sql(text: string): Promise<Record<string, string | null>[]> {
    this.#client ??= await this.#connect();
    return (await this.#client.query<Record<string, string | null>>(text)).rows;
  }

  /** Ends the connection of `sql`; the next statement opens another. */
  async disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => undefined);
  }

  async #connect(): Promise<Client> {
    const { host, port } = this.postgres;
    const types = { getTypeParser: () => (value: string) => value };
    const client = new Client({ host, port, database, ...superuser, types });
    client.on("error", () => {
      if (this.#client === client) this.#client = undefined;
    });
    await client.connect();
    return client;
  }

  /** Makes a formation: a cluster beside others of the same monitor. */
  async createFormation(formation: string): Promise<void> {
    await this.sql(
      `SELECT pgautofailover.create_formation('${formation}', 'pgsql', 'postgres', true, 0)`,
    );
  }

  /** Registers a node, as `pg_autoctl create postgres --name` does. */
  async register(formation: string, name: string, host: string): Promise<Keeper> {
    const [row] = await this.sql(
      `SELECT assigned_node_id AS id FROM pgautofailover.register_node('${formation}', '${host}', 5432,
         'postgres', node_name => '${name}', sysidentifier => 7000000000000000001)`,
    );
    return { formation, name, id: row?.["id"] ?? "", state: "init" };
  }

  /** Reports a state, as a keeper does each second; hands over the state that it is to be in. */
  async report(keeper: Keeper, state: string, lsn = "0/5000000"): Promise<string> {
    const [row] = await this.sql(
      `SELECT assigned_group_state::text AS goal FROM pgautofailover.node_active('${keeper.formation}', ${keeper.id},
         0, '${state}', true, 1, '${lsn}', 'async')`,
    );
    keeper.state = state;
    return row?.["goal"] ?? "";
  }

  /** The monitor's own check has found them well. */
  async healthy(...keepers: readonly Keeper[]): Promise<void> {
    const ids = keepers.map(({ id }) => id).join(", ");
    await this.sql(
      `UPDATE pgautofailover.node SET health = 1, healthchecktime = now() WHERE nodeid IN (${ids})`,
    );
  }

  /** Each keeper reports, and does what it is told, until nobody is told anything new. */
  async settle(...keepers: readonly Keeper[]): Promise<void> {
    for (let round = 0, isNew = true; isNew && round < 40; round += 1) {
      isNew = false;
      for (const keeper of keepers) {
        const goal = await this.report(keeper, keeper.state);
        if (goal === keeper.state) continue;
        isNew = true;
        await this.report(keeper, goal);
      }
    }
  }
}
