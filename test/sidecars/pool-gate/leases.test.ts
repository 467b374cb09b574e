/**
 * The inside of pool-gate without a PgBouncer: leases as values, what cannot be paused, what is on
 * disk, what it is told, and its client against peers that answer what no gate says.
 */
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { Secret } from "../../../config/secret.ts";
import { sidecarEnding, sidecarHelp, sidecarSource } from "../../../config/sidecar-words.ts";
import type { Sidecar } from "../../../config/sidecar-words.ts";
import { inCheckout } from "../../../kit/checkout.ts";
import { jsonReply, listen, textReply } from "../../../kit/http.ts";
import type { MethodRoute } from "../../../kit/http.ts";
import { openGate } from "../../../sidecars/pool-gate/client.ts";
import { clearLease, readLease, writeLease } from "../../../sidecars/pool-gate/durable-lease.ts";
import * as leases from "../../../sidecars/pool-gate/lease.ts";
import type { LeaseBook } from "../../../sidecars/pool-gate/lease.ts";
import { gateRoutes } from "../../../sidecars/pool-gate/routes.ts";
import { readSettings } from "../../../sidecars/pool-gate/settings.ts";
import { objectionTo, statusOf } from "../../../sidecars/pool-gate/status.ts";
import type { PoolerLook } from "../../../sidecars/pool-gate/status.ts";
import { variableTable } from "../../../sidecars/pool-gate/variables.ts";

const terms = { lease: "lease-one", holder: "flip-db 4f1c", databases: ["app", "postgres"] };
const host = "127.40.9.1";

/** A book with `terms` held at 1000 for 500 ms. */
function held(): LeaseBook {
  const book = leases.beginLease(leases.emptyBook, terms, 2000);
  return leases.holdLease(book, "lease-one", { now: 1000, ttlMs: 500, tookMs: 3 });
}

t.test("a lease from its beginning to its end", async (t) => {
  const begun = leases.beginLease(leases.emptyBook, terms, 2000);
  t.equal(leases.whyNot(leases.emptyBook), undefined);
  t.equal(leases.whyNot(begun), "held");
  t.match(begun.current, { phase: "pausing", until: 2000 });
  const book = held();
  t.match(book.current, { phase: "held", until: 1500, tookMs: 3 });
  const rows = [
    { name: "renewed in time", now: 1499, ttlMs: 500, until: 1999 },
    { name: "renewed for less", now: 1100, ttlMs: 50, until: 1150 },
    { name: "renewed at its end", now: 1500, ttlMs: 500, until: 1500 },
    { name: "renewed after its end", now: 9000, ttlMs: 500, until: 1500 },
  ];
  for (const { name, now, ttlMs, until } of rows) {
    t.equal(leases.renewLease(book, "lease-one", { now, ttlMs }).current?.until, until, name);
    t.equal(leases.isOver(book, now), now >= 1500, name);
  }
  t.equal(leases.renewLease(book, "another", { now: 1100, ttlMs: 500 }), book);
  t.equal(leases.renewLease(begun, "lease-one", { now: 1100, ttlMs: 500 }), begun, "not held yet");
});

t.test("what a lease paused is owed until it is seen resumed", async (t) => {
  const ended = leases.endLease(held(), "lease-one", { how: "expired", why: "late", owes: true });
  t.match(ended, { current: null, owed: ["app", "postgres"] });
  t.equal(leases.whyNot(ended), "owed");
  const half = leases.settle(ended, ["app"]);
  t.same(half.owed, ["postgres"]);
  t.equal(leases.whyNot(leases.settle(half, ["postgres"])), undefined);
  t.match(leases.standingOf(ended, "lease-one"), { is: "ended", ended: { how: "expired" } });
  t.same(leases.standingOf(ended, "another"), { is: "unknown" });
  const free = leases.endLease(held(), "lease-one", { how: "failed", why: "", owes: false });
  t.same(free.owed, [], "nothing was touched");
  const other = leases.endLease(held(), "another", { how: "resumed", why: "", owes: true });
  t.match(other.current, { lease: "lease-one" }, "another's end is not its own");
  const after = leases.bookAfterRestart(terms);
  t.match(after, { current: null, owed: terms.databases, ended: [{ how: "lost" }] });
});

t.test("only so many ended leases are remembered", async (t) => {
  let book = leases.emptyBook;
  for (let index = 0; index < 500; index += 1) {
    const lease = `lease-${index}`;
    book = leases.beginLease(book, { ...terms, lease }, 0);
    book = leases.endLease(book, lease, { how: "resumed", why: "", owes: false });
  }
  t.equal(book.ended.length, 100);
  t.equal(leases.standingOf(book, "lease-499").is, "ended");
  t.equal(leases.standingOf(book, "lease-1").is, "unknown");
});

