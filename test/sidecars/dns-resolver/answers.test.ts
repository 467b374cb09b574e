/**
 * What the resolver answers, without a socket: the rows of the checklist by their numbers, random zones
 * against a slow model, and mutated datagrams. A part of these is drawn by default;
 * SWITCHYARD_TEST_FULL=1 tries all, SWITCHYARD_TEST_SEED another draw.
 */
import { decode } from "dns-packet";
import t from "tap";
import { nextTurn, systemClock } from "../../../kit/clock.ts";
import { chainGoesOut, goesOut } from "../../../sidecars/dns-resolver/answers/answers.ts";
import { closeChain, openChain } from "../../../sidecars/dns-resolver/answers/answers-chain.ts";
import type { ZoneRecord } from "../../../sidecars/dns-resolver/parts.ts";
import { FrameReader } from "../../../sidecars/dns-resolver/wire/frames.ts";
import { nameToText } from "../../../sidecars/dns-resolver/wire/names.ts";
import { buildZone, buildZoneAside } from "../../../sidecars/dns-resolver/zone/build.ts";
import { viewOf } from "../../../sidecars/dns-resolver/zone/served.ts";
import { chanceOf } from "../../sim/random.ts";
import type { Chance } from "../../sim/random.ts";
import { ednsCases, headerCases } from "./header-cases.ts";
import { askBytes, tell, types, wireName } from "./message-kit.ts";
import { modelAnswer, servedOf } from "./model.ts";
import { mutated } from "./mutated.ts";
import { nameCases, otherCases } from "./names-cases.ts";
import {
  answerTo,
  builtView,
  emptyView,
  inZone,
  settings,
  told,
  zone,
  zones,
} from "./zone-case.ts";

const { SWITCHYARD_TEST_FULL: full, SWITCHYARD_TEST_SEED: text } = process.env;
const seed = Number(text ?? 1);
const view = builtView();

function texts<T>(value: T, origin: string): T {
  return JSON.parse(JSON.stringify(value), (_key, one: unknown) =>
    typeof one === "string" ? inZone(one, origin) : one,
  ) as T;
}

for (const origin of zones) {
  t.test(`names and sections in ${origin}`, (t) => {
    for (const { name, given, want } of nameCases) {
      const ask = { ...given, name: inZone(given.name, origin) };
      t.match(told(view, ask), texts(want, origin), name);
    }
    t.end();
  });
}

t.test("names of every zone", (t) => {
  for (const { name, given, want } of otherCases) t.match(told(view, given), want, name);
  t.end();
});

t.test("headers, classes, wrong messages, EDNS", (t) => {
  for (const { name, given, want, transport = "udp" } of [...headerCases, ...ednsCases]) {
    const bytes = answerTo(view, given, { transport });
    if (want === 0 || typeof bytes === "number") {
      t.equal(bytes, want, name);
      continue;
    }
    const { opcode = 0, questions = bytes[5], ...lines } = want;
    t.match(tell(bytes), lines, name);
    t.same([((bytes[2] ?? 0) >> 3) & 15, bytes[5]], [opcode, questions], `${name}: head`);
    t.same(
      [bytes[0], bytes[1], (bytes[3] ?? 0) & 0x70],
      [given[0], given[1], 0],
      `${name}: id, bits`,
    );
    t.equal((bytes[2] ?? 0) & 0x81, 0x80 | ((given[2] ?? 0) & 1), `${name}: QR and RD`);
  }
  t.end();
});

t.test("N1 an answer is as short as it can be", (t) => {
  t.equal(lengthOf(answerTo(view, askBytes({ name: "v4only.temps.local", type: 1 }))), 52);
  t.end();
});

function lengthOf(bytes: Uint8Array | number): number {
  return typeof bytes === "number" ? bytes : bytes.length;
}

t.test("N2 the question comes back bit for bit, also where there is nothing", (t) => {
  for (const name of ["V4oNlY.tEmPs.LoCaL", "nOpE.TEMPS.local", "x.EXAMPLE.com"]) {
    const query = askBytes({ name, type: 1 });
    const bytes = answerTo(view, query) as Uint8Array;
    t.same([...bytes.subarray(12, query.length)], [...query.subarray(12)], name);
  }
  // @ and [ stand beside A and Z; in another place the same bit makes a backquote and a brace.
  t.match(told(view, { name: "v4onl`.temps.local", type: 1 }), { rcode: "NXDOMAIN" });
  t.match(told(view, { name: "v4only.temp\x53.local", type: 1 }), { rcode: "NOERROR" });
  t.end();
});

