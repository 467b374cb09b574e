/** Clusters and their members over HTTP, for who has an admin token. A change is done whole or not. */
import { clusterKeys, memberKeys } from "./contract.ts";
import type { OwnerReply } from "./contract.ts";
import { clusterViewOf, noSuch, ownersOf } from "./cluster-view.ts";
import { checked } from "./problem.ts";
import { nameIn } from "./routes.ts";
import type { Asked, RegistryParts, RouteRow, Told } from "./routes.ts";
import type { StoredCluster, Written } from "./store/store.ts";
import { lookNow } from "./waits.ts";

const clusterChange = clusterKeys.pick({ source: true, lag_bytes: true });

async function clusterIn(asked: Asked, { store }: RegistryParts): Promise<StoredCluster> {
  const name = nameIn(asked, "name");
  const cluster = await store.cluster(name);
  if (cluster !== undefined) return cluster;
  const known = await store.clusters();
  throw noSuch(
    "cluster",
    name,
    known.map((one) => one.name),
  );
}

async function memberIn(
  asked: Asked,
  parts: RegistryParts,
): Promise<{ cluster: string; member: string }> {
  const cluster = await clusterIn(asked, parts);
  const member = nameIn(asked, "member");
  const known = cluster.members.map((one) => one.name);
  if (!known.includes(member)) throw noSuch("member", member, known);
  return { cluster: cluster.name, member };
}

/** The cluster as it is now. */
async function changed(status: number, name: string, parts: RegistryParts): Promise<Told> {
  return { status, body: await viewNamed(name, parts) };
}

async function viewNamed(name: string, { store }: RegistryParts): Promise<object> {
  const cluster = await store.cluster(name);
  if (cluster === undefined) throw noSuch("cluster", name, []);
  return clusterViewOf(cluster, await store.recordsOf(ownersOf(cluster)));
}

function gone({ head, changed: isChanged }: Written): Told {
  const { generation, epoch } = head;
  const body: OwnerReply = { generation, epoch, changed: isChanged };
  return { status: 200, body };
}

/** The routes of clusters and members. */
export const clusterRoutes: readonly RouteRow[] = [
  {
    method: "get",
    path: "/api/clusters",
    who: "admin",
    answer: async (_, { store }) => {
      const clusters = await store.clusters();
      const theirs = await store.recordsOf(clusters.flatMap(ownersOf));
      return { status: 200, body: clusters.map((one) => clusterViewOf(one, theirs)) };
    },
  },
  {
    method: "post",
    path: "/api/clusters",
    who: "admin",
    answer: async (asked, parts) => {
      const { name } = await parts.store.createCluster(checked(clusterKeys, asked.body));
      return await changed(201, name, parts);
    },
  },
  {
    method: "get",
    path: "/api/clusters/:name",
    who: "admin",
    answer: async (asked, parts) => {
      const { name } = await clusterIn(asked, parts);
      return { status: 200, body: await viewNamed(name, parts) };
    },
  },
  {
    method: "put",
    path: "/api/clusters/:name",
    who: "admin",
    answer: async (asked, parts) => {
      const { name } = await clusterIn(asked, parts);
      await parts.store.updateCluster(name, checked(clusterChange, asked.body));
      return await changed(200, name, parts);
    },
  },
  {
    method: "delete",
    path: "/api/clusters/:name",
    who: "admin",
    answer: async (asked, parts) => {
      const { name } = await clusterIn(asked, parts);
      return gone(await parts.store.deleteCluster(name));
    },
  },
  {
    method: "post",
    path: "/api/clusters/:name/reconcile",
    who: "admin",
    answer: async (asked, parts) => {
      const { name } = await clusterIn(asked, parts);
      return { status: 200, body: await lookNow(parts.store, name, asked.signal()) };
    },
  },
  {
    method: "post",
    path: "/api/clusters/:name/members",
    who: "admin",
    answer: async (asked, parts) => {
      const { name } = await clusterIn(asked, parts);
      await parts.store.addMember(name, checked(memberKeys, asked.body));
      return await changed(201, name, parts);
    },
  },
  {
    method: "put",
    path: "/api/clusters/:name/members/:member",
    who: "admin",
    answer: async (asked, parts) => {
      const { cluster, member } = await memberIn(asked, parts);
      await parts.store.updateMember(cluster, member, checked(memberKeys, asked.body));
      return await changed(200, cluster, parts);
    },
  },
  {
    method: "delete",
    path: "/api/clusters/:name/members/:member",
    who: "admin",
    answer: async (asked, parts) => {
      const { cluster, member } = await memberIn(asked, parts);
      return gone(await parts.store.removeMember(cluster, member));
    },
  },
];
