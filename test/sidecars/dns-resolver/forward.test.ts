/**
 * Forwarding without a socket: what is read of a reply and kept of it, for how long, and what a client
 * is told of it. The names of the tests begin with their row in the list of conformance.
 */
import { decode } from "dns-packet";
import t from "tap";
import { questionOf, readAsked, writeQuery } from "../../../sidecars/dns-resolver/forward/asked.ts";
import { createBuckets } from "../../../sidecars/dns-resolver/forward/buckets.ts";
import { Cache } from "../../../sidecars/dns-resolver/forward/cache.ts";
import { createChance, lettersOf } from "../../../sidecars/dns-resolver/forward/chance.ts";
import { composeAnswer, composeFailure } from "../../../sidecars/dns-resolver/forward/compose.ts";
import * as health from "../../../sidecars/dns-resolver/forward/health.ts";
import { matchReply } from "../../../sidecars/dns-resolver/forward/match.ts";
import { isWithin, readKey } from "../../../sidecars/dns-resolver/forward/names.ts";
import { isPrivateAddress } from "../../../sidecars/dns-resolver/forward/rdata.ts";
import { looseRecords } from "../../../sidecars/dns-resolver/forward/records.ts";
import { readReply } from "../../../sidecars/dns-resolver/forward/reply.ts";
import { checkUpstreams, defaultLimits } from "../../../sidecars/dns-resolver/forward/settings.ts";
import type { UpstreamChoice } from "../../../sidecars/dns-resolver/forward/settings.ts";
import { keepReply } from "../../../sidecars/dns-resolver/forward/stored.ts";
import type { Stored } from "../../../sidecars/dns-resolver/forward/stored.ts";
import { chainRows, lies, name, nameRows, negativeRows, txt, usual } from "./forward-cases.ts";
import { askBytes, tell, wireName } from "./message-kit.ts";
import type { Ask } from "./message-kit.ts";
import { a, cname, opt, questionBytes, replyBytes, soa } from "./reply-kit.ts";
import type { ReplyWords } from "./reply-kit.ts";

function keyOf(ask: Ask["name"]): string {
  return readKey(Uint8Array.from([...Buffer.alloc(12), ...wireName(ask)]), 12)?.key ?? "";
}

/** What is kept of a reply to a question; undefined when the reply cannot be read. */
function keep(
  ask: Ask,
  reply: Uint8Array,
  more: { readonly hidesPrivate?: boolean } = {},
): Stored | undefined {
  const key = keyOf(ask.name);
  const read = readReply(reply, key);
  const wantsProof = ((ask.edns?.z ?? 0) & 0x8000) !== 0;
  const asked = { key, type: ask.type, class: 1, wantsProof, hidesPrivate: false, ...more };
  return read === undefined ? undefined : keepReply(reply, read, asked, defaultLimits);
}

function kept(ask: Ask, words: ReplyWords): Stored {
  const stored = keep(ask, replyBytes(askBytes(ask), words));
  if (stored === undefined) throw new Error("the reply cannot be read");
  return stored;
}

const udp = { transport: "udp", udpSizeMax: 1232 } as const;

/** The answer to a question out of what is kept, as text. */
function told(stored: Stored, ask: Ask, age = 0, transport: "udp" | "tcp" = "udp") {
  const asked = readAsked(askBytes(ask));
  if (asked === undefined) throw new Error("the query cannot be read");
  return tell(composeAnswer(stored, asked, { ...udp, transport }, { age }));
}

t.test("names of upstreams are read with their pointers, and only where they end", async (t) => {
  for (const { name, bytes, at = 12, want } of nameRows) {
    t.equal(readKey(Uint8Array.from(bytes), at)?.key, want, name);
  }
  const within: [string, string, boolean][] = [
    ["a.example.com", "example.com", true],
    ["example.com", "example.com", true],
    ["badexample.com", "example.com", false],
    ["com", "example.com", false],
    ["anything", "", true],
  ];
  for (const [one, zone, want] of within) {
    t.equal(isWithin(keyOf(one), keyOf(zone)), want, `${one} in ${zone}`);
  }
});

