/** Commands, their rules, and the client against peers that misbehave on a real socket. */
import t from "tap";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, systemClock } from "../../../../kit/clock.ts";
import { changesBetween } from "../../../../router/haproxy/runtime/changes.ts";
import type { Look } from "../../../../router/haproxy/runtime/changes.ts";
import {
  connectRuntime,
  send,
  showInfo,
  showRouter,
} from "../../../../router/haproxy/runtime/client.ts";
import {
  CommandError,
  commands,
  parseServerName,
} from "../../../../router/haproxy/runtime/commands.ts";
import { routerEvents } from "../../../../router/haproxy/runtime/events.ts";
import { overRouters } from "../../../../router/haproxy/runtime/fleet.ts";
import { showProcesses } from "../../../../router/haproxy/runtime/master.ts";
import { commandsForHealth, commandsForState } from "../../../../router/haproxy/runtime/servers.ts";
import type { ServerView } from "../../../../router/haproxy/runtime/servers.ts";
import { exchange } from "../../../../router/haproxy/runtime/transport.ts";
import { endless, silentAfter, startFakeHaproxy, whole } from "../../../support/fake-haproxy.ts";
import type { Answer } from "../../../support/fake-haproxy.ts";

const recorded = readFileSync(
  new URL("../../../fixtures/haproxy-runtime/2.6-view.txt", import.meta.url),
  "utf8",
);
const dal = { backend: "pg-primary", server: "dal-01" };
const deadlineMs = 300;

void t.test("no word can end a command, and no silent nonsense is sent", async (t) => {
  const bad = ["a;b/c", "a/b\n", "a/b c", "a\\/b", "a/", "/b", "a", "a/b/c", "a/b$", "ä/b", ""];
  for (const word of bad) t.throws(() => parseServerName(word), CommandError, word);
  const wrong: readonly (() => unknown)[] = [
    () => commands.setServerState({ backend: "a;shutdown", server: "b" }, "maint"),
    () => commands.setServerAddress(dal, "127.0.0.1", 99_999),
    () => commands.setServerAddress(dal, "127.0.0.1", 0),
    () => commands.setServerAddress(dal, "::1:5432;x", 1),
    () => commands.setServerAddress(dal, "db.example", 1),
    () => commands.setServerAddress(dal, "256.1.1.1", 1),
    () => commands.setServerWeight(dal, 257),
    () => commands.setServerWeight(dal, 1.5),
    () => commands.setServerMaxConnections(dal, 0),
    () => commands.setServerMaxConnections(dal, -1),
    () => commands.setFrontendMaxConnections("a b", 1),
    () => commands.setFrontendMaxConnections("a", Number.NaN),
    () => commands.shutdownSession("0x12;quit"),
  ];
  for (const build of wrong) t.throws(build, CommandError, String(build));
  t.equal(
    commands.setServerAddress(dal, "fd00::1", 5432).line,
    "set server pg-primary/dal-01 addr fd00::1 port 5432",
  );
  t.equal(
    commands.setFrontendMaxConnections("pg-primary", 5).line,
    "set maxconn frontend pg-primary 5",
  );
});

function server(name: string, more: Partial<ServerView> = {}): ServerView {
  const [backend = "", word = ""] = name.split("/");
  return {
    backend,
    server: word,
    host: "127.60.0.1",
    port: 5432,
    state: "up",
    status: "UP",
    admin: [],
    tracks: undefined,
    backup: false,
    checked: true,
    check: "L7OK/200 in 1ms",
    secondsSinceChange: 5,
    sessions: 0,
    queued: 0,
    weight: 1,
    maxConnections: 1000,
    ...more,
  };
}

