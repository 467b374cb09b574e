/** One attempt at one address, against peers that answer what no real server answers when asked to. */
import { once } from "node:events";
import { createServer, Socket } from "node:net";
import type { AddressInfo } from "node:net";
import t from "tap";
import type { Test } from "tap";
import { createAttempt } from "../../client/session/attempt.ts";
import type { Session } from "../../client/session/attempt.ts";
import { targetSessionAttrs } from "../../client/target/attributes.ts";
import type { TargetSessionAttrs } from "../../client/target/attributes.ts";
import type { DialOptions } from "../../client/session/dial.ts";
import { AttemptError } from "../../client/errors.ts";
import type { DialAddress, Pass } from "../../client/search/finder.ts";
import { eventually } from "../../kit/clock.ts";
import { greeting, say, startFakePostgres } from "../support/fake-postgres.ts";
import type { FakePostgres, FakeScript } from "../support/fake-postgres.ts";

const soon = { deadlineMs: 10_000, intervalMs: 5 };
const plain: DialOptions = {
  ssl: false,
  sslNegotiation: "postgres",
  keepAlive: true,
  keepAliveInitialDelayMillis: 1000,
  makeSocket: undefined,
};
const primary = (): Buffer => Buffer.concat([say.row("false", "off"), say.ready]);

interface Tried {
  session: Session | undefined;
  error: unknown;
}

interface Trial {
  readonly attributes?: TargetSessionAttrs;
  readonly dial?: Partial<DialOptions>;
  readonly signal?: AbortSignal;
  readonly physical?: boolean;
  readonly password?: string | (() => string);
  /** What is waited for before the login. */
  readonly turn?: () => Promise<void>;
}

/** One attempt; what it throws is a result too. */
async function tryAt(t: Test, port: number, trial: Trial = {}): Promise<Tried> {
  const [row] = targetSessionAttrs[trial.attributes ?? "read-write"].passes;
  if (row === undefined) throw new Error("each value has a pass");
  const turn: Pass["turn"] = async () => {
    await trial.turn?.();
    return () => undefined;
  };
  const pass: Pass = { ...row, turn };
  const address: DialAddress = { host: "db.test", address: "127.0.0.1", family: 4, port };
  const attempt = createAttempt({
    dial: { ...plain, ...trial.dial },
    startup: { user: "app", database: "app", password: trial.password ?? "secret" },
    physical: trial.physical ?? false,
  });
  const { signal = new AbortController().signal } = trial;
  try {
    const session = await attempt(address, pass, signal);
    t.teardown(() => session.close());
    return { session, error: undefined };
  } catch (error) {
    return { session: undefined, error };
  }
}

async function server(t: Test, script: FakeScript): Promise<FakePostgres> {
  return await startFakePostgres(t, { greeting, answer: primary, ...script });
}

t.test("a session that fits has nothing of whoever logged in", async (t) => {
  const late = say.parameter("TimeZone", "CET");
  const { port, connections } = await server(t, {
    answer: () => Buffer.concat([say.notice("hello"), primary(), late]),
  });
  const { session } = await tryAt(t, port);
  const socket = session?.take();
  t.same(session?.role, { inRecovery: false, readOnly: false });
  t.equal(session?.startup.parameters.get("TimeZone"), "UTC", "what came later is unread");
  for (const event of ["data", "error", "end", "close", "drain", "readable"]) {
    const ours = socket?.listeners(event).map(({ name }) => name) ?? [];
    // The one that net itself sets, which ends our half when the server ends its own.
    t.same(
      ours.filter((name) => name !== "onReadableStreamEnd"),
      [],
      `nobody listens for ${event}`,
    );
  }
  t.ok(socket?.isPaused());
  const chunks: Buffer[] = [];
  socket?.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket?.resume();
  const heard = (): Buffer => Buffer.concat(chunks);
  await eventually("what came later", soon, () => heard().length >= late.length || undefined);
  t.same(heard(), late, "whoever takes the socket hears it");
  t.notMatch(connections[0]?.bytes().toString("latin1"), /X\0\0\0\x04/, "no goodbye was said");
  socket?.destroy();
});

