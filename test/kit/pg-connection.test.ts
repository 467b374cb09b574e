/** Connections to Postgres as its wire has them, over real sockets: faults, TLS names, endings. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import t from "tap";
import type { Test } from "tap";
import { runChild } from "../../kit/child.ts";
import { knock } from "../../kit/knock.ts";
import { openPgConnection } from "../../kit/pg-connection.ts";
import type { PgTarget } from "../../kit/pg-connection.ts";
import { withPgSession } from "../../kit/pg-session.ts";

/** A backend message: its letter, its length with itself, its body. Protocol, 55.7. */
function message(letter: string, body: string): Buffer {
  const head = Buffer.alloc(5);
  head.write(letter, "latin1");
  head.writeInt32BE(4 + Buffer.byteLength(body, "latin1"), 1);
  return Buffer.concat([head, Buffer.from(body, "latin1")]);
}

const welcome = Buffer.concat([message("R", "\0\0\0\0"), message("Z", "I")]);
const refusal = (severity: string, sqlState: string): Buffer =>
  message("E", `S${severity}\0V${severity}\0C${sqlState}\0Mno\0\0`);
const oneRow = Buffer.concat([
  message("T", `\0\x01value\0${"\0".repeat(6)}\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0`),
  message("D", "\0\x01\0\0\0\x017"),
  message("C", "SELECT 1\0"),
  message("Z", "I"),
]);

type Peer = (socket: Socket) => void;

/** Listens until the test ends; `open` holds the connections that stand. */
async function listen(
  t: Test,
  peer: Peer,
  host = "127.0.0.1",
): Promise<{ port: number; open: Set<Socket> }> {
  const open = new Set<Socket>();
  const server: Server = createServer((socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => open.delete(socket));
    peer(socket);
  });
  server.listen({ host, port: 0 });
  await once(server, "listening");
  t.teardown(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, open };
}

/** Answers the start-up message, and each message after it, with the next of `replies`. */
const answering =
  (...replies: readonly Buffer[]): Peer =>
  (socket) => {
    const left = [...replies];
    socket.on("data", () => {
      const reply = left.shift();
      if (reply !== undefined) socket.write(reply);
    });
  };

const target = (port: number, more: Partial<PgTarget> = {}): PgTarget => ({
  title: "Postgres",
  host: "127.0.0.1",
  port,
  user: "someone",
  password: () => "secret",
  database: "app",
  tls: { mode: "disable" },
  ...more,
});

const patient = { deadlineMs: 20_000 };

t.test("what is wrong with a peer", async (t) => {
  const rows: readonly {
    name: string;
    peer: Peer;
    fault: string;
    says: RegExp;
    deadlineMs?: number;
  }[] = [
    {
      name: "no answer",
      peer: () => undefined,
      fault: "silent",
      says: /no answer within 50 ms/,
      deadlineMs: 50,
    },
    { name: "hangs up", peer: (socket) => socket.end(), fault: "refused", says: /terminated/ },
    {
      name: "resets",
      peer: (socket) => socket.resetAndDestroy(),
      fault: "refused",
      says: /connection reset|terminated/,
    },
    {
      name: "has no slot",
      peer: answering(refusal("FATAL", "53300")),
      fault: "full",
      says: /: no$/,
    },
    { name: "says no", peer: answering(refusal("FATAL", "28P01")), fault: "denied", says: /: no$/ },
  ];
  for (const { name, peer, fault, says, deadlineMs } of rows) {
    const { port } = await listen(t, peer);
    await t.rejects(
      openPgConnection(target(port), { deadlineMs: deadlineMs ?? 20_000 }),
      { code: "ERR_CONNECTION", fault, message: says },
      name,
    );
  }
});

t.test("nobody listens; an IPv6 address stands in brackets", async (t) => {
  const there = await listen(t, () => undefined, "::1");
  await t.rejects(openPgConnection(target(there.port, { host: "::1" }), { deadlineMs: 50 }), {
    message: `Postgres at [::1]:${there.port}: no answer within 50 ms`,
  });
  await t.rejects(openPgConnection(target(1), patient), {
    fault: "refused",
    message: "Postgres at 127.0.0.1:1: connection refused",
  });
  await t.rejects(knock({ host: "127.0.0.1", port: 1 }, { what: "knock", ...patient }), {
    code: "ERR_KNOCK",
    message: "knock: connection refused",
  });
});

t.test("a connection that could not be opened in time is hung up", async (t) => {
  const { port, open } = await listen(t, () => undefined);
  await t.rejects(openPgConnection(target(port), { deadlineMs: 50 }), {
    code: "ERR_CONNECTION",
    fault: "silent",
  });
  for (const socket of open) await once(socket.resume(), "close");
  t.equal(open.size, 0);
  const reason = new Error("Ctrl-C");
  const ended = new AbortController();
  const opening = openPgConnection(target(port), { ...patient, signal: ended.signal });
  ended.abort(reason);
  await t.rejects(opening, reason);
});

