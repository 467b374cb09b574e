/** The dns-resolver process: its start, its states, what it says, and what outlives it and the registry. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { formatAddress } from "../../../kit/address.ts";
import { runChild } from "../../../kit/child.ts";
import { eventually, every, nextTurn, systemClock } from "../../../kit/clock.ts";
import { askName } from "../../../sidecars/dns-resolver/client.ts";
import type { NameAnswer, ResolverStatus } from "../../../sidecars/dns-resolver/contract.ts";
import { readSnapshot, writeSnapshot } from "../../../sidecars/dns-resolver/sync/snapshot.ts";
import { readSettings } from "../../../sidecars/dns-resolver/settings.ts";
import { record, soon, startFakeRegistry, token } from "./fake-registry.ts";
import { replying, upstream } from "./forward-rig.ts";
import { a } from "./reply-kit.ts";
import { runResolver, startResolverProcess, variablesOf } from "./resolver-process.ts";
import type { ResolverProcess } from "./resolver-process.ts";
import { testFolder } from "./sync-rig.ts";

const registryHost = "127.62.0.9";
const command = fileURLToPath(new URL("../../../bin/dns-resolver", import.meta.url));
const db = [
  record(1, "primary.db", "10.0.0.1"),
  record(2, "db", "10.0.0.1", { ttl: 30 }),
  record(3, "db", "10.0.0.2", { ttl: 30 }),
];

/** `bin/dns-resolver status` about a resolver. */
async function told(host: string, ...words: readonly string[]) {
  return await runChild(command, ["status", "--url", `${host}:8054`, ...words], {
    deadlineMs: 20_000,
    accept: [0, 1, 69],
    env: { PATH: process.env["PATH"] ?? "" },
  });
}

await t.test("from nothing to an answer, and on to the next", async (t) => {
  const host = "127.62.0.1";
  const fake = await startFakeRegistry(t, { host: registryHost });
  await fake.stop();
  const folder = await testFolder(t);
  const one = await startResolverProcess(t, host, variablesOf(host, fake.url, folder));

  t.match(await one.ask("primary.db"), { rcode: "SERVFAIL", addresses: [] }, "N22, never NXDOMAIN");
  t.match(await one.ask(""), { rcode: "SERVFAIL" });
  const empty = await one.status();
  t.match(empty, { state: "loading", healthy: false, generation: null, records: 0, from: null });
  t.match(empty.listen, [{ address: `${host}:5300`, state: "bound", error: null, fault: null }]);
  t.match(await one.get("/livez"), { status: 200 });
  t.match(await one.get("/readyz"), { status: 503, text: /^loading\nno zone is loaded/ });
  t.match(await told(host), { code: 1, stdout: /no zone is loaded/ });

  await fake.start();
  fake.commit(db);
  await one.serves(1);
  const answer = await one.ask("primary.db");
  t.match(answer, { rcode: "NOERROR", authoritative: true, addresses: ["10.0.0.1"], ttl: 5 });
  t.match(await one.ask("", "SOA"), { serial: 1 });
  t.match(await one.ask("nobody"), { rcode: "NXDOMAIN", serial: 1 });
  await eventually("all is well", soon, async () => (await one.status()).healthy || undefined);
  t.match(await one.get("/readyz"), { status: 200, text: "ready\n" });

  fake.commit([record(1, "primary.db", "10.0.0.2")]);
  await fake.acknowledged(2);
  // Acknowledged is what was seen to be answered.
  t.match(await one.ask("primary.db"), { addresses: ["10.0.0.2"] });
  t.match(await one.ask("", "SOA"), { serial: 2 });
  const status = await one.status();
  t.match(status, {
    zone: "temps.local",
    epoch: "epoch-1",
    from: "registry",
    records: 3,
    sync: { registry: fake.url, node: 7, lastError: null, failures: 0, resyncs: 0, wrong: [] },
  });
  t.match(await told(host), {
    code: 0,
    stdout: /temps.local: ready\ngeneration 2, acknowledged, 3 /,
  });
  const printed = JSON.parse((await told(host, "--json")).stdout) as ResolverStatus;
  t.match(printed, { healthy: true, generation: 2 });
  t.match(await told("127.62.0.250"), { code: 69, stderr: /127.62.0.250:8054.*refused/ });
  const { text } = await one.get("/metrics");
  for (const line of [
    /_generation 2\n/,
    /_healthy 1\n/,
    /_bound\{address="127.62.0.1:5300"\} 1\n/,
  ]) {
    t.match(text, line);
  }
  t.match(text, /switchyard_dns_resolver_stale_seconds \d/);
  t.match(text, /switchyard_dns_resolver_events_total\{event="\w+"\} [1-9]/);
  t.match(text, /switchyard_dns_resolver_level\{what="tcp_open"\} \d/);
  t.notMatch(text, /event="tcp_open"/, "what falls is no counter");

  const cmdline = await readFile(`/proc/${one.pid}/cmdline`, "utf8");
  const all = [one.output(), cmdline, text, JSON.stringify(status)].join("\n");
  t.notMatch(all, token, "the token is told nowhere");
  t.equal(await one.end("SIGTERM"), 0);
  await t.rejects(one.ask("primary.db"), { code: "ERR_RESOLVER_UNREACHABLE", message: /refused/ });
});

