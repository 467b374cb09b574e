/** Which answer an agent gets, how an acknowledgement counts, and how a node is shown: tables. */
import t from "tap";
import {
  answerKind,
  dnsStatusOf,
  isAcknowledged,
  judgeAck,
  nodeViewOf,
} from "../../registry/answers.ts";
import { clusterKeys, memberKeys, nodeKeys } from "../../registry/contract.ts";
import { checked, problemOf, RequestProblemError } from "../../registry/problem.ts";
import { ConflictError, EndpointError, StoreError } from "../../registry/store/store.ts";
import type { StoredNode } from "../../registry/store/store.ts";

const head = { epoch: "e1", generation: 7, zoneHash: "aa", recordCount: 3 };
const fresh = { ...head, generation: 0, zoneHash: "00" };

await t.test("what an agent that asks for changes is answered", async (t) => {
  const cases = [
    { name: "none applied", given: { since: 0 }, want: "full" },
    { name: "less than none", given: { since: -3 }, want: "full" },
    { name: "none applied, epoch known", given: { since: 0, epoch: "e1" }, want: "full" },
    { name: "behind", given: { since: 6 }, want: "diff" },
    { name: "behind, same epoch", given: { since: 1, epoch: "e1", hash: "zz" }, want: "diff" },
    { name: "behind, another epoch", given: { since: 6, epoch: "e0" }, want: "full" },
    { name: "the same", given: { since: 7 }, want: "same" },
    { name: "the same in all", given: { since: 7, epoch: "e1", hash: "aa" }, want: "same" },
    { name: "the same, another epoch", given: { since: 7, epoch: "e0" }, want: "full" },
    { name: "the same, another zone", given: { since: 7, hash: "bb" }, want: "full" },
    { name: "ahead: the store was restored", given: { since: 8, epoch: "e1" }, want: "full" },
    { name: "ahead by far", given: { since: 9e18 }, want: "full" },
  ];
  for (const { name, given, want } of cases) t.equal(answerKind(given, head), want, name);
  t.equal(answerKind({ since: 0 }, fresh), "full", "an empty zone is told once");
  t.equal(answerKind({ since: 0, epoch: "e1", hash: "00" }, fresh), "same", "and then waited for");
  t.equal(answerKind({ since: 0, epoch: "e1", hash: "bb" }, fresh), "full");
});

await t.test("how an acknowledgement counts", async (t) => {
  const taken = (generation: number, errors: readonly string[] = []) => ({
    kind: "taken",
    applied: { generation, recordCount: null, errors },
  });
  const cases = [
    { name: "current", given: { applied_generation: 7 }, want: taken(7) },
    { name: "behind", given: { applied_generation: 3, zone_hash: "zz" }, want: taken(3) },
    {
      name: "all told",
      given: { applied_generation: 7, epoch: "e1", zone_hash: "aa" },
      want: taken(7),
    },
    {
      name: "with errors of several lines",
      given: { applied_generation: 7, errors: ["a\nb\u0000c"] },
      want: taken(7, ["a b c"]),
    },
    { name: "not issued", given: { applied_generation: 8 }, want: { kind: "ahead" } },
    {
      name: "another store",
      given: { applied_generation: 7, epoch: "e0" },
      want: { kind: "epoch" },
    },
    {
      name: "another zone",
      given: { applied_generation: 7, zone_hash: "bb", errors: ["x"] },
      want: taken(0, ["its zone differs from the registry's at generation 7", "x"]),
    },
  ];
  for (const { name, given, want } of cases) t.same(judgeAck(given, head), want, name);
});

const now = Date.parse("2026-01-01T00:10:00Z");
const node = (over: Partial<StoredNode>): StoredNode => ({
  id: 1,
  name: "app-01",
  address: null,
  tokenHash: "",
  revoked: false,
  appliedGeneration: 7,
  appliedAt: null,
  lastSyncAt: "2026-01-01T00:09:50Z",
  recordCount: 3,
  errors: [],
  ...over,
});

await t.test("how a node is", async (t) => {
  const cases = [
    { name: "heard of", given: node({}), want: "healthy" },
    { name: "with errors", given: node({ errors: ["x"] }), want: "degraded" },
    { name: "long ago", given: node({ lastSyncAt: "2026-01-01T00:08:59Z" }), want: "stale" },
    { name: "never", given: node({ lastSyncAt: null }), want: "unknown" },
  ];
  for (const { name, given, want } of cases) t.equal(nodeViewOf(given, now).health, want, name);
});

