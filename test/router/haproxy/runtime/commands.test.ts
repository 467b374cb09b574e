/** Which commands there are, what an order takes in commands, and changes in words. */
import t from "tap";
import { changesBetween } from "../../../../router/haproxy/runtime/changes.ts";
import type { Look } from "../../../../router/haproxy/runtime/changes.ts";
import {
  CommandError,
  commands,
  parseServerName,
} from "../../../../router/haproxy/runtime/commands.ts";
import { commandsForHealth, commandsForState } from "../../../../router/haproxy/runtime/orders.ts";
import type { ServerView } from "../../../../router/haproxy/runtime/servers.ts";
import { serverView as server } from "../../../support/server-view.ts";

const dal = { backend: "pg-primary", server: "dal-01" };
const check = { inter: 1000, fastinter: 500, downinter: 1000, rise: 2, fall: 3 };
const added = { host: "fd00::1", port: 9200, weight: 0, maxConnections: 50, check };

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
    () => commands.addServer({ backend: "a", server: "b check" }, added),
    () => commands.addServer(dal, { ...added, host: "db.example" }),
    () => commands.addServer(dal, { ...added, port: 0 }),
    () => commands.addServer(dal, { ...added, weight: 257 }),
    () => commands.addServer(dal, { ...added, maxConnections: 0 }),
    () => commands.addServer(dal, { ...added, check: { ...check, rise: 0 } }),
    () => commands.addServer(dal, { ...added, check: { ...check, inter: 0.5 } }),
    () => commands.deleteServer({ backend: "a", server: "b;quit" }),
    () => commands.enableServerHealth({ backend: "a b", server: "c" }),
  ];
  for (const build of wrong) t.throws(build, CommandError, String(build));
  t.equal(
    commands.setServerAddress(dal, "fd00::1", 5432).line,
    "set server pg-primary/dal-01 addr fd00::1 port 5432",
  );
  t.equal(
    commands.addServer(dal, added).line,
    "add server pg-primary/dal-01 [fd00::1]:9200 weight 0 maxconn 50 check inter 1000ms fastinter 500ms downinter 1000ms rise 2 fall 3",
  );
  t.equal(
    commands.setFrontendMaxConnections("pg-primary", 5).line,
    "set maxconn frontend pg-primary 5",
  );
});

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

void t.test("changes in an operator's words", async (t) => {
  const look = (servers: readonly ServerView[], pid = 1): Look => ({
    view: {
      info: { version: "2.6.12", pid, uptimeSeconds: 1, stopping: false, connections: 0, node: "" },
      servers,
      queues: [],
      closedFrontends: [],
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
    {
      name: "it leaves",
      given: changesBetween(look([up]), look([{ ...up, weight: 0 }]), []),
      want: /^b\/s up → up \(weight 0: takes nobody new\)/,
    },
    { name: "nothing", given: changesBetween(look([up]), look([up]), []), want: /^$/ },
    { name: "still lost", given: changesBetween(gone, gone, []), want: /^$/ },
  ];
  for (const { name, given, want } of table) t.match(given.join("\n"), want, name);
});
