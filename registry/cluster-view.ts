/** How a cluster is shown: its keys, its roles and its records, and which name was probably meant. Pure. */
import { nearest } from "../kit/nearest.ts";
import type { ClusterView, Endpoint } from "./contract.ts";
import { RequestProblemError } from "./problem.ts";
import type { Head, Owner, StoredCluster } from "./store/store.ts";

/** The owners of a cluster's records: itself, and each of its members. */
export function ownersOf({ id, members }: StoredCluster): Owner[] {
  const ofMembers = members.map((one) => ({ kind: "service_member", id: one.id }) as const);
  return [{ kind: "service_role", id }, ...ofMembers];
}

/** A cluster as it is shown, with what of `zone.records` is its, those of its members first. */
export function clusterViewOf(
  cluster: StoredCluster,
  zone: { readonly head: Head; readonly records: readonly Endpoint[] },
): ClusterView {
  const { id, name, source, lag_bytes, members, roles } = cluster;
  const memberIds = new Set(members.map((one) => one.id));
  const ofMembers = zone.records.filter(
    (one) => one.owner_kind === "service_member" && memberIds.has(one.owner_id),
  );
  const ofRoles = zone.records.filter(
    (one) => one.owner_kind === "service_role" && one.owner_id === id,
  );
  return {
    id,
    name,
    source,
    lag_bytes,
    members: members
      .toSorted((left, right) => left.ordinal - right.ordinal)
      .map(({ id: _id, ...keys }) => keys),
    roles,
    records: [...byName(ofMembers), ...byName(ofRoles)],
    generation: zone.head.generation,
    epoch: zone.head.epoch,
  };
}

/** Addresses before services, each by name. */
function byName(records: readonly Endpoint[]): Endpoint[] {
  const rank = (one: Endpoint): number => Number(one.record_type === "SRV");
  return records.toSorted(
    (left, right) =>
      rank(left) - rank(right) || left.fqdn.localeCompare(right.fqdn, "en") || left.id - right.id,
  );
}

/** What is told of a name that nothing has; it names the one that was probably meant. */
export function noSuch(
  kind: "cluster" | "member" | "node",
  name: string,
  known: readonly string[],
): RequestProblemError {
  const near = nearest(name, known);
  const some = known.slice(0, 20).join(", ");
  const hint =
    near === undefined ? `there is ${some === "" ? "none" : some}` : `did you mean ${near}?`;
  return new RequestProblemError(
    404,
    "Not Found",
    `no ${kind} ${JSON.stringify(name.slice(0, 63))}: ${hint}`,
  );
}