await t.test("for whom a flip waits", async (t) => {
  const behind = { appliedGeneration: 6 };
  const cases = [
    { name: "no node", given: [], want: true },
    { name: "all have it", given: [node({}), node({ id: 2 })], want: true },
    { name: "one is behind", given: [node({}), node({ id: 2, ...behind })], want: false },
    { name: "one that is revoked", given: [node({ ...behind, revoked: true })], want: true },
    {
      name: "one that was never heard of",
      given: [node({ ...behind, lastSyncAt: null })],
      want: true,
    },
    {
      name: "one that is silent",
      given: [node({ ...behind, lastSyncAt: "2026-01-01T00:08:59Z" })],
      want: true,
    },
  ];
  for (const { name, given, want } of cases) t.equal(isAcknowledged(given, 7, now), want, name);
});

await t.test("the nodes as Temps publishes them", async (t) => {
  const told = dnsStatusOf(
    [
      node({}),
      node({ id: 2, lastSyncAt: null, recordCount: null }),
      node({ id: 3, revoked: true }),
    ],
    3,
    now,
  );
  t.same(told, {
    cluster_dns_enabled: true,
    total_record_count: 3,
    nodes: [
      {
        node_id: 1,
        node_name: "app-01",
        node_status: "active",
        dns_resolver_running: true,
        dns_resolver_tasks_alive: true,
        dns_resolver_last_sync_at: "2026-01-01T00:09:50Z",
        seconds_since_last_sync: 10,
        dns_resolver_consecutive_failures: 0,
        dns_resolver_last_error: null,
        dns_resolver_record_count: 3,
      },
      {
        node_id: 2,
        node_name: "app-01",
        node_status: "offline",
        dns_resolver_running: null,
        dns_resolver_tasks_alive: null,
        dns_resolver_last_sync_at: null,
        seconds_since_last_sync: null,
        dns_resolver_consecutive_failures: 0,
        dns_resolver_last_error: null,
        dns_resolver_record_count: null,
      },
    ],
  });
});

await t.test("a body that cannot be is told by its field", async (t) => {
  const none = { kind: "none" };
  const cases = [
    { name: "no JSON", shape: nodeKeys, given: undefined, want: /^the body: expected JSON/ },
    { name: "a list", shape: nodeKeys, given: [], want: /^the body: expected object/ },
    { name: "nothing of it", shape: nodeKeys, given: {}, want: /^name: / },
    {
      name: "an unknown key",
      shape: nodeKeys,
      given: { name: "a", adress: "" },
      want: /^adress: unknown/,
    },
    {
      name: "a bad address",
      shape: nodeKeys,
      given: { name: "a", address: "10.0.0.256" },
      want: /^address: expected an IP/,
    },
    {
      name: "a bad name",
      shape: clusterKeys,
      given: { name: "My_db", source: none },
      want: /^name: expected a DNS label/,
    },
    {
      name: "a bad source",
      shape: clusterKeys,
      given: { name: "a", source: { kind: "dns" } },
      want: /^source\.kind: /,
    },
    {
      name: "a bad member",
      shape: clusterKeys,
      given: { name: "a", source: none, members: [{ name: "b", ordinal: 1, address: "::g" }] },
      want: /^members\.0\.address: expected an IP/,
    },
    {
      name: "a bad port",
      shape: memberKeys,
      given: { name: "a", ordinal: 1, port: 0 },
      want: /^port: /,
    },
  ];
  for (const { name, shape, given, want } of cases) {
    const ask = (): unknown => checked<unknown>(shape, given);
    t.throws(ask, { name: "RequestProblemError", status: 400, title: "Validation Error" }, name);
    t.throws(ask, { message: want }, name);
  }
});

await t.test("what is told of an error", async (t) => {
  const told = (error: unknown): unknown => problemOf(error).told;
  const gone = new RequestProblemError(404, "Not Found", "no cluster");
  t.same(told(gone), { title: "Not Found", status: 404, detail: "no cluster" });
  t.match(told(new ConflictError("twice")), { status: 409, detail: "twice" });
  t.match(told(new EndpointError("ttl: 0")), { status: 400, title: "Validation Error" });
  t.same(
    told(new StoreError("the host 10.0.0.1 says no")),
    { title: "Database Error", status: 500 },
    "our own faults keep their details",
  );
  t.same(told(new TypeError("x of undefined")), { title: "Internal Server Error", status: 500 });
});