await t.test("what our tools ask is answered, or it is said why not", async (t) => {
  const host = "127.62.0.8";
  const fake = await startFakeRegistry(t, { host: registryHost });
  const many = Array.from({ length: 150 }, (_, id) => record(id + 1, "many", `10.0.0.${id}`));
  fake.commit([...many, record(200, "six", "fd00:0:0:1::a"), record(201, "six", "10.0.0.6")]);
  const folder = await testFolder(t);
  const one = await startResolverProcess(t, host, variablesOf(host, fake.url, folder));
  await fake.acknowledged(1);
  t.equal((await one.ask("many")).addresses.length, 150, "over TCP, since it does not fit");
  t.match(await one.ask("SIX", "AAAA"), { addresses: ["fd00:0:0:1::a"] });
  t.match(await one.ask("six"), { addresses: ["10.0.0.6"] });
  const { address } = one;
  const question = { address, name: "example.com", type: "A", deadlineMs: 5000 } as const;
  t.match(await askName(question), { rcode: "REFUSED", authoritative: false, addresses: [] });
  await t.rejects(askName({ ...question, name: "a..b" }), { code: "ERR_DNS_NAME" });

  const peer = createSocket("udp4");
  t.teardown(() => void peer.close());
  peer.bind(5302, host);
  await once(peer, "listening");
  const silent = { ...question, address: { host, port: 5302 }, deadlineMs: 100 };
  const unreachable = { code: "ERR_RESOLVER_UNREACHABLE", message: /no answer within 100 ms/ };
  await t.rejects(askName(silent), unreachable);
  // Its own question back, with an answer section that is cut off anywhere.
  const [first] = (await Promise.all([once(peer, "message"), askName(silent).catch(() => 0)])) as [
    [Buffer],
    unknown,
  ];
  const asked = first[0];
  for (let size = 0; size < asked.length; size += 1) {
    peer.removeAllListeners("message");
    peer.on("message", (query: Buffer, from) => {
      const reply = Buffer.concat([query.subarray(0, size), Buffer.alloc(0)]);
      if (size > 2) reply.writeUInt8((reply[2] ?? 0) | 0x80, 2);
      if (size > 7) reply.writeUInt8(9, 7);
      peer.send(reply, from.port, from.address);
    });
    await t.rejects(askName(silent), { name: "ResolverError" }, `cut after ${size} bytes`);
  }
});