t.test("N11 with forwarding a chain that leaves the zone is followed", (t) => {
  const query = askBytes({ name: "out2.temps.local", type: 1, edns: { size: 1232 } });
  const options = { transport: "udp", forwards: true, udpSizeMax: 1232 } as const;
  t.equal(answerTo(view, query, options), chainGoesOut);
  const chain = openChain(view, query);
  if (chain === undefined) throw new Error("no chain");
  t.equal(nameToText(chain.target), "www.example.com");
  const record = Uint8Array.from([
    ...wireName("www.example.com"),
    0,
    1,
    0,
    1,
    0,
    0,
    1,
    0,
    0,
    4,
    9,
    8,
    7,
    6,
  ]);
  const links = [
    "out2.temps.local 30 CNAME out.temps.local",
    "out.temps.local 30 CNAME www.example.com",
  ];
  const close = (found: Parameters<typeof closeChain>[1]): object =>
    tell(closeChain(chain, found, options));
  t.match(close({ rcode: 0, records: [record] }), {
    rcode: "NOERROR",
    flags: "aa rd ra",
    answer: [...links, "www.example.com 256 A 9.8.7.6"],
    edns: "1232",
  });
  t.match(close({ rcode: 3, records: [] }), { rcode: "NXDOMAIN", answer: links });
  t.match(close(undefined), { rcode: "SERVFAIL", flags: "rd ra", answer: [], edns: "1232 ede 22" });
  const many = Array.from({ length: 100 }, () => record);
  const cut = closeChain(chain, { rcode: 0, records: many }, options);
  t.ok(cut.length <= 1232 && cut.length > 1150, "as many as fit");
  t.match(tell(cut), { flags: "aa tc rd ra", edns: "1232" });
  t.equal(openChain(builtView(), askBytes({ name: "v4only.temps.local", type: 1 })), undefined);
  t.match(told(view, { name: "out.temps.local", type: 1, rd: false }, options), {
    answer: links.slice(1),
  });
  t.end();
});

t.test("N14 a CNAME beside other data is refused, and the other data stands", (t) => {
  const { served, skipped } = buildZone(settings, {
    epoch: "e",
    generation: 1,
    records: [
      record(1, "x", "CNAME", "a.temps.local"),
      record(2, "x", "A", "10.0.0.1"),
      record(3, "y", "CNAME", "b.temps.local"),
      record(4, "y", "CNAME", "a.temps.local"),
      record(5, "", "CNAME", "a.temps.local"),
    ],
  });
  t.equal(served.recordCount, 2);
  t.match(skipped.toSorted(), [
    /record 1, x.temps.local CNAME: it stands beside/,
    /record 4, y.temps.local CNAME: there is a CNAME/,
    /record 5, temps.local CNAME: the zone itself/,
  ]);
  t.match(told(viewOf(served), { name: "x.temps.local", type: 1 }), {
    answer: ["x.temps.local 30 A 10.0.0.1"],
  });
  t.end();
});

function record(
  id: number,
  name: string,
  type: ZoneRecord["record_type"],
  target: string | null,
  more: Partial<ZoneRecord> = {},
): ZoneRecord {
  const fqdn = name === "" ? zone : `${name}.${zone}`;
  return { id, fqdn, record_type: type, target_ip: target, target_port: 5432, ttl: 30, ...more };
}

t.test("a record that cannot be served is left out and told, and the rest stands", (t) => {
  const wrong: [ZoneRecord, RegExp][] = [
    [record(1, "a", "A", "10.0.0.256"), /no IPv4 address/],
    [record(2, "a", "A", "fd00::1"), /no IPv4 address/],
    [record(3, "a", "AAAA", "10.0.0.1"), /no IPv6 address/],
    [record(4, "a", "AAAA", "fe80::1%eth0"), /no IPv6 address/],
    [record(5, "a", "A", null), /no target/],
    [record(6, "a", "A", "10.0.0.1", { ttl: -1 }), /TTL is -1/],
    [record(7, "a", "A", "10.0.0.1", { ttl: 2 ** 31 }), /TTL/],
    [record(8, "a", "A", "10.0.0.1", { ttl: 1.5 }), /TTL/],
    [record(9, "a", "A", "10.0.0.1", { fqdn: "a.example.com" }), /outside/],
    [record(10, "a", "A", "10.0.0.1", { fqdn: "atemps.local" }), /outside/],
    [record(11, "a..b", "A", "10.0.0.1"), /no domain name/],
    [record(12, "a\\.b", "A", "10.0.0.1"), /no domain name/],
    [record(13, "*", "A", "10.0.0.1"), /no domain name/],
    [record(14, "a".repeat(64), "A", "10.0.0.1"), /no domain name/],
    [record(15, Array(61).fill("abc").join("."), "A", "10.0.0.1"), /no domain name|too long/],
    [record(16, "a", "SRV", "b.temps.local", { target_port: null }), /port/],
    [record(17, "a", "SRV", "b.temps.local", { target_port: 65_536 }), /port/],
    [record(18, "a", "CNAME", "b..c"), /target is no domain name/],
  ];
  for (const [one, why] of wrong) {
    const records = [one, record(99, "good", "A", "10.0.0.9")];
    const { served, skipped } = buildZone(settings, { epoch: "e", generation: 1, records });
    t.match(skipped, [why], String(why));
    t.match(told(viewOf(served), { name: "good.temps.local", type: 1 }), { rcode: "NOERROR" });
    t.equal(served.recordCount, 1);
  }
  t.throws(
    () => buildZone({ ...settings, zone: "a b" }, { epoch: "", generation: 0, records: [] }),
    {
      code: "ERR_DNS_NAME",
    },
  );
  t.end();
});

