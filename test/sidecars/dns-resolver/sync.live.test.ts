/** Rows Z2 to Z11: how a resolver follows a registry that answers, lies, goes away and comes back. */
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { runChild } from "../../../kit/child.ts";
import { eventually, systemClock } from "../../../kit/clock.ts";
import { formatHash, hashOf } from "../../../kit/zone-hash.ts";
import type { ChangesReply } from "../../../registry/contract.ts";
import { createServedZone } from "../../../sidecars/dns-resolver/served-zone.ts";
import { readSnapshot, writeSnapshot } from "../../../sidecars/dns-resolver/sync/snapshot.ts";
import { createServing } from "../../../sidecars/dns-resolver/zone/serving.ts";
import { record, soon, startFakeRegistry } from "./fake-registry.ts";
import type { FakeRegistry } from "./fake-registry.ts";
import { silence, upstream } from "./forward-rig.ts";
import { soa } from "./reply-kit.ts";
import { follow, testFolder, zoneSettings } from "./sync-rig.ts";

const host = "127.61.0.1";
const hashNow = (fake: FakeRegistry): string => formatHash(hashOf(fake.state.records.values()));
const three = [record(1, "a", "10.0.0.1"), record(2, "b", "10.0.0.2"), record(3, "b", "10.0.0.3")];
const wholes = ({ asked }: FakeRegistry): number =>
  asked.filter((one) => one.get("since") === "0").length;

await t.test("a commit is served, acknowledged and on disk", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  fake.commit(three);
  const folder = await testFolder(t);
  const one = await follow(t, fake, folder);
  await one.serves(1);
  fake.commit([record(4, "c", "fd00::4")]);
  const { zoneHash, served } = await one.serves(2);
  t.equal(zoneHash, hashNow(fake));
  t.equal(served.recordCount, 4);
  t.match(await fake.acknowledged(2), {
    applied_generation: 2,
    epoch: "epoch-1",
    zone_hash: hashNow(fake),
    record_count: 4,
    errors: [],
  });
  const alarms: string[] = [];
  const onDisk = await readSnapshot(folder, "temps.local", (alarm) => void alarms.push(alarm));
  t.match(onDisk, { generation: 2, epoch: "epoch-1", records: { length: 4 } });
  t.same(alarms, []);
  await eventually("it is told", soon, () => one.state().acknowledged === 2 || undefined);
  t.match(one.state(), { lastError: null, failures: 0, resyncs: 0, wrong: [] });
});

await t.test(
  "what cannot be served is written to its end before anything else begins",
  async (t) => {
    const fake = await startFakeRegistry(t, { host });
    fake.commit([record(1, "primary.db", "10.0.0.1")]);
    const folder = await testFolder(t);
    const { promise: refused, resolve } = Promise.withResolvers<void>();
    const serve = (): Promise<readonly string[]> => {
      resolve();
      return Promise.reject(new Error("no engine takes it"));
    };
    const one = await follow(t, fake, folder, { serve });
    await refused;
    await one.stop();
    t.match(await readSnapshot(folder, "temps.local", (alarm) => t.fail(alarm)), { generation: 1 });
  },
);

await t.test("Z2: what lies before the generation that is held is not applied", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  fake.commit(three);
  fake.commit([record(4, "c", "10.0.0.4")]);
  const one = await follow(t, fake, await testFolder(t));
  await one.serves(2);
  const stray = record(9, "stray", "10.9.9.9");
  fake.tamper = (reply, asked) => {
    if (asked.get("since") !== "2") return reply;
    fake.tamper = undefined;
    return { ...reply, generation: 1, full_snapshot: false, records: [stray], removed_ids: [1] };
  };
  fake.commit([record(5, "d", "10.0.0.5")]);
  const { served, zoneHash } = await one.serves(3);
  t.equal(served.recordCount, 5);
  t.equal(zoneHash, hashNow(fake));
  t.same(
    one.offers.map(({ served }) => served.generation),
    [2, 3],
  );
  t.equal(one.state().resyncs, 1);
});

await t.test("Z2: a new epoch is the whole zone, though its generation is lower", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  for (let id = 1; id <= 5; id += 1) fake.commit([record(id, `n${id}`, `10.0.0.${id}`)]);
  const one = await follow(t, fake, await testFolder(t));
  await one.serves(5);
  const records = new Map([[1, record(1, "other", "10.7.7.7")]]);
  fake.restore({ epoch: "epoch-2", generation: 1, records, removed: new Map() });
  const { served } = await one.serves(1);
  t.match(served, { epoch: "epoch-2", recordCount: 1 });
  t.match(await fake.acknowledged(1), { epoch: "epoch-2" });
});

