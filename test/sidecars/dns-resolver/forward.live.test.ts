/**
 * Forwarding over real sockets: upstreams that do what a test wants. The names of the tests begin with
 * their row in the list of conformance.
 */
import { createSocket } from "node:dgram";
import t from "tap";
import { eventually, nextTurn } from "../../../kit/clock.ts";
import type { OpenForwarder } from "../../../sidecars/dns-resolver/forward/forwarder.ts";
import { openUpstream } from "./fake-upstream.ts";
import type { Heard } from "./fake-upstream.ts";
import * as rig from "./forward-rig.ts";
import { askBytes, tell, wireName } from "./message-kit.ts";
import type { Told } from "./message-kit.ts";
import { a, askedType, cname, opt, questionBytes, replyBytes, soa } from "./reply-kit.ts";
import type { ReplyWords } from "./reply-kit.ts";

const {
  address,
  ask,
  clockAhead,
  forwarder,
  host,
  name,
  replying,
  silence,
  soon,
  udp,
  upstream,
  well,
} = rig;

t.test("F1: ten thousand questions come from many ports, with ids of their own", async (t) => {
  const far = await upstream(t, address);
  const limits = { missesBurst: 1e6, socketUses: 50, cacheEntriesMax: 100 };
  const way = forwarder(t, [far], { limits });
  for (let batch = 0; batch < 100; batch += 1) {
    const questions = Array.from({ length: 100 }, (_, index) =>
      ask(way, { name: `n${batch}-${index}.example.com`, id: 7 }),
    );
    for (const told of await Promise.all(questions))
      if (told.rcode !== "NOERROR") t.match(told, well);
  }
  const ports = new Set(far.heard.map(({ port }) => port));
  const ids = far.heard.map(({ query }) => Buffer.from(query).readUInt16BE(0));
  t.ok(ports.size > 150, `${ports.size} ports: a socket is replaced after 50 uses`);
  t.ok(new Set(ids).size > 8500, "ids");
  t.ok(ids.filter((id) => id === 7).length < 20, "none of the client's");
  const steps = ids.map((id, index) => id - (ids[index - 1] ?? 0));
  t.ok(new Set(steps).size > 8500, "no fixed step");
  const spellings = new Set(
    far.heard.map(({ query }) => Buffer.from(query.subarray(20, 32)).toString()),
  );
  t.ok(spellings.size > 500, `${spellings.size} spellings`);
  t.ok((way.counters()["sockets"] ?? 0) <= 64);
  t.ok((way.counters()["cacheEntries"] ?? 0) <= 100);
});

t.test("F2: what is forged is dropped, and the answer taken", async (t) => {
  const stranger = createSocket("udp4");
  t.teardown(() => new Promise<void>((resolve) => stranger.close(() => resolve())));
  const evil = { answer: [a("@", "203.0.113.66")] };
  const far = await upstream(t, (heard) => {
    const forged = replyBytes(heard.query, evil);
    const wrongId = Uint8Array.from(forged);
    wrongId[0] = (wrongId[0] ?? 0) ^ 1;
    heard.send(wrongId);
    const wrongName = questionBytes(askBytes({ name: "wwx.example.com", type: 1 }));
    heard.send(replyBytes(heard.query, { ...evil, question: wrongName }));
    heard.send(forged.subarray(0, 11));
    stranger.send(forged, heard.port, heard.host, () =>
      heard.reply({ answer: [a("@", "192.0.2.1")] }),
    );
  });
  const way = forwarder(t, [far]);
  t.match(await ask(way), well);
  t.match(way.counters(), { forged: 2, unsolicited: 1 });
});

t.test("F2: a reply in another case is dropped, and TCP decides", async (t) => {
  // Of so many letters that never by chance all are drawn small.
  const long = "a-name-of-a-great-many-letters.example.com";
  const far = await upstream(t, (heard) => {
    const question = questionBytes(askBytes({ name: long, type: 1 }));
    const ip = heard.transport === "tcp" ? "192.0.2.1" : "203.0.113.66";
    heard.reply({ answer: [a("@", ip)], question });
  });
  const way = forwarder(t, [far]);
  t.match(await ask(way, { name: long }), well);
  t.match(way.counters(), { forged: 1, overTcp: 1 });
});

