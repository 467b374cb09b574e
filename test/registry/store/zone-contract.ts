/** What every store promises of the zone: exact diffs, no-op writes, the hash, refusals, compaction. */
import type { Test } from "tap";
import { formatHash, hashOf } from "../../../kit/zone-hash.ts";
import type { Endpoint } from "../../../registry/contract.ts";
import type { EndpointDraft, Owner, RegistryStore } from "../../../registry/store/store.ts";
import { address } from "./stores.ts";
import type { NewPlace } from "./stores.ts";

/** A large zone; SWITCHYARD_TEST_FULL=1 takes the largest that is promised. */
const manyCount = process.env["SWITCHYARD_TEST_FULL"] === "1" ? 100_000 : 20_000;

const role: Owner = { kind: "service_role", id: 1 };
const member: Owner = { kind: "service_member", id: 1 };
const first = address("db-1.db", "10.0.0.1");
const second = address("db-2.db", "10.0.0.2");

function put(store: RegistryStore, owner: Owner, ...drafts: EndpointDraft[]) {
  return store.putEndpoints([{ owner, drafts }]);
}

/** A resolver's copy of the zone, which follows by diffs alone. */
class Copy {
  readonly records = new Map<number, Endpoint>();
  generation = 0;
  async follow(store: RegistryStore): Promise<void> {
    const diff = await store.changesSince(this.generation);
    if (diff === undefined) throw new Error(`nothing is known since ${this.generation}`);
    for (const record of diff.upserts) this.records.set(record.id, record);
    for (const id of diff.removedIds) this.records.delete(id);
    this.generation = diff.head.generation;
  }
  get sorted(): Endpoint[] {
    const key = ({ fqdn, record_type: type, id }: Endpoint): string =>
      `${fqdn} ${type} ${String(id).padStart(9, "0")}`;
    return [...this.records.values()].sort((one, other) => (key(one) < key(other) ? -1 : 1));
  }
}