function look(changed: Partial<PoolerLook> = {}): PoolerLook {
  const database = { host: "127.0.0.1", port: 6433, paused: false, disabled: false };
  const pool = { user: "app", clientsActive: 1, servers: 1, maxWaitMs: 0, mode: "transaction" };
  return {
    version: "1.24.1",
    whole: "active",
    databases: ["app", "postgres"].map((name) => ({ name, ...database })),
    pools: [{ database: "app", clientsWaiting: 2, ...pool }],
    modes: { app: "transaction", postgres: "statement" },
    busy: [{ database: "app", servers: 1 }],
    ...changed,
  };
}

t.test("what a pause cannot do", async (t) => {
  const [app] = look().databases;
  const [pool] = look().pools;
  if (app === undefined || pool === undefined) throw new Error("the look has both");
  const rows: { name: string; given: PoolerLook; want: RegExp | undefined }[] = [
    { name: "well", given: look(), want: undefined },
    { name: "whole", given: look({ whole: "suspended" }), want: /suspended .* as a whole/ },
    { name: "absent", given: look({ databases: [app] }), want: /postgres is no entry/ },
    {
      name: "foreign",
      given: look({ databases: [{ ...app, paused: true }] }),
      want: /somebody else paused app/,
    },
    {
      name: "disabled",
      given: look({ databases: [{ ...app, disabled: true }] }),
      want: /app is disabled/,
    },
    {
      name: "session database",
      given: look({ modes: { app: "session" } }),
      want: /app is pooled by session/,
    },
    {
      name: "session user",
      given: look({ pools: [{ ...pool, mode: "session" }] }),
      want: /app is pooled by session/,
    },
  ];
  for (const { name, given, want } of rows) {
    const said = objectionTo(given, ["app", "postgres"]);
    if (want === undefined) t.equal(said, undefined, name);
    else t.match(said, want, name);
  }
});

t.test("the status of a gate", async (t) => {
  const facts = { now: 1100, silence: "connection refused" };
  const begun = leases.beginLease(leases.emptyBook, terms, 2000);
  const owing = leases.endLease(held(), "lease-one", { how: "expired", why: "", owes: true });
  const foreign = look({ databases: look().databases.map((one) => ({ ...one, paused: true })) });
  const rows = [
    { book: leases.emptyBook, look: look(), want: { state: "open", waitingClients: 2 } },
    { book: begun, look: look(), want: { state: "pausing", expiresInMs: 900 } },
    { book: held(), look: look(), want: { state: "paused", holder: "flip-db 4f1c" } },
    { book: held(), look: foreign, want: { state: "paused", databases: terms.databases } },
    { book: owing, look: look(), want: { state: "paused", holder: null } },
    { book: leases.emptyBook, look: foreign, want: { state: "foreign", expiresInMs: null } },
    { book: leases.emptyBook, look: look({ whole: "paused" }), want: { state: "foreign" } },
    { book: held(), look: undefined, want: { state: "unreachable", expiresInMs: 400 } },
  ];
  for (const { book, look: seen, want } of rows) t.match(statusOf(book, seen, facts), want);
});

t.test("the lease on disk", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-gate-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, "state", "lease.json");
  t.equal(await readLease(path), undefined, "none, and its folder is made");
  await writeLease(path, terms);
  t.equal((await stat(path)).mode & 0o777, 0o600);
  t.same(await readLease(path), terms);
  await clearLease(path);
  t.equal(await readLease(path), undefined);
  await clearLease(path);
  await writeFile(path, '{"version":1,"lease":"cut off');
  await t.rejects(readLease(path), { code: "ERR_GATE_STATE", path });
  t.match(
    await readFile(path, "utf8"),
    /cut off/,
    "what is not understood is left for an operator",
  );
});