await t.test("Z1: a state of the zone is seen whole, by who asks for two names", async (t) => {
  const host = "127.62.0.2";
  const fake = await startFakeRegistry(t, { host: registryHost });
  // Two names, each with three addresses that tell the generation.
  const zoneAt = (generation: number) =>
    ["one", "two"].flatMap((name, which) =>
      [1, 2, 3].map((last) => {
        const address = `10.${generation >> 8}.${generation & 255}.${last}`;
        return record(which * 3 + last, name, address);
      }),
    );
  fake.commit(zoneAt(1));
  const folder = await testFolder(t);
  const one = await startResolverProcess(t, host, variablesOf(host, fake.url, folder));
  await one.serves(1);
  const over = new AbortController();
  const seen: { readonly first: number; readonly second: number; readonly mixed: boolean }[] = [];
  const generations = ({ addresses }: NameAnswer): Set<number> =>
    new Set(addresses.map((text) => Number(text.split(".")[1]) * 256 + Number(text.split(".")[2])));
  const hammer = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const first = await one.ask("one");
      const second = await one.ask("two");
      const [a, b] = [generations(first), generations(second)];
      const whole = first.addresses.length === 3 && second.addresses.length === 3;
      const mixed = a.size !== 1 || b.size !== 1 || !whole;
      seen.push({ first: Math.max(...a), second: Math.min(...b), mixed });
    }
  };
  const hammers = [hammer(), hammer(), hammer()];
  const last = 150;
  for (let generation = 2; generation <= last; generation += 1) {
    fake.commit(zoneAt(generation));
    // As fast as it is taken, and now and then faster.
    if (generation % 3 !== 0) await fake.acknowledged(generation);
  }
  await one.serves(last);
  over.abort();
  await Promise.all(hammers);
  t.same(
    seen.filter(({ mixed }) => mixed),
    [],
  );
  t.same(
    seen.filter(({ first, second }) => second < first),
    [],
    "who asks later sees no older one",
  );
  const states = new Set(seen.map(({ first }) => first));
  t.ok(states.size > 20, `${states.size} states were seen in ${seen.length} pairs of answers`);
});

await t.test("Z5: the registry is away for a day, and the answers are the same", async (t) => {
  const host = "127.62.0.3";
  const fake = await startFakeRegistry(t, { host: registryHost });
  fake.commit(db);
  const folder = await testFolder(t);
  const variables = variablesOf(host, fake.url, folder);
  const questions = ["primary.db", "db", "nobody", ""] as const;
  const answers = async (one: ResolverProcess): Promise<NameAnswer[]> =>
    await Promise.all(questions.map((name) => one.ask(name)));
  const before = await startResolverProcess(t, host, variables);
  await fake.acknowledged(1);
  const asked = await answers(before);
  t.match(asked[0], { rcode: "NOERROR", authoritative: true, ttl: 5 });
  await fake.stop();
  await before.end("SIGKILL");

  const left = await readSnapshot(folder, "temps.local", (alarm) => t.fail(alarm));
  const day = 24 * 60 * 60;
  const writtenAt = systemClock.now() - day * 1000;
  if (left === undefined) throw new Error("there is no snapshot");
  await writeSnapshot(folder, { ...left, writtenAt });
  const after = await startResolverProcess(t, host, variables);
  t.same(await answers(after), asked);
  const status = await after.status();
  t.match(status, { state: "stale", healthy: false, generation: 1, from: "snapshot" });
  t.ok((status.sync.staleSeconds ?? 0) >= day);
  t.match(await after.get("/readyz"), { status: 200, text: /^stale\n/ });
  const { text } = await after.get("/metrics");
  t.ok(Number(/^switchyard_dns_resolver_stale_seconds (\S+)$/m.exec(text)?.[1]) >= day);
  t.same(
    fake.acks.filter((ack) => ack.applied_generation !== 1),
    [],
  );

  await fake.start();
  fake.commit([record(1, "primary.db", "10.0.0.2")]);
  await fake.acknowledged(2);
  await eventually("all is well", soon, async () => (await after.status()).healthy || undefined);
});

await t.test("Z7: while a large zone is applied, answers go on", async (t) => {
  const host = "127.62.0.7";
  const fake = await startFakeRegistry(t, { host: registryHost });
  fake.commit([record(1, "primary.db", "10.0.0.1")]);
  const folder = await testFolder(t);
  const one = await startResolverProcess(t, host, {
    ...variablesOf(host, fake.url, folder),
    // Here answers and all else share a thread.
    DNS_RESOLVER_ENGINE: "dgram",
  });
  await fake.acknowledged(1);
  const many = Array.from({ length: 20_000 }, (_, id) =>
    record(id + 10, `n${id}`, `10.${1 + (id >> 16)}.${(id >> 8) & 255}.${id & 255}`),
  );
  fake.commit([...many, record(1, "primary.db", "10.0.0.2")]);
  // The reply is made, hash and all, so that only the resolver is busy from here on.
  await nextTurn();
  const gaps: number[] = [];
  const began = systemClock.monotonic();
  // What holds this process up in the same time is the machine, and not the resolver.
  const beatMs = 20;
  let [heldUpMs, lastBeat] = [0, began];
  const stopBeats = every(beatMs, () => {
    const now = systemClock.monotonic();
    heldUpMs += Math.max(0, now - lastBeat - beatMs);
    lastBeat = now;
  });
  for (let isNew = false; !isNew;) {
    const [asked, heldUpBefore] = [systemClock.monotonic(), heldUpMs];
    isNew = (await one.ask("primary.db")).addresses[0] === "10.0.0.2";
    gaps.push(systemClock.monotonic() - asked - (heldUpMs - heldUpBefore));
  }
  stopBeats();
  const took = systemClock.monotonic() - began;
  const longest = Math.max(...gaps);
  t.ok(gaps.length > 20, `${gaps.length} answers in ${Math.round(took)} ms`);
  t.ok(longest < took / 2, `none took longer than ${Math.round(longest)} ms`);
  t.match(await fake.acknowledged(2), { record_count: 20_001, errors: [] });
  t.match(one.output(), /the zone is large: it is kept in a thread of its own/);

  await t.test("and is there again at once after a kill, with the registry away", async (t) => {
    await fake.stop();
    await one.end("SIGKILL");
    const again = await startResolverProcess(t, host, variablesOf(host, fake.url, folder));
    t.match(await again.ask("n19999"), { addresses: ["10.1.78.31"] });
    t.match(await again.ask("primary.db"), { addresses: ["10.0.0.2"] });
    t.match(await again.status(), { from: "snapshot", records: 20_001 });
  });
});