const dieAt = fileURLToPath(new URL("die-at.ts", import.meta.url));

await t.test("Z3: killed at any write of the snapshot, the old one or the new one", async (t) => {
  const seed = await testFolder(t);
  for (const generation of ["1", "2"]) {
    await runChild(process.execPath, [dieAt, seed, generation, "0"], { deadlineMs: 30_000 });
  }
  const seen: number[] = [];
  for (let touch = 1; ; touch += 1) {
    const folder = await testFolder(t);
    await cp(seed, folder, { recursive: true });
    const words = [dieAt, folder, "3", String(touch)];
    const ended = await runChild(
      "sh",
      ["-c", '"$0" "$@"; echo "ended with $?"', process.execPath, ...words],
      {
        deadlineMs: 30_000,
      },
    );
    const alarms: string[] = [];
    const left = await readSnapshot(folder, "temps.local", (alarm) => void alarms.push(alarm));
    t.same(alarms, [], `nothing is broken at touch ${touch}`);
    t.ok(left?.generation === 2 || left?.generation === 3, `touch ${touch}: ${left?.generation}`);
    t.equal(left?.records[0]?.target_ip, `10.0.${left?.generation}.0`);
    t.same((await readdir(folder)).toSorted(), ["zone.snapshot", "zone.snapshot.previous"]);
    seen.push(left?.generation ?? 0);
    if (ended.stdout.endsWith("ended with 0\n")) break;
    t.match(ended.stdout, /ended with 137/);
  }
  t.ok(seen.length > 8, `it was killed at ${seen.length - 1} places`);
  t.same(seen, seen.toSorted(), "first always the old one, then always the new one");
  t.ok(seen.includes(2) && seen.includes(3));
});

await t.test("Z4: a snapshot that cannot be used is left, with an alarm", async (t) => {
  const good = { zone: "temps.local", epoch: "e", generation: 8, zoneHash: "", writtenAt: 1 };
  const records = [record(1, "a", "10.0.0.1")];
  const cases = [
    {
      name: "a flipped bit",
      wants: /checksum/,
      make: (text: string) => text.replace("10.0", "11.0"),
    },
    { name: "cut", wants: /checksum/, make: (text: string) => text.slice(0, text.length / 2) },
    { name: "empty", wants: /checksum/, make: () => "" },
    { name: "of before", wants: /checksum/, make: () => '{"generation":8,"records":[]}' },
  ];
  for (const { name, wants, make } of cases) {
    const folder = await testFolder(t);
    await writeSnapshot(folder, { ...good, records });
    const path = join(folder, "zone.snapshot");
    await writeFile(path, make(await readFile(path, "utf8")));
    const alarms: string[] = [];
    const read = await readSnapshot(folder, "temps.local", (alarm) => void alarms.push(alarm));
    t.equal(read, undefined, name);
    t.match(alarms, [wants], name);
    await writeSnapshot(folder, { ...good, generation: 9, records });
    await writeSnapshot(folder, { ...good, generation: 10, records });
    await writeFile(path, make(await readFile(path, "utf8")));
    const previous = await readSnapshot(folder, "temps.local", () => undefined);
    t.equal(previous?.generation, 9, `${name}: the one before it is read`);
  }
  const folder = await testFolder(t);
  await writeSnapshot(folder, { ...good, zone: "other.local", records });
  const alarms: string[] = [];
  t.equal(await readSnapshot(folder, "temps.local", (one) => void alarms.push(one)), undefined);
  t.match(alarms, [/of the zone "other.local"/]);
});

await t.test("Z4: with a snapshot of another zone it serves what the registry has", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  fake.commit(three);
  const folder = await testFolder(t);
  const records = [record(1, "a", "10.0.0.1")];
  const other = { zone: "other.local", epoch: "e", generation: 8, zoneHash: "", writtenAt: 1 };
  await writeSnapshot(folder, { ...other, records });
  const one = await follow(t, fake, folder);
  await one.serves(1);
  t.match(one.logged, [/the snapshot .* is not used: it is of the zone "other.local"/]);
  t.same(
    one.offers.map(({ from }) => from),
    ["registry"],
  );
});

