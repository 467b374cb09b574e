/**
 * Nodes, what they have acknowledged, and tokens, of which only hashes are kept. Acknowledgements that
 * come while one is being written share the next transaction: each is answered after its commit.
 */
import type { Clock } from "../../kit/clock.ts";
import type { Database, Statements, Writing } from "./database.ts";
import { ConflictError, MissingError, StoreError } from "./store.ts";
import type { Acknowledged, RegistryStore, StoredNode } from "./store.ts";

const columns = `id, name, address, token_hash, revoked, applied_generation, applied_at,
  last_sync_at, record_count, errors`;

interface NodeRow {
  readonly id: number;
  readonly name: string;
  readonly address: string | null;
  readonly token_hash: string;
  readonly revoked: number;
  readonly applied_generation: number;
  readonly applied_at: string | null;
  readonly last_sync_at: string | null;
  readonly record_count: number | null;
  readonly errors: string;
}

type Part = Pick<RegistryStore, "nodes" | "node" | "addNode" | "revokeNode" | "acknowledge">;

/** The part of a store that keeps nodes. */
export function nodeKeeper(database: Database, clock: Clock): Part {
  return {
    nodes: () =>
      database.read("read the nodes", async (statements) => {
        const rows = await statements.run<NodeRow>(`SELECT ${columns} FROM nodes ORDER BY id`);
        return rows.map(nodeOf);
      }),
    node: (id) => database.read("read a node", (statements) => find(statements, id)),
    addNode: (keys, tokenHash) =>
      database.write(`add the node ${keys.name}`, async (statements) => {
        const [row] = await statements.run<NodeRow>(
          `INSERT INTO nodes (name, address, token_hash) VALUES ($1, $2, $3)
           ON CONFLICT DO NOTHING RETURNING ${columns}`,
          [keys.name, keys.address, tokenHash],
        );
        if (row === undefined) {
          throw new ConflictError(`node ${keys.name}: there is one of that name already`);
        }
        statements.tell("nodes", String(row.id));
        return nodeOf(row);
      }),
    revokeNode: (id) =>
      database.write(`revoke the node ${id}`, async (statements) => {
        const text = "UPDATE nodes SET revoked = 1 WHERE id = $1 RETURNING id";
        if ((await statements.run(text, [id])).length === 0) throw missing(id);
        statements.tell("nodes", String(id));
        // Whoever waits for every live node has one fewer to wait for.
        statements.tell("acks", String(id));
      }),
    acknowledge: sharedTransactions(database, clock),
  };
}

/** The part of a store that keeps the tokens of administrators. */
export function tokenKeeper(
  database: Database,
): Pick<RegistryStore, "addAdminToken" | "isAdminToken" | "hasAdminToken"> {
  const any = async (where: string, values: readonly string[]): Promise<boolean> => {
    const text = `SELECT 1 AS found FROM admin_tokens ${where} LIMIT 1`;
    const rows = await database.read("read the tokens", (statements) =>
      statements.run(text, values),
    );
    return rows.length > 0;
  };
  return {
    addAdminToken: async (hash) => {
      const text = "INSERT INTO admin_tokens (token_hash) VALUES ($1) ON CONFLICT DO NOTHING";
      await database.write("add an admin token", (statements) => statements.run(text, [hash]));
    },
    isAdminToken: (hash) => any("WHERE token_hash = $1", [hash]),
    hasAdminToken: () => any("", []),
  };
}

interface Waiting {
  readonly id: number;
  readonly applied: Acknowledged;
  readonly resolve: (node: StoredNode) => void;
  readonly reject: (error: unknown) => void;
}

const atOnce = 500;
const waitingMax = 50_000;

function sharedTransactions(database: Database, clock: Clock): RegistryStore["acknowledge"] {
  const queue: Waiting[] = [];
  let isWriting = false;
  const writeSome = async (some: readonly Waiting[]): Promise<void> => {
    try {
      // In the order of their ids: two processes that lock the same rows never wait for each other.
      const ordered = some.toSorted((one, other) => one.id - other.id);
      const now = new Date(clock.now()).toISOString();
      const nodes = await database.write("keep acknowledgements", async (statements) => {
        const kept: (StoredNode | undefined)[] = [];
        for (const one of ordered) kept.push(await keep(statements, one, now));
        return kept;
      });
      ordered.forEach(({ id, resolve, reject }, index) => {
        const node = nodes[index];
        if (node === undefined) reject(missing(id));
        else resolve(node);
      });
    } catch (error) {
      for (const { reject } of some) reject(error);
    }
  };
  const writeAll = async (): Promise<void> => {
    isWriting = true;
    while (queue.length > 0) await writeSome(queue.splice(0, atOnce));
    isWriting = false;
  };
  return (id, applied) => {
    if (queue.length >= waitingMax) {
      return Promise.reject(new StoreError(`${waitingMax} acknowledgements wait already`));
    }
    const { promise, resolve, reject } = Promise.withResolvers<StoredNode>();
    queue.push({ id, applied, resolve, reject });
    if (!isWriting) void writeAll();
    return promise;
  };
}

async function keep(
  statements: Writing,
  { id, applied }: Waiting,
  now: string,
): Promise<StoredNode | undefined> {
  const { generation, recordCount, errors } = applied;
  const [row] = await statements.run<NodeRow>(
    `UPDATE nodes SET
       applied_at = CASE WHEN applied_at IS NULL OR applied_generation < $2
         THEN $3 ELSE applied_at END,
       applied_generation = CASE WHEN applied_generation < $2 THEN $2 ELSE applied_generation END,
       last_sync_at = $3, record_count = $4, errors = $5
     WHERE id = $1 RETURNING ${columns}`,
    [id, generation, now, recordCount, JSON.stringify(errors)],
  );
  if (row === undefined) return undefined;
  statements.tell("acks", String(id));
  return nodeOf(row);
}

async function find(statements: Statements, id: number): Promise<StoredNode | undefined> {
  const [row] = await statements.run<NodeRow>(`SELECT ${columns} FROM nodes WHERE id = $1`, [id]);
  return row === undefined ? undefined : nodeOf(row);
}

function missing(id: number): MissingError {
  return new MissingError(`node ${id}: there is none of that id`);
}

function nodeOf(row: NodeRow): StoredNode {
  return {
    id: row.id,
    name: row.name,
    address: row.address,
    tokenHash: row.token_hash,
    revoked: row.revoked !== 0,
    appliedGeneration: row.applied_generation,
    appliedAt: row.applied_at,
    lastSyncAt: row.last_sync_at,
    recordCount: row.record_count,
    errors: JSON.parse(row.errors) as readonly string[],
  };
}
