/** What a registry is and has: its status, its nodes, and records that are no cluster's. */
import { z } from "zod";
import { TurnsError } from "../kit/turns.ts";
import { dnsStatusOf, nodeViewOf } from "./answers.ts";
import { nodeKeys, outsideOwners, ownerKeys } from "./contract.ts";
import type { NewNode, NodesReply, OwnerReply, RegistryStatus } from "./contract.ts";
import { noSuch } from "./cluster-view.ts";
import { checked, RequestProblemError } from "./problem.ts";
import { waitWord } from "./routes-agent.ts";
import { idIn, nameIn } from "./routes.ts";
import type { Asked, RegistryParts, RouteRow, Told } from "./routes.ts";
import { hashToken, makeToken } from "./tokens.ts";
import { nodesAfter } from "./waits.ts";

async function status(_: Asked, parts: RegistryParts): Promise<Told> {
  const { store, zone } = parts;
  const head = await zone.fresh();
  const [clusters, nodes] = await Promise.all([store.clusters(), store.nodes()]);
  const body: RegistryStatus = {
    zone: parts.zoneName,
    epoch: head.epoch,
    generation: head.generation,
    zone_hash: head.zoneHash,
    records: head.recordCount,
    store: store.kind,
    reconciles: parts.reconciles(),
    nodes: nodes.filter((one) => !one.revoked).length,
    clusters: clusters.map(({ name, roles }) => ({ name, roles })),
  };
  return { status: 200, body };
}

const nodesQuery = z.object({
  generation: z
    .string("expected one whole number")
    .regex(/^[0-9]{1,15}$/, "expected a whole number")
    .transform(Number)
    .default(0),
  wait: waitWord.default(0),
});

async function listNodes(asked: Asked, parts: RegistryParts): Promise<Told> {
  const { store, zone, clock } = parts;
  const { generation, wait } = checked(nodesQuery, asked.query);
  const done = await turnToWait(parts);
  try {
    const signal = asked.signal();
    const all = await nodesAfter(store, generation, wait * 1000, { clock, signal });
    const head = await zone.fresh();
    const now = clock.now();
    const views = all.map((one) => nodeViewOf(one, now));
    const body: NodesReply = { generation: head.generation, epoch: head.epoch, nodes: views };
    return { status: 200, body };
  } finally {
    done();
  }
}

async function turnToWait({ waiters }: RegistryParts): Promise<() => void> {
  try {
    return await waiters.take();
  } catch (error) {
    if (!(error instanceof TurnsError)) throw error;
    throw new RequestProblemError(503, "Too Many Wait", "as many requests as may wait do already");
  }
}

async function addNode(asked: Asked, { store, tokens }: RegistryParts): Promise<Told> {
  const keys = checked(nodeKeys, asked.body);
  const token = makeToken("node");
  const { id, name } = await store.addNode(keys, hashToken(token));
  tokens.forget(id);
  await tellClustersOn(name, store);
  const body: NewNode = { id, name, token };
  return { status: 201, body };
}

/** The address of a node stands in for those of its members that have none. */
async function tellClustersOn(node: string, store: RegistryParts["store"]): Promise<void> {
  const clusters = await store.clusters();
  const touched = clusters.filter(({ members }) => members.some((one) => one.node === node));
  for (const { name } of touched) await store.publish("clusters", name);
}

async function revokeNode(asked: Asked, { store, clock }: RegistryParts): Promise<Told> {
  const id = idIn(asked, "id");
  if ((await store.node(id)) === undefined) {
    const known = await store.nodes();
    const ids = known.map((one) => String(one.id));
    throw noSuch("node", String(id), ids);
  }
  await store.revokeNode(id);
  const node = await store.node(id);
  if (node === undefined) throw noSuch("node", String(id), []);
  await tellClustersOn(node.name, store);
  return { status: 200, body: nodeViewOf(node, clock.now()) };
}

const outsideOwner = z.enum(outsideOwners, {
  error: `owner: expected one of ${outsideOwners.join(", ")}`,
});

async function putRecords(asked: Asked, { store }: RegistryParts): Promise<Told> {
  const kind = checked(outsideOwner, nameIn(asked, "kind"));
  const owner = { kind, id: idIn(asked, "id") };
  const { records } = checked(ownerKeys, asked.body);
  const { head, changed } = await store.putEndpoints([{ owner, drafts: records }]);
  const body: OwnerReply = { generation: head.generation, epoch: head.epoch, changed };
  return { status: 200, body };
}

async function dnsStatus(_: Asked, { store, zone, clock }: RegistryParts): Promise<Told> {
  const [head, all] = [await zone.fresh(), await store.nodes()];
  return { status: 200, body: dnsStatusOf(all, head.recordCount, clock.now()) };
}

/** The routes of the state, the nodes and the records. */
export const stateRoutes: readonly RouteRow[] = [
  { method: "get", path: "/api/status", who: "admin", answer: status },
  { method: "get", path: "/api/cluster/dns/status", who: "admin", answer: dnsStatus },
  { method: "get", path: "/api/nodes", who: "admin", answer: listNodes },
  { method: "post", path: "/api/nodes", who: "admin", answer: addNode },
  { method: "delete", path: "/api/nodes/:id", who: "admin", answer: revokeNode },
  { method: "put", path: "/api/records/:kind/:id", who: "admin", answer: putRecords },
];