await t.test("addresses fail one by one, and come when they can", async (t) => {
  const host = "127.62.0.4";
  const fake = await startFakeRegistry(t, { host: registryHost });
  fake.commit(db);
  const taken = createSocket("udp4");
  let isTaken = true;
  const giveBack = (): void => {
    if (isTaken) taken.close();
    isTaken = false;
  };
  t.teardown(giveBack);
  taken.bind(5301, host);
  await once(taken, "listening");
  const folder = await testFolder(t);
  const one = await startResolverProcess(t, host, {
    ...variablesOf(host, fake.url, folder),
    DNS_RESOLVER_LISTEN: `${host}:5301, ${host}:5300,[::1]:5362`,
  });
  await fake.acknowledged(1);
  t.match(await one.ask("primary.db"), { addresses: ["10.0.0.1"] });
  t.match(await one.status(), {
    state: "ready",
    healthy: false,
    listen: [
      { address: `${host}:5301`, state: "retrying", error: /EADDRINUSE|taken/ },
      { address: `${host}:5300`, state: "bound" },
      { address: "[::1]:5362", state: "bound" },
    ],
  });
  t.match(await one.get("/readyz"), { status: 200 });
  giveBack();
  await eventually("all is well", soon, async () => (await one.status()).healthy || undefined);
});

await t.test(
  "a snapshot folder that cannot be used is told, and answers come all the same",
  async (t) => {
    const host = "127.62.0.5";
    const fake = await startFakeRegistry(t, { host: registryHost });
    fake.commit(db);
    const folder = await testFolder(t);
    await writeFile(join(folder, "file"), "");
    const variables = variablesOf(host, fake.url, join(folder, "file", "state"));
    const one = await startResolverProcess(t, host, variables);
    const { errors = [] } = await fake.acknowledged(1);
    t.match(errors, [/write the snapshot .*not a directory/i]);
    t.match(await one.ask("primary.db"), { addresses: ["10.0.0.1"] });
    t.match(await one.status(), {
      state: "ready",
      healthy: false,
      reasons: [/write the snapshot/],
    });
  },
);