t.test("Z11 more records of one type than are served", (t) => {
  const records = Array.from({ length: 300 }, (_, index) =>
    record(index + 1, "many", "A", `10.0.${index >> 8}.${index & 255}`),
  );
  const { served, skipped } = buildZone(settings, { epoch: "e", generation: 1, records });
  t.match([served.recordCount, skipped.length], [256, 44]);
  t.match(skipped[0], /there are 256/);
  const ask = { name: "many.temps.local", type: 1 };
  t.equal(told(viewOf(served), ask, { transport: "tcp" }).answer.length, 256);
  const wrong = records.map((one) => ({ ...one, ttl: -1 }));
  const none = buildZone(settings, { epoch: "e", generation: 1, records: wrong });
  t.match(none.skipped.at(-1), /and 200 records more/, "the list of what is left out is bounded");
  t.end();
});

t.test("Z7 a zone that is built in slices is the same, and others get their turn", async (t) => {
  const records = Array.from({ length: 5000 }, (_, index) =>
    record(index + 1, `a${index}.b${index % 7}`, "A", `10.0.${index >> 8}.${index & 255}`),
  );
  const content = { epoch: "e", generation: 1, records };
  const images: SharedArrayBuffer[] = [];
  let turns = 0;
  const building = buildZoneAside(settings, content, systemClock).then(({ served }) =>
    images.push(served.image),
  );
  for (; images.length === 0; turns += 1) await nextTurn();
  await building;
  const atOnce = buildZone(settings, content).served.image;
  t.same(
    images.map((image) => Buffer.from(image).equals(Buffer.from(atOnce))),
    [true],
  );
  t.ok(turns > 3, `${turns} turns`);
});

t.test("N16 standbys take turns, each name for itself; the rest has its order", (t) => {
  const firsts = new Map<string, number>();
  for (let count = 0; count < 3000; count += 1) {
    const { answer } = told(view, { name: "replica.db.temps.local", type: 1 });
    if (new Set(answer).size !== 3) t.fail(`${answer.join()} is not the set`);
    const first = answer[0] ?? "";
    firsts.set(first, (firsts.get(first) ?? 0) + 1);
    // An asker who asks for both families each time gets turns all the same.
    told(view, { name: "replica.db.temps.local", type: 28 });
  }
  t.same([...firsts.values()], [1000, 1000, 1000]);
  const { answer } = told(view, { name: "reader.temps.local", type: 1 });
  const next = told(view, { name: "reader.temps.local", type: 1 }).answer;
  t.equal(answer[0], next[0], "the CNAME stays in front");
  t.not(answer[1], next[1]);
  const once = told(view, { name: "db.temps.local", type: 1 }).answer;
  t.same(told(view, { name: "db.temps.local", type: 1 }).answer, once);
  t.end();
});

t.test("N19 N20 odd labels", (t) => {
  const dotted = [11, ...Buffer.from("v4only.temps"), 5, ...Buffer.from("local"), 0];
  dotted[0] = 12;
  t.match(
    told(view, { name: dotted, type: 1 }),
    { rcode: "NXDOMAIN" },
    "N19 below local, not in the zone",
  );
  const same = [12, ...Buffer.from("v4only.temps"), 7, ...Buffer.from("example"), 0];
  t.match(told(view, { name: same, type: 1 }), { rcode: "REFUSED" }, "N19");
  for (const byte of [0, 255, 0x2e, 0x5c, 0x20]) {
    const query = askBytes({ name: [2, byte, 97, ...wireName(zone)], type: 1 });
    const bytes = answerTo(view, query) as Uint8Array;
    t.equal((bytes[3] ?? 0) & 15, 3, `N20 byte ${byte} is NXDOMAIN`);
    t.same([...bytes.subarray(12, query.length)], [...query.subarray(12)], "N20 echoed");
  }
  t.end();
});

