/** A real registry over real sockets: the published contract of agents, long polls, and bad input. */
import { request } from "node:http";
import { connect } from "node:net";
import t from "tap";
import type { Test } from "tap";
import { eventually } from "../../kit/clock.ts";
import { formatHash, hashOf } from "../../kit/zone-hash.ts";
import {
  addNode,
  createCluster,
  deleteCluster,
  putRecords,
  revokeNode,
} from "../../registry/admin.ts";
import {
  acknowledge,
  fetchChanges,
  fetchCluster,
  fetchNodes,
  fetchStatus,
  reconcile,
} from "../../registry/client.ts";
import type { ChangesReply } from "../../registry/contract.ts";
import { ask } from "../support/health-process.ts";
import { registryRig } from "../support/registry.ts";

const soon = { deadlineMs: 30_000, intervalMs: 10 };
const rig = await registryRig(t, "127.83.0.1");
const { admin } = rig;
const first = await rig.node("app-01");

const record = (fqdn: string, address: string, ttl = 30) => ({
  fqdn: `${fqdn}.temps.local`,
  record_type: "A" as const,
  target_ip: address,
  ttl,
});
const owner = { kind: "static", id: 1 } as const;

interface Said {
  readonly status: number;
  readonly type: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Asks anything at all, as any token. */
async function say(
  path: string,
  options: { method?: string; token?: string; header?: string; body?: string; type?: string } = {},
): Promise<Said> {
  const { method = "GET", token, body = "", type = "application/json" } = options;
  const authorization = options.header ?? (token === undefined ? undefined : `Bearer ${token}`);
  const { promise, resolve, reject } = Promise.withResolvers<Said>();
  const asked = request(
    {
      ...rig.address,
      path,
      method,
      agent: false,
      headers: {
        ...(authorization === undefined ? {} : { Authorization: authorization }),
        ...(body === "" ? {} : { "Content-Type": type }),
      },
    },
    (reply) => {
      let text = "";
      reply.setEncoding("utf8");
      reply.on("data", (chunk: string) => (text += chunk));
      reply.on("end", () => {
        const contentType = reply.headers["content-type"] ?? "";
        const parsed = contentType.includes("json") ? (JSON.parse(text) as Said["body"]) : {};
        resolve({
          status: reply.statusCode ?? 0,
          type: contentType,
          headers: reply.headers,
          body: parsed,
        });
      });
    },
  );
  asked.on("error", reject);
  asked.end(body);
  return await promise;
}

/** Passes when `asked` rejects with an error that matches. */
async function refused(t: Test, asked: Promise<unknown>, want: object): Promise<void> {
  const error = await asked.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  t.match(error, want);
}

const held = async (): Promise<number> => {
  const { text } = await ask(rig.address, "/metrics");
  return Number(/^switchyard_registry_polls_held (\d+)$/m.exec(text)?.[1]);
};
const untilHeld = async (count: number): Promise<void> => {
  await eventually(`${count} polls are held`, soon, async () =>
    (await held()) === count ? true : undefined,
  );
};

await t.test("changes, as the published contract has them", async (t) => {
  const { id, target } = first;
  const empty = await fetchChanges(target, id, { since: 0 });
  t.match(empty, { generation: 0, full_snapshot: true, records: [], removed_ids: [] });
  const put = await putRecords(admin, owner, [record("a", "10.0.0.1"), record("b", "10.0.0.2")]);
  t.match(put, { generation: 1, changed: true });
  const all = await fetchChanges(target, id, { since: 0 });
  t.equal(all.full_snapshot, true);
  t.equal(all.zone_hash, formatHash(hashOf(all.records)));
  t.match(all.records, [
    { fqdn: "a.temps.local", record_type: "A", target_ip: "10.0.0.1", target_port: null, ttl: 30 },
    { fqdn: "b.temps.local", owner_kind: "static", owner_id: 1, node_id: null, generation: 1 },
  ]);
  const again = await putRecords(admin, owner, [record("b", "10.0.0.2"), record("a", "10.0.0.1")]);
  t.match(again, { generation: 1, changed: false }, "what changes nothing bumps nothing");
  await putRecords(admin, owner, [record("b", "10.0.0.2"), record("c", "10.0.0.3")]);
  const diff = await fetchChanges(target, id, { since: 1, epoch: all.epoch });
  t.match(diff, { generation: 2, full_snapshot: false, records: [{ fqdn: "c.temps.local" }] });
  t.same(diff.removed_ids, [all.records[0]?.id]);
  t.equal(diff.records.length, 1);
  const same = await fetchChanges(target, id, { since: 2, epoch: all.epoch, hash: diff.zone_hash });
  t.match(same, { generation: 2, full_snapshot: false, records: [], removed_ids: [] });

  const resyncs = [
    { name: "another epoch", query: { since: 2, epoch: "another" } },
    { name: "a store that lies behind", query: { since: 3 } },
    { name: "another zone", query: { since: 2, hash: all.zone_hash } },
  ];
  for (const { name, query } of resyncs) {
    const reply = await fetchChanges(target, id, query);
    t.match(reply, { generation: 2, full_snapshot: true, records: { length: 2 } }, name);
  }
});

await t.test("acknowledgements", async (t) => {
  const { id, target } = first;
  const { epoch, zone_hash } = await fetchChanges(target, id, { since: 2 });
  const reply = await acknowledge(target, id, { applied_generation: 2 });
  t.same(reply, { node_id: id, applied_generation: 2, server_generation: 2 });
  const back = await acknowledge(target, id, { applied_generation: 1 });
  t.equal(back.applied_generation, 2, "the higher one stays");
  await refused(t, acknowledge(target, id, { applied_generation: 9 }), {
    status: 400,
    title: "ACK Generation Out Of Range",
    detail: `ACK rejected: node ${id} tried to ACK generation 9 but only 2 has been issued`,
  });
  await refused(t, acknowledge(target, id, { applied_generation: 2, epoch: "another" }), {
    status: 409,
  });
  const health = async () => (await fetchNodes(admin)).nodes.find((one) => one.id === id);
  t.match(await health(), { health: "healthy", applied_generation: 2 });
  await acknowledge(target, id, { applied_generation: 2, epoch, zone_hash: "0".repeat(64) });
  t.match(await health(), { health: "degraded", errors: [/differs/] });
  await acknowledge(target, id, { applied_generation: 2, epoch, zone_hash, record_count: 2 });
  t.match(await health(), { health: "healthy", errors: [], record_count: 2 });
});

await t.test("a poll is held until there is news", async (t) => {
  const { id, target } = first;
  const { generation, epoch } = await fetchChanges(target, id, { since: 2 });
  let answered = false;
  const poll = fetchChanges(target, id, { since: generation, epoch, waitS: 40 });
  void poll.then(() => (answered = true));
  await untilHeld(1);
  t.equal(answered, false);
  await putRecords(admin, owner, [record("d", "10.0.0.4")]);
  t.match(await poll, { generation: generation + 1, records: [{ fqdn: "d.temps.local" }] });
  t.equal(await held(), 0);

  const over = await fetchChanges(target, id, { since: generation + 1, waitS: 1 });
  t.match(over, { generation: generation + 1, full_snapshot: false, records: [] }, "or over");

  const hungUp = connect({ ...rig.address });
  const path = `/api/internal/nodes/${id}/dns/changes?since=${generation + 1}&wait=50`;
  hungUp.write(
    `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${target.token()}\r\n\r\n`,
  );
  await untilHeld(1);
  hungUp.destroy();
  await untilHeld(0);
});

await t.test("many polls are told the same at once", async (t) => {
  const { generation, epoch } = await fetchChanges(first.target, first.id, { since: 0 });
  const nodes: (typeof first)[] = [];
  // One after the other: each is synced to the disk, and a request has a deadline.
  for (let at = 0; at < 100; at += 1) nodes.push(await rig.node(`crowd-${at}`));
  const polls = [...nodes, ...nodes, ...nodes, ...nodes].map(({ id, target }) =>
    fetchChanges(target, id, { since: generation, epoch, waitS: 50 }),
  );
  await untilHeld(400);
  await putRecords(admin, owner, [record("e", "10.0.0.5", 5)]);
  const told = await Promise.all(polls);
  t.equal(new Set(told.map((one) => JSON.stringify(one))).size, 1);
  t.match(told[0], { generation: generation + 1, records: [{ ttl: 5 }] });
});

await t.test("a node that polls without end takes nobody's place", async (t) => {
  const { generation, epoch } = await fetchChanges(first.target, first.id, { since: 0 });
  const poll = ({ id, target }: typeof first) =>
    fetchChanges(target, id, { since: generation, epoch, waitS: 50 });
  const polls = [poll(await rig.node("quiet"))];
  await untilHeld(1);
  for (let at = 1; at <= 8; at += 1) {
    polls.push(poll(first));
    if (at <= 4) await untilHeld(at + 1);
    else t.match(await polls[at - 4], { generation, records: [] }, "its oldest makes room");
  }
  t.equal(await held(), 5, "four of its own, and the other's");
  await putRecords(admin, owner, [record("g", "10.0.0.7")]);
  for (const at of [0, 5, 6, 7, 8]) t.match(await polls[at], { generation: generation + 1 });
});

await t.test("who may ask what", async (t) => {
  const second = await rig.node("app-02");
  const path = `/api/internal/nodes/${first.id}/dns/changes`;
  const nobodys = `/api/internal/nodes/999/dns/changes`;
  const token = first.target.token();
  const cases = [
    { name: "no token", path, want: [401, "Missing Authorization"] },
    { name: "no token, no node", path: nobodys, want: [401, "Missing Authorization"] },
    { name: "another scheme", path, header: "Basic eDp5", want: [401, "Invalid Authorization"] },
    { name: "a long token", path, token: "x".repeat(257), want: [401, "Invalid Authorization"] },
    { name: "a wrong token", path, token: "wrong", want: [401, "Invalid Token"] },
    { name: "a wrong token, no node", path: nobodys, token: "wrong", want: [401, "Invalid Token"] },
    { name: "another node's", path, token: second.target.token(), want: [401, "Invalid Token"] },
    { name: "a node's, no node", path: nobodys, token, want: [401, "Invalid Token"] },
    { name: "an admin's, no node", path: nobodys, token: rig.token, want: [404, "Node Not Found"] },
    { name: "an admin's", path, token: rig.token, want: [403, "Not This Node"] },
    { name: "a node's, as admin", path: "/api/status", token, want: [401, "Invalid Token"] },
    { name: "none, as admin", path: "/api/nodes", want: [401, "Missing Authorization"] },
    { name: "no such path", path: "/api/nonsense", want: [404, "Not Found"] },
    { name: "a stroke too many", path: "/api/status/", token: rig.token, want: [404, "Not Found"] },
    {
      name: "no such method",
      path: "/api/status",
      method: "PATCH",
      want: [405, "Method Not Allowed"],
    },
    {
      name: "an escape that is none",
      path: "/api/clusters/%zz",
      token: rig.token,
      want: [400, "Bad Request"],
    },
    { name: "no number", path: `${path}?since=x`, token, want: [400, "Validation Error"] },
    {
      name: "two numbers",
      path: `${path}?since=1&since=2`,
      token,
      want: [400, "Validation Error"],
    },
    {
      name: "a wait that is none",
      path: `${path}?wait=-1`,
      token,
      want: [400, "Validation Error"],
    },
  ];
  for (const { name, want, ...rest } of cases) {
    const said = await say(rest.path, rest);
    t.same([said.status, said.body["title"]], want, name);
    t.match(said.type, /^application\/problem\+json/, name);
    t.equal(said.body["status"], said.status);
  }
  const denied = await say(path);
  t.equal(denied.headers["www-authenticate"], "Bearer");
  t.notOk(denied.headers["x-powered-by"]);

  await t.test("a revoked node is nobody, at once", async (t) => {
    const { id, target } = second;
    const { generation, epoch } = await fetchChanges(target, id, { since: 0 });
    const poll = fetchChanges(target, id, { since: generation, epoch, waitS: 50 });
    const ended = refused(t, poll, { code: "ERR_REGISTRY_DENIED", status: 401 });
    await untilHeld(1);
    t.match(await revokeNode(admin, id), { revoked: true });
    await ended;
    await t.rejects(fetchChanges(target, id, { since: 0 }), { code: "ERR_REGISTRY_DENIED" });
    await refused(t, acknowledge(target, id, { applied_generation: 0 }), { status: 401 });
  });
});

await t.test("what cannot be is told, and nothing of it is done", async (t) => {
  const none = { kind: "none" };
  await createCluster(admin, {
    name: "mydb",
    source: { kind: "none" },
    members: [{ name: "dal-01", ordinal: 1, address: "10.1.0.1" }],
  });
  await reconcile(admin, "mydb");
  const before = await fetchStatus(admin);
  const shown = await fetchCluster(admin, "mydb");
  const good = record("x", "10.0.0.9");
  const records = (...list: object[]) => ({ records: [good, ...list] });
  const members = (...list: object[]) => ({ name: "new", source: none, members: list });
  const cases = [
    {
      name: "outside the zone",
      path: "records/static/2",
      body: records({ ...good, fqdn: "x.example.com" }),
      want: [400, /x\.example\.com/],
    },
    {
      name: "a bad address",
      path: "records/static/2",
      body: records({ ...good, target_ip: "10.0.0.300" }),
      want: [400, /10\.0\.0\.300/],
    },
    {
      name: "another family",
      path: "records/static/2",
      body: records({ ...good, target_ip: "fd00::1" }),
      want: [400, /fd00::1/],
    },
    {
      name: "a TTL of 0",
      path: "records/static/2",
      body: records({ ...good, fqdn: "y.temps.local", ttl: 0 }),
      want: [400, /ttl/i],
    },
    {
      name: "a TTL of years",
      path: "records/static/2",
      body: records({ ...good, fqdn: "y.temps.local", ttl: 99_999_999 }),
      want: [400, /ttl/i],
    },
    {
      name: "an owner that is a cluster's",
      path: "records/service_role/1",
      body: records(),
      want: [400, /owner/],
    },
    { name: "no JSON", path: "clusters", method: "POST", text: "{", want: [400, /not JSON/] },
    {
      name: "another type",
      path: "clusters",
      method: "POST",
      text: "{}",
      type: "text/plain",
      want: [400, /Content-Type/],
    },
    {
      name: "a long body",
      path: "clusters",
      method: "POST",
      text: JSON.stringify("x".repeat(3e6)),
      want: [413, /longer/],
    },
    {
      name: "a taken name",
      path: "clusters",
      method: "POST",
      body: { name: "mydb", source: none },
      want: [409, /mydb/],
    },
    {
      name: "an ordinal twice",
      path: "clusters",
      method: "POST",
      body: members({ name: "a", ordinal: 1 }, { name: "b", ordinal: 1 }),
      want: [409, /ordinal/],
    },
    {
      name: "a member twice",
      path: "clusters",
      method: "POST",
      body: members({ name: "a", ordinal: 1 }, { name: "a", ordinal: 2 }),
      want: [409, /a/],
    },
    {
      name: "a taken ordinal",
      path: "clusters/mydb/members",
      method: "POST",
      body: { name: "chi-02", ordinal: 1 },
      want: [409, /ordinal/],
    },
    {
      name: "a bad member's address",
      path: "clusters/mydb/members",
      method: "POST",
      body: { name: "chi-02", ordinal: 2, address: "db.example.com" },
      want: [400, /address/],
    },
    {
      name: "an unknown cluster",
      path: "clusters/mydc",
      method: "PUT",
      body: { source: none },
      want: [404, /did you mean mydb/],
    },
    {
      name: "an unknown cluster's look",
      path: "clusters/mydc/reconcile",
      method: "POST",
      want: [404, /did you mean mydb/],
    },
    {
      name: "an unknown member",
      path: "clusters/mydb/members/dal-1",
      method: "DELETE",
      want: [404, /did you mean dal-01/],
    },
    {
      name: "a source without its keys",
      path: "clusters/mydb",
      method: "PUT",
      body: { source: { kind: "probe" } },
      want: [400, /source\.user/],
    },
    {
      name: "a taken node",
      path: "nodes",
      method: "POST",
      body: { name: "app-01" },
      want: [409, /app-01/],
    },
    { name: "an unknown node", path: "nodes/999", method: "DELETE", want: [404, /999/] },
  ] as const;
  for (const one of cases) {
    const { name, path, want } = one;
    const method = "method" in one ? one.method : "PUT";
    const body = "text" in one ? one.text : "body" in one ? JSON.stringify(one.body) : "";
    const type = "type" in one ? { type: one.type } : {};
    const said = await say(`/api/${path}`, { method, token: rig.token, body, ...type });
    t.equal(said.status, want[0], name);
    t.match(said.body["detail"], want[1], name);
  }
  const after = await fetchStatus(admin);
  t.equal(after.generation, before.generation);
  t.equal(after.zone_hash, before.zone_hash);
  t.same(after.clusters, before.clusters);
  t.same((await fetchCluster(admin, "mydb")).members, shown.members);
  await deleteCluster(admin, "mydb");
  await refused(t, fetchCluster(admin, "mydb"), { status: 404, code: "ERR_REGISTRY_REQUEST" });
});

await t.test("waits until every live node has a generation", async (t) => {
  const { id, target } = await rig.node("app-03");
  const ackAll = async (generation: number): Promise<void> => {
    for (const one of [first, { id, target }]) {
      await acknowledge(one.target, one.id, { applied_generation: generation });
    }
  };
  const { generation } = await fetchStatus(admin);
  await ackAll(generation);
  await putRecords(admin, owner, [record("f", "10.0.0.6")]);
  let isOver = false;
  const waiting = fetchNodes(admin, { generation: generation + 1, waitS: 40 });
  void waiting.then(() => (isOver = true));
  await acknowledge(first.target, first.id, { applied_generation: generation + 1 });
  t.equal((await fetchNodes(admin)).generation, generation + 1);
  t.equal(isOver, false, "one has not");
  await acknowledge(target, id, { applied_generation: generation + 1 });
  const { nodes } = await waiting;
  const live = nodes.filter((one) => one.health === "healthy");
  t.same(
    live.map((one) => one.applied_generation),
    [generation + 1, generation + 1],
  );
  const behind = await fetchNodes(admin, { generation: generation + 2, waitS: 1 });
  t.equal(behind.generation, generation + 1, "or until the wait is over");
});

await t.test("in the words that Temps publishes", async (t) => {
  const { body } = await say("/api/cluster/dns/status", { token: rig.token });
  t.match(body, { cluster_dns_enabled: true, total_record_count: 1 });
  t.match((body["nodes"] as object[])[0], {
    node_id: first.id,
    node_name: "app-01",
    node_status: "active",
    dns_resolver_running: true,
    dns_resolver_consecutive_failures: 0,
  });
});

await t.test("metrics", async (t) => {
  const { text } = await ask(rig.address, "/metrics");
  for (const name of ["generation", "records", "polls_held", "reconciles", "requests_total"]) {
    t.match(text, new RegExp(`^switchyard_registry_${name}\\b`, "m"), name);
  }
  t.match(text, /^switchyard_registry_node_lag_generations\{node="app-01"\} 0$/m);
});

await t.test("when it is asked to stop, polls end as unchanged, at once", async (t) => {
  const { id, target } = first;
  const { generation, epoch } = await fetchChanges(target, id, { since: 0 });
  const polls: Promise<ChangesReply>[] = Array.from({ length: 3 }, () =>
    fetchChanges(target, id, { since: generation, epoch, waitS: 50 }),
  );
  await untilHeld(3);
  t.equal(await rig.stop(), 0, rig.output());
  for (const one of await Promise.all(polls)) t.match(one, { generation, records: [] });
  await t.rejects(addNode(admin, { name: "late" }), { code: "ERR_REGISTRY_UNREACHABLE" });
});