t.test("F3: replies nobody waits for are dropped", async (t) => {
  let late: () => void = silence;
  const slow = await upstream(t, (heard) => {
    late = () => heard.reply({ answer: [a("@", "203.0.113.66")] });
  });
  const quick = await upstream(t, (heard) => {
    for (let times = 0; times < 3; times += 1) heard.reply({ answer: [a("@", "192.0.2.1")] });
  });
  const way = forwarder(t, [slow, quick], { limits: { hedgeMinMs: 200 } });
  t.match(await ask(way), well);
  late();
  await eventually("both late replies", soon, () =>
    way.counters()["unsolicited"] === 2 ? true : undefined,
  );
  t.match(await ask(way, { name: "two.example.com" }), well);
  t.match(way.counters(), { hits: 0 });
});

t.test(
  "F4: what an upstream says is told as it is; where it cannot, the next is asked",
  async (t) => {
    const authority = [soa("example.com", 60, 60)];
    const rows: { name: string; words: ReplyWords; want: Partial<Told>; seconds: number }[] = [
      {
        name: "no such name",
        words: { rcode: 3, authority },
        want: { rcode: "NXDOMAIN" },
        seconds: 1,
      },
      { name: "no data", words: { authority }, want: { rcode: "NOERROR", answer: [] }, seconds: 1 },
      { name: "SERVFAIL", words: { rcode: 2 }, want: { rcode: "NOERROR" }, seconds: 2 },
      { name: "REFUSED", words: { rcode: 5 }, want: { rcode: "NOERROR" }, seconds: 2 },
      { name: "NOTIMP", words: { rcode: 4 }, want: { rcode: "NOERROR" }, seconds: 2 },
      { name: "BADVERS", words: { additional: [opt(1)] }, want: { rcode: "NOERROR" }, seconds: 2 },
    ];
    for (const { name, words, want, seconds } of rows) {
      const first = await upstream(t, replying(words));
      const second = await upstream(t, address);
      const told = await ask(forwarder(t, [first, second]));
      t.match(told, want, name);
      t.equal(first.heard.length + second.heard.length, seconds, name);
      const soaLine = /^example.com 60 SOA/;
      t.match(told.authority, seconds === 1 ? [soaLine] : [], name);
    }
    const many = [];
    for (let index = 0; index < 8; index += 1) many.push(await upstream(t, replying({ rcode: 5 })));
    t.match(await ask(forwarder(t, many)), { rcode: "SERVFAIL" });
    t.equal(many.filter(({ heard }) => heard.length > 0).length, 6, "not more than six are asked");
    const none = [
      await upstream(t, replying({ rcode: 2 })),
      await upstream(t, replying({ rcode: 5 })),
    ];
    const way = forwarder(t, none);
    t.match(await ask(way), { rcode: "SERVFAIL", flags: "rd ra", edns: "1232 ede 22" });
    t.match(await ask(way), { rcode: "SERVFAIL", edns: "1232 ede 13" }, "F10: remembered");
    t.same(
      none.map(({ heard }) => heard.length),
      [1, 1],
    );
  },
);

t.test("F5: the next is asked when one is silent, and the end comes in time", async (t) => {
  const [mute, deaf] = [await upstream(t, silence), await upstream(t, silence)];
  const quick = await upstream(t, address);
  t.match(await ask(forwarder(t, [mute, quick], { limits: { hedgeMinMs: 300 } })), well);
  t.equal(mute.heard.length, 1);
  const limits = { totalMs: 4000, hedgeMinMs: 100 };
  const way = forwarder(t, [mute, deaf], { limits });
  t.match(await ask(way), { rcode: "SERVFAIL", edns: "1232 ede 22" });
  t.ok(mute.heard.length > 2 && deaf.heard.length > 1, "both were asked again");
  t.ok((way.counters()["sent"] ?? 0) <= 6, "but not for ever");
  const gone = await openUpstream(host, silence);
  await gone.close();
  const nobody = forwarder(t, [gone]);
  t.match(await ask(nobody), { rcode: "SERVFAIL", edns: "1232 ede 23" }, "refused at once");
  t.equal(nobody.counters()["hedged"], 0);
});