t.test("N22 F14 before the first load the zone's names are not denied", (t) => {
  const empty = emptyView();
  for (const name of [zone, "v4only.temps.local", "x.db.internal", "4.3.2.10.in-addr.arpa"]) {
    for (const forwards of [false, true]) {
      const ask = { name, type: 1, edns: { size: 1232 } };
      const want = { rcode: "SERVFAIL", answer: [], authority: [], edns: "1232 ede 14" };
      t.match(told(empty, ask, { forwards }), want, `${name}, forwards ${forwards}`);
    }
  }
  t.match(told(empty, { name: "localhost", type: 1 }), { rcode: "NOERROR" });
  t.match(told(empty, { name: "example.com", type: 1 }), { rcode: "REFUSED" });
  t.end();
});

t.test("F14 F15 what is forwarded and what never is", (t) => {
  const own = builtView({
    forwards: true,
    forwardZones: ["corp.local", "10.in-addr.arpa", "x.temps.local"],
  });
  const code = (name: string, rd = true): number => {
    const found = answerTo(own, askBytes({ name, type: 1, rd }), { forwards: true });
    return typeof found === "number" ? found : 1;
  };
  const rows: [string, number][] = [
    ["example.com", goesOut],
    ["com", goesOut],
    ["", goesOut],
    ["8.113.0.203.in-addr.arpa", goesOut],
    ["a.corp.local", goesOut],
    ["corp.local", goesOut],
    ["9.9.9.10.in-addr.arpa", goesOut],
    ["4.3.2.10.in-addr.arpa", 1],
    ["y.x.temps.local", 1],
    ["nope.temps.local", 1],
    ["nope.db.internal", 1],
    ["x.local", 1],
    ["x.onion", 1],
    ["9.168.192.in-addr.arpa", 1],
    ["foo.localhost", 1],
  ];
  for (const [name, want] of rows) t.equal(code(name), want, name);
  t.equal(code("example.com", false), 1, "who wants no recursion gets none");
  t.match(told(own, { name: "v4only.temps.local", type: 1, bits: 0x10 }, { forwards: true }), {
    flags: "aa rd ra cd",
  });
  t.end();
});

t.test("E8 E12 E13 what does not fit", (t) => {
  const big = answerTo(view, askBytes({ name: "big.temps.local", type: 1 })) as Uint8Array;
  t.match(tell(big), { flags: "aa tc rd" });
  t.equal(tell(big).answer.length, 29, "E12 as many whole records as fit into 512 bytes");
  t.equal(big.length, 12 + 21 + 29 * 16);
  for (const size of [1232, 4096, 65_535]) {
    const ask = askBytes({ name: "huge.temps.local", type: 1, edns: { size } });
    const huge = answerTo(view, ask) as Uint8Array;
    t.ok(huge.length <= 1232 && huge.length > 1216, `E8 E13 ${huge.length} bytes of ${size}`);
    t.match(tell(huge), { flags: "aa tc rd", edns: "1232" });
  }
  const whole = answerTo(view, askBytes({ name: "huge.temps.local", type: 1 }), {
    transport: "tcp",
  });
  t.equal(lengthOf(whole), 3234, "E13 all of it over TCP, compressed");
  t.equal(tell(whole as Uint8Array).answer.length, 200);
  const service = { name: "_postgres._tcp.db.temps.local", type: 33 };
  const short = told(view, { ...service, edns: { size: 512 } }, { udpSizeMax: 512 });
  t.match(short, { flags: "aa rd" }, "what is additional is not missed");
  t.end();
});

t.test(`random zones say what the model says, seed ${seed}`, (t) => {
  const chance = chanceOf(seed);
  const kinds = ["A", "AAAA", "CNAME", "SRV", "TXT"] as const;
  let asked = 0;
  for (let round = 0; round < (full === "1" ? 1000 : 100); round += 1) {
    const records = randomRecords(chance);
    const { served } = buildZone(settings, { epoch: "e", generation: round, records });
    const random = viewOf(served);
    const model = servedOf(records);
    const names = new Set(records.flatMap(({ fqdn }) => [fqdn, `a.${fqdn}`, `b.${zone}`, zone]));
    for (const name of names) {
      for (const kind of kinds) {
        const want = modelAnswer(model, zone, name, kind);
        const got = told(random, { name, type: types[kind] }, { transport: "tcp" });
        asked += 1;
        const isSame =
          got.rcode === want.rcode &&
          got.answer.toSorted().join() === want.answer.toSorted().join() &&
          (got.authority.length === 1) === want.isNegative;
        if (!isSame) t.same(got, want, `round ${round}: ${name} ${kind}`);
      }
    }
  }
  t.ok(asked > 1000, `${asked} questions`);
  t.end();
});

