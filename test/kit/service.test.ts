/**
 * A service: its life (ready, stopped by a signal, and the ways in which that goes wrong), and the
 * small HTTP server: what it answers, what it refuses, and how it ends.
 */
import { EventEmitter } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import t from "tap";
import { DeadlineError, nextTurn, systemClock } from "../../kit/clock.ts";
import { bodyReply, jsonReply, listen, ListenError, readReply, textReply } from "../../kit/http.ts";
import type { MethodRoutes, Route } from "../../kit/http.ts";
import { runService } from "../../kit/service.ts";
import { ask } from "../support/health-process.ts";

const host = "127.40.8.1";

async function serve(t: Tap, routes: Readonly<Record<string, Route | MethodRoutes>>) {
  const failures: { error: unknown; path: string }[] = [];
  const server = await listen({ host, port: 0 }, routes, (error, path) =>
    failures.push({ error, path }),
  );
  t.teardown(() => server.close(0));
  return { server, failures };
}

type Tap = Pick<typeof t, "teardown">;

/** Sends raw bytes and returns all that comes back until the server closes or `until` is there. */
async function raw(port: number, text: string, until: RegExp): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host, port });
  let seen = "";
  socket.on("data", (chunk: Buffer) => {
    seen += chunk.toString("latin1");
    if (until.test(seen)) resolve(seen);
  });
  socket.on("close", () => resolve(seen));
  socket.on("error", reject);
  socket.write(text);
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

t.test("answers by the table", async (t) => {
  const { server, failures } = await serve(t, {
    "/": () => textReply(200, "root"),
    "/later": async () => {
      await systemClock.sleep(1);
      return jsonReply(503, { a: 1 });
    },
    "/search": (search) => bodyReply(200, "text/plain", search),
    "/throws": () => {
      throw new Error("planted");
    },
    "/rejects": () => Promise.reject(new Error("planted later")),
  });
  const get = (path: string, method?: string) => ask(server, path, method);
  const root = await get("/");
  t.match(root, { status: 200, text: "root\n" });
  t.match(root.headers, {
    "content-type": /^text\/plain/,
    "content-length": "5",
    "cache-control": "no-store",
  });
  const later = await get("/later");
  t.match(later, { status: 503, text: '{"a":1}\n' });
  t.match(later.headers["content-type"], /^application\/json/);
  t.equal((await get("/search?a=1&b")).text, "?a=1&b");
  t.equal((await get("/search")).text, "");
  t.match(await get("/none"), { status: 404, text: "not found\n" });
  t.equal((await get("/constructor")).status, 404, "a name that every object has");
  const head = await get("/", "HEAD");
  t.match(head, { status: 200, text: "" });
  t.equal(head.headers["content-length"], "5");
  const post = await get("/", "POST");
  t.equal(post.status, 405);
  t.equal(post.headers["allow"], "GET, HEAD");
  t.strictSame(failures, []);
  t.match(await get("/throws"), { status: 500, text: "internal error\n" });
  t.equal((await get("/rejects")).status, 500);
  t.match(failures, [{ path: "/throws" }, { path: "/rejects" }]);
});

t.test("takes a check as HAProxy may send it, and keeps a connection alive", async (t) => {
  const { server } = await serve(t, { "/": () => textReply(200, "root") });
  const noHost = "GET / HTTP/1.1\r\n\r\n";
  t.match(await raw(server.port, noHost, /root\n$/), /^HTTP\/1\.1 200 /, "1.1 without Host");
  t.match(await raw(server.port, "OPTIONS / HTTP/1.0\r\n\r\n", /allowed\n$/), / 405 /);
  const two = await raw(server.port, noHost + noHost, /root\n[^]*root\n$/);
  t.equal(two.match(/HTTP\/1\.1 200/g)?.length, 2, "two requests on one connection");
  t.match(await raw(server.port, "nonsense\r\n\r\n", /\r\n\r\n/), /^HTTP\/1\.1 400 /);
});

t.test("methods, headers and bodies", async (t) => {
  const bodies: number[] = [];
  const { server } = await serve(t, {
    "/both": {
      GET: ({ headers }) => textReply(200, headers.authorization ?? "none"),
      POST: ({ body }) => {
        bodies.push(body.length);
        return textReply(201, body.toString("utf8").slice(0, 10));
      },
    },
    "/post": { POST: () => textReply(200, "posted") },
  });
  const url = `http://${host}:${server.port}`;
  const post = (body: string) => fetch(`${url}/both`, { method: "POST", body });
  const get = await fetch(`${url}/both`, { headers: { authorization: "Bearer x" } });
  t.equal(await get.text(), "Bearer x\n");
  t.equal((await fetch(`${url}/both`, { method: "HEAD" })).status, 200);
  const posted = await post("a body");
  t.equal(posted.status, 201);
  t.equal(await posted.text(), "a body\n");
  t.equal((await post("x".repeat(64 * 1024))).status, 201);
  t.equal((await ask(server, "/both", "PUT")).headers["allow"], "GET, HEAD, POST");
  const wrong = await ask(server, "/post");
  t.equal(wrong.status, 405);
  t.equal(wrong.headers["allow"], "POST");
  const long = "POST /both HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n";
  t.match(await raw(server.port, long + "x".repeat(70_000), /too long/), /^HTTP\/1\.1 413 /);
  const half = "POST /both HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf";
  const socket = connect({ host, port: server.port });
  await new Promise<void>((resolve) => socket.write(half, () => resolve()));
  socket.resetAndDestroy();
  t.equal((await post("last")).status, 201);
  t.same(bodies, [6, 64 * 1024, 4], "a body that is cut off is no request");
});