await t.test(
  "Z5: while the registry is away nothing changes, and then it is caught up",
  async (t) => {
    const fake = await startFakeRegistry(t, { host });
    fake.commit(three);
    const folder = await testFolder(t);
    const one = await follow(t, fake, folder);
    await fake.acknowledged(1);
    await fake.stop();
    // The poll that was held fails otherwise than those that come after it.
    await eventually("it is noticed", soon, () => {
      const { failures, lastError } = one.state();
      return (failures > 1 && /refused/.test(lastError ?? "")) || undefined;
    });
    t.equal(one.offers.length, 1);
    await one.stop();

    const again = await follow(t, fake, folder);
    t.match(again.offers, [{ from: "snapshot", served: { generation: 1, recordCount: 3 } }]);
    t.type(again.state().lastSyncAt, "number", "it knows since when");
    await eventually("it tries", soon, () => again.state().failures > 0 || undefined);
    await fake.start();
    fake.commit([record(4, "c", "10.0.0.4")]);
    await again.serves(2);
    await fake.acknowledged(2);
    await eventually("all is well", soon, () => again.state().lastError === null || undefined);
  },
);

await t.test("what is unchanged since the snapshot is acknowledged at once", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  fake.commit(three);
  const folder = await testFolder(t);
  const one = await follow(t, fake, folder);
  await fake.acknowledged(1);
  await one.stop();
  fake.acks.length = 0;
  await follow(t, fake, folder);
  t.match(await fake.acknowledged(1), { record_count: 3 });
  t.equal(fake.asked.at(-1)?.get("hash"), hashNow(fake));
});

await t.test("Z6: changes that do not add up lead to the whole zone", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  fake.commit(three);
  const one = await follow(t, fake, await testFolder(t));
  await one.serves(1);
  fake.tamper = (reply) =>
    reply.full_snapshot ? reply : { ...reply, records: reply.records.slice(1) };
  const before = wholes(fake);
  fake.commit([record(4, "c", "10.0.0.4"), record(5, "d", "10.0.0.5")]);
  const { served, zoneHash } = await one.serves(2);
  t.equal(served.recordCount, 5);
  t.equal(zoneHash, hashNow(fake));
  t.equal(one.offers.length, 2, "nothing in between was served");
  t.equal(wholes(fake), before + 1);
  t.equal(one.state().resyncs, 1);
});

await t.test(
  "Z6: a whole zone that contradicts its hash is taken only when it comes twice",
  async (t) => {
    const fake = await startFakeRegistry(t, { host });
    fake.commit(three);
    const lie = "0".repeat(64);
    let first = true;
    fake.tamper = (reply, asked) => {
      const cut = first ? { ...reply, records: reply.records.slice(1) } : reply;
      first = false;
      // Who holds what it says has its news.
      const told = asked.get("hash") === lie ? { full_snapshot: false, records: [] } : {};
      return { ...cut, ...told, zone_hash: lie };
    };
    const one = await follow(t, fake, await testFolder(t));
    const { served, zoneHash } = await one.serves(1);
    t.equal(served.recordCount, 3, "the half zone was not served");
    t.equal(zoneHash, hashNow(fake));
    t.equal(one.offers.length, 1);
    t.equal(wholes(fake), 3, "half, whole, and whole again");
    t.match(one.logged.join("\n"), /taken all the same/);
  },
);

await t.test("Z8: one of three addresses goes, and the others stay", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  const all = [1, 2, 3].map((id) => record(id, "db", `10.0.0.${id}`));
  fake.commit(all);
  const one = await follow(t, fake, await testFolder(t));
  await one.serves(1);
  fake.commit([], [2]);
  const { served } = await one.serves(2);
  t.equal(served.recordCount, 2);
  for (let turn = 0; turn < 20; turn += 1) {
    // The same record under a new id each time, as by delete and insert.
    fake.commit([record(100 + turn, "db", "10.0.0.1")], [turn === 0 ? 1 : 99 + turn]);
  }
  t.equal((await one.serves(22)).served.recordCount, 2, "nothing piles up");
  t.equal(one.state().resyncs, 0);
});

