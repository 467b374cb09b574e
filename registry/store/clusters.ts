/**
 * Clusters and their members as the registry keeps them. What goes takes its records along in the same
 * transaction; what comes gets its records from the reconciler, who is told of it.
 */
import type { ClusterKeys, MemberKeys, RoleSourceKeys, RolesView } from "../contract.ts";
import { unknownRoles } from "../roles/roles.ts";
import { canonicalIpv6 } from "../endpoints.ts";
import type { Database, Statements, Value, Writing } from "./database.ts";
import { refuseOldTerm } from "./lead-term.ts";
import { ConflictError, MissingError } from "./store.ts";
import type { Owner, RegistryStore, StoredCluster, StoredMember, Written } from "./store.ts";
import { readState } from "./zone-read.ts";
import { putOwned } from "./zone-write.ts";

const membersMax = 64;

interface ClusterRow {
  readonly id: number;
  readonly name: string;
  readonly source: string;
  readonly lag_bytes: number | null;
  readonly roles: string;
}

interface MemberRow extends StoredMember {
  readonly cluster: number;
}

type Part = Pick<
  RegistryStore,
  | "clusters"
  | "cluster"
  | "createCluster"
  | "updateCluster"
  | "deleteCluster"
  | "addMember"
  | "updateMember"
  | "removeMember"
  | "putRoles"
>;

/** The part of a store that keeps clusters and members. */
export function clusterKeeper(database: Database): Part {
  return {
    clusters: () => database.read("read the clusters", (statements) => readClusters(statements)),
    cluster: (name) => database.read("read a cluster", (statements) => find(statements, name)),
    createCluster: (keys) =>
      changing(database, `create the cluster ${keys.name}`, keys.name, async (statements) => {
        await refuseName(statements, keys.name);
        const id = await insertCluster(statements, keys);
        for (const member of keys.members) await insertMember(statements, id, member);
        return await mustFind(statements, keys.name);
      }),
    updateCluster: (name, keys) =>
      changing(database, `update the cluster ${name}`, name, async (statements) => {
        const { id } = await mustFind(statements, name);
        await statements.run("UPDATE clusters SET source = $1, lag_bytes = $2 WHERE id = $3", [
          JSON.stringify(keys.source),
          keys.lag_bytes,
          id,
        ]);
        return await mustFind(statements, name);
      }),
    putRoles: async (clusterId, roles, term) => {
      const values = [JSON.stringify(roles), clusterId];
      await database.write("keep what was seen of the roles", async (statements) => {
        await refuseOldTerm(database, statements, term);
        await statements.run("UPDATE clusters SET roles = $1 WHERE id = $2", values);
      });
    },
    ...goers(database),
    ...memberKeeper(database),
  };
}

/** A change that the reconciler is told of; one at a time, so that what was checked stays so. */
function changing<T>(
  database: Database,
  what: string,
  cluster: string,
  work: (statements: Writing) => Promise<T>,
): Promise<T> {
  return database.write(what, async (statements) => {
    await readState(statements, database.dialect.forUpdate);
    const result = await work(statements);
    statements.tell("clusters", cluster);
    return result;
  });
}

function memberKeeper(database: Database): Pick<Part, "addMember" | "updateMember"> {
  return {
    addMember: (name, keys) =>
      changing(database, `add the member ${keys.name} to ${name}`, name, async (statements) => {
        const cluster = await mustFind(statements, name);
        refuseTwin(name, cluster.members, keys);
        if (cluster.members.length >= membersMax) {
          throw new ConflictError(`cluster ${name}: it has ${membersMax} members, and no more fit`);
        }
        await insertMember(statements, cluster.id, keys);
        return memberOf(await mustFind(statements, name), keys.name);
      }),
    updateMember: (name, member, keys) =>
      changing(database, `update the member ${member} of ${name}`, name, async (statements) => {
        const cluster = await mustFind(statements, name);
        const { id } = memberOf(cluster, member);
        refuseTwin(
          name,
          cluster.members.filter((one) => one.id !== id),
          keys,
        );
        await statements.run(
          `UPDATE cluster_members SET name = $1, ordinal = $2, address = $3, port = $4, node = $5,
           published_port = $6 WHERE id = $7`,
          [...memberValues(keys), id],
        );
        return memberOf(await mustFind(statements, name), keys.name);
      }),
  };
}

function goers(database: Database): Pick<Part, "deleteCluster" | "removeMember"> {
  return {
    deleteCluster: (name) =>
      changing(database, `delete the cluster ${name}`, name, async (statements) => {
        const { id, members } = await mustFind(statements, name);
        const owners = members.map((one): Owner => ({ kind: "service_member", id: one.id }));
        const gone = await withoutRecords(database, statements, [
          ...owners,
          { kind: "service_role", id },
        ]);
        await statements.run("DELETE FROM cluster_members WHERE cluster_id = $1", [id]);
        await statements.run("DELETE FROM clusters WHERE id = $1", [id]);
        return gone;
      }),
    removeMember: (name, member) =>
      changing(database, `remove the member ${member} of ${name}`, name, async (statements) => {
        const { id } = memberOf(await mustFind(statements, name), member);
        const gone = await withoutRecords(database, statements, [{ kind: "service_member", id }]);
        await statements.run("DELETE FROM cluster_members WHERE id = $1", [id]);
        return gone;
      }),
  };
}

