/**
 * A peer that speaks as much of the Postgres protocol as connecting needs, on a real socket: for
 * answers that no real server gives when asked to (manual 55.7 "Message Formats").
 */
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import type { Test } from "tap";

/** A message of a server: its letter and its body. */
export function backend(type: string, body: Buffer | string = ""): Buffer {
  const bytes = Buffer.from(body);
  const header = Buffer.alloc(5);
  header.write(type);
  header.writeInt32BE(bytes.length + 4, 1);
  return Buffer.concat([header, bytes]);
}

export const say = {
  ok: backend("R", Buffer.alloc(4)),
  ready: backend("Z", "I"),
  parameter: (name: string, value: string): Buffer => backend("S", `${name}\0${value}\0`),
  key: (processId: number, secret: number): Buffer => {
    const body = Buffer.alloc(8);
    body.writeInt32BE(processId, 0);
    body.writeInt32BE(secret, 4);
    return backend("K", body);
  },
  notice: (text: string): Buffer => backend("N", `SNOTICE\0VNOTICE\0C01000\0M${text}\0\0`),
  error: (code: string, text: string): Buffer =>
    backend("E", `SFATAL\0VFATAL\0C${code}\0M${text}\0\0`),
  notification: (channel: string, payload: string): Buffer =>
    backend("A", Buffer.concat([Buffer.alloc(4), Buffer.from(`${channel}\0${payload}\0`)])),
  /** One row of text columns, with all that belongs to it but ReadyForQuery. */
  row: (...words: readonly string[]): Buffer => {
    const count = Buffer.alloc(2);
    count.writeInt16BE(words.length);
    const field = Buffer.alloc(18);
    field.writeInt32BE(25, 6);
    const fields = words.map(() => Buffer.concat([Buffer.from("word\0"), field]));
    const values = words.map((word) => {
      const length = Buffer.alloc(4);
      length.writeInt32BE(Buffer.byteLength(word));
      return Buffer.concat([length, Buffer.from(word)]);
    });
    return Buffer.concat([
      backend("T", Buffer.concat([count, ...fields])),
      backend("D", Buffer.concat([count, ...values])),
      backend("C", "SELECT 1\0"),
    ]);
  },
} as const;

export interface FakeConnection {
  readonly socket: Socket;
  /** Every byte behind the startup message. */
  bytes(): Buffer;
  /** Whether the other side has ended its half, or all of it. */
  hasEnded(): boolean;
}

export interface FakeScript {
  /** What follows the startup message; undefined answers nothing. */
  greeting?: Buffer | undefined;
  /** What follows each simple query, and each password. */
  answer?: ((text: string, connection: FakeConnection) => Buffer | undefined) | undefined;
}

export interface FakePostgres {
  readonly host: string;
  readonly port: number;
  readonly connections: FakeConnection[];
}

/** What a primary greets with. */
export const greeting: Buffer = Buffer.concat([
  say.ok,
  say.parameter("server_version", "15.4"),
  say.parameter("TimeZone", "UTC"),
  say.key(4711, 42),
  say.ready,
]);

/** Listens on a port of its own until the test ends. */
export async function startFakePostgres(
  t: Pick<Test, "teardown">,
  script: FakeScript,
): Promise<FakePostgres> {
  const connections: FakeConnection[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    connections.push(speak(socket, script));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => {
    server.close();
    for (const { socket } of connections) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  return { host: "127.0.0.1", port, connections };
}

function speak(socket: Socket, script: FakeScript): FakeConnection {
  let all = Buffer.alloc(0);
  let at = 0;
  let isStarted = false;
  let isOver = false;
  const connection: FakeConnection = {
    socket,
    bytes: () => all,
    hasEnded: () => isOver,
  };
  socket.on("error", () => undefined);
  socket.on("close", () => {
    isOver = true;
  });
  socket.on("end", () => {
    isOver = true;
    socket.end();
  });
  socket.on("data", (chunk: Buffer) => {
    all = Buffer.concat([all, chunk]);
    if (!isStarted) {
      const length = all.length < 4 ? Infinity : all.readInt32BE(0);
      if (all.length < length) return;
      isStarted = true;
      all = all.subarray(length);
      if (script.greeting !== undefined) socket.write(script.greeting);
    }
    for (;;) {
      if (all.length < at + 5) return;
      const length = all.readInt32BE(at + 1) + 1;
      if (all.length < at + length) return;
      const message = all.subarray(at, at + length);
      at += length;
      if (!"Qp".includes(message.toString("latin1", 0, 1))) continue;
      const text = message.toString("utf8", 5, length - 1);
      const said = script.answer?.(text, connection);
      if (said !== undefined) socket.write(said);
    }
  });
  return connection;
}