t.test("who asks may hang up, and the route hears of it", async (t) => {
  const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
  const { promise: heard, resolve: hear } = Promise.withResolvers<string>();
  const { server } = await serve(t, {
    "/wait": {
      POST: async ({ signal }) => {
        signal.addEventListener("abort", () => hear((signal.reason as Error).message));
        enter();
        await heard;
        return textReply(200, "nobody reads this");
      },
    },
  });
  const hangUp = new AbortController();
  const asked = fetch(`http://${host}:${server.port}/wait`, {
    method: "POST",
    body: "x",
    signal: hangUp.signal,
  });
  await entered;
  hangUp.abort();
  await t.rejects(asked, { name: "AbortError" });
  t.equal(await heard, "the asker has hung up");
});

t.test("an address that cannot be listened on", async (t) => {
  const { server } = await serve(t, {});
  const again = listen({ host, port: server.port }, {}, () => undefined);
  await t.rejects(again, {
    code: "ERR_LISTEN",
    reason: "EADDRINUSE",
    message: `listen on ${host}:${server.port}: the port is taken by another process`,
  });
  const elsewhere = listen({ host: "192.0.2.1", port: 0 }, {}, () => undefined);
  await t.rejects(elsewhere, ListenError);
  await t.rejects(elsewhere, /192\.0\.2\.1:0: this machine does not have that address/);
});

t.test("closing lets a running request end, and cuts it at the deadline", async (t) => {
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
  const route: Route = async () => {
    enter();
    await gate;
    return textReply(200, "ended");
  };
  const first = await serve(t, { "/": route });
  const asked = ask(first.server, "/");
  await entered;
  const closing = first.server.close(5000);
  open();
  t.equal((await asked).text, "ended\n");
  await closing;
  const { promise: again, resolve: enterAgain } = Promise.withResolvers<void>();
  const second = await serve(t, {
    "/": async () => {
      enterAgain();
      return await new Promise<never>(() => undefined);
    },
  });
  const cut = t.rejects(ask(second.server, "/"), { code: "ECONNRESET" });
  await again;
  await second.server.close(20);
  await cut;
});

t.test("a reply is read up to its bound", async (t) => {
  const text = "zwölf kB ".repeat(1500);
  const size = Buffer.byteLength(text);
  const { server } = await serve(t, { "/": () => bodyReply(200, "text/plain", text) });
  const get = (limitBytes: number): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const asked = request({ host, port: server.port, agent: false }, (reply) => {
      readReply(reply, limitBytes).then(resolve, reject);
    });
    asked.on("error", reject);
    asked.end();
    return promise;
  };
  t.equal(await get(size), text);
  await t.rejects(get(size - 1), { message: `the reply is longer than ${size - 1} bytes` });
});

function life(stopDeadlineMs = 5000) {
  const signals = new EventEmitter();
  const told: string[] = [];
  const logger = { info: (_: unknown, text: string) => void told.push(text) };
  return { signals, told, options: { name: "test", stopDeadlineMs, logger, signals } };
}

const forEver = (): Promise<never> => new Promise<never>(() => undefined);

for (const signal of ["SIGTERM", "SIGINT"]) {
  t.test(`${signal} stops a service that is ready`, async (t) => {
    const { signals, told, options } = life();
    const done: string[] = [];
    const running = runService(async () => {
      done.push("start");
      return {
        stop: async () => {
          await nextTurn();
          done.push("stop");
        },
      };
    }, options);
    await nextTurn();
    t.strictSame(done, ["start"], "it runs until it is asked");
    signals.emit(signal);
    await running;
    t.strictSame(done, ["start", "stop"]);
    t.strictSame(told, ["test is ready", `test stops: ${signal}`]);
    t.strictSame(signals.eventNames(), [], "nothing listens any more");
  });
}

t.test("a signal during the start ends the start", async (t) => {
  const { signals, told, options } = life();
  const running = runService(async (signal) => {
    signals.emit("SIGTERM");
    signal.throwIfAborted();
    return { stop: forEver };
  }, options);
  await running;
  t.strictSame(told, [], "it never was ready");
});

t.test("a start that finishes in spite of the signal is stopped", async (t) => {
  const { signals, options } = life();
  let stopped = 0;
  await runService(async () => {
    signals.emit("SIGINT");
    return {
      stop: async () => {
        stopped += 1;
      },
    };
  }, options);
  t.equal(stopped, 1);
});

t.test("what start throws comes out", async (t) => {
  const { signals, options } = life();
  const running = runService(() => Promise.reject(new Error("planted")), options);
  await t.rejects(running, { message: "planted" });
  t.strictSame(signals.eventNames(), []);
});

t.test("what stop throws comes out", async (t) => {
  const { signals, options } = life();
  const stop = (): Promise<void> => Promise.reject(new Error("planted"));
  const running = runService(async () => ({ stop }), options);
  signals.emit("SIGTERM");
  await t.rejects(running, { message: "planted" });
});

t.test("a stop that takes too long is a failure", async (t) => {
  const { signals, options } = life(10);
  const running = runService(async () => ({ stop: forEver }), options);
  signals.emit("SIGTERM");
  await t.rejects(running, DeadlineError);
});

t.test("a second signal ends the wait", async (t) => {
  const { signals, options } = life(60_000);
  const { promise: stopping, resolve } = Promise.withResolvers<void>();
  const stop = (): Promise<never> => {
    resolve();
    return forEver();
  };
  const running = runService(async () => ({ stop }), options);
  signals.emit("SIGTERM");
  const rejected = t.rejects(running, { code: "ERR_STOP_INTERRUPTED", message: /SIGINT/ });
  await stopping;
  signals.emit("SIGINT");
  await rejected;
});