void t.test("what an order takes in commands", async (t) => {
  const probe = server("probe/p");
  const tracker = (admin: ServerView["admin"]): ServerView =>
    server("b/s", { tracks: "probe/p", checked: false, admin });
  const order = (servers: readonly ServerView[], state: "ready" | "drain" | "maint"): string => {
    const [view] = servers;
    const list = view === undefined ? [] : commandsForState(servers, view, state);
    return list.map((one) => one.line.replace("set server ", "")).join("; ");
  };
  const maint = { admin: ["maint"] } as const;
  const table = [
    { name: "up to maint", given: order([server("b/s")], "maint"), want: "b/s state maint" },
    { name: "up to drain", given: order([server("b/s")], "drain"), want: "b/s state drain" },
    { name: "up to ready: nothing", given: order([server("b/s")], "ready"), want: "" },
    { name: "maint to maint: nothing", given: order([server("b/s", maint)], "maint"), want: "" },
    {
      name: "maint to ready: the checks must prove it",
      given: order([server("b/s", maint)], "ready"),
      want: "b/s state drain; b/s health down; b/s state ready",
    },
    {
      name: "maint to drain: the checks must prove it, or ready would open the window after all",
      given: order([server("b/s", maint)], "drain"),
      want: "b/s state drain; b/s health down",
    },
    {
      name: "drain to ready: its sessions are kept",
      given: order([server("b/s", { admin: ["drain"] })], "ready"),
      want: "b/s state ready",
    },
    {
      name: "a server without checks has no health to set",
      given: order([server("b/s", { ...maint, checked: false })], "ready"),
      want: "b/s state ready",
    },
    {
      name: "tracker in maint: its probe was checked all along",
      given: order([tracker(["maint"]), probe], "ready"),
      want: "b/s state ready",
    },
    {
      name: "tracker whose probe is in maint: the probe is told",
      given: order([tracker(["maint-tracked"]), { ...probe, ...maint }], "ready"),
      want: "probe/p state drain; probe/p health down; probe/p state ready",
    },
    {
      name: "both in maint",
      given: order([tracker(["maint", "maint-tracked"]), { ...probe, ...maint }], "ready"),
      want: "probe/p state drain; probe/p health down; probe/p state ready; b/s state ready",
    },
    {
      name: "tracker to maint: the probe stays, others may track it",
      given: order([tracker([]), probe], "maint"),
      want: "b/s state maint",
    },
  ];
  for (const { name, given, want } of table) t.equal(given, want, name);
  const health = commandsForHealth(
    [tracker([]), server("c/s", { tracks: "probe/p" }), probe, server("d/s")],
    [
      { of: { backend: "b", server: "s" }, health: "down" },
      { of: { backend: "c", server: "s" }, health: "down" },
      { of: { backend: "d", server: "s" }, health: "up" },
    ],
  );
  t.same(
    health.map((one) => one.line),
    ["set server probe/p health down", "set server d/s health up"],
    "a probe is told once, for all that track it",
  );
});

interface Misbehaviour {
  readonly name: string;
  readonly answer: Answer;
  readonly code: string;
  readonly says: RegExp;
  readonly tcp?: { readonly host: string; readonly port: number };
}

void t.test("a broken answer is an error that says what came", async (t) => {
  const reset: Answer = (socket) =>
    void socket.write("\nName: HAP", () => void socket.resetAndDestroy());
  const table: readonly Misbehaviour[] = [
    {
      name: "the end in the middle of a line",
      answer: whole("\nName: HAProxy\nVersion: 2.6"),
      code: "ERR_HAPROXY_PROTOCOL",
      says: /show info on unix:.*ends after 27 bytes, inside a line/,
    },
    {
      name: "the end between two lines",
      answer: whole("\nName: HAProxy\nVersion: 2.6.1\nPid: 5\n"),
      code: "ERR_HAPROXY_PROTOCOL",
      says: /before its last/,
    },
    {
      name: "the end before the first reply",
      answer: whole("\n"),
      code: "ERR_HAPROXY_PROTOCOL",
      says: /a reply is missing/,
    },
    {
      name: "the end at once",
      answer: whole(""),
      code: "ERR_HAPROXY_PROTOCOL",
      says: /without an answer/,
    },
    {
      name: "a reset",
      answer: reset,
      code: "ERR_HAPROXY_PROTOCOL",
      says: /reset after [0-9]+ bytes/,
      // Only TCP has a reset.
      tcp: { host: "127.60.0.9", port: 9998 },
    },
    {
      name: "silence",
      answer: silentAfter(""),
      code: "ERR_HAPROXY_TIMEOUT",
      says: /show info on unix:.*: no reply within 300 ms$/,
    },
    {
      name: "silence in the middle",
      answer: silentAfter("\nName: HAProxy\n"),
      code: "ERR_HAPROXY_TIMEOUT",
      says: /no reply within 300 ms \(15 bytes of an unfinished one came\)/,
    },
    {
      name: "another protocol",
      answer: silentAfter("HTTP/1.1 400 Bad Request\r\n"),
      code: "ERR_HAPROXY_PROTOCOL",
      says: /not HAProxy's Runtime API: it said "HTTP\/1.1 400/,
    },
    {
      name: "bytes that are no text",
      answer: (socket) => void socket.end(Buffer.from([0x4e, 0xff, 0xfe, 0x00])),
      code: "ERR_HAPROXY_PROTOCOL",
      says: /not HAProxy's Runtime API/,
    },
    {
      name: "well-framed nonsense",
      answer: whole("\nhello\n\n"),
      code: "ERR_HAPROXY_PROTOCOL",
      says: /no Version or no Pid/,
    },
    {
      name: "the master's socket",
      answer: silentAfter("Unknown command, but maybe one\n"),
      code: "ERR_HAPROXY_PROTOCOL",
      says: /is this the master's socket\?/,
    },
    {
      name: "a level that is too low",
      answer: whole("\n[3]: Permission denied\n\n"),
      code: "ERR_HAPROXY_PERMISSION",
      says: /level is too low for it: Permission denied/,
    },
    {
      name: "a command that this version lacks",
      answer: whole("\n[6]: Unknown command: 'show', but maybe\n  help\n\n"),
      code: "ERR_HAPROXY_VERSION",
      says: /does not know it: Unknown command: 'show'/,
    },
  ];
  for (const { name, answer, code, says, tcp } of table) {
    const peer = await startFakeHaproxy(answer, tcp);
    t.teardown(peer.stop);
    await t.rejects(
      showInfo(connectRuntime(peer.address, { deadlineMs })),
      { code, message: says },
      name,
    );
    t.equal(peer.lines.length, 1, `${name}: it was sent once`);
  }
});