t.test("F6: one that is dead is left alone until it answers again", async (t) => {
  const dead = await upstream(t, silence);
  const others = [await upstream(t, address), await upstream(t, address)];
  const way = forwarder(t, [dead, ...others], { limits: { hedgeMinMs: 300, probeMs: 20 } });
  let asked = 0;
  const askAll = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      asked += 1;
      t.match(await ask(way, { name: `n${asked}.example.com` }), well);
    }
  };
  await askAll(20);
  const afterFirst = dead.heard.length;
  t.ok(afterFirst > 0 && afterFirst <= 2, "others are quicker from then on");
  await eventually("it is out", soon, async () => {
    await askAll(20);
    return way.counters()["upstreamOut"] === 1 ? true : undefined;
  });
  const whenOut = dead.heard.length;
  await askAll(100);
  t.ok(dead.heard.length - whenOut <= 3, "nobody waits for it");
  await eventually("it is probed", soon, () => (dead.probes() > 1 ? true : undefined));
  dead.answer = address;
  await eventually("it is asked again", soon, async () => {
    await askAll(20);
    return dead.heard.length > whenOut + 3 ? true : undefined;
  });
});

t.test("F6: when all are out, they are asked all the same", async (t) => {
  const only = await upstream(t, silence);
  const way = forwarder(t, [only], { limits: { totalMs: 3000, hedgeMinMs: 50, probeMs: 1e6 } });
  t.match(await ask(way, { name: "one.example.com" }), { rcode: "SERVFAIL" });
  t.equal(way.counters()["upstreamOut"], 1);
  only.answer = address;
  t.match(await ask(way, { name: "two.example.com" }), well);
});

t.test(
  "F6: while all are out, who asks is told before the end, and late replies count",
  async (t) => {
    const only = await upstream(t, silence);
    const limits = { totalMs: 60_000, allOutMs: 60, hedgeMinMs: 20, probeMs: 1e6 };
    const way = forwarder(t, [only], { limits });
    const first = ask(way, { name: "one.example.com" });
    await eventually("it is out", soon, () => way.counters()["upstreamOut"] === 1 || undefined);
    let late: () => void = silence;
    // The first is asked again now and then, and is to have no answer at all.
    only.answer = (heard) => {
      if (heard.name === "two.example.com") late = () => address(heard);
    };
    t.match(await ask(way, { name: "two.example.com" }), {
      rcode: "SERVFAIL",
      edns: "1232 ede 22",
    });
    t.equal(
      way.counters()["underWay"],
      1,
      "the first, which began while there was hope, waits still",
    );
    late();
    only.answer = (heard) => {
      if (heard.name !== "one.example.com") address(heard);
    };
    await eventually("it is in again, and asked with patience", soon, async () => {
      const name = `n${only.heard.length}.example.com`;
      return (await ask(way, { name })).rcode === "NOERROR" || undefined;
    });
    await way.close();
    t.match(await first, { rcode: "SERVFAIL" });
  },
);

t.test("F7: what does not fit comes over TCP, and is cut to the client's own size", async (t) => {
  const answer = Array.from({ length: 200 }, (_, index) => a("@", `192.0.2.${index}`));
  const far = await upstream(t, (heard) =>
    heard.transport === "tcp" ? heard.reply({ answer }) : heard.reply({ bits: 0x200 }),
  );
  const way = forwarder(t, [far]);
  const query = askBytes({ name, type: 1 });
  const small = tell((await way.forward(query, udp)) ?? query);
  t.match(small, { flags: "tc rd ra", edns: undefined });
  t.equal(small.answer.length, 29);
  const large = tell((await way.forward(query, { ...udp, transport: "tcp" })) ?? query);
  t.match(large, { flags: "rd ra" });
  t.equal(large.answer.length, 200);
  t.same(
    far.heard.map(({ transport }) => transport),
    ["udp", "tcp"],
  );
  far.answer = (heard) =>
    heard.transport === "udp" ? heard.reply({ bits: 0x200 }) : heard.send(Uint8Array.of(1, 2));
  t.match(await ask(way, { name: "two.example.com" }), { rcode: "SERVFAIL" }, "TCP says nothing");
  t.equal(way.counters()["tcpOpen"], 0);
});

