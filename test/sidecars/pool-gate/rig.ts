/** A lab with what the tests of its pool-gate take: a client of the gate, the console, app clients. */
import type { Client } from "pg";
import type { Test } from "tap";
import type { EdgePooler } from "../../../config/schema.ts";
import { eventually } from "../../../kit/clock.ts";
import { openGate } from "../../../sidecars/pool-gate/client.ts";
import type { GateClient } from "../../../sidecars/pool-gate/client.ts";
import type { PauseRequest } from "../../../sidecars/pool-gate/contract.ts";
import { withLab } from "../../support/lab.ts";
import type { TestLab } from "../../support/lab.ts";

export interface GateRig {
  readonly lab: TestLab;
  readonly edge: EdgePooler;
  readonly gate: GateClient;
  /** Another client of the same gate, with a token of its own choice. */
  client(token?: string): GateClient;
  /** One command at PgBouncer's console, on a connection of its own; rows as text. */
  admin(command: string): Promise<Record<string, string>[]>;
  /** The databases that PgBouncer's console shows as paused, sorted. */
  paused(): Promise<string[]>;
  /** A connected client of the app, through the edge pooler. */
  app(database?: string): Promise<Client>;
}

/** A request that says what a test does not care about. */
export function request(asked: Partial<PauseRequest> = {}): PauseRequest {
  return { databases: ["app"], ttlMs: 30_000, deadlineMs: 2000, holder: "a test", ...asked };
}

/** Brings up the lab; it goes down with the test. */
export async function gateRig(t: Pick<Test, "teardown" | "comment">): Promise<GateRig> {
  const lab = await withLab(t);
  const edge = lab.environment.edgePoolers[0];
  if (edge?.gate === undefined) throw new Error("the lab has an edge pooler with a gate");
  const { url, token } = edge.gate;
  const open: GateClient[] = [];
  const client = (text = token.reveal()): GateClient => {
    // A gate that was held up answers late that its PgBouncer is silent, and is not silent itself.
    const patience = { deadlineMs: 10_000 };
    const one = openGate({ name: edge.name, url, token: () => text }, patience);
    open.push(one);
    return one;
  };
  t.teardown(() => {
    for (const one of open) one.close();
  });
  const { user, password } = edge.admin;
  const admin = async (command: string): Promise<Record<string, string>[]> => {
    const console = lab.client(edge.address, {
      database: "pgbouncer",
      config: { user, password: password.reveal() },
    });
    await console.connect();
    const { rows } = await console.query<Record<string, string>>(command);
    await console.end();
    return rows;
  };
  return {
    lab,
    edge,
    gate: client(),
    client,
    admin,
    paused: async () => {
      const rows = await admin("SHOW DATABASES");
      const names = rows.filter((one) => String(one["paused"]) === "1").map((one) => one["name"]);
      return names.map(String).toSorted();
    },
    app: async (database) =>
      await lab.connect(edge.address, database === undefined ? {} : { database, as: "superuser" }),
  };
}

/** Waits until PgBouncer's console shows exactly these databases as paused. */
export async function untilPaused(rig: GateRig, wanted: readonly string[]): Promise<void> {
  await eventually(
    `paused: ${wanted.join(", ")}`,
    { deadlineMs: 10_000, intervalMs: 10 },
    async () => ((await rig.paused()).join() === wanted.join() ? true : undefined),
  );
}