t.test("what it is told", async (t) => {
  const variables = {
    POOL_GATE_TOKEN: "a-token-of-some-length",
    POOL_GATE_POOLER_USER: "admin",
    POOL_GATE_POOLER_PASSWORD: "not-shown",
  };
  t.match(await readSettings({ variables }), {
    listen: { host: "127.0.0.1", port: 8009 },
    pooler: { address: { host: "127.0.0.1", port: 6432 }, user: "admin" },
    stateFile: "/run/switchyard/pool-gate.json",
  });
  const rows: { given: Record<string, string>; want: RegExp }[] = [
    { given: { POOL_GATE_TOKEN: "short" }, want: /shorter than 16 characters/ },
    { given: { POOL_GATE_TOKEN: "" }, want: /POOL_GATE_TOKEN or POOL_GATE_TOKEN_FILE: not set/ },
    { given: { POOL_GATE_TOKEN_FILE: "/etc/token" }, want: /are both set/ },
    { given: { POOL_GATE_POOLER_USER: "" }, want: /POOL_GATE_POOLER_USER: not set/ },
    { given: { POOL_GATE_LISTE: "x" }, want: /did you mean POOL_GATE_LISTEN/ },
    { given: { POOL_GATE_STATE: "relative" }, want: /POOL_GATE_STATE: expected an absolute path/ },
  ];
  const page = await readFile(inCheckout("docs/pool-gate.md"), "utf8");
  for (const name of Object.keys(variableTable.rows)) t.ok(page.includes(`\`${name}\``), name);
  for (const { given, want } of rows) {
    await t.rejects(readSettings({ variables: { ...variables, ...given } }), want);
  }
});

const sidecar: Sidecar = {
  program: "pool-gate",
  purpose: "Owns a pause.",
  part: "gate",
  partValue: "EDGEPOOLER",
  variables: variableTable,
  paths: "GET /status",
};

t.test("the words of its command line", async (t) => {
  const given = { POOL_GATE_NAME: "app-01" };
  const source = (...words: string[]) => sidecarSource(sidecar, words, given);
  t.same(source(), { variables: given });
  t.equal(source("-h"), undefined);
  t.same(source("--env", "prod", "--gate", "app-01"), {
    variables: given,
    environment: { name: "prod", part: "app-01", folder: inCheckout("config") },
  });
  t.match(source("--env", "prod", "--gate", "app-01", "--config-folder", "/x"), {
    environment: { folder: "/x" },
  });
  const rows = [
    { words: ["--env", "prod"], want: /--env needs --gate NAME/ },
    { words: ["--gate", "app-01"], want: /--gate needs --env/ },
    { words: ["--config-folder", "/x"], want: /--config-folder needs --env/ },
    { words: ["--envv"], want: /see pool-gate --help/ },
  ];
  for (const { words, want } of rows) t.throws(() => source(...words), want);
  const help = sidecarHelp(sidecar).split("\n");
  t.equal(
    help[2],
    "usage: pool-gate [--env ENVIRONMENT --gate EDGEPOOLER [--config-folder FOLDER]]",
  );
  t.match(help.join("\n"), /POOL_GATE_LOG_LEVEL +what to log \[info\]/);
  t.equal(help.at(-1), "Paths: GET /status");
});

t.test("what an error of a sidecar ends with", async (t) => {
  const failed = (message: string, code?: string) =>
    sidecarEnding("pool-gate", Object.assign(new Error(message), { code }));
  const table = [
    { name: "unknown", given: failed("a"), want: { text: "pool-gate: a\n", exitCode: 1 } },
    { name: "usage", given: failed("a", "ERR_USAGE"), want: { exitCode: 64 } },
    { name: "a port that is taken", given: failed("a", "ERR_LISTEN"), want: { exitCode: 69 } },
    {
      name: "each line is signed",
      given: failed("a\nb", "ERR_CONFIG"),
      want: { text: "pool-gate: a\npool-gate: b\n", exitCode: 78 },
    },
    {
      name: "no such environment",
      given: failed("a", "ERR_CONFIG_UNKNOWN_ENVIRONMENT"),
      want: { exitCode: 78 },
    },
    {
      name: "no error",
      given: sidecarEnding("pool-gate", "a"),
      want: { text: "pool-gate: a\n", exitCode: 1 },
    },
  ];
  for (const { name, given, want } of table) t.match(given, want, name);
});

const open = statusOf(leases.emptyBook, look(), { now: 0, silence: "" });

/** A gate client of a server that answers every path with `answer`. */
async function against(t: Tap, answer: MethodRoute, deadlineMs = 2000) {
  const both = { GET: answer, POST: answer };
  const routes = { "/status": both, "/pause": both, "/renew": both, "/resume": both };
  const server = await listen({ host, port: 0 }, routes, () => undefined);
  const url = { host, port: server.port };
  const client = openGate({ name: "app-01", url, token: () => "secret-token" }, { deadlineMs });
  t.teardown(async () => {
    client.close();
    await server.close(0);
  });
  return { client, server };
}
type Tap = Pick<typeof t, "teardown">;

