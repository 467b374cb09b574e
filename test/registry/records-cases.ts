/** Which records a cluster has: its tiers, its SRV records, and whom no address is known of. */
import t from "tap";
import type { Test } from "tap";
import type { MemberKeys } from "../../registry/contract.ts";
import { checkDraft } from "../../registry/endpoints.ts";
import { recordsOf } from "../../registry/records.ts";
import type { NodeAddress } from "../../registry/records.ts";
import type { StoredCluster, StoredMember } from "../../registry/store/store.ts";

const zone = "temps.local";

const member = (name: string, ordinal: number, keys: Partial<MemberKeys> = {}): StoredMember => ({
  id: 10 + ordinal,
  name,
  ordinal,
  address: `10.0.0.${ordinal}`,
  port: 5432,
  node: null,
  published_port: null,
  ...keys,
});

const cluster = (members: readonly StoredMember[], name = "db"): StoredCluster => ({
  id: 7,
  name,
  source: { kind: "none" },
  lag_bytes: null,
  members,
  roles: { outcome: "unknown", reasons: [], primary: null, standbys: [], seen_at: null },
});

const nodes: readonly NodeAddress[] = [
  { id: 1, name: "host-1", address: "192.168.0.1", revoked: false },
  { id: 2, name: "host-2", address: null, revoked: false },
  { id: 3, name: "host-3", address: "192.168.0.3", revoked: true },
  { id: 4, name: "host-3", address: "192.168.0.4", revoked: false },
  { id: 5, name: "host-5", address: "192.168.0.5", revoked: true },
];

/** Every record as one line: name ttl type target port, with its owner in front. */
function lines(
  t: Test,
  members: readonly StoredMember[],
  roles: { primary: string | null; standbys: string[] },
  name?: string,
): { records: string[]; leftOut: readonly string[] } {
  const { owned, leftOut } = recordsOf(cluster(members, name), roles, nodes, zone);
  const records = owned.flatMap(({ owner, drafts }) =>
    drafts.map((draft) => {
      t.equal(checkDraft(zone, draft), undefined, `${draft.fqdn} can be published`);
      const { fqdn, ttl, record_type: type, target_ip: target, target_port: port } = draft;
      return `${owner.kind}/${owner.id} ${fqdn} ${ttl} ${type} ${target} ${port} ${draft.node_id ?? "-"}`;
    }),
  );
  return { records, leftOut };
}

t.test("a pair has its members' names, its roles' names and SRV beside each", async (t) => {
  const pair = [member("dal-01", 1), member("chi-02", 2, { address: "fd00::2", port: 5433 })];
  const { records, leftOut } = lines(t, pair, { primary: "dal-01", standbys: ["chi-02"] });
  const one = "db-1.db.temps.local";
  const two = "db-2.db.temps.local";
  t.same(leftOut, []);
  t.same(records, [
    `service_member/11 ${one} 30 A 10.0.0.1 5432 -`,
    `service_member/11 _postgresql._tcp.${one} 30 SRV ${one} 5432 -`,
    `service_member/11 _postgres._tcp.${one} 30 SRV ${one} 5432 -`,
    `service_member/12 ${two} 30 AAAA fd00::2 5433 -`,
    `service_member/12 _postgresql._tcp.${two} 30 SRV ${two} 5433 -`,
    `service_member/12 _postgres._tcp.${two} 30 SRV ${two} 5433 -`,
    "service_role/7 primary.db.temps.local 5 A 10.0.0.1 5432 -",
    `service_role/7 _postgresql._tcp.primary.db.temps.local 5 SRV ${one} 5432 -`,
    `service_role/7 _postgres._tcp.primary.db.temps.local 5 SRV ${one} 5432 -`,
    "service_role/7 replica.db.temps.local 30 AAAA fd00::2 5433 -",
    `service_role/7 _postgresql._tcp.replica.db.temps.local 30 SRV ${two} 5433 -`,
    `service_role/7 _postgres._tcp.replica.db.temps.local 30 SRV ${two} 5433 -`,
    "service_role/7 db.temps.local 30 A 10.0.0.1 5432 -",
    "service_role/7 db.temps.local 30 AAAA fd00::2 5433 -",
    `service_role/7 _postgresql._tcp.db.temps.local 30 SRV ${one} 5432 -`,
    `service_role/7 _postgresql._tcp.db.temps.local 30 SRV ${two} 5433 -`,
    `service_role/7 _postgres._tcp.db.temps.local 30 SRV ${one} 5432 -`,
    `service_role/7 _postgres._tcp.db.temps.local 30 SRV ${two} 5433 -`,
  ]);
});

