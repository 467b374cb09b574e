/** Questions over TCP on real sockets: rows T1 to T10 of the checklist. */
import t from "tap";
import type { Address } from "../../../kit/address.ts";
import { eventually } from "../../../kit/clock.ts";
import { createDesk } from "../../../sidecars/dns-resolver/engine/desk.ts";
import { startTcp } from "../../../sidecars/dns-resolver/listen/tcp.ts";
import type { TcpLimits } from "../../../sidecars/dns-resolver/listen/tcp.ts";
import { totals } from "../../../sidecars/dns-resolver/engine/tally.ts";
import { framed, startRig, tcpClient, udpClient } from "./engine-rig.ts";
import { askBytes, tell } from "./message-kit.ts";
import { answerTo, builtView, recordsOf, settings } from "./zone-case.ts";

const soon = { deadlineMs: 10_000, intervalMs: 10 };
const address: Address = { host: "127.53.2.1", port: 5300 };
const v4only = { name: "v4only.temps.local", type: 1 } as const;
const huge = { name: "huge.temps.local", type: 1 } as const;
const idOf = (message: Uint8Array): number => ((message[0] ?? 0) << 8) | (message[1] ?? 0);
const good = askBytes({ ...v4only, id: 7 });

t.test("one conversation", async (t) => {
  const rig = await startRig(t, [address], "dgram");

  await t.test(
    "T1 T9 four questions in one segment, one of which an upstream takes long for",
    async (t) => {
      const asked = Promise.withResolvers<() => void>();
      rig.upstream.answer = (heard) => {
        if (heard.name === "slow.example.com") asked.resolve(() => heard.reply({ rcode: 3 }));
      };
      const client = await tcpClient(t, address);
      const slow = askBytes({ name: "slow.example.com", type: 1, id: 2 });
      const ids = [1, 3, 4].map((id) => askBytes({ ...v4only, id }));
      const [first = good, ...others] = ids;
      client.socket.write(framed(first, slow, ...others));
      t.same((await client.until(3)).map(idOf), [1, 3, 4], "none waits for it");
      (await asked.promise)();
      const messages = await client.until(4);
      t.equal(idOf(messages[3] ?? good), 2);
      t.match(tell(messages[3] ?? good), { rcode: "NXDOMAIN" });
    },
  );

  await t.test("T2 byte by byte", async (t) => {
    const client = await tcpClient(t, address);
    for (const byte of framed(good)) {
      const written = Promise.withResolvers<void>();
      client.socket.write(Uint8Array.of(byte), () => written.resolve());
      await written.promise;
    }
    t.match(tell((await client.until(1))[0] ?? good), { rcode: "NOERROR" });
  });

  await t.test("T3 who has said all is answered, then the connection ends", async (t) => {
    rig.upstream.answer = (heard) => heard.reply({ rcode: 3 });
    const client = await tcpClient(t, address);
    client.socket.end(framed(good, askBytes({ name: "y.example.com", type: 1, id: 8 })));
    t.same((await client.until(2)).map(idOf), [7, 8]);
    await client.closed;
  });

  await t.test("T4 T5 what is no question is passed over", async (t) => {
    const client = await tcpClient(t, address);
    const junk = [
      Uint8Array.of(1, 2, 3, 4, 5),
      new Uint8Array(0),
      askBytes({ ...v4only, bits: 0x8000 }),
    ];
    client.socket.write(framed(...junk, good));
    t.same((await client.until(1)).map(idOf), [7]);
  });

  await t.test(
    "E13 T10 what is cut over UDP is whole over TCP, of the same generation",
    async (t) => {
      const udp = await udpClient(t, address);
      const tcp = await tcpClient(t, address);
      for (let generation = 1; generation <= 20; generation += 1) {
        const many = Array.from(
          { length: 100 },
          (_, index) => ["huge", "A", `10.${generation}.0.${index}`] as const,
        );
        await rig.put({ generation, records: recordsOf(many) });
        const cut = tell(await udp.ask(askBytes(huge)));
        tcp.socket.write(framed(askBytes(huge)));
        const whole = tell((await tcp.until(generation))[generation - 1] ?? good);
        t.match(cut, { flags: "aa tc rd ra" });
        t.same(whole.answer.slice(0, cut.answer.length), cut.answer);
        t.equal(whole.answer.length, 100);
      }
    },
  );

  await t.test("many at once have the answers that they have without a socket", async (t) => {
    await rig.put({});
    const view = builtView({ forwards: true });
    const client = await tcpClient(t, address);
    const queries = Array.from({ length: 2000 }, (_, id) =>
      askBytes({ ...(id % 7 === 0 ? huge : v4only), id }),
    );
    client.socket.write(framed(...queries));
    const messages = await client.until(queries.length);
    for (const [index, query] of queries.entries()) {
      const want = answerTo(view, query, { forwards: true, transport: "tcp" }) as Uint8Array;
      if (!Buffer.from(want).equals(messages[index] ?? good)) t.fail(`question ${index}`);
    }
    t.equal(messages.length, queries.length);
  });
});