t.test(
  "N19: a label that holds a dot is another name; F12: flags make another question",
  async (t) => {
    const key = (ask: Ask): string => readAsked(askBytes(ask))?.question.key ?? "";
    const dotted = [11, ...Buffer.from("www.example"), 3, ...Buffer.from("com"), 0];
    t.equal(key({ name: "WWW.Example.com", type: 1 }), key({ name, type: 1 }));
    const others: Ask[] = [
      { name, type: 1 },
      { name: dotted, type: 1 },
      { name, type: 65 },
      { name, type: 97 },
      { name, type: 1, class: 3 },
      { name, type: 1, bits: 0x10 },
      { name, type: 1, edns: { size: 1232, z: 0x8000 } },
    ];
    t.equal(new Set(others.map(key)).size, others.length);
  },
);

t.test("what goes to an upstream", async (t) => {
  const asked = readAsked(
    askBytes({ ...usual, bits: 0x10, rd: false, edns: { size: 4096, z: 0x8000 } }),
  );
  if (asked === undefined) throw new Error("the query cannot be read");
  const plain = Buffer.from(writeQuery(asked.question, false));
  t.match(decode(plain), { flag_rd: true, flag_cd: true, flag_ad: true, additionals: [] });
  const full = decode(Buffer.from(writeQuery(asked.question, true)));
  t.match(full, { questions: [{ name, type: "A" }] });
  t.match(full.additionals, [{ type: "OPT", udpPayloadSize: 1232, flag_do: true }]);
  for (const [what, query] of [
    ["an answer", replyBytes(askBytes(usual), {})],
    ["another opcode", askBytes({ ...usual, opcode: 5 })],
    ["a header", askBytes(usual).subarray(0, 12)],
    ["a cut question", askBytes({ name, type: 1 }).subarray(0, -1)],
  ] as const) {
    t.equal(readAsked(query), undefined, what);
  }
});

t.test("F2: the reply is told from others by every letter of its question", async (t) => {
  const query = askBytes({ name: "WwW.eXaMpLe.com", type: 1 });
  const question = questionBytes(query);
  const other = (ask: Ask): Uint8Array => questionBytes(askBytes(ask));
  const header = Uint8Array.of();
  const rows: [string, Uint8Array, string][] = [
    ["the reply", replyBytes(query, { answer: [a("@", "192.0.2.1")] }), "same"],
    ["in another case", replyBytes(query, { question: other({ name, type: 1 }) }), "other-case"],
    [
      "of another name",
      replyBytes(query, { question: other({ name: "xwW.eXaMpLe.com", type: 1 }) }),
      "foreign",
    ],
    [
      "of another type",
      replyBytes(query, { question: other({ name: "WwW.eXaMpLe.com", type: 33 }) }),
      "foreign",
    ],
    ["a query", query, "foreign"],
    ["a notification", replyBytes(query, { bits: 0x2000 }), "foreign"],
    ["only a header, FORMERR", replyBytes(query, { question: header, rcode: 1 }), "bare"],
    ["only a header, NOERROR", replyBytes(query, { question: header }), "foreign"],
    ["cut", replyBytes(query, {}).subarray(0, 20), "foreign"],
    ["nothing", Uint8Array.of(), "foreign"],
  ];
  for (const [what, message, want] of rows) t.equal(matchReply(message, question), want, what);
});

t.test("F1: ids, sockets and letters are drawn evenly", async (t) => {
  const chance = createChance();
  const drawn = Array.from({ length: 64_000 }, () => chance.below(64));
  const each = Array.from({ length: 64 }, (_, one) => drawn.filter((n) => n === one).length);
  t.ok(Math.min(...each) > 800 && Math.max(...each) < 1200, "1000 times each, nearly");
  const ids = new Set(Array.from({ length: 10_000 }, () => chance.id()));
  t.ok(ids.size > 8500, "ten thousand of 65,536");
  const question = questionBytes(askBytes({ name: "abcdefghijklmnop.qrst", type: 0x4142 }));
  t.equal(lettersOf(question), 20);
  const cases = Array.from({ length: 400 }, () => chance.mixCase(question));
  for (let at = 0; at < question.length; at += 1) {
    const uppers = cases.filter((mixed) => mixed[at] !== question[at]).length;
    const isLetter = at < question.length - 5 && (question[at] ?? 0) >= 0x61;
    t.ok(isLetter ? uppers > 120 && uppers < 280 : uppers === 0, `byte ${at}`);
  }
});