t.test("F8: one that does not know EDNS is asked without", async (t) => {
  const bare = { rcode: 1, question: Uint8Array.of() };
  for (const words of [{ rcode: 1 }, bare]) {
    const far = await upstream(t, (heard) =>
      heard.query[11] === 1 ? heard.reply(words) : address(heard),
    );
    const way = forwarder(t, [far]);
    t.match(await ask(way), { ...well, edns: "1232" });
    t.match(await ask(way, { name: "two.example.com" }), well);
    t.same(
      far.heard.map(({ query }) => query[11]),
      [1, 0, 0],
      "it is remembered",
    );
  }
  const never = await upstream(t, replying({ rcode: 1 }));
  t.match(await ask(forwarder(t, [never])), { rcode: "SERVFAIL" });
  t.equal(never.heard.length, 2);
});

t.test("F9, F10, F11: kept answers age, and outlive their upstream for a while", async (t) => {
  const far = await upstream(t, address);
  const clock = clockAhead();
  const limits = { totalMs: 1000, hedgeMinMs: 200 };
  const way = forwarder(t, [far], { limits }, clock);
  await ask(way);
  clock.aheadMs += 299_000;
  t.match(await ask(way), { answer: ["www.example.com 1 A 192.0.2.1"] });
  t.equal(far.heard.length, 1);
  far.answer = silence;
  clock.aheadMs += 1000;
  const stale = {
    rcode: "NOERROR",
    answer: ["www.example.com 30 A 192.0.2.1"],
    edns: "1232 ede 3",
  };
  t.match(await ask(way), stale, "F11");
  const heard = far.heard.length;
  t.match(await ask(way), stale);
  t.equal(far.heard.length, heard, "F10: the failure is remembered");
  far.answer = replying({ rcode: 3, authority: [soa("com", 60, 60)] });
  clock.aheadMs += 5000;
  t.match(await ask(way), { rcode: "NXDOMAIN", answer: [] });
  far.answer = silence;
  clock.aheadMs += 61_000;
  t.match(await ask(way), { rcode: "NXDOMAIN", answer: [], edns: "1232 ede 19" }, "no old address");
  clock.aheadMs += 2 * 86_400_000;
  t.match(await ask(way), { rcode: "SERVFAIL" });
});

t.test("F12: a hundred clients share one question", async (t) => {
  const waiting: Heard[] = [];
  const answer = Array.from({ length: 60 }, (_, index) => a("@", `192.0.2.${index}`));
  const far = await upstream(t, (heard) => void waiting.push(heard));
  const way = forwarder(t, [far]);
  const spelling = (index: number): string => (index % 2 === 0 ? "wWw.example.com" : name);
  const queries = Array.from({ length: 100 }, (_, index) =>
    askBytes({
      ...{ name: spelling(index), type: 1, id: index, rd: index % 3 > 0 },
      ...(index % 4 === 0 ? {} : { edns: { size: 1232 } }),
    }),
  );
  const answers = queries.map((query) => way.forward(query, udp));
  await eventually("the question", soon, () => (waiting.length > 0 ? true : undefined));
  t.match(way.counters(), { underWay: 1, waiters: 100, coalesced: 99 });
  waiting[0]?.reply({ answer });
  for (const [index, bytes] of (await Promise.all(answers)).entries()) {
    if (bytes === undefined) throw new Error("no answer");
    const told = tell(bytes);
    t.equal(Buffer.from(bytes).readUInt16BE(0), index);
    t.ok(told.answer[0]?.startsWith(`${spelling(index)} `));
    t.equal(told.flags.includes("rd"), index % 3 > 0);
    t.equal(told.answer.length, index % 4 === 0 ? 29 : 60);
    t.equal(told.edns, index % 4 === 0 ? undefined : "1232");
  }
  t.equal(far.heard.length, 1);
  t.match(way.counters(), { underWay: 0, waiters: 0 });
});

