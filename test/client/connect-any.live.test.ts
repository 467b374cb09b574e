/** connectAny over real sockets and real name servers: what refuses, hangs, is slow, or comes back. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import { connectAny } from "../../client/connect-any.ts";
import type { ConnectAnyOptions } from "../../client/connect-any.ts";
import { ConnectError } from "../../client/errors.ts";
import { createSharedFinder, finderOf } from "../../client/search/finder-handle.ts";
import { eventually, systemClock } from "../../kit/clock.ts";
import { startBlackHole, startMute } from "../support/black-hole.ts";
import { startScriptedDns } from "../support/scripted-dns.ts";
import type { ScriptedDns } from "../support/scripted-dns.ts";

/** A part of the loopback network that is this file's. */
const net = "127.66.1";

const soon = { deadlineMs: 20_000, intervalMs: 10 };

interface Greeter {
  readonly port: number;
  readonly host: string;
  /** To how many it has said its line. */
  said(): number;
  /** Those that are open. */
  open(): number;
}

/** Says one line to who comes, after `delayMs`; ends with the test. */
async function startGreeter(
  t: Test,
  host: string,
  {
    port = 0,
    line = "hello",
    delayMs = 0,
  }: { port?: number; line?: string; delayMs?: number } = {},
): Promise<Greeter> {
  let said = 0;
  const sockets = new Set<Socket>();
  const ending = new AbortController();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    const speak = (): void => {
      said += 1;
      socket.write(`${line}\n`);
    };
    void systemClock.sleep(delayMs, ending.signal).then(speak, () => undefined);
  });
  await listening(server, host, port);
  t.teardown(async () => {
    ending.abort();
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });
  const bound = (server.address() as AddressInfo).port;
  return { host, port: bound, said: () => said, open: () => sockets.size };
}

async function listening(server: Server, host: string, port: number): Promise<void> {
  server.listen({ host, port, ipv6Only: host.includes(":") });
  await once(server, "listening");
}

async function startDns(t: Test, host: string): Promise<ScriptedDns> {
  const dns = await startScriptedDns(host);
  t.teardown(() => dns.stop());
  return dns;
}

const says =
  (wanted: string): ConnectAnyOptions["check"] =>
  async (socket) => {
    const [line] = (await once(socket, "data")) as [Buffer];
    if (line.toString().trim() !== wanted) throw new Error(`it says ${line.toString().trim()}`);
  };

async function reached(
  hosts: string,
  port: number,
  options?: ConnectAnyOptions,
): Promise<string | undefined> {
  const socket = await connectAny(hosts, port, options);
  const { remoteAddress } = socket;
  socket.destroy();
  return remoteAddress;
}

async function failure(work: Promise<unknown>): Promise<ConnectError> {
  const error: unknown = await work.then(
    () => new Error("it should have failed"),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ConnectError) return error;
  throw error;
}

/** How many things keep this process alive: sockets, timers, questions to name servers. */
function handles(): number {
  return process.getActiveResourcesInfo().length;
}

// First of all, while nothing of other tests is left.
t.test("an abort at any moment closes what is open; nothing is left in this process", async (t) => {
  const { port } = await startBlackHole(t, `${net}.71`);
  const greeter = await startGreeter(t, `${net}.72`, { port, delayMs: 40 });
  const dns = await startDns(t, `${net}.61`);
  dns.names.set("db.test", { A: [`${net}.70`, `${net}.71`, `${net}.72`] });
  // Looked at from where it is looked at again below, which takes a timer itself.
  const before = await eventually("a count", soon, () => handles());
  for (let ms = 0; ms < 100; ms += 4) {
    const controller = new AbortController();
    const { signal } = controller;
    const search = reached("db.test", port, {
      servers: [dns.server],
      staggerMs: 20,
      signal,
      check: says("hello"),
    }).catch((error: unknown) => error);
    await systemClock.sleep(ms);
    const reason = new Error("enough");
    controller.abort(reason);
    const ended = await search;
    t.ok(ended === reason || ended === greeter.host, `after ${ms} ms: ${String(ended)}`);
  }
  await eventually("nothing is open", soon, () =>
    greeter.open() === 0 && handles() <= before ? true : undefined,
  );
  t.pass("no socket, timer or question");
});

t.test("past a refusal, a black hole and one that is slow, to the one that fits", async (t) => {
  const { port } = await startBlackHole(t, `${net}.1`);
  await startMute(t, `${net}.2`, port);
  const slow = await startGreeter(t, `${net}.3`, { port, line: "slow", delayMs: 60_000 });
  const other = await startGreeter(t, `${net}.4`, { port, line: "other" });
  const wanted = await startGreeter(t, `${net}.5`, { port, line: "wanted" });
  const dns = await startDns(t, `${net}.53`);
  dns.names.set("db.test", { A: [9, 1, 2, 3, 4, 5].map((n) => `${net}.${n}`) });
  const options = { servers: [dns.server], staggerMs: 60 };
  const address = await reached("db.test", port, { ...options, check: says("wanted") });
  t.equal(address, wanted.host);
  t.equal(slow.said(), 0, "before the slow one said anything");
  t.ok(other.said() > 0, "and past one that does not fit");
  await eventually("the losers are closed", soon, () =>
    slow.open() + other.open() + wanted.open() === 0 ? true : undefined,
  );
});