void t.test("an answer without an end is given up at the limit", async (t) => {
  const peer = await startFakeHaproxy(endless);
  t.teardown(peer.stop);
  await t.rejects(
    exchange("show info", {
      address: peer.address,
      tried: "show info",
      deadlineMs: 20_000,
      first: "\n",
      limitBytes: 1_000_000,
      idempotent: true,
    }),
    { code: "ERR_HAPROXY_PROTOCOL", message: /more than 1000000 bytes/ },
  );
});

void t.test("where nothing can be reached, the message says why", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-none-"));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "file"), "");
  const table = [
    { address: `unix:${folder}/none.sock`, says: /no such socket/ },
    { address: `unix:${folder}/file`, says: /connection refused|not a socket/ },
    { address: "tcp://127.60.0.9:1", says: /connection refused: nothing listens there/ },
  ];
  for (const { address, says } of table) {
    await t.rejects(showInfo(connectRuntime(address, { deadlineMs: 2000 })), {
      code: "ERR_HAPROXY_UNREACHABLE",
      message: says,
    });
  }
});

void t.test("an old HAProxy is refused, and a gated command is not sent", async (t) => {
  const old = await startFakeHaproxy(whole(recorded.replace("Version: 2.6.12", "Version: 2.4.22")));
  t.teardown(old.stop);
  await t.rejects(showRouter(connectRuntime(old.address)), {
    code: "ERR_HAPROXY_VERSION",
    message: /HAProxy 2\.4\.22.* is too old: 2\.6 or newer is needed/,
  });
  const [info = ""] = recorded.split("\n1\n# be_id");
  const gate = await startFakeHaproxy(whole(`${info}\n`.replace(/\n*$/, "\n\n")));
  t.teardown(gate.stop);
  await t.rejects(
    send(connectRuntime(gate.address), [commands.setFrontendMaxConnections("pg-primary", 9)]),
    { code: "ERR_HAPROXY_VERSION", message: /it needs 3\.0\.6 or newer/ },
  );
  t.same(gate.lines, ["set severity-output number;show info"]);
});

void t.test("a refused connect is tried once more where the command may be", async (t) => {
  const place = { host: "127.60.0.9", port: 9999 };
  const attempt = async (idempotent: boolean): Promise<string> => {
    const started: Awaited<ReturnType<typeof startFakeHaproxy>>[] = [];
    // Something listens only after the first attempt: in the pause before the second.
    const clock = {
      ...systemClock,
      sleep: async () => void started.push(await startFakeHaproxy(whole("\nyes\n\n"), place)),
    };
    const text = await exchange("show info", {
      address: `tcp://${place.host}:${place.port}`,
      tried: "show info",
      deadlineMs: 5000,
      first: "\n",
      idempotent,
      clock,
    }).catch((error: { code?: string }) => error.code ?? "");
    await Promise.all(started.map((one) => one.stop()));
    return text;
  };
  t.equal(await attempt(true), "\nyes\n\n");
  t.equal(await attempt(false), "ERR_HAPROXY_UNREACHABLE");
});

void t.test("one dead router costs its deadline, and the others their own time", async (t) => {
  const good = await startFakeHaproxy(whole(recorded));
  const dead = await startFakeHaproxy(silentAfter(""));
  t.teardown(good.stop);
  t.teardown(dead.stop);
  const routers = [
    { name: "dead-1", runtime: dead.address },
    { name: "good", runtime: good.address },
    { name: "dead-2", runtime: dead.address },
  ];
  const order: string[] = [];
  const results = await overRouters(routers, { deadlineMs }, async (runtime, router) => {
    const view = await showRouter(runtime).finally(() => void order.push(router.name));
    return view.info.version;
  });
  t.same(
    results.map((one) => ("value" in one ? one.value : (one.error as { code?: string }).code)),
    ["ERR_HAPROXY_TIMEOUT", "2.6.12-1+deb12u4", "ERR_HAPROXY_TIMEOUT"],
  );
  t.equal(order[0], "good", "it did not wait for the dead ones");
  const stuck = await overRouters(
    routers.slice(0, 1),
    { deadlineMs: 50 },
    () => Promise.withResolvers<never>().promise,
  );
  t.match(stuck, [{ error: { code: "ERR_DEADLINE" } }], "an action of any kind is bounded");
});

