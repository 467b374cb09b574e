/**
 * An upstream on a real UDP and TCP socket that answers what a test wants: late, wrong, forged or not
 * at all, which no real server can be brought to.
 */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import type { Socket } from "node:net";
import { FrameReader } from "../../../sidecars/dns-resolver/wire/frames.ts";
import type { Address } from "../../../kit/address.ts";
import { askedName, replyBytes } from "./reply-kit.ts";
import type { ReplyWords } from "./reply-kit.ts";

/** A query that came in. */
export interface Heard {
  readonly query: Uint8Array;
  /** In lower case. */
  readonly name: string;
  readonly transport: "udp" | "tcp";
  /** Where it came from. */
  readonly port: number;
  readonly host: string;
  /** Sends these bytes back, as often as it is called. */
  send(message: Uint8Array): void;
  /** Sends the reply with these words. */
  reply(words: ReplyWords): void;
}

export interface FakeUpstream {
  readonly address: Address;
  /** Every query, probes of an upstream that is out (for the root) apart. */
  readonly heard: Heard[];
  readonly probes: () => number;
  /** What to do about a query; nothing is silence. */
  answer: (heard: Heard) => void;
  close(): Promise<void>;
}

const isProbe = (heard: Heard): boolean => heard.name === "";

/** Ports that are free for UDP are tried until one is free for TCP too. */
const portsMax = 5;

/** Starts one on `host`; with a port, on that. */
export async function openUpstream(
  host: string,
  answer: (heard: Heard) => void,
  port = 0,
): Promise<FakeUpstream> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await openAt(host, answer, port);
    } catch (error) {
      const isTaken = (error as NodeJS.ErrnoException).code === "EADDRINUSE";
      if (port !== 0 || !isTaken || tried === portsMax) throw error;
    }
  }
}

async function openAt(
  host: string,
  answer: (heard: Heard) => void,
  port: number,
): Promise<FakeUpstream> {
  const udp = createSocket(host.includes(":") ? "udp6" : "udp4");
  const tcp = createServer((socket) => converse(socket));
  const connections = new Set<Socket>();
  let probes = 0;
  const take = (heard: Heard): void => {
    if (isProbe(heard)) probes += 1;
    else upstream.heard.push(heard);
    upstream.answer(heard);
  };
  const heardOf = (
    query: Uint8Array,
    from: { readonly transport: "udp" | "tcp"; readonly port: number; readonly host: string },
    send: (message: Uint8Array) => void,
  ): Heard => ({
    query,
    name: askedName(query),
    ...from,
    send,
    reply: (words) => send(replyBytes(query, words)),
  });
  udp.on("message", (query, from) => {
    const send = (message: Uint8Array): void => udp.send(message, from.port, from.address);
    take(heardOf(query, { transport: "udp", port: from.port, host: from.address }, send));
  });
  function converse(socket: Socket): void {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
    socket.on("error", () => undefined);
    const frames = new FrameReader();
    const from = { transport: "tcp", port: socket.remotePort ?? 0, host } as const;
    const send = (message: Uint8Array): void => {
      socket.write(
        Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]),
      );
    };
    socket.on("data", (chunk) =>
      frames.push(chunk, (query) => {
        take(heardOf(Uint8Array.from(query), from, send));
        return true;
      }),
    );
  }
  await new Promise<void>((resolve, reject) => {
    udp.once("error", reject);
    udp.bind(port, host, resolve);
  });
  const address = { host, port: udp.address().port };
  await new Promise<void>((resolve, reject) => {
    tcp.once("error", (error) => udp.close(() => reject(error)));
    tcp.listen(address.port, host, resolve);
  });
  const upstream: FakeUpstream = {
    address,
    heard: [],
    probes: () => probes,
    answer,
    close: async () => {
      for (const socket of connections) socket.destroy();
      await Promise.all([
        new Promise<void>((resolve) => udp.close(() => resolve())),
        new Promise<void>((resolve) => tcp.close(() => resolve())),
      ]);
    },
  };
  return upstream;
}