await t.test("F16, F20: other upstreams while it runs, and no private addresses", async (t) => {
  const host = "127.62.0.10";
  const publicIp = "192.0.2.1";
  const answering = (...ips: readonly string[]) =>
    upstream(t, replying({ answer: ips.map((ip) => a("@", ip)) }), "127.62.0.11");
  const [first, second] = [await answering(publicIp, "10.9.9.9"), await answering("192.0.2.2")];
  const [one, two] = [first, second].map((far) => formatAddress(far.address));
  const folder = await testFolder(t);
  const file = join(folder, "upstreams");
  await writeFile(file, `${one};\ncorp.example=${one}\n`);
  const resolver = await startResolverProcess(t, host, {
    ...variablesOf(host, `http://${registryHost}:8053`, folder),
    DNS_RESOLVER_UPSTREAMS_FILE: file,
    DNS_RESOLVER_HIDE_PRIVATE: "yes",
  });
  const { address } = resolver;
  const addresses = async (name: string): Promise<readonly string[]> =>
    (await askName({ address, name, type: "A", deadlineMs: 5000 })).addresses;
  t.same(await addresses("www.example.com"), [publicIp], "a private address is left out");
  t.same(await addresses("db.corp.example"), [publicIp, "10.9.9.9"], "but not of one's own zone");
  t.match(await resolver.status(), { upstreams: [one, `corp.example=${one}`] });

  for (const [wrong, says] of [
    ["dns.example", /the old upstreams stay: .*dns\.example.* is no IP address/],
    [formatAddress(address), /the old upstreams stay: .*own address/],
    [`${two};corp.local=${two}`, /the old upstreams stay: .*corp.local.*only with a restart/],
  ] as const) {
    await writeFile(file, wrong);
    process.kill(resolver.pid, "SIGHUP");
    await eventually("it is told", soon, () => says.test(resolver.output()) || undefined);
    t.match(await resolver.status(), { upstreams: [one, `corp.example=${one}`] });
  }
  await writeFile(file, `${two}`);
  process.kill(resolver.pid, "SIGHUP");
  await eventually("it asks the other", soon, async () => {
    return (await addresses("www.example.com"))[0] === "192.0.2.2" || undefined;
  });
  t.match(await resolver.status(), { upstreams: [two] });
  t.equal(await resolver.end("SIGTERM"), 0);
});

await t.test("what it waits for is said, and its folder is its own", async (t) => {
  const host = "127.62.0.7";
  const folder = await testFolder(t);
  const fake = await startFakeRegistry(t, { host: "127.62.0.9", node: 8 });
  const good = variablesOf(host, fake.url, folder);
  const one = await startResolverProcess(t, host, good);
  await eventually(
    "it says so",
    soon,
    () =>
      one.output().includes("waits for the zone temps.local from http://127.62.0.9:8053") ||
      undefined,
  );
  t.notMatch(one.output(), /is ready/);
  const second = { ...variablesOf("127.62.0.8", fake.url, folder) };
  t.match(await runResolver([], second), {
    code: 75,
    output: `owned by a dns-resolver (pid ${one.pid})`,
  });
  await one.end("SIGKILL");
  const next = await startResolverProcess(t, "127.62.0.8", second);
  t.match(await next.status(), { state: "loading" }, "who was killed owns nothing");
});