t.test("members have their names whoever has a role", async (t) => {
  const pair = [member("dal-01", 1), member("chi-02", 2)];
  const { records } = lines(t, pair, { primary: null, standbys: [] });
  t.ok(records.every((line) => line.startsWith("service_member/")));
  t.equal(records.length, 6);
  const gone = lines(t, pair, { primary: "nobody", standbys: ["chi-02", "nobody"] });
  t.equal(gone.records.filter((line) => line.includes("primary.db")).length, 0);
  t.equal(gone.records.filter((line) => / replica\.db\S+ 30 A /.test(line)).length, 1);
});

const places: readonly {
  readonly name: string;
  readonly keys: Partial<MemberKeys>;
  /** The address record of db-1, or why there is none. */
  readonly want: string | RegExp;
}[] = [
  { name: "its overlay address comes first", keys: { node: "host-1" }, want: "10.0.0.1 5432 1" },
  {
    name: "its node's address and published port stand in",
    keys: { address: null, node: "host-1", published_port: 6001 },
    want: "192.168.0.1 6001 1",
  },
  {
    name: "its own port where its node publishes none",
    keys: { address: null, node: "host-1", port: 5499 },
    want: "192.168.0.1 5499 1",
  },
  {
    name: "of two nodes of a name, the one that counts",
    keys: { address: null, node: "host-3" },
    want: "192.168.0.4 5432 4",
  },
  {
    name: "a node without a token is still there",
    keys: { address: null, node: "host-5" },
    want: "192.168.0.5 5432 5",
  },
  { name: "no address at all", keys: { address: null }, want: /neither an address nor a node/ },
  {
    name: "an unknown node",
    keys: { address: null, node: "host-9" },
    want: /its node host-9 is not known/,
  },
  {
    name: "a node without an address",
    keys: { address: null, node: "host-2" },
    want: /neither it nor its node host-2/,
  },
  {
    name: "an address that is everybody's",
    keys: { address: "0.0.0.0" },
    want: /target_ip "0.0.0.0" is not/,
  },
];

t.test("where a member is reached", async (t) => {
  for (const { name, keys, want } of places) {
    const { records, leftOut } = lines(t, [member("dal-01", 1, keys), member("chi-02", 2)], {
      primary: "dal-01",
      standbys: [],
    });
    const own = records.find((line) => / db-1\.db\.temps\.local 30 A/.test(line));
    if (typeof want === "string") {
      t.match(own, want, name);
      t.same(leftOut, []);
    } else {
      t.equal(own, undefined, name);
      t.match(leftOut.join(), want, name);
      t.match(leftOut.join(), /^dal-01 has no record: /);
      t.notOk(
        records.some((line) => line.includes("primary.db")),
        "nor does its role",
      );
      t.ok(
        records.some((line) => / db-2\.db\.temps\.local 30 A/.test(line)),
        "the other has",
      );
    }
  }
});

t.test("two members on one node share its address and differ in their SRV", async (t) => {
  const shared = { address: null, node: "host-1" } as const;
  const three = [
    member("dal-01", 1, { ...shared, published_port: 6001 }),
    member("chi-02", 2, { ...shared, published_port: 6002 }),
    member("dal-03", 3, { ...shared, published_port: 6002 }),
  ];
  const { records } = lines(t, three, { primary: "dal-01", standbys: ["chi-02", "dal-03"] });
  t.ok(records.includes("service_role/7 db.temps.local 30 A 192.168.0.1 null 1"), "one address");
  t.ok(records.includes("service_role/7 replica.db.temps.local 30 A 192.168.0.1 6002 1"));
  const srv = records.filter((line) => line.includes(" _postgresql._tcp.db.temps.local "));
  t.same(
    srv.map((line) => line.split(" ").slice(4, 6).join(" ")),
    ["db-1.db.temps.local 6001", "db-2.db.temps.local 6002", "db-3.db.temps.local 6002"],
  );
});

t.test("a name that does not fit is left out, and nothing else", async (t) => {
  const long = "a".repeat(62);
  const { records, leftOut } = lines(
    t,
    [member("dal-01", 1)],
    { primary: "dal-01", standbys: [] },
    long,
  );
  t.same(records, []);
  t.match(leftOut.join(), /dal-01 has no record: .*no domain name/);
});

t.test("every owner is named, so that what it had goes", async (t) => {
  const { owned } = recordsOf(
    cluster([member("dal-01", 1, { address: null })]),
    { primary: null, standbys: [] },
    nodes,
    zone,
  );
  t.same(owned, [
    { owner: { kind: "service_member", id: 11 }, drafts: [] },
    { owner: { kind: "service_role", id: 7 }, drafts: [] },
  ]);
});