t.test("F13: only what lies on the chain of the question is kept", async (t) => {
  for (const { name, ask = usual, words, answer, authority = [] } of chainRows) {
    t.match(told(kept(ask, words), ask), { answer, authority, additional: [] }, name);
  }
});

t.test("what is put together anew reads as it did", async (t) => {
  const pointed = replyBytes(askBytes({ name, type: 15 }), {
    answer: [
      txt("other.example.net", "goes"),
      { name: "@", type: 15, data: [0, 10, 4, ...Buffer.from("mail"), 0xc0, 16] },
      { name: "@", type: 15, data: [0, 20, 2, ...Buffer.from("mx"), 0xc0, 24] },
    ],
  });
  const stored = keep({ name, type: 15 }, pointed);
  if (stored === undefined) throw new Error("the reply cannot be read");
  const asked = readAsked(askBytes({ name, type: 15 }));
  if (asked === undefined) throw new Error("the query cannot be read");
  const { answers } = decode(Buffer.from(composeAnswer(stored, asked, udp, { age: 0 })));
  t.match(answers, [
    { name, type: "MX", data: { preference: 10, exchange: "mail.example.com" } },
    { name, type: "MX", data: { preference: 20, exchange: "mx.com" } },
  ]);
  const loose = looseRecords(stored, 100).map((record) => Buffer.from(record));
  t.same(loose[0]?.subarray(0, 17), Buffer.from(wireName(name)));
  t.equal(loose[0]?.readUInt32BE(21), 200, "the TTL is aged");
  t.same(loose[1]?.subarray(29), Buffer.from(wireName("mx.com")), "names are whole");
});

t.test("F9: TTLs fall with time, never below 0, and are bounded", async (t) => {
  const stored = kept(usual, { answer: [a("@", "192.0.2.1", 300), a("@", "192.0.2.2", 60)] });
  t.equal(stored.ttl, 60, "the least decides");
  const at = (age: number): string[] =>
    told(stored, usual, age).answer.map((line) => line.split(" ")[1] ?? "");
  t.same(at(0), ["300", "60"]);
  t.same(at(59), ["241", "1"]);
  t.same(at(61), ["239", "0"]);
  const rows: [number, number][] = [
    [0, 0],
    [0x7fff_ffff, 86_400],
    [0x8000_0000, 0],
    [0xffff_ffff, 0],
    [86_401, 86_400],
  ];
  for (const [given, want] of rows) {
    const one = kept(usual, { answer: [a("@", "192.0.2.1", given)] });
    t.equal(one.ttl, want, `${given}`);
    t.equal(told(one, usual).answer[0], `www.example.com ${want} A 192.0.2.1`);
  }
});

t.test("F10: how long that there is nothing holds", async (t) => {
  for (const { name, words, ttl } of negativeRows) t.equal(kept(usual, words).ttl, ttl, name);
  const no = kept(usual, { rcode: 3, authority: [soa("com", 60, 30)] });
  t.match(told(no, usual, 10), {
    rcode: "NXDOMAIN",
    authority: ["com 20 SOA ns.com root.com 1 7200 900 86400 30"],
  });
});

const bounds = { ...defaultLimits, cacheEntriesMax: 100, cacheBytesMax: 60_000 };
const yes = kept(usual, { answer: [a("@", "192.0.2.1", 60)] });

t.test("F10, F11: what is kept, for how long, and past its time", async (t) => {
  const cache = new Cache(bounds);
  const day = 86_400_000;
  t.same(cache.find("k", 0), { is: "missing", stale: undefined });
  cache.keep("k", yes, 0);
  t.match(cache.find("k", 59_999), { is: "fresh", age: 59 });
  t.match(cache.find("k", 60_000), { is: "missing", stale: yes });
  t.match(cache.find("k", 60_000 + day - 1), { is: "missing", stale: yes });
  t.same(cache.find("k", 60_000 + day), { is: "missing", stale: undefined });
  for (const [failure, seconds] of [1, 2, 4, 5, 5].entries()) {
    cache.fail("k", 70_000);
    t.match(
      cache.find("k", 70_000 + seconds * 1000 - 1),
      { is: "failed", stale: yes },
      `${failure}`,
    );
    t.match(cache.find("k", 70_000 + seconds * 1000), { is: "missing", stale: yes }, `${failure}`);
  }
  cache.keep("k", yes, 80_000);
  t.match(cache.find("k", 80_000), { is: "fresh", age: 0 }, "a failure ends with an answer");
  cache.keep("k", kept(usual, { rcode: 3 }), 80_001);
  t.same(cache.find("k", 80_002), { is: "missing", stale: undefined }, "no old address after a no");
  cache.fail("other", 0);
  t.match(cache.find("other", 1), { is: "failed", stale: undefined });
});

