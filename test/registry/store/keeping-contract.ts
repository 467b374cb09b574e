/** What every store promises of clusters, nodes, tokens, notices, the lead, and of its next opening. */
import type { Test } from "tap";
import { eventually } from "../../../kit/clock.ts";
import type { ClusterKeys, MemberKeys } from "../../../registry/contract.ts";
import type { RegistryStore } from "../../../registry/store/store.ts";
import { address } from "./stores.ts";
import type { NewPlace, Open } from "./stores.ts";

const wait = { deadlineMs: 5000, intervalMs: 10 };

function memberKeys(name: string, ordinal: number, address = `10.0.0.${ordinal}`): MemberKeys {
  return {
    name,
    ordinal,
    address,
    port: 5432,
    node: null,
    published_port: null,
  };
}

const cluster: ClusterKeys = {
  name: "db",
  source: { kind: "none" },
  lag_bytes: 1024,
  members: [memberKeys("dal-01", 1), memberKeys("chi-02", 2)],
};

/** Runs the promises about what is kept against stores at new places. */
export function keepingContract(t: Test, newPlace: NewPlace): void {
  const withStore = async (t: Test, work: (store: RegistryStore, open: Open) => Promise<void>) => {
    const open = await newPlace(t);
    const store = await open();
    try {
      await work(store, open);
    } finally {
      await store.close();
    }
  };

  t.test("clusters and members come, change and go with their records", (t) =>
    withStore(t, async (store) => {
      const made = await store.createCluster(cluster);
      t.match(made, { ...cluster, roles: { outcome: "unknown", primary: null } });
      t.same(await store.cluster("db"), made);
      const other = await store.createCluster({ ...cluster, name: "a", members: [] });
      t.same(
        (await store.clusters()).map(({ name, members }) => [name, members.length]),
        [
          ["a", 0],
          ["db", 2],
        ],
      );
      const added = await store.addMember("a", memberKeys("dal-01", 1));
      t.match(added, memberKeys("dal-01", 1), "the same member name in another cluster");
      const moved = await store.updateMember("db", "chi-02", memberKeys("chi-03", 3));
      t.equal(moved.id, made.members[1]?.id, "a member that is renamed stays itself");
      const source = {
        kind: "probe",
        user: "u",
        password_file: "/p",
        database: "postgres",
      } as const;
      const probe = { ...source, tls: "disable", interval_ms: 1000 } as const;
      t.match(await store.updateCluster("db", { source: probe, lag_bytes: null }), {
        source: probe,
        lag_bytes: null,
        members: [{ name: "dal-01" }, { name: "chi-03" }],
      });
      const roles = { ...made.roles, outcome: "published", primary: "dal-01" } as const;
      await store.putRoles(made.id, roles);
      t.same((await store.cluster("db"))?.roles, roles);

      const owned = (id: number, ip: string) => ({
        owner: { kind: "service_member", id } as const,
        drafts: [address("x", ip)],
      });
      const [one, two] = made.members.map(({ id }) => id) as [number, number];
      await store.putEndpoints([
        ...[owned(one, "10.0.0.1"), owned(two, "10.0.0.2"), owned(added.id, "10.0.0.3")],
        { owner: { kind: "service_role", id: made.id }, drafts: [address("y", "10.0.0.1")] },
      ]);
      t.match(await store.removeMember("db", "chi-03"), { changed: true, head: { generation: 2 } });
      t.match(await store.deleteCluster("db"), { changed: true, head: { generation: 3 } });
      t.match(await store.deleteCluster("a"), { changed: true, head: { recordCount: 0 } });
      t.not(
        other.id,
        (await store.createCluster({ ...cluster, name: "a" })).id,
        "ids are not reused",
      );
    }),
  );

  t.test("twins and strangers are refused, and nothing is half applied", (t) =>
    withStore(t, async (store) => {
      await store.createCluster(cluster);
      const before = await store.clusters();
      const twice = [memberKeys("dal-01", 1), memberKeys("chi-02", 1)];
      const keys = memberKeys("dal-03", 3);
      const refused: [string, "CONFLICT" | "MISSING", () => Promise<unknown>][] = [
        ["a cluster's name", "CONFLICT", () => store.createCluster({ ...cluster, members: [] })],
        [
          "an ordinal in a new cluster",
          "CONFLICT",
          () => store.createCluster({ ...cluster, name: "b", members: twice }),
        ],
        ["a member's name", "CONFLICT", () => store.addMember("db", memberKeys("dal-01", 9))],
        ["an ordinal", "CONFLICT", () => store.addMember("db", memberKeys("x", 2))],
        [
          "another's ordinal",
          "CONFLICT",
          () => store.updateMember("db", "dal-01", memberKeys("dal-01", 2)),
        ],
        [
          "another's name",
          "CONFLICT",
          () => store.updateMember("db", "dal-01", memberKeys("chi-02", 1)),
        ],
        [
          "another's address and port",
          "CONFLICT",
          () => store.updateMember("db", "chi-02", memberKeys("chi-02", 2, "10.0.0.1")),
        ],
        [
          "the same in a new cluster",
          "CONFLICT",
          () =>
            store.createCluster({
              ...cluster,
              name: "b",
              members: [memberKeys("dal-01", 1, "fd00::1"), memberKeys("chi-02", 2, "FD00:0::1")],
            }),
        ],
        ["a cluster to add to", "MISSING", () => store.addMember("none", keys)],
        ["a member to change", "MISSING", () => store.updateMember("db", "none", keys)],
        ["a member to remove", "MISSING", () => store.removeMember("db", "none")],
        ["a cluster to change", "MISSING", () => store.updateCluster("none", cluster)],
        ["a cluster to delete", "MISSING", () => store.deleteCluster("none")],
        ["a node to revoke", "MISSING", () => store.revokeNode(9)],
        [
          "a node that acknowledges",
          "MISSING",
          () => store.acknowledge(9, { generation: 0, recordCount: null, errors: [] }),
        ],
      ];
      for (const [name, code, ask] of refused) {
        await t.rejects(ask(), { code: `ERR_REGISTRY_${code}` }, name);
        t.same(await store.clusters(), before, `${name}: nothing changed`);
      }
    }),
  );

  t.test("nodes acknowledge, and keep the higher generation", (t) =>
    withStore(t, async (store) => {
      const nodes = await Promise.all(
        ["n1", "n2", "n3"].map((name) => store.addNode({ name, address: null }, `hash of ${name}`)),
      );
      const [n1, n2] = nodes.map(({ id }) => id) as [number, number];
      t.match(await store.node(n1), { tokenHash: /^hash of n/, revoked: false, appliedAt: null });
      const ack = (id: number, generation: number, errors: string[] = []) =>
        store.acknowledge(id, { generation, recordCount: generation * 2, errors });
      const first = await ack(n1, 0);
      t.type(first.appliedAt, "string", "generation 0 is acknowledged too");
      const higher = await ack(n1, 5, ["skipped one"]);
      t.match(higher, { appliedGeneration: 5, recordCount: 10, errors: ["skipped one"] });
      const lower = await ack(n1, 3);
      t.match(lower, { appliedGeneration: 5, appliedAt: higher.appliedAt, errors: [] });
      const storm = await Promise.allSettled(
        Array.from({ length: 300 }, (_, at) => ack(at % 10 === 9 ? 999 : n2, at)),
      );
      t.equal(storm.filter(({ status }) => status === "rejected").length, 30, "the unknown, alone");
      t.match(await store.node(n2), { appliedGeneration: 298 });
      await store.revokeNode(n1);
      t.match(await store.node(n1), { revoked: true });
      const again = await store.addNode({ name: "n1", address: "10.0.0.9" }, "new");
      t.match(again, { name: "n1", address: "10.0.0.9", appliedGeneration: 0 });
      await t.rejects(store.addNode({ name: "n1", address: null }, "x"), {
        code: "ERR_REGISTRY_CONFLICT",
      });
      t.equal((await store.nodes()).length, 4);
      t.equal(await store.node(999), undefined);
    }),
  );

  t.test("a change is told at once, and nothing is told of what was not done", (t) =>
    withStore(t, async (store) => {
      const heard: string[] = [];
      const ends = (["generation", "acks", "clusters", "nodes", "reconcile"] as const).map(
        (topic) => store.subscribe(topic, (payload) => heard.push(`${topic} ${payload}`)),
      );
      const told = async (): Promise<string[]> => {
        await Promise.resolve();
        return heard.splice(0);
      };
      const owner = { kind: "static", id: 1 } as const;
      await store.putEndpoints([{ owner, drafts: [address("x", "10.0.0.1")] }]);
      t.same(await told(), ["generation 1"]);
      await store.putEndpoints([{ owner, drafts: [address("x", "10.0.0.1")] }]);
      await t.rejects(store.putEndpoints([{ owner, drafts: [address("x", "none")] }]));
      t.same(await told(), []);
      await store.createCluster(cluster);
      await t.rejects(store.createCluster(cluster));
      t.same(await told(), ["clusters db"]);
      const { id } = await store.addNode({ name: "n", address: null }, "hash");
      await store.acknowledge(id, { generation: 1, recordCount: 1, errors: [] });
      await store.revokeNode(id);
      t.same(await told(), [`nodes ${id}`, `acks ${id}`, `nodes ${id}`, `acks ${id}`]);
      await store.publish("reconcile", "{}");
      t.same(await told(), ["reconcile {}"]);
      for (const end of ends) end();
      await store.publish("reconcile", "{}");
      t.same(await told(), [], "who does not listen any more hears nothing");
    }),
  );

  t.test("one has the lead; whoever gives up waiting does not get it", (t) =>
    withStore(t, async (store) => {
      const never = new AbortController();
      const first = await store.lead(never.signal);
      const impatient = new AbortController();
      const given = store.lead(impatient.signal);
      impatient.abort(new Error("no more"));
      await t.rejects(given, { message: "no more" });
      let has = false;
      const second = store.lead(never.signal).then((lead) => {
        has = true;
        return lead;
      });
      await store.head();
      t.notOk(has, "the second waits");
      t.notOk(first.lost.aborted);
      await first.release();
      const lead = await second;
      await store.close();
      await eventually("the lead to be lost", wait, () => lead.lost.aborted || undefined);
      await t.rejects(store.head(), { code: "ERR_REGISTRY_STORE" }, "a closed store says so");
    }),
  );

  t.test("who has lost the lead writes nothing any more, whatever it believes", (t) =>
    withStore(t, async (store, open) => {
      const never = new AbortController().signal;
      const { id, roles } = await store.createCluster(cluster);
      const owner = { kind: "service_role", id } as const;
      const put = (ip: string, term?: number) =>
        store.putEndpoints([{ owner, drafts: [address("primary.db", ip)] }], term);
      const published = (primary: string) => ({ ...roles, outcome: "published", primary }) as const;
      const first = await store.lead(never);
      t.match(await put("10.0.0.1", first.term), { changed: true });
      await store.putRoles(id, published("dal-01"), first.term);
      await first.release();

      const second = await store.lead(never);
      t.ok(second.term > first.term, "each lead has a higher term");
      const before = [await store.snapshot(), await store.cluster("db")];
      const lost = { code: "ERR_REGISTRY_LEAD_LOST", term: first.term };
      await t.rejects(put("10.0.0.2", first.term), lost);
      await t.rejects(put("10.0.0.1", first.term), lost, "also what would change nothing");
      await t.rejects(store.putRoles(id, published("chi-02"), first.term), lost);
      t.same([await store.snapshot(), await store.cluster("db")], before, "nothing is written");
      t.match(await put("10.0.0.2", second.term), { changed: true });
      await store.putRoles(id, published("chi-02"), second.term);
      t.match(await put("10.0.0.3"), { changed: true }, "who writes under no lead is not asked");

      await store.close();
      const again = await open();
      try {
        const third = await again.lead(never);
        t.ok(third.term > second.term, "the term outlives the process");
        await third.release();
      } finally {
        await again.close();
      }
    }),
  );

  t.test("what was kept is there when it is opened again, and only for its own zone", (t) =>
    withStore(t, async (store, open) => {
      t.equal(await store.hasAdminToken(), false);
      await store.addAdminToken("a hash");
      await store.addAdminToken("a hash");
      await store.createCluster(cluster);
      const owner = { kind: "static", id: 1 } as const;
      const { head } = await store.putEndpoints([{ owner, drafts: [address("x", "10.0.0.1")] }]);
      await store.close();
      await t.rejects(open({ zone: "other.local" }), { code: "ERR_REGISTRY_SCHEMA" });
      const again = await open();
      try {
        t.same(await again.head(), head, "epoch, generation and hash");
        t.same(
          (await again.clusters()).map(({ name }) => name),
          ["db"],
        );
        t.equal(await again.isAdminToken("a hash"), true);
        t.equal(await again.isAdminToken("another"), false);
        t.equal(await again.hasAdminToken(), true);
      } finally {
        await again.close();
      }
    }),
  );
}
