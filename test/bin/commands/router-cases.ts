/** What router status and sessions print: aligned, and no text of a peer moves the cursor. */
import t from "tap";
import { printable } from "../../../bin/cli/output.ts";
import { sessionLines } from "../../../bin/commands/router/sessions.ts";
import type { SessionRow } from "../../../bin/commands/router/sessions.ts";
import { complaints, statusLines, verdict } from "../../../bin/commands/router/table.ts";
import type { RouterResult, RouterView } from "../../../router/haproxy/runtime/fleet.ts";
import type { ServerView } from "../../../router/haproxy/runtime/servers.ts";
import { serverView } from "../../support/server-view.ts";

const same = (text: string): string => text;
const plain = { good: same, bad: same, warn: same, dim: same, bold: same };
const hostile = "\u001B[2J\u0007\r\n\u0085\u2028\u202Eend";

const server = (name: string, changes: Partial<ServerView> = {}): ServerView =>
  serverView(`pg-primary/${name}`, { sessions: 4, ...changes });

function resultOf(name: string, changes: Partial<RouterView> = {}): RouterResult {
  const value: RouterView = {
    info: {
      version: "2.6.12",
      pid: 7,
      uptimeSeconds: 61,
      stopping: false,
      connections: 0,
      node: "",
    },
    servers: [server("dal-01"), server("chi-02", { state: "down", check: "L7STS/503 in 1ms" })],
    queues: [],
    closedFrontends: [],
    oldWorkers: [],
    masterError: undefined,
    ...changes,
  };
  return { router: { name, runtime: `unix:/run/${name}.sock` }, value };
}

const session: SessionRow = {
  router: "app-01",
  worker: 7,
  old: false,
  pointer: "0x1",
  source: "10.0.0.7:51632",
  frontend: "pg-primary",
  backend: "pg-primary",
  server: "dal-01",
  ageSeconds: 7300,
};

void t.test("router status", async (t) => {
  t.same(statusLines([resultOf("app-01")], plain), [
    "the router answers",
    "",
    "router app-01  HAProxy 2.6.12, pid 7, worker up 61 s",
    "  server             state  check             since  sessions  queued",
    "  pg-primary/dal-01  up     L7OK/200 in 1ms   5 min         4       0",
    "  pg-primary/chi-02  down   L7STS/503 in 1ms  5 min         4       0",
  ]);
});

void t.test("router status while not exactly one member takes writes", async (t) => {
  const down = server("dal-01", { state: "down" });
  const hold = server("hold", { backup: true });
  const servers = [down, hold, server("chi-02", { state: "down" })];
  const [none, well] = [resultOf("app-01", { servers }), resultOf("app-02")];
  t.equal(verdict([none]), "no member takes writes");
  t.equal(
    verdict([none, { ...none, router: { name: "app-02", runtime: "unix:/nowhere" } }]),
    "no member takes writes",
  );
  t.match(verdict([none, well]), /^routers disagree: .*; no member takes writes on app-01$/);
  const both = resultOf("app-01", { servers: [server("dal-01"), server("chi-02"), hold] });
  t.equal(verdict([both]), "dal-01, chi-02 all count as primary: new connections are refused");
  t.same(complaints([well]), []);
  const empty = [server("dal-01"), serverView("web/hold", { backup: true })];
  const bare = resultOf("app-01", { servers: empty });
  t.equal(verdict([bare]), "backend web has no server (router backends adds them)");
  const full = resultOf("app-02", {
    servers: [...empty, serverView("web/dns.10.0.0.1:80", { weight: 5 })],
  });
  t.match(complaints([bare, full]), [/^backend web has no server on app-01/]);

  const probe = serverView("probe-dal-01/probe", { state: "down" });
  const near = resultOf("app-01", { servers: [...servers, probe] });
  const far = resultOf("app-02", { servers });
  t.equal(verdict([near, far]), "no member takes writes", "each router has probes of its own");
  const other = resultOf("app-02", { servers: [...servers, { ...probe, state: "up" }] });
  t.match(verdict([near, other]), /^routers disagree: probe-dal-01\/probe/, "a probe of both");
});

void t.test("router sessions", async (t) => {
  t.same(sessionLines([session, { ...session, server: undefined, old: true }], plain), [
    "router  client          server                           age  worker",
    "app-01  10.0.0.7:51632  pg-primary/dal-01                2 h  7",
    "app-01  10.0.0.7:51632  pg-primary/(waits in the queue)  2 h  7 (old)",
  ]);
});

void t.test("no text of a peer is obeyed by the terminal", async (t) => {
  const info = {
    version: hostile,
    pid: 7,
    uptimeSeconds: 1,
    stopping: false,
    connections: 0,
    node: hostile,
  };
  const results: RouterResult[] = [
    resultOf("app-01", {
      info,
      servers: [server(hostile, { check: hostile, backend: hostile })],
      queues: [{ backend: hostile, waiting: 3 }],
      masterError: new Error(hostile),
    }),
    resultOf("app-02"),
    { router: { name: "app-03", runtime: "unix:/x" }, error: new Error(hostile) },
  ];
  const rows = [{ ...session, source: hostile, backend: hostile, server: hostile }];
  for (const line of [...statusLines(results, plain), ...sessionLines(rows, plain)]) {
    t.equal(printable(line), line);
  }
});
