/** The parsers on recorded answers of HAProxy 2.6 and 3.0: split, cut short and spoiled. */
import t from "tap";
import { readFileSync } from "node:fs";
import { parseRuntimeAddress } from "../../../../router/haproxy/runtime/address.ts";
import { isAtLeast, parseInfo } from "../../../../router/haproxy/runtime/info.ts";
import {
  createRelayReader,
  RelayFrameError,
} from "../../../../router/haproxy/runtime/relay-frames.ts";
import { parseAge, parseProcesses } from "../../../../router/haproxy/runtime/proc.ts";
import {
  createReplyReader,
  refusalOf,
  ReplyError,
  splitReplies,
} from "../../../../router/haproxy/runtime/replies.ts";
import { joinServers } from "../../../../router/haproxy/runtime/servers.ts";
import {
  decodeAdmin,
  parseServersState,
} from "../../../../router/haproxy/runtime/servers-state.ts";
import { parseSessions } from "../../../../router/haproxy/runtime/sessions.ts";
import { parseStat, splitCsv } from "../../../../router/haproxy/runtime/stat.ts";

const versions = ["2.6", "3.0"] as const;
const recorded = (name: string): Buffer =>
  readFileSync(new URL(`../../../fixtures/haproxy-runtime/${name}.txt`, import.meta.url));
const data = { answers: true };
const order = { answers: false };

function readView(pieces: readonly Uint8Array[]) {
  const reader = createReplyReader("\n");
  for (const piece of pieces) reader.push(piece);
  const [info, states, stats] = splitReplies(reader.end(), [data, data, data]);
  return {
    info: parseInfo(info?.text ?? ""),
    servers: joinServers(parseServersState(states?.text ?? ""), parseStat(stats?.text ?? "")),
  };
}

