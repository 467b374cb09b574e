/**
 * Tries to write on both members all the time, straight on Postgres, and remembers what was
 * acknowledged and when: two members that take writes at once show themselves.
 */
import type { Client } from "pg";
import type { Test } from "tap";
import { eventually, systemClock } from "../../../kit/clock.ts";
import type { TestLab } from "../../support/lab.ts";

interface Write {
  readonly id: number;
  /** Monotonic, in ms. */
  readonly sentAt: number;
  readonly ackedAt: number;
}

export interface Prober {
  /** From now on it is counted anew. */
  begin(): void;
  /** Nobody wrote on both at once, and every acknowledged row is on every member, once. */
  proves(t: Test): Promise<void>;
}

const pauseMs = 3;
const soon = { deadlineMs: 30_000, intervalMs: 50 };
const limits = { connectionTimeoutMillis: 2000, query_timeout: 5000 };

/** Starts probing; it ends with the test. */
export async function startProber(t: Pick<Test, "teardown">, lab: TestLab): Promise<Prober> {
  const { members } = lab.json;
  const [first] = members;
  if (first === undefined) throw new TypeError("a lab has members");
  const maker = await lab.connect(first.postgres, { as: "superuser", database: "postgres" });
  await maker.query("CREATE TABLE kill_probe (id bigint NOT NULL)");
  await maker.end();
  const stopping = new AbortController();
  const writes = new Map(members.map((one) => [one.name, [] as Write[]]));
  let nextId = 1;
  const probe = async (member: (typeof members)[number]): Promise<void> => {
    const open = async (): Promise<Client> => {
      const options = { as: "superuser", database: "postgres", config: limits } as const;
      return await lab.connect(member.postgres, options);
    };
    let client: Client | undefined;
    while (!stopping.signal.aborted) {
      try {
        client ??= await open();
        const id = nextId;
        nextId += 1;
        const sentAt = systemClock.monotonic();
        await client.query("INSERT INTO kill_probe VALUES ($1)", [id]);
        writes.get(member.name)?.push({ id, sentAt, ackedAt: systemClock.monotonic() });
      } catch (error) {
        // A standby says so and keeps its connection; whoever is gone is connected to anew.
        const isReadOnly = (error as { code?: unknown }).code === "25006";
        if (!isReadOnly) {
          void client?.end().catch(() => undefined);
          client = undefined;
        }
      }
      await systemClock.sleep(pauseMs, stopping.signal).catch(() => undefined);
    }
    // A member that a failed test has left frozen would never say goodbye.
    void client?.end().catch(() => undefined);
  };
  const probes = members.map(probe);
  t.teardown(async () => {
    stopping.abort();
    await Promise.all(probes);
  });
  return {
    begin: () => {
      for (const list of writes.values()) list.length = 0;
    },
    proves: async (t) => {
      const seen = new Map([...writes].map(([name, list]) => [name, [...list]]));
      t.strictSame(writersAtOnce(seen), [], "never two members that take writes");
      const acked = [...seen.values()].flat().map((one) => one.id);
      for (const member of members) {
        await eventually(`the prober's rows on ${member.name}`, soon, async () => {
          const client = await lab.connect(member.postgres, {
            as: "superuser",
            database: "postgres",
          });
          try {
            const { rows } = await client.query<{ missing: string; doubled: string }>(
              `SELECT (SELECT count(*) FROM unnest($1::bigint[]) AS acked (id)
                  WHERE NOT EXISTS (SELECT 1 FROM kill_probe WHERE kill_probe.id = acked.id)) AS missing,
                (SELECT count(*) - count(DISTINCT id) FROM kill_probe) AS doubled`,
              [acked],
            );
            return rows[0]?.missing === "0" && rows[0].doubled === "0" ? true : undefined;
          } finally {
            await client.end();
          }
        }).catch((error: unknown) =>
          t.fail(`a row of the prober is lost or doubled: ${String(error)}`),
        );
      }
      t.ok(acked.length > 0, `${acked.length} rows of the prober`);
    },
  };
}

/**
 * Who wrote while, or before, another still wrote: a change of primary goes one way only, so once
 * a row was acknowledged on the new one, none may be sent to the old one and be acknowledged.
 */
function writersAtOnce(seen: ReadonlyMap<string, readonly Write[]>): string[] {
  const spans = [...seen].flatMap(([name, list]) => {
    const [first, last] = [list[0], list.at(-1)];
    return first === undefined || last === undefined ? [] : [{ name, first, last }];
  });
  return spans.flatMap((one) =>
    spans
      .filter((two) => two.name > one.name)
      .filter((two) => one.last.sentAt > two.first.ackedAt && two.last.sentAt > one.first.ackedAt)
      .map((two) => `${one.name} and ${two.name}`),
  );
}