t.test("what comes back is an answer, or an error that says what came", async (t) => {
  const rows = [
    { answer: () => textReply(401, "unauthorized"), code: "ERR_GATE_DENIED", says: /wrong token/ },
    { answer: () => jsonReply(409, open), code: "ERR_GATE_REFUSED", says: /nothing is paused/ },
    { answer: () => jsonReply(410, open), code: "ERR_GATE_LEASE_LOST", says: /nothing is paused/ },
    { answer: () => jsonReply(503, open), code: "ERR_GATE_POOLER", says: /nothing is paused/ },
    { answer: () => jsonReply(504, open), code: "ERR_GATE_BUSY", says: /nothing is paused/ },
    {
      answer: () => jsonReply(200, { lease: 7 }),
      code: "ERR_GATE_REPLY",
      says: /none of a pool-gate/,
    },
    { answer: () => textReply(409, "gone"), code: "ERR_GATE_REPLY", says: /\(409\) is none/ },
    { answer: () => textReply(400, "ttlMs: needed"), code: "ERR_GATE_REPLY", says: /400 ttlMs/ },
    {
      answer: () => textReply(200, "x".repeat(300_000)),
      code: "ERR_GATE_UNREACHABLE",
      says: /longer/,
    },
  ];
  for (const { answer, code, says } of rows) {
    const { client } = await against(t, answer);
    await t.rejects(client.renew("lease-one", 1000), { code, message: says, gate: "app-01" });
  }
  const { client } = await against(t, () => new Promise<never>(() => undefined), 50);
  await t.rejects(client.status(), { code: "ERR_GATE_UNREACHABLE", message: /within 50 ms/ });
  const { client: gone, server } = await against(t, () => jsonReply(200, open));
  await server.close(0);
  await t.rejects(gone.status(), { code: "ERR_GATE_UNREACHABLE", message: /connection refused/ });
});

t.test("a connection that the gate has closed meanwhile is no failure", async (t) => {
  const { client, server } = await against(t, () => jsonReply(200, open));
  await client.warm();
  await server.close(0);
  const again = await listen(
    { host, port: server.port },
    { "/status": { GET: () => jsonReply(200, open) } },
    () => undefined,
  );
  t.teardown(() => again.close(0));
  t.match(await client.status(), { state: "open" });
});

t.test("the routes: who may ask, and what is no question", async (t) => {
  const asked: unknown[] = [];
  const gate = {
    status: async () => open,
    pause: async (request: unknown) => {
      asked.push(request);
      return { status: 409, body: open };
    },
    renew: async () => ({ status: 410, body: open }),
    resume: async () => ({ status: 200, body: open }),
  };
  const routes = gateRoutes(gate as never, new Secret("the-token"));
  const server = await listen({ host, port: 0 }, routes, () => undefined);
  t.teardown(() => server.close(0));
  const ask = async (path: string, body?: string, token = "Bearer the-token") => {
    const reply = await fetch(`http://${host}:${server.port}${path}`, {
      headers: { authorization: token },
      ...(body === undefined ? {} : { method: "POST", body }),
    });
    return { status: reply.status, text: await reply.text() };
  };
  for (const token of ["", "Bearer", "Bearer the-toke", "Bearer the-tokenn", "the-token"]) {
    t.same(await ask("/status", undefined, token), { status: 401, text: "unauthorized\n" }, token);
    t.equal((await ask("/pause", "{}", token)).status, 401, token);
  }
  t.equal((await ask("/livez", undefined, "")).status, 200);
  t.equal((await ask("/status")).status, 200);
  const whole = { databases: ["app"], ttlMs: 5000, deadlineMs: 2000, holder: "flip-db" };
  const rows: { path: string; body: string; want: RegExp }[] = [
    { path: "/pause", body: "nonsense", want: /not JSON/ },
    { path: "/pause", body: "{}", want: /databases: / },
    { path: "/pause", body: JSON.stringify({ ...whole, ttlMs: 0 }), want: /ttlMs: / },
    { path: "/pause", body: JSON.stringify({ ...whole, databases: [] }), want: /databases: / },
    { path: "/pause", body: JSON.stringify({ ...whole, lease: "short" }), want: /lease: / },
    { path: "/pause", body: JSON.stringify({ ...whole, more: 1 }), want: /more/ },
    { path: "/renew", body: '{"lease":"lease-one"}', want: /ttlMs: needed/ },
    { path: "/resume", body: "{}", want: /lease: / },
  ];
  for (const { path, body, want } of rows) {
    const reply = await ask(path, body);
    t.equal(reply.status, 400, body);
    t.match(reply.text, want, body);
  }
  t.same(asked, []);
  t.equal((await ask("/pause", JSON.stringify(whole))).status, 409);
  t.same(asked, [whole]);
  t.equal((await ask("/renew", '{"lease":"lease-one","ttlMs":5}')).status, 410);
  t.equal((await ask("/resume", '{"lease":"lease-one"}')).status, 200);
  t.equal((await ask("/pause")).status, 405);
});
