/**
 * Questions over UDP on real sockets, to each engine: the same answers as without a socket, from the
 * address that was asked, of one generation, and whatever else comes in between.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import t from "tap";
import type { Address } from "../../../kit/address.ts";
import { inCheckout } from "../../../kit/checkout.ts";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import type { Logger } from "../../../kit/logger.ts";
import { startBatched } from "../../../sidecars/dns-resolver/engine/batched.ts";
import { createDesk } from "../../../sidecars/dns-resolver/engine/desk.ts";
import type { EngineName } from "../../../sidecars/dns-resolver/engine/open.ts";
import type { Served } from "../../../sidecars/dns-resolver/zone/served.ts";
import { createServing } from "../../../sidecars/dns-resolver/zone/serving.ts";
import type { Serving } from "../../../sidecars/dns-resolver/zone/serving.ts";
import { chanceOf } from "../../sim/random.ts";
import { startRig, udpClient } from "./engine-rig.ts";
import { ednsCases, headerCases } from "./header-cases.ts";
import { askBytes, tell } from "./message-kit.ts";
import { mutated } from "./mutated.ts";
import { nameCases, otherCases } from "./names-cases.ts";
import { answerTo, builtView, inZone, recordsOf, settings, zones } from "./zone-case.ts";

const { SWITCHYARD_TEST_FULL: full, SWITCHYARD_TEST_SEED: text } = process.env;
const soon = { deadlineMs: 10_000, intervalMs: 10 };
const engines: readonly EngineName[] = ["batched", "dgram"];
const port = 5300;
const one: Address = { host: "127.53.1.1", port };
const two: Address = { host: "127.53.1.2", port };
const six: Address = { host: "::1", port };
const v4only = { name: "v4only.temps.local", type: 1 } as const;

const queries = [
  ...[...headerCases, ...ednsCases].flatMap(({ given, transport }) =>
    transport === undefined ? [given] : [],
  ),
  ...zones.flatMap((zone) =>
    nameCases.map(({ given }) => askBytes({ ...given, name: inZone(given.name, zone) })),
  ),
  ...otherCases.map(({ given }) => askBytes({ ...given, rd: false })),
];

for (const engine of engines) {
  t.test(`the ${engine} engine`, async (t) => {
    const rig = await startRig(t, [one, two, six], engine);
    const client = await udpClient(t, one);
    const good = askBytes({ ...v4only, id: 7 });

    await t.test("listens everywhere, and says so", (t) => {
      const want = [one, two, six].map((address) => ({
        address,
        state: "bound",
        engine,
        error: null,
      }));
      t.same(rig.listeners.states(), want);
      t.end();
    });

    await t.test(
      "every row of the checklist has the bytes that it has without a socket",
      async (t) => {
        const view = builtView({ forwards: true });
        for (const query of queries) {
          const want = answerTo(view, query, { forwards: true });
          if (want === 0) client.send(query);
          if (typeof want === "number") continue;
          t.same(
            Buffer.from(await client.ask(query)).toString("hex"),
            Buffer.from(want).toString("hex"),
          );
        }
      },
    );

    await t.test("H1 H2 what is no question gets no answer, and the next one does", async (t) => {
      for (const bytes of [
        new Uint8Array(0),
        good.slice(0, 11),
        askBytes({ ...v4only, bits: 0x8000 }),
      ]) {
        client.send(bytes);
        t.match(tell(await client.ask(good)), { rcode: "NOERROR" });
      }
    });

    await t.test("H17 mutated datagrams", async (t) => {
      const chance = chanceOf(Number(text ?? 1));
      const corpus = [...queries, good].filter((bytes) => bytes.length > 0);
      const before = rig.listeners.counts()["udp_queries"] ?? 0;
      const other = await udpClient(t, one);
      for (let index = 0; index < (full === "1" ? 100_000 : 5000); index += 1) {
        other.send(mutated(corpus, chance));
        // So that none is lost for want of room in the socket.
        if (index % 50 === 49) await client.ask(good);
      }
      t.match(tell(await client.ask(good)), { rcode: "NOERROR" });
      const after = rig.listeners.counts()["udp_queries"] ?? 0;
      t.ok(after - before > 4000, `${after - before} came in`);
    });

    await t.test("H18 each address answers from itself", async (t) => {
      for (const address of [one, two, six]) {
        const own = await udpClient(t, address);
        t.match(tell(await own.ask(good)), { rcode: "NOERROR" }, address.host);
      }
    });

    await t.test(
      "N16 one client on one port gets every standby first, equally often",
      async (t) => {
        const firsts = new Map<string, number>();
        const query = askBytes({ name: "replica.db.temps.local", type: 1 });
        for (let count = 0; count < 3000; count += 1) {
          const first = Buffer.from(await client.ask(query))
            .subarray(-3 * 16)
            .toString("hex", 12, 16);
          firsts.set(first, (firsts.get(first) ?? 0) + 1);
        }
        t.same([...firsts.values()], [1000, 1000, 1000]);
      },
    );

    await t.test("N11 T1 what upstreams take long for holds nobody up", async (t) => {
      const asked = Promise.withResolvers<() => void>();
      rig.upstream.answer = (heard) => {
        const data = [9, 8, 7, 6];
        const answer = [{ name: "@" as const, type: 1, ttl: 60, data }];
        if (heard.name !== "www.example.com") heard.reply({ rcode: 3 });
        else asked.resolve(() => heard.reply({ answer }));
      };
      const slow = await udpClient(t, two);
      slow.send(askBytes({ name: "out.temps.local", type: 1, id: 99, edns: { size: 1232 } }));
      const answerNow = await asked.promise;
      t.match(tell(await client.ask(good)), { rcode: "NOERROR" });
      answerNow();
      t.match(tell(await slow.next()), {
        rcode: "NOERROR",
        flags: "aa rd ra",
        answer: ["out.temps.local 30 CNAME www.example.com", /www.example.com \d+ A 9.8.7.6/],
      });
      rig.upstream.answer = (heard) => heard.reply({ rcode: 3 });
      t.match(tell(await client.ask(askBytes({ name: "x.example.net", type: 1 }))), {
        rcode: "NXDOMAIN",
        flags: "rd ra",
      });
      t.ok((rig.listeners.counts()["forwarded"] ?? 0) >= 2);
    });

    await t.test("Z1 after a put the next answer is the new one, and none is mixed", async (t) => {
      const pair = [
        askBytes({ name: "left.temps.local", type: 1 }),
        askBytes({ name: "right.temps.local", type: 1 }),
      ];
      const soa = askBytes({ name: "temps.local", type: 6 });
      for (let generation = 1; generation <= 200; generation += 1) {
        const target = `10.1.${generation >> 8}.${generation & 255}`;
        const [left, right] = recordsOf([
          ["left", "A", target],
          ["right", "A", target],
        ]);
        if (left === undefined || right === undefined) throw new Error("no records");
        await rig.put({ generation, records: [left, right] });
        const lines = [];
        for (const query of pair)
          lines.push(tell(await client.ask(query)).answer[0]?.split(" ")[3]);
        if (lines.some((line) => line !== target)) t.fail(`${lines.join()} instead of ${target}`);
        const serial = tell(await client.ask(soa)).answer[0]?.split(" ")[5];
        if (serial !== String(generation)) t.fail(`serial ${serial} instead of ${generation}`);
      }
      t.pass("200 puts");
    });
  });

  t.test(`${engine}: addresses fail independently, and are tried again`, async (t) => {
    const free = await occupied(t, two);
    const freeSix = await occupiedStream(t, six);
    const rig = await startRig(t, [one, two, six], engine);
    t.match(rig.listeners.states(), [
      { state: "bound", error: null },
      { state: "retrying", engine: null, error: /in use|EADDRINUSE/ },
      { state: "retrying", engine: null, error: /in use|EADDRINUSE/ },
    ]);
    const client = await udpClient(t, one);
    t.match(tell(await client.ask(askBytes(v4only))), { rcode: "NOERROR" });
    await free();
    await freeSix();
    await eventually("the other address is bound", soon, () =>
      rig.listeners.states().every(({ state }) => state === "bound") ? true : undefined,
    );
    for (const address of [two, six]) {
      const late = await udpClient(t, address);
      t.match(tell(await late.ask(askBytes(v4only))), { rcode: "NOERROR" }, address.host);
    }
  });
}

t.test(
  "H18 a wildcard is every address of the host, each by itself, also those that come",
  async (t) => {
    const all: Address = { host: "0.0.0.0", port: 5303 };
    const late: Address = { host: "127.53.77.1", port: 5303 };
    // As a stub resolver of the machine might be: the wildcard itself cannot be bound any more.
    await occupied(t, { ...all, host: "127.0.0.53" });
    const rig = await startRig(t, [all], "auto");
    const good = askBytes(v4only);
    const own = (): Set<string> =>
      new Set(
        Object.values(networkInterfaces()).flatMap((all = []) => all.map((at) => at.address)),
      );
    const states = rig.listeners.states();
    t.ok(states.some(({ address }) => address.host === "127.0.0.1"));
    for (const { address, state } of states) {
      // Containers of others come and go, and their networks with them.
      if (state !== "bound" && !own().has(address.host)) continue;
      t.equal(state, "bound", address.host);
      t.match(tell(await (await udpClient(t, address)).ask(good)), { rcode: "NOERROR" });
    }
    const ip = (verb: string): Promise<unknown> =>
      runChild("ip", ["address", verb, `${late.host}/32`, "dev", "lo"], { deadlineMs: 5000 });
    // A run that was killed leaves it.
    await ip("delete").catch(() => undefined);
    await ip("add");
    t.teardown(async () => void (await ip("delete")));
    await eventually("the new address is bound", soon, () => {
      const now = rig.listeners.states();
      const found = now.find(({ address }) => address.host === late.host);
      return found?.state === "bound" ? true : undefined;
    });
    t.match(tell(await (await udpClient(t, late)).ask(good)), { rcode: "NOERROR" });
  },
);

t.test(
  "where no addon can be loaded it is node:dgram, unless the other one is insisted on",
  async (t) => {
    const program = inCheckout("test/sidecars/dns-resolver/engine-choice.ts");
    const run = async (engine: string): Promise<unknown> => {
      const words = [
        "--permission",
        "--allow-fs-read=*",
        "--allow-worker",
        "--no-warnings",
        program,
      ];
      const { stdout } = await runChild(
        process.execPath,
        [...words, engine, one.host, String(port)],
        {
          deadlineMs: 20_000,
        },
      );
      return JSON.parse(stdout);
    };
    t.match(await run("auto"), [{ state: "bound", engine: "dgram" }]);
    t.match(await run("batched"), { code: "ERR_DNS_ENGINE" });
  },
);

t.test("a thread that dies is started again, with its sockets and the zone", async (t) => {
  const logged: string[] = [];
  const log = (_facts: object, words: string): void => void logged.push(words);
  const logger = { debug: log, info: log, warn: log, error: log } as unknown as Logger;
  const serving = createServing(settings);
  await serving.put(builtView().served);
  let tellThread: ((served: Served) => Promise<void> | void) | undefined;
  const onPut: Serving["onPut"] = (listener) => {
    tellThread = listener;
    return serving.onPut(listener);
  };
  const engine = await startBatched(createDesk(settings, { ...serving, onPut }, undefined), logger);
  t.teardown(() => engine.close());
  const socket = await engine.listen(one);
  const client = await udpClient(t, one);
  const good = askBytes(v4only);
  t.match(tell(await client.ask(good)), { rcode: "NOERROR" });
  // No image: to read it as one ends the thread.
  await tellThread?.({ ...builtView().served, image: new SharedArrayBuffer(3) });
  t.match(tell(await client.ask(good)), { rcode: "NOERROR" });
  t.match(logged, [/batched/, /died, and is started again/]);
  await socket.close();
});

/** Somebody else has the address, until the returned function is called or the test ends. */
async function occupied(
  t: { readonly teardown: (end: () => Promise<void>) => void },
  { host, port }: Address,
): Promise<() => Promise<void>> {
  const socket = createSocket("udp4");
  const closed = Promise.withResolvers<void>();
  socket.on("close", () => closed.resolve());
  const bound = Promise.withResolvers<void>();
  socket.on("error", bound.reject);
  socket.bind({ address: host, port, exclusive: true }, () => bound.resolve());
  await bound.promise;
  let isOpen = true;
  const free = async (): Promise<void> => {
    if (isOpen) socket.close();
    isOpen = false;
    await closed.promise;
  };
  t.teardown(free);
  return free;
}

/** The same for TCP: of an address that has only one of the two, neither is kept. */
async function occupiedStream(
  t: { readonly teardown: (end: () => Promise<void>) => void },
  { host, port }: Address,
): Promise<() => Promise<void>> {
  const server = createServer();
  const bound = Promise.withResolvers<void>();
  server.on("error", bound.reject);
  server.listen({ host, port, exclusive: true }, () => bound.resolve());
  await bound.promise;
  const free = async (): Promise<void> => {
    const closed = Promise.withResolvers<void>();
    server.close(() => closed.resolve());
    await closed.promise;
  };
  t.teardown(free);
  return free;
}