function randomRecords(chance: Chance): ZoneRecord[] {
  const label = (): string => chance.pick(["a", "b", "c", "db", "replica"]);
  const name = (): string => Array.from({ length: chance.between(1, 3) }, label).join(".");
  return Array.from({ length: chance.between(0, 14) }, (_, index) => {
    const type = chance.pick<ZoneRecord["record_type"]>(["A", "AAAA", "CNAME", "CNAME", "SRV"]);
    const targets = {
      A: `10.0.0.${chance.between(1, 4)}`,
      AAAA: `fd00::${chance.between(1, 4)}`,
      CNAME: chance.hit(0.1) ? "www.example.com" : `${name()}.${zone}`,
      SRV: `${name()}.${zone}`,
    };
    const port = type === "SRV" ? chance.between(1, 2) : null;
    const ttl = chance.between(0, 3);
    return record(index + 1, name(), type, targets[type], { target_port: port, ttl });
  });
}

t.test(`H17 mutated datagrams, seed ${seed}`, (t) => {
  const chance = chanceOf(seed);
  const seeds = [...headerCases, ...ednsCases].map(({ given }) => given);
  const names = nameCases.map(({ given }) =>
    askBytes({ ...given, name: inZone(given.name, zone) }),
  );
  const corpus = [...seeds, ...names, big()].filter((bytes) => bytes.length > 0);
  const count = full === "1" ? 1_000_000 : 50_000;
  let before = 0;
  for (let index = 0; index < count; index += 1) {
    if (index === Math.floor(count / 5)) before = process.memoryUsage().rss;
    const query = mutated(corpus, chance);
    const forwards = chance.hit(0.5);
    const transport = chance.hit(0.2) ? "tcp" : "udp";
    const bytes = answerTo(view, query, { forwards, transport });
    if (typeof bytes === "number") {
      if (bytes < chainGoesOut || bytes > 0) t.fail(`${bytes} for ${hex(query)}`);
      continue;
    }
    const isLong = transport === "udp" && bytes.length > 1232;
    const isOdd = (bytes[2] ?? 0) < 0x80 || bytes[0] !== query[0] || bytes[1] !== query[1];
    if (isLong || isOdd) t.fail(`wrong answer to ${hex(query)}`);
    if (index % 50 === 0 && !isMessage(bytes)) t.fail(`no message for ${hex(query)}`);
  }
  const grown = (process.memoryUsage().rss - before) / 1024 ** 2;
  t.ok(grown < 48, `grew by ${grown.toFixed(1)} MB`);
  t.match(told(view, { name: "v4only.temps.local", type: 1 }), { rcode: "NOERROR" });
  t.end();
});

function isMessage(bytes: Uint8Array): boolean {
  try {
    return decode(Buffer.from(bytes)).type === "response";
  } catch {
    return false;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function big(): Uint8Array {
  return askBytes({ name: "huge.temps.local", type: 1, edns: { size: 4096 } });
}

t.test("T2 messages of a stream, split at every byte", (t) => {
  const messages = [big(), new Uint8Array(0), askBytes({ name: "db.temps.local", type: 1 })];
  const stream = messages.flatMap((one) => [one.length >> 8, one.length & 255, ...one]);
  for (let at = 0; at <= stream.length; at += 1) {
    const reader = new FrameReader();
    const got: string[] = [];
    const take = (message: Uint8Array): boolean => got.push(hex(message)) > 0;
    reader.push(Uint8Array.from(stream.slice(0, at)), take);
    reader.push(Uint8Array.from(stream.slice(at)), take);
    t.same(got, messages.map(hex), `at ${at}`);
    t.equal(reader.kept, 0);
  }
  const reader = new FrameReader();
  const got: string[] = [];
  for (const byte of stream) reader.push(Uint8Array.of(byte), (one) => got.push(hex(one)) > 0);
  t.same(got, messages.map(hex), "byte by byte");
  reader.push(Uint8Array.from(stream), () => false);
  t.equal(reader.kept, stream.length, "a taker that wants none");
  const late: string[] = [];
  reader.push(new Uint8Array(0), (one) => late.push(hex(one)) > 0);
  t.same(late, messages.map(hex), "gets them later");
  t.end();
});