t.test("the cache is bounded by number and by bytes, and keeps what is asked for", async (t) => {
  const cache = new Cache(bounds);
  for (let index = 0; index < 1000; index += 1) {
    cache.keep(`k${index}`, yes, 0);
    t.equal(cache.find("k0", 1).is, "fresh", `after ${index}`);
  }
  t.match(cache.size(), { entries: 100, evictions: 900 });
  const answer = Array.from({ length: 100 }, (_, index) => a("@", `192.0.2.${index}`));
  const large = kept(usual, { answer });
  for (let index = 0; index < 1000; index += 1) cache.keep(`l${index}`, large, 0);
  t.ok(cache.size().bytes <= bounds.cacheBytesMax);
  for (let index = 0; index < 1000; index += 1) cache.fail(`f${index}`, 0);
  t.equal(cache.size().entries, 100);
  cache.clear();
  t.match(cache.size(), { entries: 0, bytes: 0 });
});

t.test("F7, F12: each client has its own id, case, flags and size", async (t) => {
  const answer = Array.from({ length: 60 }, (_, index) => a("@", `192.0.2.${index}`));
  const stored = kept(usual, { answer, bits: 0x20 });
  const rows: {
    name: string;
    ask: Ask;
    records: number;
    flags: string;
    edns: string | undefined;
    transport?: "tcp";
  }[] = [
    {
      name: "without EDNS",
      ask: { name, type: 1 },
      records: 29,
      flags: "tc rd ra",
      edns: undefined,
    },
    {
      name: "with less than 512",
      ask: { ...usual, edns: { size: 100 } },
      records: 29,
      flags: "tc rd ra",
      edns: "1232",
    },
    {
      name: "with 900",
      ask: { ...usual, edns: { size: 900 } },
      records: 53,
      flags: "tc rd ra",
      edns: "1232",
    },
    {
      name: "with 4096",
      ask: { ...usual, edns: { size: 4096 } },
      records: 60,
      flags: "rd ra",
      edns: "1232",
    },
    {
      name: "over TCP",
      ask: { name, type: 1 },
      records: 60,
      flags: "rd ra",
      edns: undefined,
      transport: "tcp",
    },
    {
      name: "RD 0, CD, AD",
      ask: { ...usual, rd: false, bits: 0x30 },
      records: 60,
      flags: "ra ad cd",
      edns: "1232",
    },
    {
      name: "DO",
      ask: { ...usual, edns: { size: 1232, z: 0x8000 } },
      records: 60,
      flags: "rd ra ad",
      edns: "1232 do",
    },
  ];
  for (const { name, ask, records, flags, edns, transport = "udp" } of rows) {
    const seen = told(stored, ask, 0, transport);
    t.match({ ...seen, answer: seen.answer.length }, { answer: records, flags, edns }, name);
  }
  const asked = readAsked(askBytes({ name: "WWW.eXample.COM", type: 1, id: 77 }));
  if (asked === undefined) throw new Error("the query cannot be read");
  const bytes = Buffer.from(composeAnswer(stored, asked, udp, { age: 0 }));
  t.match(decode(bytes), { id: 77, questions: [{ name: "WWW.eXample.COM" }] });
  t.equal(bytes.length <= 512, true);
  const failure = tell(composeFailure({ ...asked, edns: { udpSize: 512 } }, udp, 2, 22));
  t.match(failure, { rcode: "SERVFAIL", flags: "rd ra", edns: "1232 ede 22" });
  const stale = composeAnswer(stored, { ...asked, edns: { udpSize: 1232 } }, udp, {
    age: 0,
    ttlCap: 30,
    extendedError: 3,
  });
  t.match(tell(stale), { answer: [/^WWW.eXample.COM 30 A/], edns: "1232 ede 3" }, "F11");
});