for (const version of versions) {
  void t.test(`${version}: a recorded view`, async (t) => {
    const { info, servers } = readView([recorded(`${version}-view`)]);
    t.match(info, { version: new RegExp(`^${version}\\.`), stopping: false });
    t.ok(info.pid > 0);
    const shown = servers.map((one) => ({
      name: `${one.backend}/${one.server}`,
      state: one.state,
      status: one.status,
      admin: one.admin,
      check: one.check.replace(/ in [0-9]+ms$/, ""),
      sessions: one.sessions,
      tracks: one.tracks,
      checked: one.checked,
      at: `${one.host}:${one.port}`,
      maxConnections: one.maxConnections,
    }));
    const chi = { at: "127.60.0.2:5432", maxConnections: 1000, checked: true, tracks: undefined };
    const dal = { ...chi, at: "127.60.0.1:5432" };
    t.same(shown, [
      {
        ...dal,
        name: "pg-primary/dal-01",
        state: "up",
        status: "UP",
        admin: [],
        check: "L7OK/200",
        sessions: 2,
      },
      {
        ...chi,
        name: "pg-primary/chi-02",
        state: "maint",
        status: "MAINT",
        admin: ["maint"],
        check: "checks paused",
        sessions: 0,
      },
      {
        ...dal,
        name: "probe-x/p",
        state: "drain",
        status: "DRAIN",
        admin: ["drain"],
        check: "L7OK/200",
        sessions: 0,
        maxConnections: undefined,
      },
      {
        ...dal,
        name: "pg-tracked/dal-01",
        state: "drain",
        status: "DRAIN",
        admin: ["drain-tracked"],
        check: "as probe-x/p",
        sessions: 1,
        tracks: "probe-x/p",
        checked: false,
        maxConnections: 100,
      },
    ]);
  });

  void t.test(`${version}: the same view, split at every byte and cut at every byte`, async (t) => {
    const bytes = recorded(`${version}-view`);
    const want = JSON.stringify(readView([bytes]));
    const wrong: string[] = [];
    for (let at = 0; at < bytes.length; at += 1) {
      const split = JSON.stringify(readView([bytes.subarray(0, at), bytes.subarray(at)]));
      if (split !== want) wrong.push(`split at ${at}`);
      try {
        readView([bytes.subarray(0, at)]);
        wrong.push(`cut at ${at} was taken for an answer`);
      } catch (error) {
        if (!(error instanceof ReplyError)) wrong.push(`cut at ${at}: ${(error as Error).message}`);
      }
    }
    t.same(wrong, []);
  });

  void t.test(`${version}: sessions, of this worker and of an old one`, async (t) => {
    const [reply] = splitReplies(recorded(`${version}-sessions`).toString(), [data]);
    const byWhere = (sessions: ReturnType<typeof parseSessions>): string[] =>
      sessions.map((one) => `${one.frontend} ${one.backend}/${one.server}`).toSorted();
    const where = [
      "pg-primary pg-primary/dal-01",
      "pg-primary pg-primary/dal-01",
      "pg-tracked pg-tracked/dal-01",
    ];
    const sessions = parseSessions(reply?.text ?? "");
    t.same(byWhere(sessions), where, "the Runtime API's own session is left out");
    for (const one of sessions) {
      t.match(one.source, /^127\.0\.0\.1:[0-9]+$/);
      t.match(one.pointer, /^0x[0-9a-f]+$/);
    }
    t.same(byWhere(parseSessions(recorded(`${version}-old-worker-sessions`).toString())), where);
  });

  void t.test(`${version}: processes`, async (t) => {
    const seen = parseProcesses(recorded(`${version}-processes`).toString());
    t.match(seen, { failedReloads: 0, workers: [{ reloads: 0 }], oldWorkers: [{ reloads: 1 }] });
    t.ok(seen.master.reloads > 0 && seen.master.uptimeSeconds > 60);
    t.match(seen.master.version, version);
    const failed = parseProcesses(recorded(`${version}-processes-after-failure`).toString());
    t.match(failed, { failedReloads: 1, workers: [{ reloads: 1 }], oldWorkers: [] });
  });

  void t.test(`${version}: what each reply means`, async (t) => {
    const said = recorded(`${version}-replies`).toString();
    const given = said
      .split(/^### /m)
      .slice(1)
      .map((part) => {
        const [command = "", ...lines] = part.split("\n");
        const orders = command.split(";").map(() => order);
        const replies = splitReplies(lines.join("\n"), orders);
        return [command, replies.map((one) => refusalOf(one) ?? "success").join(" ")];
      });
    const unknown = version === "2.6" ? "unknown-command" : "success";
    t.same(Object.fromEntries(given), {
      bogus: "unknown-command",
      "show servers state nosuch": "refused",
      "set server nosuch/x state ready": "refused",
      "set server pg-primary/x state ready": "refused",
      "set server pg-primary state ready": "refused",
      "set server pg-primary/dal-01 state nonsense": "refused",
      "set server pg-primary/dal-01 state ready": "success",
      "set server pg-primary/chi-02 health down;set server pg-primary/dal-01 health up":
        "success success",
      "set server pg-primary/chi-02 health down;set server nosuch/x state ready;set server pg-primary/dal-01 health up":
        "success refused success",
      "set server pg-primary/dal-01 addr 127.60.0.1 port 5432": "success",
      "set server pg-primary/dal-01 addr x": "refused",
      "set server pg-primary/dal-01 addr 127.60.0.1 port x": "refused",
      "shutdown sessions server pg-primary/dal-01": "success",
      "shutdown sessions server pg-primary/nosuch": "refused",
      "shutdown session 0x1234": "refused",
      "set server pg-tracked/dal-01 health down": "refused",
      "set maxconn server pg-primary/dal-01 1000": "success",
      "set weight pg-primary/dal-01 abc": "refused",
      "set weight pg-primary/dal-01 300": "refused",
      "get weight pg-primary/dal-01": "success",
      "wait 10ms": unknown,
      "set server pg-primary/dal-01 agent up": "refused",
      "show sess": "permission",
      "set server pg-primary/dal-01 state ready;set server pg-primary/dal-01 health down":
        "permission permission",
    });
  });
}

void t.test("an error without its empty line (2.6) does not hide the next one", async (t) => {
  const replies = splitReplies("\n[3]: Empty weight string\n[3]: No such server.\n\n", [
    order,
    order,
  ]);
  t.same(
    replies.map((one) => one.text),
    ["Empty weight string", "No such server."],
  );
});

void t.test("columns are found by name, and their order means nothing", async (t) => {
  const text = recorded("2.6-view").toString();
  const [, states = "", stats = ""] = splitReplies(text, [data, data, data]).map((one) => one.text);
  const reversed = (words: string[]): string => words.toReversed().join(" ");
  const [first = "", header = "", ...rows] = states.split("\n");
  const turned = [
    first,
    `# ${reversed(header.slice(2).split(" "))}`,
    ...rows.map((row) => reversed(row.split(" "))),
  ].join("\n");
  t.same(parseServersState(turned), parseServersState(states));
  const [statHeader = "", ...statRows] = stats.split("\n");
  const turnedStats = [
    `# ${statHeader.slice(2).split(",").toReversed().join(",")}`,
    ...statRows.map((row) => splitCsv(row).toReversed().join(",")),
  ].join("\n");
  t.same(parseStat(turnedStats), parseStat(stats));
});

const row = {
  backend: "b",
  server: "s",
  address: "127.60.0.1",
  port: 1,
  operational: "running",
  admin: [],
  weight: 1,
  secondsSinceChange: 0,
  checked: true,
} as const;

void t.test("what is no answer is an error and not a value", async (t) => {
  const spoiled: readonly { name: string; run: () => unknown }[] = [
    { name: "state: another format", run: () => parseServersState("2\n# be_name\nx\n") },
    { name: "state: no header", run: () => parseServersState("1\n") && parseServersState("") },
    { name: "state: a missing column", run: () => parseServersState("1\n# be_id be_name\n1 x\n") },
    { name: "stat: no header", run: () => parseStat("pg-primary,dal-01\n") },
    { name: "stat: a short line", run: () => parseStat("# pxname,svname\na\n") },
    { name: "stat: a missing column", run: () => parseStat("# pxname,svname\na,b\n") },
    { name: "info: nothing in it", run: () => parseInfo("Name: x\n") },
    { name: "processes: no master", run: () => parseProcesses("#<PID> <type>\n# workers\n") },
    { name: "sessions: another line", run: () => parseSessions("HTTP/1.1 400 Bad request\n") },
    { name: "join: a server without counters", run: () => joinServers([row], []) },
  ];
  for (const { name, run } of spoiled) t.throws(run, TypeError, name);
});

void t.test("3.2 lists the serving worker under old workers after a failed reload", async (t) => {
  const text = recorded("3.0-processes-after-failure")
    .toString()
    .replace("# workers\n", "# workers\n# old workers\n");
  t.match(parseProcesses(text), { workers: [{ reloads: 1 }], oldWorkers: [] });
});

void t.test("small words", async (t) => {
  t.same(["3s", "1m4s", "1h2m", "0d00h11m06s", "2d3h"].map(parseAge), [3, 64, 3720, 666, 183_600]);
  t.same(splitCsv('a,"b ""c"", d",,e'), ["a", 'b "c", d', "", "e"]);
  t.same(decodeAdmin(1 | 4 | 16 | 32), ["maint", "drain-tracked", "maint-dns"]);
  const pairs = [
    ["2.6.12-1+deb12u4", "2.6", true],
    ["2.4.22", "2.6", false],
    ["3.0.5", "3.0.6", false],
    ["3.0.11", "3.0.6", true],
    ["3.1-dev3", "3.1", true],
    ["10.0", "2.6", true],
  ] as const;
  for (const [version, minimum, want] of pairs) t.equal(isAtLeast(version, minimum), want, version);
});

const parseAddressTable = [
  {
    given: "unix:/run/haproxy/admin.sock",
    want: { kind: "unix", path: "/run/haproxy/admin.sock" },
  },
  { given: "tcp://10.0.0.1:9999", want: { kind: "tcp", host: "10.0.0.1", port: 9999 } },
  { given: "tcp://[fd00::1]:9999", want: { kind: "tcp", host: "fd00::1", port: 9999 } },
  { given: "tcp://router.example:1", want: { kind: "tcp", host: "router.example", port: 1 } },
  { given: "tcp://router.example:65536", want: undefined },
  { given: "tcp://router.example", want: undefined },
  { given: "docker://prod-haproxy/run/admin.sock", want: undefined },
  { given: "unix:relative.sock", want: undefined },
  { given: "unix:/run/a b.sock", want: undefined },
  { given: "http://router:80", want: undefined },
  { given: "", want: undefined },
] as const;

void t.test("addresses", async (t) => {
  for (const { given, want } of parseAddressTable) {
    if (want === undefined) t.throws(() => parseRuntimeAddress(given), TypeError, given);
    else t.same(parseRuntimeAddress(given), { ...want, text: given }, given);
  }
  const engine = { key: "dal-01", read: () => Promise.reject(new Error("not asked")) };
  t.same(parseRuntimeAddress("docker://prod-haproxy/run/admin.sock", engine), {
    kind: "docker",
    text: "docker://prod-haproxy/run/admin.sock",
    container: "prod-haproxy",
    path: "/run/admin.sock",
    engine,
  });
  for (const given of [
    "docker://-x/run/a",
    "docker://x",
    "docker://x/a,exec=b",
    "docker://x/a!!b",
  ]) {
    t.throws(() => parseRuntimeAddress(given, engine), TypeError, given);
  }
});

void t.test("what a relay prints, split at every byte", async (t) => {
  const printed = Buffer.from(
    "\nName: HAProxy\n\nMARK 0  MARK\nMARK 1 2026/11/21 10:09:32 socat[43] E connect(, AF=1 x): No such file\n2026/11/21 10:09:32 socat[43] N exit MARK\nMMAR\nMAR MARK 127 sh: 2: socat: not found MARK\n",
  );
  const read = (cuts: readonly number[]): unknown[] => {
    const reader = createRelayReader("MARK");
    const found: unknown[] = [];
    let from = 0;
    for (const to of [...cuts, printed.length]) {
      for (const one of reader.push(printed.subarray(from, to))) {
        const last = found.at(-1);
        if (!(one instanceof Uint8Array)) found.push(one);
        else if (typeof last === "string") found.splice(-1, 1, last + Buffer.from(one).toString());
        else found.push(Buffer.from(one).toString());
      }
      from = to;
    }
    return found;
  };
  const want = [
    "\nName: HAProxy\n\n",
    { code: 0, said: "" },
    { code: 1, said: "connect(, AF=1 x): No such file; exit" },
    "MMAR\nMAR ",
    { code: 127, said: "sh: 2: socat: not found" },
  ];
  for (let at = 0; at <= printed.length; at += 1) t.same(read([at]), want, `cut at ${at}`);
  t.same(read(Array.from(printed, (_, index) => index)), want, "byte by byte");
  const endless = createRelayReader("MARK");
  t.throws(() => endless.push(Buffer.from(`MARK 1 ${"x".repeat(5000)}`)), RelayFrameError);
  t.throws(() => createRelayReader("MARK").push(Buffer.from("MARK why MARK\n")), RelayFrameError);
});