await t.test(
  "Z9: a record that cannot be served is left out, and the registry is told",
  async (t) => {
    const fake = await startFakeRegistry(t, { host });
    const wrong = [
      record(11, "x", "10.0.0.1", { fqdn: "db.example.com" }),
      record(12, "y", "10.0.0.256"),
      record(13, "z", "10.0.0.1", { ttl: -1 }),
      record(14, "long", "10.0.0.1", { fqdn: `${"a.".repeat(130)}temps.local` }),
    ];
    fake.commit([...three, ...wrong]);
    const one = await follow(t, fake, await testFolder(t));
    const { skipped, zoneHash } = await one.serves(1);
    t.equal(zoneHash, hashNow(fake));
    t.equal(skipped.length, 4);
    const { errors = [] } = await fake.acknowledged(1);
    t.equal(errors.length, 4);
    for (const { id } of wrong) {
      t.ok(
        errors.some((line) => line.includes(`record ${id},`)),
        `record ${id} is told`,
      );
    }
    fake.commit([], [11, 12, 13, 14]);
    t.match(await fake.acknowledged(2), { errors: [] });
  },
);

await t.test("Z9: a reply that is none leaves the zone as it is", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  fake.commit(three);
  const one = await follow(t, fake, await testFolder(t));
  await fake.acknowledged(1);
  const lies: readonly ((reply: ChangesReply) => unknown)[] = [
    (reply) => ({ ...reply, records: [{ ...three[0], id: 50, record_type: "TXT" }] }),
    (reply) => ({ ...reply, generation: -1 }),
    () => "no such page",
    (reply) => ({ ...reply, full_snapshot: true, records: [three[0], three[0]] }),
  ];
  for (const lie of lies) {
    const { failures } = one.state();
    fake.tamper = lie;
    await eventually("it is refused", soon, () => {
      // Again and again: the poll may come just after.
      fake.restore(fake.copy());
      return one.state().failures > failures || undefined;
    });
  }
  t.equal(one.offers.length, 1);
  const told = await eventually("the registry is told", soon, () =>
    fake.acks.find(({ errors = [] }) => errors.some((one) => one.includes("an id stands twice"))),
  );
  t.equal(told.applied_generation, 1);
  fake.tamper = undefined;
  fake.commit([record(4, "c", "10.0.0.4")]);
  await one.serves(2);
  t.equal(one.offers.length, 2);
  t.match(await fake.acknowledged(2), { errors: [] });
});

await t.test("Z10: a registry restored from an older copy is followed", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  fake.commit(three);
  const backup = fake.copy();
  fake.commit([record(4, "c", "10.0.0.4")]);
  fake.commit([record(5, "d", "10.0.0.5")], [1]);
  const one = await follow(t, fake, await testFolder(t));
  await one.serves(3);
  await fake.acknowledged(3);
  fake.restore(backup);
  const { served, zoneHash } = await one.serves(1);
  t.match(served, { recordCount: 3, epoch: "epoch-1" });
  t.equal(zoneHash, hashNow(fake));
  await fake.acknowledged(1);

  await t.test("also when it has gone on to the same generation meanwhile", async (t) => {
    const older = fake.copy();
    fake.commit([record(4, "c", "10.0.0.4")]);
    await fake.acknowledged(2);
    await fake.stop();
    fake.restore(older);
    fake.commit([record(4, "other", "10.4.4.4")]);
    await fake.start();
    const hash = hashNow(fake);
    await eventually(
      "the other content",
      soon,
      () => one.offers.at(-1)?.zoneHash === hash || undefined,
    );
    t.equal(one.offers.at(-1)?.served.generation, 2);
  });

  await t.test("and to a later one", async (t) => {
    const older = fake.copy();
    // It has had a generation of that number before.
    fake.acks.length = 0;
    fake.commit([], [3]);
    await fake.acknowledged(3);
    await fake.stop();
    fake.restore(older);
    fake.commit([record(6, "e", "10.0.0.6")]);
    fake.commit([record(7, "f", "10.0.0.7")]);
    await fake.start();
    t.equal((await one.serves(4)).zoneHash, hashNow(fake));
  });
});

await t.test(
  "Z11: more records of one name and type than can be served are left out",
  async (t) => {
    const fake = await startFakeRegistry(t, { host });
    const many = Array.from({ length: 400 }, (_, id) =>
      record(id + 1, "vip", `10.0.${id >> 8}.${id & 255}`),
    );
    fake.commit([...many, record(1000, "a", "10.9.9.9")]);
    const one = await follow(t, fake, await testFolder(t));
    const { skipped } = await one.serves(1);
    t.ok(skipped.length > 0);
    const { errors = [], record_count: count } = await fake.acknowledged(1);
    t.equal(count, 401);
    t.equal(errors.length, 10);
    t.match(errors.at(-1), /and \d+ more/);
  },
);