t.test("F17: the data of types that nobody knows comes through byte by byte", async (t) => {
  const data = Array.from({ length: 200 }, (_, index) => (index * 7) & 255);
  for (const type of [52, 65, 50, 65_500, 257]) {
    const ask = { name, type };
    const plain = kept(ask, { answer: [{ name: "@", type, data }] });
    const anew = kept(ask, { answer: [txt("evil.example", "x"), { name: "@", type, data }] });
    for (const stored of [plain, anew]) t.same([...stored.bytes.subarray(-200)], data, `${type}`);
  }
  const proof = { ...usual, edns: { size: 1232, z: 0x8000 } };
  const words = {
    answer: [a("@", "192.0.2.1"), { name: "@", type: 46, data }],
    authority: [
      { name: "example.com", type: 47, data },
      { name: "example.com", type: 2, data: [0] },
    ],
  };
  t.equal(kept(proof, words).ends.length, 3, "with DO its proof stays");
  t.equal(kept(usual, words).ends.length, 2);
});

t.test("F16: addresses of private networks can be left out", async (t) => {
  const rows: [string, boolean][] = [
    ...(
      ["10.1.1.1", "172.31.0.1", "192.168.1.1", "127.0.0.1", "169.254.1.1", "100.64.0.1"] as const
    ).map((ip) => [ip, true] as [string, boolean]),
    ...(["172.32.0.1", "8.8.8.8", "100.128.0.1", "192.169.0.1"] as const).map(
      (ip) => [ip, false] as [string, boolean],
    ),
  ];
  for (const [ip, want] of rows) {
    const data = Uint8Array.from(ip.split(".").map(Number));
    t.equal(isPrivateAddress(data, 1, 0), want, ip);
    const mapped = Uint8Array.from([...Buffer.alloc(10), 0xff, 0xff, ...data]);
    t.equal(isPrivateAddress(mapped, 28, 0), want, `::ffff:${ip}`);
  }
  const six = (...first: number[]): Uint8Array =>
    Uint8Array.from({ length: 16 }, (_, at) => first[at] ?? 0);
  t.ok(isPrivateAddress(six(0xfd), 28, 0) && isPrivateAddress(six(0xfe, 0x80), 28, 0));
  t.ok(isPrivateAddress(six(), 28, 0) && !isPrivateAddress(six(0x20, 0x01), 28, 0));
  const answer = [a("@", "192.168.0.1"), a("@", "192.0.2.1")];
  const stored = keep(usual, replyBytes(askBytes(usual), { answer }), { hidesPrivate: true });
  t.same(stored === undefined ? [] : told(stored, usual).answer, [
    "www.example.com 300 A 192.0.2.1",
  ]);
});

t.test("F6: how an upstream does, and who is asked first", async (t) => {
  const { unknownHealth, afterAnswer, afterFailure, hedgeDelay, isOut, askingOrder } = health;
  const quick = afterAnswer(unknownHealth, 8);
  t.equal(hedgeDelay(quick, 150, 600), 150);
  t.equal(hedgeDelay(afterAnswer(unknownHealth, 200), 150, 600), 400);
  t.equal(hedgeDelay(afterAnswer(unknownHealth, 900), 150, 600), 600);
  const failed = afterFailure(quick, 150);
  t.notOk(isOut(failed));
  const out = afterFailure(failed, 150);
  t.ok(isOut(out) && !isOut(afterAnswer(out, 8)), "any answer brings it back");
  const row = (name: string, its: health.Health) => ({ name, health: its });
  const slow = row("slow", afterAnswer(unknownHealth, 90));
  const rows = [row("out", out), slow, row("quick", quick), row("new", unknownHealth)];
  const names = (draw: number, given = rows): string[] =>
    askingOrder(given, () => draw).map(({ name }) => name);
  t.same(names(0), ["new", "quick", "slow", "out"]);
  t.same(names(1, [row("one", out), row("two", out)]), ["two", "one"], "all out: any");
  t.same(names(0, [row("late", afterFailure(unknownHealth, 150)), slow]), ["slow", "late"]);
});

