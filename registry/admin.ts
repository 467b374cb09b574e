/** What operators ask of a registry beyond client.ts: clusters, members, nodes and records as they shall be. */
import { z } from "zod";
import { askJson } from "./client.ts";
import type { RegistryTarget } from "./client.ts";
import { clusterView, newNode, nodeView, ownerReply } from "./contract.ts";
import type {
  ClusterKeys,
  ClusterView,
  EndpointKeys,
  MemberKeys,
  NewNode,
  NodeKeys,
  NodeView,
  OwnerReply,
} from "./contract.ts";

/** How long a call may take (ms). */
const deadlineMs = 5000;
const part = encodeURIComponent;

/** Every cluster with its roles and records, by name. */
export async function fetchClusters(
  target: RegistryTarget,
  signal?: AbortSignal,
): Promise<ClusterView[]> {
  const asked = { method: "GET", path: "/api/clusters", deadlineMs } as const;
  return await askJson(target, asked, z.array(clusterView), signal);
}

type Input<T, K extends keyof T> = Pick<T, K> & Partial<Omit<T, K>>;
export type NewCluster = Input<Omit<ClusterKeys, "members">, "name" | "source"> & {
  readonly members?: readonly NewMember[];
};
export type NewMember = Input<MemberKeys, "name" | "ordinal">;

/** Makes a cluster with its members, all of it or nothing. */
export async function createCluster(
  target: RegistryTarget,
  keys: NewCluster,
  signal?: AbortSignal,
): Promise<ClusterView> {
  const asked = { method: "POST", path: "/api/clusters", body: keys, deadlineMs } as const;
  return await askJson(target, asked, clusterView, signal);
}

/** Sets a cluster's source and its bound of lag. */
export async function updateCluster(
  target: RegistryTarget,
  name: string,
  keys: Pick<ClusterKeys, "source" | "lag_bytes">,
  signal?: AbortSignal,
): Promise<ClusterView> {
  const path = `/api/clusters/${part(name)}`;
  return await askJson(
    target,
    { method: "PUT", path, body: keys, deadlineMs },
    clusterView,
    signal,
  );
}

/** Removes a cluster, its members and all their records. */
export async function deleteCluster(
  target: RegistryTarget,
  name: string,
  signal?: AbortSignal,
): Promise<OwnerReply> {
  const path = `/api/clusters/${part(name)}`;
  return await askJson(target, { method: "DELETE", path, deadlineMs }, ownerReply, signal);
}

/** Adds a member. @returns its cluster as it is then */
export async function addMember(
  target: RegistryTarget,
  cluster: string,
  keys: NewMember,
  signal?: AbortSignal,
): Promise<ClusterView> {
  const path = `/api/clusters/${part(cluster)}/members`;
  return await askJson(
    target,
    { method: "POST", path, body: keys, deadlineMs },
    clusterView,
    signal,
  );
}

/** Sets all keys of a member. @returns its cluster as it is then */
export async function updateMember(
  target: RegistryTarget,
  cluster: string,
  name: string,
  keys: NewMember,
  signal?: AbortSignal,
): Promise<ClusterView> {
  const path = `/api/clusters/${part(cluster)}/members/${part(name)}`;
  return await askJson(
    target,
    { method: "PUT", path, body: keys, deadlineMs },
    clusterView,
    signal,
  );
}

/** Removes a member and its records. */
export async function removeMember(
  target: RegistryTarget,
  cluster: string,
  name: string,
  signal?: AbortSignal,
): Promise<OwnerReply> {
  const path = `/api/clusters/${part(cluster)}/members/${part(name)}`;
  return await askJson(target, { method: "DELETE", path, deadlineMs }, ownerReply, signal);
}

/** Adds a node. @returns its id and its token, which is told this once */
export async function addNode(
  target: RegistryTarget,
  keys: Input<NodeKeys, "name">,
  signal?: AbortSignal,
): Promise<NewNode> {
  return await askJson(
    target,
    { method: "POST", path: "/api/nodes", body: keys, deadlineMs },
    newNode,
    signal,
  );
}

/** Ends the validity of a node's token. @returns the node as it is then */
export async function revokeNode(
  target: RegistryTarget,
  id: number,
  signal?: AbortSignal,
): Promise<NodeView> {
  const asked = { method: "DELETE", path: `/api/nodes/${id}`, deadlineMs } as const;
  return await askJson(target, asked, nodeView, signal);
}

/** Sets all records of an owner that no cluster is: what it had and is not among them goes. */
export async function putRecords(
  target: RegistryTarget,
  owner: { readonly kind: "node" | "static" | "deployment"; readonly id: number },
  records: readonly EndpointKeys[],
  signal?: AbortSignal,
): Promise<OwnerReply> {
  const path = `/api/records/${owner.kind}/${owner.id}`;
  return await askJson(
    target,
    { method: "PUT", path, body: { records }, deadlineMs },
    ownerReply,
    signal,
  );
}
