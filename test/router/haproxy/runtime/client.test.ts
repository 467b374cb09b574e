/** The client against peers that misbehave on a real socket. */
import t from "tap";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, systemClock } from "../../../../kit/clock.ts";
import {
  connectRuntime,
  send,
  showInfo,
  showRouter,
} from "../../../../router/haproxy/runtime/client.ts";
import { commands } from "../../../../router/haproxy/runtime/commands.ts";
import { addressAt } from "../../../../router/haproxy/runtime/address.ts";
import { routerEvents } from "../../../../router/haproxy/runtime/events.ts";
import { overRouters } from "../../../../router/haproxy/runtime/fleet.ts";
import { showProcesses } from "../../../../router/haproxy/runtime/master.ts";
import { exchange } from "../../../../router/haproxy/runtime/transport.ts";
import { endless, silentAfter, startFakeHaproxy, whole } from "../../../support/fake-haproxy.ts";
import type { Answer } from "../../../support/fake-haproxy.ts";

const recorded = readFileSync(
  new URL("../../../fixtures/haproxy-runtime/2.6-view.txt", import.meta.url),
  "utf8",
);
const deadlineMs = 1000;
/** Of what does answer. */
const patientMs = 20_000;

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
      says: /show info on unix:.*: no reply within 1000 ms$/,
    },
    {
      name: "silence in the middle",
      answer: silentAfter("\nName: HAProxy\n"),
      code: "ERR_HAPROXY_TIMEOUT",
      says: /no reply within 1000 ms \(15 bytes of an unfinished one came\)/,
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
    const isSilent = code === "ERR_HAPROXY_TIMEOUT";
    const options = { deadlineMs: isSilent ? deadlineMs : patientMs };
    await t.rejects(showInfo(connectRuntime(peer.address, options)), { code, message: says }, name);
    t.equal(peer.lines.length, 1, `${name}: it was sent once`);
  }
});

void t.test("an answer without an end is given up at the limit", async (t) => {
  const peer = await startFakeHaproxy(endless);
  t.teardown(peer.stop);
  await t.rejects(
    exchange("show info", {
      address: addressAt(peer.address),
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
  ] as const;
  for (const { address, says } of table) {
    await t.rejects(showInfo(connectRuntime(address, { deadlineMs: 2000 })), {
      code: "ERR_HAPROXY_UNREACHABLE",
      message: says,
    });
  }
});

void t.test("who waits is counted in the backend's queue and in its servers'", async (t) => {
  const changes = [
    ["pg-primary,BACKEND,0,", "pg-primary,BACKEND,2,"],
    ["pg-primary,dal-01,0,", "pg-primary,dal-01,3,"],
    [/^(pg-primary,FRONTEND,.*),OPEN,/m, "$1,STOP,"],
  ] as const;
  const text = changes.reduce((seen, [from, to]) => seen.replace(from, to), recorded);
  const peer = await startFakeHaproxy(whole(text));
  t.teardown(peer.stop);
  const view = await showRouter(connectRuntime(peer.address));
  t.equal(view.queues.find((one) => one.backend === "pg-primary")?.waiting, 5);
  t.same(view.closedFrontends, ["pg-primary"]);
});

void t.test(
  "an old HAProxy is refused, and a gated command (pitfall 17) is not sent",
  async (t) => {
    const old = await startFakeHaproxy(
      whole(recorded.replace("Version: 2.6.12", "Version: 2.4.22")),
    );
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
  },
);

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
      address: addressAt(`tcp://${place.host}:${place.port}`),
      tried: "show info",
      deadlineMs: patientMs,
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
  await t.rejects(showProcesses(peer.address, { deadlineMs: patientMs }), {
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
  const told = await eventually("three lines", { deadlineMs: patientMs, intervalMs: 5 }, () =>
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