void t.test("a master that keeps the connection for a worker that is gone (3.0)", async (t) => {
  const peer = await startFakeHaproxy(
    silentAfter("Can't find the target PID matching the prefix '@!9'\n"),
  );
  t.teardown(peer.stop);
  await t.rejects(showProcesses(peer.address, { deadlineMs: 5000 }), {
    code: "ERR_HAPROXY_REFUSED",
    message: /Can't find the target PID/,
  });
});

void t.test("the event feed: lines, a lost feed, a feed that comes back", async (t) => {
  const down = "Server pg-primary/dal-01 is DOWN, reason: x.\n";
  const feeds = { count: 0 };
  const peer = await startFakeHaproxy((socket, line) => {
    if (!line.includes("show events")) {
      socket.end("\nName: HAProxy\nVersion: 2.6.12\nPid: 7\n\n");
      return;
    }
    feeds.count += 1;
    if (feeds.count === 2) {
      socket.end("\nPid: 7\n\nNo such event sink\n");
      return;
    }
    // The third feed says that it is an old worker's: pid 6, where the others say 7.
    const { count } = feeds;
    socket.write(`\nPid: ${count === 3 ? 6 : 7}\n\n${down.slice(0, 9)}`);
    socket.write(down.slice(9), () => (count === 1 ? socket.end() : undefined));
  });
  t.teardown(peer.stop);
  const stop = new AbortController();
  const seen: string[] = [];
  const reading = (async () => {
    for await (const event of routerEvents(peer.address, { signal: stop.signal, pollMs: 5 })) {
      seen.push("text" in event ? event.text : "why" in event ? event.why : event.kind);
    }
  })();
  const told = await eventually("three lines", { deadlineMs: 5000, intervalMs: 5 }, () =>
    seen.filter((one) => one.startsWith("Server ")).length >= 3 ? seen : undefined,
  );
  stop.abort();
  await reading;
  t.same(
    told.filter((one) => one !== "tick"),
    [
      ...["connected", down.trim(), "No such event sink", "connected", down.trim()],
      ...["connected", down.trim()],
    ],
    "a feed of an old worker is left for the one that serves",
  );
  t.ok(seen.includes("tick"), "ticks come whatever the feed does");
});

void t.test("changes in an operator's words", async (t) => {
  const look = (servers: readonly ServerView[], pid = 1): Look => ({
    view: {
      info: { version: "2.6.12", pid, uptimeSeconds: 1, stopping: false, connections: 0, node: "" },
      servers,
      queues: [],
      oldWorkers: [],
      masterError: undefined,
    },
  });
  const up = server("b/s");
  const down = server("b/s", { state: "down", check: "L7STS/503 in 1ms", sessions: 1 });
  const gone: Look = { error: new Error("show info on unix:/x: no such socket") };
  const flap = ["Server b/s is DOWN, reason: a.", "Server b/s is UP, reason: b."];
  const table = [
    {
      name: "the start",
      given: changesBetween(undefined, look([up]), []),
      want: /^HAProxy 2\.6\.12, pid 1: b\/s up$/,
    },
    {
      name: "down",
      given: changesBetween(look([up]), look([down]), []),
      want: /^b\/s up → down \(L7STS\/503 in 1ms; 1 session\)$/,
    },
    {
      name: "a reload",
      given: changesBetween(look([up]), look([up], 2), []),
      want: /^a new worker serves: pid 1 → 2/,
    },
    { name: "lost", given: changesBetween(look([up]), gone, []), want: /no such socket$/ },
    { name: "back", given: changesBetween(gone, look([up]), []), want: /^answers again: HAProxy/ },
    { name: "new", given: changesBetween(look([]), look([up]), []), want: /^b\/s is new: up/ },
    { name: "taken out", given: changesBetween(look([up]), look([]), []), want: /^b\/s is gone/ },
    {
      name: "a flap between two looks",
      given: changesBetween(look([up]), look([up]), flap),
      want: /^b\/s up again after: Server b\/s is DOWN/,
    },
    { name: "nothing", given: changesBetween(look([up]), look([up]), []), want: /^$/ },
    { name: "still lost", given: changesBetween(gone, gone, []), want: /^$/ },
  ];
  for (const { name, given, want } of table) t.match(given.join("\n"), want, name);
});
