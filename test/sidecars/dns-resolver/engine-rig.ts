/** A resolver's listeners in this process, with clients on real sockets, and an upstream behind it. */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import type { Socket } from "node:net";
import type { Address } from "../../../kit/address.ts";
import { systemClock, withDeadline } from "../../../kit/clock.ts";
import { createLogger } from "../../../kit/logger.ts";
import type { EngineName } from "../../../sidecars/dns-resolver/engine/open.ts";
import { createForwarder } from "../../../sidecars/dns-resolver/forward/forwarder.ts";
import { startListeners } from "../../../sidecars/dns-resolver/listen/listeners.ts";
import type { Listeners } from "../../../sidecars/dns-resolver/listen/listeners.ts";
import type { ZoneContent } from "../../../sidecars/dns-resolver/parts.ts";
import { FrameReader } from "../../../sidecars/dns-resolver/wire/frames.ts";
import { buildZone } from "../../../sidecars/dns-resolver/zone/build.ts";
import { createServing } from "../../../sidecars/dns-resolver/zone/serving.ts";
import type { Serving } from "../../../sidecars/dns-resolver/zone/serving.ts";
import { openUpstream } from "./fake-upstream.ts";
import type { FakeUpstream } from "./fake-upstream.ts";
import { generation, recordsOf, settings } from "./zone-case.ts";

type Teardown = { readonly teardown: (end: () => void | Promise<void>) => void };

export interface Rig {
  readonly listeners: Listeners;
  readonly serving: Serving;
  readonly upstream: FakeUpstream;
  /** Serves another content of the same zone. */
  put(content: Partial<ZoneContent>): Promise<void>;
}

const forwarding = { ...settings, forwards: true };

/** Listens at the addresses; the upstream knows no name until it is told what to answer. */
export async function startRig(
  t: Teardown,
  addresses: readonly Address[],
  engine: EngineName | "auto",
): Promise<Rig> {
  const upstream = await openUpstream("127.53.99.1", (heard) => heard.reply({ rcode: 3 }));
  t.teardown(() => upstream.close());
  const upstreams = { upstreams: [upstream.address], zones: [] };
  const forwarder = createForwarder({ ...upstreams, ownAddresses: addresses, udpSizeMax: 1232 });
  t.teardown(() => forwarder.close());
  const serving = createServing(forwarding);
  const listeners = await startListeners({
    addresses,
    engine,
    settings: forwarding,
    serving,
    forwarder,
    clock: systemClock,
    logger: createLogger({ name: "test", level: "silent" }),
  });
  t.teardown(() => listeners.close());
  const put = async (content: Partial<ZoneContent>): Promise<void> => {
    const whole = { epoch: "e", generation, records: recordsOf(), ...content };
    await serving.put(buildZone(forwarding, whole).served);
  };
  await put({});
  return { listeners, serving, upstream, put };
}

/** A client that takes answers from the asked address alone, on one source port. */
export interface UdpClient {
  /** The next datagram that comes after this is sent. */
  ask(query: Uint8Array): Promise<Uint8Array>;
  /** Sends, and waits for nothing. */
  send(bytes: Uint8Array): void;
  /** The next datagram. */
  next(): Promise<Uint8Array>;
}

const patienceMs = 5000;

/** Connected, so that the kernel drops what comes from anywhere else. */
export async function udpClient(t: Teardown, address: Address): Promise<UdpClient> {
  const socket = createSocket(address.host.includes(":") ? "udp6" : "udp4");
  t.teardown(() => void socket.close());
  const connected = Promise.withResolvers<void>();
  socket.connect(address.port, address.host, () => connected.resolve());
  await connected.promise;
  const come: Uint8Array[] = [];
  const waiting: ((bytes: Uint8Array) => void)[] = [];
  socket.on("error", () => undefined);
  socket.on("message", (bytes) => {
    const first = waiting.shift();
    if (first === undefined) come.push(bytes);
    else first(bytes);
  });
  const next = (): Promise<Uint8Array> =>
    withDeadline("an answer over UDP", patienceMs, () => {
      const { promise, resolve } = Promise.withResolvers<Uint8Array>();
      const here = come.shift();
      if (here === undefined) waiting.push(resolve);
      else resolve(here);
      return promise;
    });
  return {
    send: (bytes) => socket.send(bytes),
    next,
    ask: async (query) => {
      const answered = next();
      socket.send(query);
      return await answered;
    },
  };
}

/** A connection: what is written as it stands, and the messages that come. */
export interface TcpClient {
  readonly socket: Socket;
  readonly messages: Uint8Array[];
  /** Resolves once so many messages have come. */
  until(count: number): Promise<Uint8Array[]>;
  /** Resolves when the other side has closed. */
  readonly closed: Promise<void>;
}

/** Connects; the connection ends with the test. */
export async function tcpClient(t: Teardown, address: Address): Promise<TcpClient> {
  const socket = connect({ ...address, allowHalfOpen: true, noDelay: true });
  t.teardown(() => void socket.destroy());
  const messages: Uint8Array[] = [];
  const frames = new FrameReader();
  let awake = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const wake = (): void => {
    awake.resolve();
    awake = Promise.withResolvers<void>();
  };
  socket.on("error", () => undefined);
  socket.on("end", () => closed.resolve());
  socket.on("close", () => closed.resolve());
  socket.on("data", (chunk) => {
    frames.push(chunk, (message) => messages.push(Uint8Array.from(message)) > 0);
    wake();
  });
  const connected = Promise.withResolvers<void>();
  socket.once("connect", () => connected.resolve());
  await withDeadline(`connect to ${address.host}`, patienceMs, () => connected.promise);
  return {
    socket,
    messages,
    closed: closed.promise,
    until: (count) =>
      withDeadline(`${count} messages over TCP`, patienceMs, async () => {
        while (messages.length < count) await awake.promise;
        return messages;
      }),
  };
}

/** A message as it stands in a stream. */
export function framed(...messages: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(messages.flatMap((one) => [one.length >> 8, one.length & 255, ...one]));
}