t.test("all addresses dead: each is told with its reason, within the deadline", async (t) => {
  const { port } = await startBlackHole(t, `${net}.11`);
  await startMute(t, `${net}.12`, port);
  await startGreeter(t, `${net}.13`, { port, line: "other" });
  const dns = await startDns(t, `${net}.54`);
  dns.names.set("db.test", { A: [10, 11, 12, 13].map((n) => `${net}.${n}`) });
  const error = await failure(
    connectAny("db.test,nowhere.test", port, {
      servers: [dns.server],
      deadlineMs: 2500,
      check: says("wanted"),
    }),
  );
  const byAddress = Object.fromEntries(
    error.attempts.map(({ address = "-", reason, code }) => [address, [reason, code]]),
  );
  t.same(byAddress, {
    [`${net}.10`]: ["refused", "ECONNREFUSED"],
    [`${net}.11`]: ["timeout", "ETIMEDOUT"],
    [`${net}.12`]: ["timeout", "ETIMEDOUT"],
    [`${net}.13`]: ["server", undefined],
    "-": ["dns", "ENOTFOUND"],
  });
  t.equal(error.code, "ERR_NO_SERVER");
  t.match(error.message, `${net}.13:${port} (db.test) server: it says other`);
});

t.test("past a connection that is lost while it waits for its turn", async (t) => {
  const { port } = await startMute(t, `${net}.81`);
  await startMute(t, `${net}.82`, port);
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    // Not before the other side knows that it is connected.
    void systemClock.sleep(20).then(() => socket.resetAndDestroy());
  });
  await listening(server, `${net}.83`, port);
  t.teardown(() => void server.close());
  const wanted = await startGreeter(t, `${net}.84`, { port });
  // The first two have their turns, and say nothing.
  const hosts = [1, 2, 3, 4].map((n) => `${net}.8${n}`).join();
  t.equal(await reached(hosts, port, { staggerMs: 60, check: says("hello") }), wanted.host);
});

t.test("a dead server that comes back is found by a search that waits", async (t) => {
  const hole = await startBlackHole(t, `${net}.21`);
  const socket = connectAny(hole.host, hole.port, { attemptTimeoutMs: 100, deadlineMs: 20_000 });
  const finder = createSharedFinder({ attemptTimeoutMs: 50, deadlineMs: 200 });
  await failure(connectAny(hole.host, hole.port, { finder }));
  hole.wake();
  t.equal((await socket.finally(() => undefined)).remoteAddress, hole.host);
  (await socket).destroy();
});

t.test("name servers: the dead are passed over, and those that come back are heard", async (t) => {
  const { port } = await startGreeter(t, `${net}.31`);
  const [mute, lame, good] = [
    await startDns(t, `${net}.55`),
    await startDns(t, `${net}.56`),
    await startDns(t, `${net}.57`),
  ];
  mute.names.set("db.test", "silent");
  lame.names.set("db.test", "servfail");
  good.names.set("db.test", { A: [`${net}.31`] });
  const unbound = `${net}.58:${good.port}`;
  for (const first of [mute.server, lame.server, unbound]) {
    t.equal(await reached("db.test", port, { servers: [first, good.server] }), `${net}.31`, first);
  }
  const error = await failure(
    reached("db.test", port, { servers: [mute.server, lame.server], deadlineMs: 900 }),
  );
  t.equal(error.attempts[0]?.reason, "dns");
  const waits = reached("db.test", port, { servers: [lame.server], deadlineMs: 20_000 });
  await eventually("it asked twice", soon, () => (lame.asked("db.test") > 4 ? true : undefined));
  lame.names.set("db.test", { A: [`${net}.31`] });
  t.equal(await waits, `${net}.31`);
});

t.test("name servers that die leave the addresses that were known", async (t) => {
  const { port } = await startGreeter(t, `${net}.41`);
  const dns = await startScriptedDns(`${net}.59`);
  dns.names.set("db.test", { A: [`${net}.41`], ttl: 1 });
  const finder = createSharedFinder({ servers: [dns.server] });
  t.equal(await reached("db.test", port, { finder }), `${net}.41`);
  await dns.stop();
  const endpoints = [{ host: "db.test", port, hostaddr: undefined }];
  t.equal((await finderOf(finder).addresses(endpoints, { fresh: true }))[0]?.address, `${net}.41`);
  t.equal(await reached("db.test", port, { finder }), `${net}.41`);
});

t.test("both families of one name, and an IPv6 address by itself", async (t) => {
  const { port } = await startGreeter(t, "::1");
  const four = await startGreeter(t, `${net}.61`, { port });
  const dns = await startDns(t, `${net}.60`);
  dns.names.set("both.test", { A: [`${net}.61`], AAAA: ["::1"] });
  dns.names.set("late.test", { A: [`${net}.61`], AAAA: "silent" });
  dns.names.set("lame.test", { A: "servfail", AAAA: ["::1"] });
  dns.names.set("six.test", { AAAA: ["::1"] });
  const options = { servers: [dns.server] };
  t.equal(await reached("both.test", port, options), "::1", "IPv6 first");
  t.equal(await reached("late.test", port, options), four.host, "who is late is not waited for");
  t.equal(await reached("lame.test", port, options), "::1");
  t.equal(await reached("six.test", port, options), "::1");
  t.equal(await reached("::1", port), "::1");
  t.equal(await reached(`[::1],${net}.61`, port), "::1");
  const local = await reached(`localhost,${net}.61`, port);
  t.ok(["::1", "127.0.0.1", four.host].includes(local ?? ""), "the system's own names");
});

t.test("a Unix socket", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-any-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "service.sock");
  const server = createServer((socket) => socket.end()).listen(path);
  await once(server, "listening");
  t.teardown(() => void server.close());
  (await connectAny(path, 0)).destroy();
  const error = await failure(connectAny(join(folder, "none"), 0, { deadlineMs: 1000 }));
  t.equal(error.code, "ENOENT");
});