t.test("F13: an answer plants nothing for another name", async (t) => {
  const far = await upstream(t, (heard) => {
    const ip = heard.name === "bank.example.net" ? "192.0.2.9" : "192.0.2.1";
    heard.reply({ answer: [a("@", ip), a("bank.example.net", "203.0.113.66")] });
  });
  const way = forwarder(t, [far]);
  t.match(await ask(way), { answer: ["www.example.com 300 A 192.0.2.1"] });
  t.match(await ask(way, { name: "bank.example.net" }), {
    answer: ["bank.example.net 300 A 192.0.2.9"],
  });
});

t.test(
  "F16: private addresses are left out where that is wished, save for zones of one's own",
  async (t) => {
    const far = await upstream(t, replying({ answer: [a("@", "10.0.0.1")] }));
    const zones = [{ zone: "corp.example", upstreams: [far.address] }];
    const way = forwarder(t, [far], { hidesPrivate: true, zones });
    t.match(await ask(way), { rcode: "NOERROR", answer: [] });
    t.match(await ask(way, { name: "db.corp.example" }), { answer: [/10\.0\.0\.1$/] });
  },
);

t.test("F17: DO, CD and AD go both ways, and what is not known stays as it is", async (t) => {
  const data = Array.from({ length: 300 }, (_, index) => index & 255);
  const far = await upstream(t, (heard) => {
    heard.reply({ bits: 0x20, answer: [{ name: "@", type: askedType(heard.query), data }] });
  });
  const way = forwarder(t, [far]);
  for (const type of [65, 52, 50, 65_500]) {
    const bytes = await way.forward(askBytes({ name, type, edns: { size: 1232 } }), udp);
    t.same([...(bytes ?? []).slice(-311, -11)], data, `${type}`);
  }
  const told = await ask(way, { type: 65_500, bits: 0x10, edns: { size: 1232, z: 0x8000 } });
  t.match(told, { flags: "rd ra ad cd", edns: "1232 do" });
  const last = Buffer.from(far.heard.at(-1)?.query ?? []);
  t.equal((last[3] ?? 0) & 0x10, 0x10, "CD");
  t.equal(last.at(-4), 0x80, "DO");
});

t.test("F18: a question that comes back to where it went out is refused", async (t) => {
  const ways: OpenForwarder[] = [];
  const circle = await upstream(t, (heard) => {
    void ways[0]?.forward(heard.query, udp).then((answer) => answer && heard.send(answer));
  });
  const way = forwarder(t, [circle]);
  ways.push(way);
  t.match(await ask(way), { rcode: "SERVFAIL" });
  t.match(way.counters(), { loops: 1, sent: 1 });
  const own = { ownAddresses: [circle.address] };
  t.throws(() => forwarder(t, [circle], own), { code: "ERR_FORWARD_UPSTREAM" });
});

t.test("F19: a client that asks too much is refused, and only that one", async (t) => {
  const far = await upstream(t, address);
  const way = forwarder(t, [far], { limits: { missesBurst: 5, missesPerSecond: 0 } });
  const from = async (client: string, one: string): Promise<Told> => {
    const query = askBytes({ name: one, type: 1, edns: { size: 1232 } });
    return tell((await way.forward(query, { ...udp, address: client })) ?? query);
  };
  for (let index = 0; index < 5; index += 1)
    t.match(await from("10.0.0.9", `n${index}.example`), well);
  t.match(await from("10.0.0.9", "n5.example"), { rcode: "REFUSED", edns: "1232 ede 18" });
  t.match(await from("10.0.0.9", "n0.example"), well, "what is kept costs nothing");
  t.match(await from("10.0.0.8", "n5.example"), well);
  t.equal(way.counters()["overLimit"], 1);
});