t.test("F18, F20: an upstream that is this resolver itself is refused", async (t) => {
  const at = (host: string, port = 53) => ({ host, port });
  const refuses = (
    choice: UpstreamChoice,
    own = [at("10.0.0.1"), at("127.0.0.1", 5353)],
  ): boolean => {
    try {
      checkUpstreams(choice, own);
      return false;
    } catch (error) {
      t.match(error, { code: "ERR_FORWARD_UPSTREAM", message: /^forward to / });
      return true;
    }
  };
  t.notOk(refuses({ upstreams: [at("10.0.0.2"), at("10.0.0.1", 5353)], zones: [] }));
  t.ok(refuses({ upstreams: [at("10.0.0.1")], zones: [] }));
  t.ok(refuses({ upstreams: [], zones: [{ zone: "corp.example", upstreams: [at("10.0.0.1")] }] }));
  t.ok(refuses({ upstreams: [at("127.9.9.9")], zones: [] }, [at("0.0.0.0")]), "listens everywhere");
  t.ok(refuses({ upstreams: [at("0.0.0.0")], zones: [] }, [at("127.0.0.1")]), "this host");
  t.notOk(refuses({ upstreams: [at("192.0.2.1")], zones: [] }, [at("0.0.0.0")]));
  t.ok(refuses({ upstreams: [at("dns.example")], zones: [] }), "a name");
  t.ok(refuses({ upstreams: [], zones: [{ zone: "a..b", upstreams: [] }] }), "no zone");
});

t.test("F19: a client has so many questions at once, and so many a second", async (t) => {
  const buckets = createBuckets({ perSecond: 10, burst: 3, clientsMax: 2 });
  const takes = (address: string, times: number[]): boolean[] =>
    times.map((now) => buckets.take(address, now));
  t.same(takes("a", [0, 0, 0, 0, 99, 100, 101]), [true, true, true, false, false, true, false]);
  t.same(takes("b", [101, 101, 101, 101]), [true, true, true, false], "each has its own");
  t.same(takes("a", [10_000, 10_000, 10_000, 10_000]), [true, true, true, false], "never more");
  t.ok(buckets.take("c", 10_000));
  t.equal(buckets.size(), 2, "only so many are remembered");
});

/** Numbers by chance that come again with the same seed (mulberry32). */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

t.test("H16: replies that lie are no replies, and what is kept of any can be read", async (t) => {
  const query = askBytes(usual);
  for (const { name, words } of lies)
    t.equal(keep(usual, replyBytes(query, words)), undefined, name);
  const whole = replyBytes(query, {
    answer: [cname("@", "b.example.org"), txt("c.d", "x"), a("b.example.org", "192.0.2.1")],
    authority: [soa("org", 5, 5)],
    additional: [opt()],
  });
  for (let length = 0; length < whole.length; length += 1) {
    t.equal(keep(usual, whole.subarray(0, length)), undefined, `${length} bytes`);
  }
  const full = process.env["SWITCHYARD_TEST_FULL"] === "1";
  const draw = seeded(full ? 2 : 1);
  let readable = 0;
  for (let round = 0; round < (full ? 1_000_000 : 30_000); round += 1) {
    const mutated = Uint8Array.from(whole);
    for (let times = 0; times <= draw(4); times += 1) mutated[draw(whole.length)] = draw(256);
    const stored = keep(usual, mutated);
    if (stored === undefined) continue;
    readable += 1;
    const asked = readAsked(query);
    if (asked === undefined) throw new Error("the query cannot be read");
    const again = readReply(composeAnswer(stored, asked, udp, { age: 1 }), keyOf(name));
    if (again?.records.length !== stored.ends.length) t.fail(Buffer.from(mutated).toString("hex"));
  }
  t.ok(readable > 1000, `${readable} could be read`);
});

t.test("a question by itself", async (t) => {
  const question = questionOf(questionBytes(askBytes({ name, type: 28 })), {
    wantsProof: false,
    isCheckingOff: true,
  });
  t.match(question, { type: 28, class: 1, isCheckingOff: true });
});