t.test("queries, and statements that fail", async (t) => {
  const failed = Buffer.concat([refusal("ERROR", "22012"), message("Z", "I")]);
  const { port } = await listen(
    t,
    answering(welcome, oneRow, failed, oneRow, refusal("FATAL", "57P01")),
  );
  const connection = await openPgConnection(target(port, { values: "text" }), patient);
  t.strictSame(await connection.query("SELECT 7 AS value"), [{ value: "7" }]);
  await t.rejects(connection.query("SELECT 1/0"), {
    code: "ERR_CONNECTION",
    fault: "failed",
    sqlState: "22012",
  });
  t.equal((await connection.query("SELECT 7"))[0]?.["value"], "7", "it lives");
  await t.rejects(connection.query("SELECT 7"), {
    code: "ERR_CONNECTION",
    fault: "refused",
    sqlState: "57P01",
  });
  connection.cut();
});

t.test("an open connection that is lost is told once; one that is left is not", async (t) => {
  const { port, open } = await listen(t, answering(welcome));
  const lost: string[] = [];
  const told = Promise.withResolvers<void>();
  const onLost = (error: Error): void => {
    lost.push(error.message);
    told.resolve();
  };
  const first = await openPgConnection(target(port), { ...patient, onLost });
  for (const socket of open) socket.destroy();
  await told.promise;
  t.strictSame(lost.length, 1);
  await t.rejects(first.query("SELECT 1"), { code: "ERR_CONNECTION", fault: "refused" });
  await first.close();
  const second = await openPgConnection(target(port), { ...patient, onLost });
  // This peer takes no goodbye: it keeps its end open.
  await second.close();
  t.strictSame(lost.length, 1);
});

t.test("a session is over at its deadline, whatever it waits for", async (t) => {
  const { port, open } = await listen(t, answering(welcome));
  const asked = withPgSession(target(port), { deadlineMs: 200 }, (ask) => ask("SELECT 1"));
  await t.rejects(asked, {
    code: "ERR_DEADLINE",
    message: /^Postgres at 127.0.0.1:[0-9]+: no answer/,
  });
  for (const socket of open) await once(socket.resume(), "close");
  const { port: closed } = await listen(t, answering(refusal("FATAL", "28P01")));
  await t.rejects(
    withPgSession(target(closed), patient, (ask) => ask("SELECT 1")),
    { code: "ERR_PG_SESSION", sqlState: "28P01" },
  );
});

t.test("a knock waits for an answer where it says something", async (t) => {
  const echo = await listen(t, (socket) => socket.pipe(socket));
  const at = { host: "127.0.0.1", port: echo.port };
  t.equal((await knock(at, { what: "knock", ...patient })).length, 0);
  const say = Buffer.from("hello");
  t.equal(String(await knock(at, { what: "knock", ...patient, say })), "hello");
  const mute = await listen(t, (socket) => socket.once("data", () => socket.end()));
  await t.rejects(knock({ ...at, port: mute.port }, { what: "knock", ...patient, say }), {
    code: "ERR_KNOCK",
    message: "knock: closed without an answer",
  });
  const deaf = await listen(t, () => undefined);
  await t.rejects(knock({ ...at, port: deaf.port }, { what: "knock", deadlineMs: 50, say }), {
    code: "ERR_DEADLINE",
  });
});

t.test("verify-full checks the name of the target, an address too", async (t) => {
  const folder = t.testdir({});
  const [keyFile, certFile] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  await runChild(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", keyFile, "-out", certFile, "-days", "1", "-subj", "/CN=database"],
      ...["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
    ],
    patient,
  );
  const [key, cert] = [await readFile(keyFile), await readFile(certFile, "utf8")];
  const names: (string | false | null)[] = [];
  const peer: Peer = (socket) => {
    socket.once("data", () => {
      socket.write("S");
      const secure = new TLSSocket(socket, { isServer: true, key, cert });
      secure.on("error", () => undefined);
      secure.on("secure", () => names.push(secure.servername));
      answering(welcome)(secure);
    });
  };
  const tls = { mode: "verify-full", ca: cert } as const;
  const { port } = await listen(t, peer);
  for (const host of ["127.0.0.1", "localhost"]) {
    const connection = await openPgConnection(target(port, { host, tls }), patient);
    connection.cut();
  }
  t.strictSame(names.length, 2);
  const elsewhere = await listen(t, peer, "127.0.0.2");
  await t.rejects(
    openPgConnection(target(elsewhere.port, { host: "127.0.0.2", tls }), patient),
    { message: /127\.0\.0\.2 is not in the cert's list/ },
    "an address that the certificate does not name",
  );
});