function withoutRecords(
  database: Database,
  statements: Writing,
  owners: readonly Owner[],
): Promise<Written> {
  const nothing = owners.map((owner) => ({ owner, drafts: [] }));
  return putOwned(database, statements, nothing);
}

async function readClusters(
  statements: Statements,
  name?: string,
): Promise<readonly StoredCluster[]> {
  const [where, values] = name === undefined ? ["", []] : ["WHERE name = $1", [name]];
  const clusters = await statements.run<ClusterRow>(
    `SELECT id, name, source, lag_bytes, roles FROM clusters ${where} ORDER BY name`,
    values,
  );
  const ofOne = name === undefined ? "" : "WHERE cluster_id = $1";
  const [only] = clusters;
  if (only === undefined) return [];
  const members = await statements.run<MemberRow>(
    `SELECT id, cluster_id AS cluster, name, ordinal, address, port, node, published_port
     FROM cluster_members ${ofOne} ORDER BY cluster_id, ordinal`,
    name === undefined ? [] : [only.id],
  );
  const byCluster = Map.groupBy(members, ({ cluster }) => cluster);
  return clusters.map((row) => ({
    ...row,
    source: JSON.parse(row.source) as RoleSourceKeys,
    roles: JSON.parse(row.roles) as RolesView,
    members: (byCluster.get(row.id) ?? []).map(memberOfRow),
  }));
}

function memberOfRow(row: MemberRow): StoredMember {
  const { id, name, ordinal, address, port, node, published_port: publishedPort } = row;
  return { id, name, ordinal, address, port, node, published_port: publishedPort };
}

async function find(statements: Statements, name: string): Promise<StoredCluster | undefined> {
  return (await readClusters(statements, name))[0];
}

async function mustFind(statements: Statements, name: string): Promise<StoredCluster> {
  const found = await find(statements, name);
  if (found === undefined) throw new MissingError(`cluster ${name}: there is none of that name`);
  return found;
}

function memberOf(cluster: StoredCluster, name: string): StoredMember {
  const found = cluster.members.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new MissingError(`cluster ${cluster.name}: it has no member ${name}`);
}

async function refuseName(statements: Statements, name: string): Promise<void> {
  if ((await find(statements, name)) === undefined) return;
  throw new ConflictError(`cluster ${name}: there is one of that name already`);
}

function refuseTwin(cluster: string, others: readonly MemberKeys[], keys: MemberKeys): void {
  const { name, ordinal } = keys;
  if (others.some((one) => one.name === name)) {
    throw new ConflictError(`cluster ${cluster}: it has a member ${name} already`);
  }
  const twin = others.find((one) => one.ordinal === ordinal);
  if (twin !== undefined) {
    throw new ConflictError(
      `cluster ${cluster}: ordinal ${ordinal} is that of ${twin.name} already`,
    );
  }
  const { address, port } = keys;
  const place = address === null ? null : placeWords(address);
  const there = others.find(
    (one) => one.address !== null && placeWords(one.address) === place && one.port === port,
  );
  if (there === undefined) return;
  throw new ConflictError(
    `cluster ${cluster}: address ${address} and port ${port} are those of ${there.name} already`,
  );
}

/** One address has one form. */
function placeWords(address: string): string {
  return canonicalIpv6(address) ?? address;
}

async function insertCluster(statements: Writing, keys: ClusterKeys): Promise<number> {
  const { name, members } = keys;
  members.forEach((member, at) => refuseTwin(name, members.slice(0, at), member));
  const [row] = await statements.run<{ id: number }>(
    "INSERT INTO clusters (name, source, lag_bytes, roles) VALUES ($1, $2, $3, $4) RETURNING id",
    [name, JSON.stringify(keys.source), keys.lag_bytes, JSON.stringify(unknownRoles)],
  );
  if (row === undefined) throw new Error("no id for a new cluster");
  return row.id;
}

async function insertMember(
  statements: Writing,
  clusterId: number,
  keys: MemberKeys,
): Promise<void> {
  await statements.run(
    `INSERT INTO cluster_members (cluster_id, name, ordinal, address, port, node, published_port)
     VALUES ($7, $1, $2, $3, $4, $5, $6)`,
    [...memberValues(keys), clusterId],
  );
}

function memberValues(keys: MemberKeys): Value[] {
  return [keys.name, keys.ordinal, keys.address, keys.port, keys.node, keys.published_port];
}