t.test("F20: zones with upstreams of their own, and another choice while it runs", async (t) => {
  const [all, corp, deep] = [
    await upstream(t, replying({ answer: [a("@", "192.0.2.1")] })),
    await upstream(t, replying({ answer: [a("@", "192.0.2.2")] })),
    await upstream(t, replying({ answer: [a("@", "192.0.2.3")] }), "::1"),
  ];
  const zones = [
    { zone: "corp.example", upstreams: [corp.address] },
    { zone: "db.corp.example.", upstreams: [deep.address] },
    { zone: "secret.example", upstreams: [] },
  ];
  const way = forwarder(t, [all], { zones });
  const rows: [string, Partial<Told>][] = [
    ["www.example", { answer: ["www.example 300 A 192.0.2.1"] }],
    ["notcorp.example", { answer: ["notcorp.example 300 A 192.0.2.1"] }],
    ["corp.example", { answer: ["corp.example 300 A 192.0.2.2"] }],
    ["a.CORP.example", { answer: ["a.CORP.example 300 A 192.0.2.2"] }],
    ["x.db.corp.example", { answer: ["x.db.corp.example 300 A 192.0.2.3"] }],
    ["x.secret.example", { rcode: "REFUSED", edns: "1232 ede 20" }],
  ];
  for (const [one, want] of rows) t.match(await ask(way, { name: one }), want, one);
  way.choose({ upstreams: [corp.address], zones: [] });
  t.match(await ask(way, { name: "www.example" }), { answer: ["www.example 300 A 192.0.2.2"] });
  t.throws(() => way.choose({ upstreams: [{ host: "dns.example", port: 53 }], zones: [] }));
  t.match(
    await ask(way, { name: "other.example" }),
    { answer: [/192\.0\.2\.2$/] },
    "nothing changed",
  );
});

t.test("H16: replies that lie cost one try, and no time", async (t) => {
  const circle = { name: "@", type: 5, data: [0xc0, 45] };
  const rows: ReplyWords[] = [
    { answer: [{ ...a("@", "192.0.2.6"), length: 400 }] },
    { answer: [a("@", "192.0.2.6")], counts: [9, 0, 0] },
    { counts: [65_535, 65_535, 65_535] },
    { answer: [circle] },
    { answer: [{ name: [0xc0, 12], type: 1, data: [1] }] },
  ];
  for (const words of rows) {
    const liar = await upstream(t, replying(words));
    const way = forwarder(t, [liar, await upstream(t, address)]);
    t.match(await ask(way), well);
    t.match(way.counters(), { badReplies: 1, hedged: 0 });
  }
});

t.test("bounds: too much at once is told so at once, and nothing is left behind", async (t) => {
  const far = await upstream(t, silence);
  const limits = { questionsMax: 10, waitersMax: 20 };
  const way = forwarder(t, [far], { limits });
  const waiting = Array.from({ length: 10 }, (_, index) => ask(way, { name: `n${index}.example` }));
  t.match(await ask(way, { name: "n10.example" }), { rcode: "SERVFAIL", edns: "1232 ede 0" });
  for (let index = 0; index < 10; index += 1) waiting.push(ask(way, { name: "n0.example" }));
  t.match(await ask(way, { name: "n0.example" }), { rcode: "SERVFAIL" }, "no more may wait");
  await way.close();
  for (const told of await Promise.all(waiting)) t.match(told, { rcode: "SERVFAIL" });
  await nextTurn();
  t.match(way.counters(), { underWay: 0, waiters: 0, sockets: 0, overBound: 2 });
  t.equal(await way.forward(askBytes({ name, type: 1 }), udp), undefined, "closed");
});

t.test("N11: the end of a chain that leaves the zone", async (t) => {
  const far = await upstream(t, (heard) => {
    const b = "b.example.org";
    if (heard.name === "gone.example.com")
      heard.reply({ rcode: 3, authority: [soa("com", 60, 60)] });
    else if (heard.name === name) heard.reply({ answer: [cname("@", b), a(b, "192.0.2.1", 60)] });
  });
  const way = forwarder(t, [far], { limits: { totalMs: 1000 } });
  const target = (one: string) => way.resolveTarget(Uint8Array.from(wireName(one)), 1);
  const found = await target(name);
  t.equal(found?.rcode, 0);
  const ipAt = wireName("b.example.org").length + 10;
  t.same([...(found?.records[1]?.subarray(ipAt) ?? [])], [192, 0, 2, 1]);
  t.equal(found?.records.length, 2);
  t.same(await target("gone.example.com"), { rcode: 3, records: [] });
  t.equal(await target("silent.example.com"), undefined);
});