await t.test("an acknowledgement that was not heard is sent again", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  fake.ackStatus = 500;
  fake.commit(three);
  const one = await follow(t, fake, await testFolder(t));
  await eventually("it tries", soon, () => fake.acks.length > 1 || undefined);
  t.equal(one.state().acknowledged, null);
  t.type(one.state().lastError, "string");
  fake.ackStatus = 200;
  await eventually("it is heard", soon, () => one.state().acknowledged === 1 || undefined);
  await eventually("all is well", soon, () => one.state().lastError === null || undefined);
});

await t.test("what was wrong when a state came is taken back when it is over", async (t) => {
  const itself = await upstream(t, silence, host);
  const bound = { address: itself.address, state: "bound", engine: "dgram", error: null } as const;
  const zone = createServedZone(createServing(zoneSettings), zoneSettings.zone, () => [bound]);
  const fake = await startFakeRegistry(t, { host });
  fake.commit([...three, record(4, "c", "10.0.0.256")]);
  const one = await follow(t, fake, await testFolder(t), { serve: zone.serve });
  const lasting = /record 4,/;
  const passing = /does not answer itself/;
  t.match(await fake.acknowledged(1), { errors: [lasting, passing] });
  one.mended(await zone.proveAgain());
  t.match(one.state().wrong, [lasting, passing], "it is silent still");
  // As often as one question is sent: one that is lost is no fault.
  let lost = 3;
  itself.answer = (heard) => {
    lost -= 1;
    if (lost < 0) heard.reply({ bits: 0x400, answer: [soa(zoneSettings.zone, 5, 5)] });
  };
  one.mended(await zone.proveAgain());
  t.match(one.state().wrong, [lasting]);
  t.equal(one.state().wrong.length, 1);
  const told = await eventually("the registry is told", soon, () =>
    fake.acks.find(({ errors = [] }) => errors.length === 1),
  );
  t.match(told, { applied_generation: 1, errors: [lasting] });
});

await t.test("what is heard ends the pause after an outage", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  fake.commit(three);
  // A pause that nothing ends lasts for ever.
  const sleep: typeof systemClock.sleep = (_, signal) => systemClock.sleep(3_600_000, signal);
  const clock = { ...systemClock, sleep };
  const one = await follow(t, fake, await testFolder(t), { lifeSignMs: 20, clock });
  await one.serves(1);
  await fake.stop();
  await eventually("it pauses", soon, () => one.state().failures > 0 || undefined);
  fake.commit([record(4, "c", "10.0.0.4")]);
  await fake.start();
  const { served } = await one.serves(2);
  t.equal(served.generation, 2);
  await eventually("all is well", soon, () => one.state().lastError === null || undefined);
});

await t.test("signs of life go on, and show what a poll has missed", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  fake.commit(three);
  const one = await follow(t, fake, await testFolder(t), { lifeSignMs: 20 });
  await eventually("signs of life", soon, () => fake.acks.length > 4 || undefined);
  t.same(new Set(fake.acks.map((ack) => ack.applied_generation)), new Set([1]));
  // The poll is held, and nobody wakes it.
  const { state } = fake;
  state.generation = 2;
  state.records.set(4, record(4, "c", "10.0.0.4", { generation: 2 }));
  await one.serves(2);
});

await t.test("a registry of the older contract, without epoch, hash and hold", async (t) => {
  const fake = await startFakeRegistry(t, { host });
  fake.commit(three);
  fake.tamper = (reply) => {
    const { epoch: _, zone_hash: __, ...older } = reply;
    return older;
  };
  const one = await follow(t, fake, await testFolder(t));
  await one.serves(1);
  fake.commit([record(4, "c", "10.0.0.4")], [1]);
  t.equal((await one.serves(2)).served.recordCount, 3);
  const { state } = fake;
  fake.restore({ ...state, generation: 1, records: new Map([[1, record(1, "a", "10.1.1.1")]]) });
  const back = await eventually("the restored one", soon, () =>
    one.offers.findLast(({ served }) => served.recordCount === 1),
  );
  t.equal(back.served.generation, 1);
});