await t.test("what it is told wrong, it refuses", async (t) => {
  const host = "127.62.0.6";
  const folder = await testFolder(t);
  const good = variablesOf(host, "http://127.62.0.9:8053", folder);
  const secret = join(folder, "token");
  await writeFile(secret, token);
  const cases = [
    { set: { DNS_RESOLVER_REGISTRY: "" }, says: /DNS_RESOLVER_REGISTRY: not set/ },
    { set: { DNS_RESOLVER_REGISTRY: "ftp://x" }, says: /expected a URL/ },
    { set: { DNS_RESOLVER_NODE: "seven" }, says: /DNS_RESOLVER_NODE: expected a whole number/ },
    { set: { DNS_RESOLVER_TOKEN: "" }, says: /DNS_RESOLVER_TOKEN or DNS_RESOLVER_TOKEN_FILE: not/ },
    { set: { DNS_RESOLVER_TOKEN_FILE: secret }, says: /are both set/ },
    { set: { DNS_RESOLVER_TOKEN: "two words" }, says: /DNS_RESOLVER_TOKEN: it .* no token has/ },
    { set: { DNS_RESOLVER_LISTEN: "localhost:53" }, says: /"localhost:53" is no IP address/ },
    { set: { DNS_RESOLVER_LISTEN: `${host},${host}:53` }, says: /127.62.0.6:53 stands twice/ },
    { set: { DNS_RESOLVER_ZONE: "a..b" }, says: /DNS_RESOLVER_ZONE/ },
    { set: { DNS_RESOLVER_ZONE: "10.0.0.1" }, says: /it is no domain/ },
    { set: { DNS_RESOLVER_ZONE_ALIASES: "ok.internal,-" }, says: /DNS_RESOLVER_ZONE_ALIASES: "-"/ },
    { set: { DNS_RESOLVER_UPSTREAMS: "dns.example" }, says: /no IP address/ },
    { set: { DNS_RESOLVER_UPSTREAMS: `${host}:5300` }, says: /own address/ },
    { set: { DNS_RESOLVER_UPSTREAMS: "10.0.0.1;10.0.0.2" }, says: /use commas/ },
    { set: { DNS_RESOLVER_UPSTREAMS: "a.b=10.0.0.1;A.B.=10.0.0.2" }, says: /a.b stands twice/ },
    { set: { DNS_RESOLVER_UPSTREAMS_FILE: join(folder, "none") }, says: /cannot read .*ENOENT/ },
    {
      set: { DNS_RESOLVER_UPSTREAMS: "::1", DNS_RESOLVER_UPSTREAMS_FILE: secret },
      says: /are both/,
    },
    { set: { DNS_RESOLVER_HIDE_PRIVATE: "true" }, says: /DNS_RESOLVER_HIDE_PRIVATE: .*yes, no/ },
    { set: { DNS_RESOLVER_UDP_SIZE: "100" }, says: /from 512 to 4096/ },
    { set: { DNS_RESOLVER_ENGINE: "fast" }, says: /auto, batched, dgram/ },
    { set: { DNS_RESOLVER_LISTENS: "x" }, says: /did you mean DNS_RESOLVER_LISTEN/ },
  ];
  for (const { set, says } of cases) {
    const variables = { ...good, ...set } as typeof good;
    await t.rejects(readSettings({ variables }), { code: "ERR_CONFIG", message: says });
    await readSettings({ variables }).catch((error: Error) => t.notMatch(error.message, token));
  }
  const refused = await runResolver([], { ...good, DNS_RESOLVER_NODE: "seven" });
  t.match(refused, { code: 78, output: /^dns-resolver: DNS_RESOLVER_NODE: / });
  t.match(await runResolver(["--env", "x"], good), { code: 64, output: /Unknown option '--env'/ });
  const help = await runResolver(["--help"], {});
  t.equal(help.code, 0);
  const page = await readFile(new URL("../../../docs/dns-resolver.md", import.meta.url), "utf8");
  for (const [, name = ""] of help.output.matchAll(/^ {2}(DNS_\w+)/gm)) {
    t.ok(page.includes(`\`${name}\``), `${name} stands in docs/dns-resolver.md`);
  }
  t.match(await runResolver([], { ...good, DNS_RESOLVER_STATUS_LISTEN: "192.0.2.1:8054" }), {
    code: 69,
    output: /listen on 192.0.2.1:8054/,
  });
});

await t.test("the compiler is needed before it starts, and stays out of it", async (t) => {
  const host = "127.62.0.18";
  const fake = await startFakeRegistry(t, { host: registryHost });
  fake.commit(db);
  const cache = join(await testFolder(t), "compiled");
  const addressSpace = async (more: Record<string, string> = {}): Promise<number> => {
    const own = { NODE_COMPILE_CACHE: cache, DNS_RESOLVER_ENGINE: "batched", ...more };
    const variables = { ...variablesOf(host, fake.url, await testFolder(t)), ...own };
    const one = await startResolverProcess(t, host, variables);
    await one.serves(1);
    const status = await readFile(`/proc/${one.pid}/status`, "utf8");
    t.equal(await one.end("SIGTERM"), 0);
    return Number(/^VmSize:\s+(\d+)/m.exec(status)?.[1]);
  };
  const first = await addressSpace();
  const mark = join(cache, "dns-resolver.compiled");
  const { mtimeMs } = await stat(mark);
  const second = await addressSpace();
  t.equal((await stat(mark)).mtimeMs, mtimeMs, "what is compiled is not compiled again");
  // The compiler is WebAssembly, whose memory takes addresses by gigabytes; of memory it takes 20 MB.
  const compiling = await addressSpace({ NODE_DISABLE_COMPILE_CACHE: "1" });
  const said = `${first} kB at the first start, ${second} at the second; ${compiling} with it`;
  t.ok(Math.max(first, second) < compiling / 2, said);

  // A date before that of the newest file that was compiled: as if that had changed since.
  await utimes(mark, 1, 1);
  t.match(await runResolver(["--help"], { NODE_COMPILE_CACHE: cache }), { code: 0 });
  t.ok((await stat(mark)).mtimeMs > mtimeMs, "what was changed is compiled again");

  await rm(cache, { recursive: true });
  await writeFile(cache, "not a folder");
  const nowhere = await runResolver(["--help"], { NODE_COMPILE_CACHE: cache });
  t.match(nowhere, { code: 0, output: /^Answers for the zone/ }, "it starts all the same");
});