/** Runs the promises of the zone against stores at new places. */
export function zoneContract(t: Test, newPlace: NewPlace): void {
  const withStore = async (t: Test, work: (store: RegistryStore) => Promise<void>) => {
    const open = await newPlace(t);
    const store = await open();
    try {
      await work(store);
    } finally {
      await store.close();
    }
  };

  t.test("a new zone is empty, at generation 0, with an epoch of its own", (t) =>
    withStore(t, async (store) => {
      const head = await store.head();
      t.match(head.epoch, /^[0-9a-f]{8}-[0-9a-f-]{27}$/);
      t.match(head, { generation: 0, recordCount: 0, zoneHash: formatHash(0n) });
      t.same(await store.snapshot(), { head, records: [] });
      t.same(await store.changesSince(0), { head, upserts: [], removedIds: [] });
      t.equal(await store.changesSince(1), undefined, "a generation ahead is not known");
    }),
  );

  t.test("a copy that follows by diffs is always the zone, and hashes as it does", (t) =>
    withStore(t, async (store) => {
      const copy = new Copy();
      const steps: [string, Owner, EndpointDraft[], boolean][] = [
        ["two come", role, [first, second], true],
        ["the same again", role, [second, first], false],
        ["in other letters", role, [{ ...first, fqdn: "DB-1.db.temps.local." }, second], false],
        ["another owner", member, [first], true],
        ["a TTL", role, [{ ...first, ttl: 5 }, second], true],
        ["one goes", role, [second], true],
        ["it comes back", role, [first, second], true],
        ["an empty owner stays empty", { kind: "static", id: 3 }, [], false],
        ["all of one owner go", role, [], true],
        ["all go", member, [], true],
      ];
      let generation = 0;
      for (const [name, owner, drafts, changes] of steps) {
        const { head, changed } = await put(store, owner, ...drafts);
        if (changes) generation += 1;
        t.equal(changed, changes, `${name}: whether it changed`);
        t.equal(head.generation, generation, `${name}: its generation`);
        const whole = await store.snapshot();
        await copy.follow(store);
        t.same(whole.head, head, `${name}: the state`);
        t.same(copy.sorted, whole.records, `${name}: the copy`);
        t.equal(head.zoneHash, formatHash(hashOf(whole.records)), `${name}: the hash`);
        t.equal(head.recordCount, whole.records.length, `${name}: the count`);
      }
    }),
  );

  t.test("a record that stays keeps its id, one that comes back gets another", (t) =>
    withStore(t, async (store) => {
      const ids = async (): Promise<number[]> =>
        (await store.snapshot()).records.map(({ id }) => id);
      await put(store, role, first, second);
      const [one = 0, two = 0] = await ids();
      const node = await store.addNode({ name: "n1", address: null }, "hash");
      const changed = { ...first, ttl: 5, target_port: 6000, node_id: node.id };
      await put(store, role, changed, second);
      t.same(await ids(), [one, two]);
      const { upserts = [], removedIds } = (await store.changesSince(1)) ?? {};
      t.match(upserts, [{ ...changed, id: one, generation: 2 }], "the one that changed, alone");
      t.same([upserts.length, removedIds], [1, []]);
      await put(store, role, second);
      t.match(await store.changesSince(2), { upserts: [], removedIds: [one] });
      await put(store, role, first, second);
      t.ok(Math.max(...(await ids())) > two, "an id is never given twice");
    }),
  );

  t.test("several owners change under one generation", (t) =>
    withStore(t, async (store) => {
      const { head } = await store.putEndpoints([
        { owner: role, drafts: [first] },
        { owner: member, drafts: [second] },
      ]);
      t.equal(head.generation, 1);
      t.same(
        (await store.snapshot()).records.map((one) => one.generation),
        [1, 1],
      );
    }),
  );

  t.test("what cannot be published is refused as a whole", (t) =>
    withStore(t, async (store) => {
      const before = (await put(store, role, first)).head;
      const alias = { record_type: "CNAME", target_ip: "x.example", target_port: null } as const;
      const refused: [string, () => Promise<unknown>, RegExp][] = [
        [
          "a name outside",
          () => put(store, role, second, { ...first, fqdn: "db.example" }),
          /outside/,
        ],
        ["a TTL", () => put(store, role, second, { ...first, ttl: 0 }), /ttl 0/],
        ["an address", () => put(store, role, second, { ...first, target_ip: "10.0.0" }), /IPv4/],
        ["a node", () => put(store, role, second, { ...first, node_id: 77 }), /node_id 77/],
        ["a CNAME beside others", () => put(store, member, { ...first, ...alias }), /CNAME/],
        [
          "an owner twice",
          () =>
            store.putEndpoints([
              { owner: role, drafts: [second] },
              { owner: role, drafts: [] },
            ]),
          /twice/,
        ],
      ];
      for (const [name, ask, message] of refused) {
        await t.rejects(ask(), { code: "ERR_REGISTRY_ENDPOINT", message }, name);
        t.same(await store.head(), before, `${name}: nothing is applied`);
      }
    }),
  );

  t.test("tombstones beyond the number kept go, and what is not known any more is said", (t) =>
    withStore(t, async (store) => {
      for (let ttl = 1; ttl <= 6; ttl += 1) {
        await put(store, role, address("db", `10.0.1.${ttl}`));
      }
      await store.compact(2);
      const removed = async (since: number) => (await store.changesSince(since))?.removedIds;
      t.equal(await removed(3), undefined, "forgotten");
      t.equal((await removed(4))?.length, 2, "kept");
      t.equal((await removed(6))?.length, 0);
      await store.compact(0);
      t.equal(await removed(5), undefined);
      t.match(await store.changesSince(6), { upserts: [], removedIds: [] });
      await store.compact(0);
    }),
  );

  t.test(`${manyCount} records come, are read, change and go`, (t) =>
    withStore(t, async (store) => {
      const count = manyCount;
      const many = Array.from({ length: count }, (_, at) =>
        address(`h${at}`, `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`),
      );
      await put(store, role, ...many);
      const { head, records } = await store.snapshot();
      t.same([head.recordCount, records.length], [count, count]);
      t.equal(head.zoneHash, formatHash(hashOf(records)));
      const { changed } = await put(store, role, ...many);
      t.equal(changed, false, "the same again is nothing");
      const { head: later } = await put(store, member, first);
      t.match(await store.changesSince(head.generation), { upserts: [first], removedIds: [] });
      await put(store, role, ...many.slice(0, count / 2).map((one) => ({ ...one, ttl: 5 })));
      const diff = await store.changesSince(later.generation);
      t.same([diff?.upserts.length, diff?.removedIds.length], [count / 2, count / 2]);
    }),
  );
}