t.test("nothing is asked where any server fits", async (t) => {
  const { port, connections } = await server(t, {});
  const { session } = await tryAt(t, port, { attributes: "any" });
  t.equal(session?.role, undefined);
  t.equal(connections[0]?.bytes().length, 0);
  session?.close();
  await eventually("goodbye", soon, () => connections[0]?.hasEnded() || undefined);
  t.match(connections[0]?.bytes().toString("latin1"), /^X\0\0\0\x04$/, "Terminate, and the end");
});

const texts: readonly { name: string; script: FakeScript; trial?: Trial; want: object }[] = [
  {
    name: "a standby",
    script: { answer: () => Buffer.concat([say.row("true", "on"), say.ready]) },
    want: { reason: "role", stops: false, message: "a standby, wanted read-write" },
  },
  {
    name: "a primary that is read-only",
    script: { answer: () => Buffer.concat([say.row("false", "on"), say.ready]) },
    want: { reason: "role", message: "a primary that is read-only, wanted read-write" },
  },
  {
    name: "an answer without rows",
    script: { answer: () => say.ready },
    want: { reason: "role", stops: false },
  },
  {
    name: "an answer that makes no sense",
    script: { answer: () => Buffer.concat([say.row("maybe", ""), say.ready]) },
    want: { reason: "role", stops: false },
  },
  {
    name: "the query is refused",
    script: { answer: () => Buffer.concat([say.error("42501", "no"), say.ready]) },
    want: { reason: "server", stops: false, code: "42501", message: "no" },
  },
  {
    name: "the server shuts down at the query",
    script: { answer: () => say.error("57P01", "terminating connection") },
    want: { reason: "closed", stops: false, code: "57P01" },
  },
  ...[
    { code: "28P01", reason: "authentication", stops: true },
    { code: "28000", reason: "authentication", stops: true },
    { code: "3D000", reason: "server", stops: true },
    { code: "42501", reason: "server", stops: true },
    { code: "0A000", reason: "server", stops: true },
    { code: "57P03", reason: "starting", stops: false },
    { code: "53300", reason: "full", stops: false },
    { code: "57P02", reason: "closed", stops: false },
    { code: "08P01", reason: "server", stops: false },
    { code: "XX000", reason: "server", stops: false },
  ].map(({ code, reason, stops }) => ({
    name: `${code} at the login`,
    script: { greeting: say.error(code, "so it is") },
    want: { reason, stops, code, message: "so it is", cause: { code, severity: "FATAL" } },
  })),
  {
    name: "a pooler that refuses a password, without a code for it",
    script: { greeting: say.error("08P01", "SASL authentication failed") },
    want: { reason: "authentication", stops: true, code: "08P01" },
  },
  {
    name: "a pooler that is itself refused",
    script: { greeting: say.error("08P01", "server login failed: password authentication failed") },
    want: { reason: "server", stops: false, code: "08P01" },
  },
  {
    name: "a web server",
    script: { greeting: Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n") },
    want: { reason: "protocol", stops: false },
  },
  {
    name: "a password that cannot be had",
    script: { greeting: Buffer.from("R\0\0\0\x08\0\0\0\x03", "latin1") },
    trial: {
      password: () => {
        throw new Error("the vault is shut");
      },
    },
    want: { reason: "authentication", stops: true, message: "the vault is shut" },
  },
  {
    name: "the first word is none of the negotiation of TLS",
    script: {},
    trial: { dial: { ssl: true } },
    want: { reason: "tls", stops: false },
  },
];

for (const { name, script, trial, want } of texts) {
  t.test(name, async (t) => {
    const { port, connections } = await server(t, script);
    const { error } = await tryAt(t, port, trial);
    t.match(error, { name: "AttemptError", ...want });
    t.notMatch((error as Error).message, "secret");
    await eventually("it is left", soon, () => connections[0]?.hasEnded() || undefined);
  });
}

t.test("an app's own socket is used, and connected to the address", async (t) => {
  const { port } = await server(t, {});
  const made: Socket[] = [];
  const makeSocket = (): Socket => {
    const socket = new Socket();
    made.push(socket);
    return socket;
  };
  const { session } = await tryAt(t, port, { dial: { makeSocket } });
  t.equal(session?.take(), made[0]);
  t.equal(made[0]?.remotePort, port);
  made[0]?.destroy();
});

t.test("a physical walsender is asked what it can answer", async (t) => {
  const asked: string[] = [];
  const { port } = await server(t, {
    answer: (text) => {
      asked.push(text);
      return Buffer.concat([say.row("off"), say.ready]);
    },
  });
  const { session } = await tryAt(t, port, { physical: true });
  t.same(asked, ["SHOW in_hot_standby", "SHOW transaction_read_only"]);
  t.same(session?.role, { inRecovery: false, readOnly: false });
});

t.test("whoever stops an attempt gets rid of it at once, however far it is", async (t) => {
  const reason = new AttemptError("timeout", "no answer");
  const steps: readonly { name: string; script: FakeScript; goodbye: boolean }[] = [
    { name: "before the greeting", script: { greeting: undefined }, goodbye: false },
    { name: "before the role", script: { answer: () => undefined }, goodbye: true },
  ];
  for (const { name, script, goodbye } of steps) {
    const controller = new AbortController();
    const { port, connections } = await server(t, script);
    const tried = tryAt(t, port, { signal: controller.signal });
    await eventually(name, soon, () => {
      const one = connections[0];
      return (
        (goodbye ? (one?.bytes().length ?? 0) > 0 : (one?.socket.bytesRead ?? 0) > 0) || undefined
      );
    });
    controller.abort(reason);
    t.equal((await tried).error, reason, name);
    await eventually("it is left", soon, () => connections[0]?.hasEnded() || undefined);
    const end = connections[0]?.bytes().toString("latin1") ?? "";
    t.equal(
      end.endsWith("X\0\0\0\x04"),
      goodbye,
      `${name}: Terminate only to who waits for a query`,
    );
  }
  const stopped = AbortSignal.abort(reason);
  t.equal((await tryAt(t, 1, { signal: stopped })).error, reason, "before it began");
});

t.test("a connection that is lost while it waits for its turn stops no search", async (t) => {
  for (const how of ["resetAndDestroy", "end"] as const) {
    const { port, connections } = await server(t, {});
    const socket = new Socket();
    const turn = async (): Promise<void> => {
      const { socket: far } = await eventually("it is there", soon, () => connections[0]);
      far[how]();
      await eventually("it is lost", soon, () => socket.destroyed || undefined);
    };
    const { error } = await tryAt(t, port, { turn, dial: { makeSocket: () => socket } });
    t.match(error, { name: "AttemptError", reason: "closed", stops: false }, how);
  }
});

t.test("TLS is refused, or begins with plain text", async (t) => {
  const answers: { said: string; want: object; ssl?: DialOptions["ssl"] }[] = [
    { said: "N", want: { reason: "tls", message: "The server does not support SSL connections" } },
    { said: "E", want: { reason: "tls", message: /error establishing an SSL connection/ } },
    { said: "Sinjected", want: { reason: "tls", message: /plain text/ } },
    { said: "S", want: { reason: "closed" } },
    { said: "S", ssl: { key: "no key" }, want: { reason: "tls", stops: true } },
  ];
  for (const { said, want, ssl = true } of answers) {
    const peer = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.end(said));
    });
    peer.listen(0, "127.0.0.1");
    await once(peer, "listening");
    t.teardown(() => peer.close());
    const { port } = peer.address() as AddressInfo;
    const { error } = await tryAt(t, port, { dial: { ssl } });
    t.match(error, { stops: false, ...want }, `the server says ${said}`);
  }
});
