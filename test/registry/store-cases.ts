/** What a store decides without its database: diffs, notices, database URLs, and a zone's hash. */
import { inspect } from "node:util";
import t from "tap";
import { Secret } from "../../config/secret.ts";
import { formatHash, hashOf, withoutRecord, withRecord } from "../../kit/zone-hash.ts";
import type { Endpoint } from "../../registry/contract.ts";
import { chunks, placeholderList, placeholders } from "../../registry/store/database.ts";
import type { Notice } from "../../registry/store/listeners.ts";
import { noticeReader, noticeTexts } from "../../registry/store/notice-text.ts";
import { databaseTarget } from "../../registry/store/postgres-url.ts";
import type { EndpointDraft } from "../../registry/store/store.ts";
import { diffOf, isNothing } from "../../registry/store/zone-diff.ts";

const owner = { kind: "service_role", id: 7 } as const;
const draft: EndpointDraft = {
  fqdn: "db.temps.local",
  record_type: "A",
  target_ip: "10.0.0.1",
  target_port: 5432,
  ttl: 30,
  node_id: null,
};
const has: Endpoint = {
  ...draft,
  id: 4,
  owner_kind: owner.kind,
  owner_id: owner.id,
  generation: 9,
};
const other = { ...draft, target_ip: "10.0.0.2" };
const srv = { ...draft, record_type: "SRV", target_ip: "a.temps.local" } as const;

t.test("exactly what is not as it should be changes", async (t) => {
  const cases = [
    { name: "nothing", has: [has], wants: [draft], want: "" },
    { name: "an empty owner that stays so", has: [], wants: [], want: "" },
    { name: "a TTL", has: [has], wants: [{ ...draft, ttl: 5 }], want: "~4" },
    {
      name: "the port of an address",
      has: [has],
      wants: [{ ...draft, target_port: 1 }],
      want: "~4",
    },
    { name: "a node", has: [has], wants: [{ ...draft, node_id: 1 }], want: "~4" },
    { name: "an address", has: [has], wants: [other], want: "+10.0.0.2 -4" },
    { name: "one more", has: [has], wants: [other, draft], want: "+10.0.0.2" },
    { name: "all gone", has: [has], wants: [], want: "-4" },
    { name: "the same twice", has: [has], wants: [draft, { ...draft, ttl: 9 }], want: "" },
    {
      name: "two services on one host",
      has: [],
      wants: [srv, { ...srv, target_port: 1 }],
      want: "+a.temps.local +a.temps.local",
    },
    {
      name: "a service that moves to another port",
      has: [{ ...has, ...srv }],
      wants: [{ ...srv, target_port: 1 }],
      want: "+a.temps.local -4",
    },
  ];
  for (const { name, has, wants, want } of cases) {
    const diff = diffOf(owner, has, wants);
    const got = [
      ...diff.come.map(({ target_ip: target }) => `+${target}`),
      ...diff.change.map(({ to }) => `~${to.id}`),
      ...diff.go.map(({ id }) => `-${id}`),
    ];
    t.equal(got.join(" "), want, name);
    t.equal(isNothing(diff), want === "", `${name}: whether it is nothing`);
  }
});

t.test("a hash that is kept is the hash of what there is", async (t) => {
  const records = [has, { ...has, ...other }, { ...has, ...srv }];
  const kept = records.reduce(withRecord, 0n);
  t.equal(kept, hashOf(records.toReversed()), "whatever the order");
  t.equal(withoutRecord(kept, has), hashOf(records.slice(1)), "once one has gone");
  t.equal(records.reduce(withoutRecord, kept), 0n, "once all have gone");
  t.not(hashOf([has]), hashOf([{ ...has, ttl: 31 }]), "a TTL counts");
  t.equal(hashOf([has]), hashOf([{ ...has, fqdn: "DB.temps.local" }]), "case does not");
  t.match(formatHash(1n), /^0{63}1$/);
});

t.test("lists go in few sizes, and every entry once", async (t) => {
  for (const length of [0, 1, 7, 8, 9, 64, 511, 512, 513, 1500]) {
    const list = Array.from({ length }, (_, index) => index);
    t.same([...chunks(list)].flat(), list, `${length} entries`);
    t.ok([...chunks(list)].every((some) => [1, 8, 64, 512].includes(some.length)));
  }
  t.equal(placeholders(2, 3), "($1, $2, $3), ($4, $5, $6)");
  t.equal(placeholderList(3), "$1, $2, $3");
});

t.test("a notice arrives as it was sent, however long, and not at its sender", async (t) => {
  const payloads = [
    "",
    "7",
    "two words\nand a line",
    "é".repeat(3500),
    "é".repeat(3501),
    "x".repeat(300_000),
  ];
  for (const payload of payloads) {
    const texts = noticeTexts("me", { topic: "reconciled", payload }) ?? [];
    t.ok(
      texts.every((text) => Buffer.byteLength(text) < 8000),
      "each part fits",
    );
    const heard: Notice[] = [];
    const own: Notice[] = [];
    for (const text of texts) noticeReader("me", (notice) => own.push(notice))(text);
    const read = noticeReader("another", (notice) => heard.push(notice));
    for (const text of texts) read(text);
    t.same(heard, [{ topic: "reconciled", payload }], `${payload.length} letters`);
    t.same(own, [], "the sender does not hear itself");
  }
  t.equal(noticeTexts("me", { topic: "acks", payload: "x".repeat(2_000_000) }), undefined);
});

t.test("what is no notice, or half a notice, is passed over", async (t) => {
  const heard: Notice[] = [];
  const read = noticeReader("me", (notice) => heard.push(notice));
  const [first = "", second = ""] =
    noticeTexts("you", { topic: "acks", payload: "x".repeat(9000) }) ?? [];
  for (const text of ["", "you", "you nothing 1/1 x", "you acks 1/x x", second, first, first])
    read(text);
  t.same(heard, [], "nothing so far");
  read(second);
  t.same(heard, [{ topic: "acks", payload: "x".repeat(9000) }], "a whole one after a half one");
});

t.test("a database URL is read, and never repeated", async (t) => {
  const target = databaseTarget(
    new Secret("postgresql://ann:s%40crets@[fd00::1]:6000/names?sslmode=require"),
  );
  const { host, port, user, database, tls } = target;
  t.same(
    { host, port, user, database, tls, password: target.password() },
    {
      ...{ host: "fd00::1", port: 6000, user: "ann", database: "names", tls: { mode: "require" } },
      password: "s@crets",
    },
  );
  const plain = databaseTarget(new Secret("postgres://ann@db"));
  t.same([plain.port, plain.database, plain.tls.mode], [5432, "ann", "disable"]);
  t.equal(databaseTarget(new Secret("postgres://ann@localhost/x?host=/run/pg")).host, "/run/pg");
  const wrong = [
    "s3cret",
    "http://ann:s3cret@db/x",
    "postgres://:s3cret@db/x",
    "postgres://ann:s3cret@/x",
    "postgres://ann:s3cret@db/x?sslmode=s3cret",
    "postgres://ann:s3cret@db/x?sslmode=verify-full&sslrootcert=/nowhere",
    "postgres://ann:s3cret@db:s3cret/x",
    "postgres://ann:%zzs3cret@db/x",
    "postgres://ann:s3cret@db/x?channel_binding=s3cret",
  ];
  for (const url of wrong) {
    const error = t.throws(() => databaseTarget(new Secret(url)), {
      code: "ERR_REGISTRY_DATABASE_URL",
    });
    t.notMatch(inspect(error, { depth: 9 }), /s3cret/, `nothing of ${url.length} letters`);
  }
});