/** A listener of its own, with the limits of the test. */
async function limited(t: Parameters<typeof tcpClient>[0], limits: TcpLimits, own: Address) {
  const rig = await startRig(t, [], "dgram");
  const desk = createDesk(settings, rig.serving, undefined);
  const listener = await startTcp(own, desk, limits);
  t.teardown(() => listener.close());
  return { listener, desk };
}

t.test("T6 T7 a connection on which nothing comes ends", async (t) => {
  const own = { ...address, port: 5301 };
  const limits = { connections: 10, connectionsPerAddress: 10, idleMs: 200 };
  const { listener } = await limited(t, limits, own);
  const silent = await tcpClient(t, own);
  const half = await tcpClient(t, own);
  half.socket.write(Uint8Array.from([255, 255, ...good.slice(0, 10)]));
  await Promise.all([silent.closed, half.closed]);
  await eventually("none is open", soon, () => (listener.connections === 0 ? true : undefined));
  t.same([silent.messages, half.messages], [[], []]);
});

t.test("T8 too many connections of one address: the quietest make room", async (t) => {
  const own = { ...address, port: 5302 };
  const limits = { connections: 20, connectionsPerAddress: 10, idleMs: 10_000 };
  const { listener, desk } = await limited(t, limits, own);
  const clients = [];
  for (let count = 0; count < 10; count += 1) clients.push(await tcpClient(t, own));
  const [quiet, talker] = clients;
  if (quiet === undefined || talker === undefined) throw new Error("no clients");
  for (const client of clients.slice(1)) {
    client.socket.write(framed(good));
    await client.until(1);
  }
  const late = await tcpClient(t, own);
  await quiet.closed;
  late.socket.write(framed(good));
  t.same((await late.until(1)).map(idOf), [7]);
  talker.socket.write(framed(good));
  t.equal((await talker.until(2)).length, 2, "who asks may stay");
  t.equal(listener.connections, 10);
  t.match(totals([desk.tally]), { tcp_evictions: 1 });
});

t.test("T8 who does not read its answers is not read from", async (t) => {
  const rig = await startRig(t, [address], "dgram");
  const greedy = await tcpClient(t, address);
  greedy.socket.pause();
  const chunk = framed(...Array.from({ length: 1000 }, () => askBytes(huge)));
  const asked = (): number => rig.listeners.counts()["tcp_queries"] ?? 0;
  // 100,000 answers of 3 kB: more than any socket's buffers hold.
  for (let count = 0; count < 100; count += 1) greedy.socket.write(chunk);
  let last = -1;
  await eventually("it is left alone", { deadlineMs: 10_000, intervalMs: 100 }, () => {
    const now = asked();
    const hasSettled = now > 0 && now === last;
    last = now;
    return hasSettled ? true : undefined;
  });
  t.ok(last < 50_000, `${last} answers were made`);
  const udp = await udpClient(t, address);
  t.match(tell(await udp.ask(good)), { rcode: "NOERROR" }, "others are answered");
  const other = await tcpClient(t, address);
  other.socket.write(framed(good));
  t.same((await other.until(1)).map(idOf), [7]);
  greedy.socket.resume();
  const messages = await greedy.until(last);
  t.equal(messages[last - 1]?.length, 3234);
  await eventually("it goes on where it stopped", soon, () => (asked() > last ? true : undefined));
});
