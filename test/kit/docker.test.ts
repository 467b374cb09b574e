/**
 * What stands between us and a Docker Engine, as far as it is pure: the frames of an attached
 * stream and the tar of the archive API in any pieces, the words for what an engine says, the
 * addresses that lead to one. The engine itself is in docker.live.test.ts.
 */
import { once } from "node:events";
import { PassThrough } from "node:stream";
import t from "tap";
import { nextTurn } from "../../kit/clock.ts";
import { engineAgent } from "../../kit/docker-connect.ts";
import type { ContainerSpec } from "../../kit/docker-engine.ts";
import { engineError, EngineError } from "../../kit/docker-errors.ts";
import { readFacts } from "../../kit/docker-facts.ts";
import { attachedBody, createBody } from "../../kit/docker-spec.ts";
import { sshWords } from "../../kit/docker-ssh.ts";
import { containerStream, endedWith, FrameReader, readFrames } from "../../kit/docker-streams.ts";
import { openEngine } from "../../kit/docker.ts";
import { TarError, tarOf, TarReader } from "../../kit/tar.ts";
import { createTurns } from "../../kit/turns.ts";

function frame(stream: 1 | 2, text: string): Buffer {
  const body = Buffer.from(text);
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(body.length, 4);
  return Buffer.concat([head, body]);
}

t.test("frames come out whole, wherever they are split", async (t) => {
  const bytes = Buffer.concat([frame(1, "one\n"), frame(2, "é"), frame(1, ""), frame(1, "two")]);
  t.strictSame(readFrames(bytes), { stdout: "one\ntwo", stderr: "é" });
  for (let at = 0; at <= bytes.length; at += 1) {
    const heard = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    const reader = new FrameReader((name, part) => heard[name].push(part));
    reader.take(bytes.subarray(0, at));
    reader.take(bytes.subarray(at));
    t.equal(Buffer.concat(heard.stdout).toString(), "one\ntwo", `split at ${at}`);
    t.equal(Buffer.concat(heard.stderr).toString(), "é", `split at ${at}`);
  }
});

t.test("outputs that nobody reads hold the connection up until both are read", async (t) => {
  const [socket, count, size] = [new PassThrough(), 200, 1000];
  const stream = containerStream(socket, async () => endedWith(0));
  const frames = (["1", "2"] as const).flatMap((name) =>
    Array.from({ length: count }, () => frame(Number(name) as 1 | 2, "x".repeat(size))),
  );
  const drained = once(socket, "pause");
  socket.write(Buffer.concat(frames));
  await drained;
  t.equal(stream.stdout.listenerCount("drain"), 1, "not one for each frame");
  t.equal(stream.stderr.listenerCount("drain"), 1);
  const read = async (one: AsyncIterable<Buffer>): Promise<number> => {
    let bytes = 0;
    for await (const chunk of one) {
      bytes += chunk.length;
      if (bytes === count * size) break;
    }
    return bytes;
  };
  t.equal(await read(stream.stdout), count * size);
  t.ok(socket.isPaused(), "the other one is full still");
  t.equal(await read(stream.stderr), count * size);
  t.notOk(socket.isPaused());
  socket.end();
  t.strictSame(await stream.ended, { code: 0, words: "exit code 0" });
});

t.test("so many turns at once, the others in their order", async (t) => {
  const turns = createTurns(2, 3);
  const begun: number[] = [];
  const gone = new AbortController();
  const take = async (number: number, signal?: AbortSignal): Promise<() => void> => {
    const end = await turns.take(signal);
    begun.push(number);
    return end;
  };
  const [first, second] = [await take(1), await take(2)];
  const [third, leaver, fourth] = [take(3), take(0, gone.signal), take(4)];
  await t.rejects(take(5), { code: "ERR_TURNS" }, "as many wait as may");
  const reason = new Error("enough");
  gone.abort(reason);
  await t.rejects(leaver, reason);
  t.strictSame(begun, [1, 2]);
  first();
  first();
  const endThird = await third;
  await nextTurn();
  t.strictSame(begun, [1, 2, 3], "a turn ends once");
  second();
  endThird();
  (await fourth)();
  t.type(await take(6), "function");
  t.strictSame(begun, [1, 2, 3, 4, 6]);
});

const long = `${"folder/".repeat(20)}${"n".repeat(90)}`;
const files = [
  { path: "a.txt", content: "abc", mode: 0o640, uid: 999, gid: 998 },
  { path: long, content: Buffer.alloc(1300, 7), mode: 0o600 },
  { path: "empty", content: "", mode: 0o644 },
];

t.test("an archive reads back, wherever it is split", async (t) => {
  const bytes = tarOf(files);
  const whole = read(bytes, [bytes.length]);
  t.match(whole, [
    { name: "a.txt", kind: "file", mode: 0o640, uid: 999, gid: 998, content: Buffer.from("abc") },
    { name: long, mode: 0o600, uid: 0, gid: 0, content: Buffer.alloc(1300, 7) },
    { name: "empty", content: Buffer.alloc(0) },
  ]);
  for (let at = 0; at <= bytes.length; at += 1) {
    if (JSON.stringify(read(bytes, [at])) !== JSON.stringify(whole)) t.fail(`split at ${at}`);
  }
});

function read(bytes: Buffer, cuts: readonly number[]): unknown[] {
  const reader = new TarReader(1_000_000);
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    reader.take(bytes.subarray(from, to));
    from = to;
  }
  reader.end();
  return reader.entries;
}

/** An entry as Go's archive/tar, which engines use, writes one that ustar has no room for. */
function withPax(records: string, header: Buffer): Buffer {
  const text = Buffer.from(records);
  const pax = tarOf([{ path: "pax", content: text, mode: 0 }]).subarray(0, -1024);
  return Buffer.concat([retyped(pax, "x"), header]);
}

function retyped(header: Buffer, type: string): Buffer {
  const changed = Buffer.from(header);
  changed.write(type, 156);
  changed.write("        ", 148);
  const sum = changed.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  changed.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return changed;
}

t.test("long names and links are read, and what is no archive is refused", async (t) => {
  const one = tarOf([{ path: "short", content: "x", mode: 0o600 }]);
  t.match(read(withPax("14 path=é/é\n", one), []), [{ name: "é/é", content: Buffer.from("x") }]);
  const link = retyped(tarOf([{ path: "l", content: "", mode: 0o777 }]), "2");
  t.match(read(withPax("21 linkpath=/over/it\n", link), []), [
    { kind: "link", target: "/over/it" },
  ]);
  const folder = retyped(tarOf([{ path: "f", content: "", mode: 0o700 }]), "5");
  t.match(read(folder, []), [{ kind: "folder", name: "f" }]);
  t.throws(() => read(one.subarray(0, 700), []), TarError, "it ends within a file");
  t.throws(() => read(Buffer.alloc(600, 65), []), TarError, "no archive at all");
  t.throws(() => new TarReader(100).take(one), TarError, "more than is taken");
  t.throws(() => tarOf([{ path: "n".repeat(101), content: "", mode: 0 }]), TarError);
});

const answered = (statusCode: number, message: string): object =>
  Object.assign(new Error(`(HTTP code ${statusCode})`), { statusCode, json: { message } });
const thrown = (code: string, message: string): Error =>
  Object.assign(new Error(message), { code });

/** As engines of 20.10 to 28 say it. */
const failures: readonly (readonly [given: unknown, fault: string, says: RegExp])[] = [
  [thrown("ENOENT", "connect ENOENT /run/x.sock"), "no engine", /bin\/setup --docker/],
  [thrown("ECONNREFUSED", "connect ECONNREFUSED 127.0.0.1:2376"), "no engine", /2376/],
  [thrown("EACCES", "connect EACCES /run/x.sock"), "no permission", /group docker/],
  [answered(404, "No such image: a/b:1"), "no image", /a\/b:1; .*pull it/],
  [answered(404, "No such container: x"), "no container", /docker ps/],
  [
    answered(409, 'Conflict. The container name "/x" is already in use by container "1".'),
    ...(["name taken", /another name/] as const),
  ],
  [answered(409, "network with name x already exists"), "name taken", /another name/],
  [
    answered(500, "driver failed: Bind for 0.0.0.0:80 failed: port is already allocated"),
    ...(["port taken", /another port/] as const),
  ],
  [
    answered(403, "Pool overlaps with other one on this address space"),
    ...(["address taken", /another subnet/] as const),
  ],
  [answered(403, "Address already in use"), "address taken", /another subnet/],
  [answered(500, "write /x: no space left on device"), "no space", /docker system df/],
  [answered(409, "Container 1 is not running"), "not running", /docker logs/],
  [answered(409, "Container 1 is restarting, wait until it runs"), "not running", /docker logs/],
  [answered(409, "Container 1 is paused, unpause it first"), "paused", /docker unpause/],
  [
    answered(409, "removal of container x is already in progress"),
    ...(["being removed", /no longer shows/] as const),
  ],
  [
    answered(409, "container is marked for removal and cannot be started"),
    ...(["being removed", /no longer shows/] as const),
  ],
  [answered(500, "something\n else"), "other", /something else$/],
  [answered(404, "the path ENOENT says nothing of the engine"), "other", /nothing of the engine/],
  [thrown("ECONNRESET", "read ECONNRESET"), "other", /ECONNRESET/],
];
for (const [given, fault, says] of failures) {
  t.test(`${fault}: ${says.source}`, async (t) => {
    const error = engineError("start container x", "ssh://dal-01", given);
    t.equal(error.fault, fault);
    t.match(error.message, /^start container x on ssh:\/\/dal-01: [^\n]*$/);
    t.match(error.message, says);
    t.equal(engineError("again", "elsewhere", error), error, "the first to say it");
    t.equal(error.code, "ERR_DOCKER_ENGINE");
    t.ok(error instanceof EngineError);
  });
}

const tls = { ca: "", cert: "", key: "" };
const wrongAddresses = [
  { url: "http://127.0.0.1:2375" },
  { url: "unix://run/docker.sock" },
  { url: "tcp://127.0.0.1:2376" },
  { url: "ssh://root:secret@dal-01" },
  { url: "/var/run/docker.sock" },
  { url: "tcp://", tls },
];
t.test("addresses that lead to no engine", async (t) => {
  for (const address of wrongAddresses) {
    t.throws(() => engineAgent(address), { code: "ERR_DOCKER_ADDRESS" }, address.url);
  }
  for (const address of [{ url: "unix:///run/docker.sock" }, { url: "ssh://dal-01" }]) {
    t.doesNotThrow(() => engineAgent(address).destroy(), address.url);
  }
  t.doesNotThrow(() => engineAgent({ url: "tcp://[::1]:1", tls }).destroy());
});

t.test("ssh is told the host as a host, whatever it looks like", async (t) => {
  const words = sshWords({ host: "-oProxyCommand=x", port: "22", user: "deploy" });
  t.strictSame(words.slice(words.indexOf("-T")), [
    ...["-T", "-l", "deploy", "-p", "22", "--", "-oProxyCommand=x"],
    ...["docker", "system", "dial-stdio"],
  ]);
  t.ok(words.includes("BatchMode=yes"));
  t.notOk(sshWords({ host: "dal-01", port: "", user: "" }).includes("-p"));
});

const spec: ContainerSpec = {
  image: "i:1",
  env: { A: "b" },
  networks: [{ network: "n", address: "10.0.0.2", aliases: ["x"] }, { network: "m" }],
  mounts: [
    { source: "volume", target: "/v" },
    { source: "/path", target: "/p", readOnly: true },
  ],
  pid: "host",
  restart: "unless-stopped",
};

t.test("a container is asked for as the engine wants it", async (t) => {
  t.match(createBody(spec), {
    Image: "i:1",
    Env: ["A=b"],
    HostConfig: {
      NetworkMode: "n",
      Mounts: [
        { Type: "volume", Source: "volume", Target: "/v", ReadOnly: false },
        { Type: "bind", Source: "/path", Target: "/p", ReadOnly: true },
      ],
      PidMode: "host",
      RestartPolicy: { Name: "unless-stopped" },
      AutoRemove: false,
    },
    NetworkingConfig: {
      EndpointsConfig: { n: { IPAMConfig: { IPv4Address: "10.0.0.2" }, Aliases: ["x"] } },
    },
  });
  t.match(attachedBody(spec), {
    OpenStdin: true,
    StdinOnce: true,
    HostConfig: { AutoRemove: true, LogConfig: { Type: "none" } },
  });
  t.match(createBody({ image: "i", networks: [] }), { HostConfig: { NetworkMode: "none" } });
  t.notOk("NetworkingConfig" in createBody({ image: "i", networks: [{ network: "host" }] }));
});

t.test("facts are read where an engine leaves things out", async (t) => {
  const bare = {
    ...{ Id: "1", Name: "/x", Created: "", Image: "sha256:2" },
    ...{ State: { Status: "created" }, Config: { Image: "i:1", Labels: null }, HostConfig: {} },
  };
  t.match(readFacts(bare), {
    ...{ name: "x", status: "created", pid: 0, restart: "no", stopSignal: "SIGTERM" },
    ...{ health: "none", networks: [], mounts: [], labels: {} },
  });
});

t.test("an engine that is not there says so, and a signal ends what waits for it", async (t) => {
  const engine = openEngine({ url: `unix:///run/switchyard-test-${process.pid}.sock` });
  t.teardown(() => engine.close());
  await t.rejects(engine.ping(), { code: "ERR_DOCKER_ENGINE", fault: "no engine" });
  await t.rejects(engine.openContainer({ image: "i", networks: [] }), { message: /no engine/ });
  const reason = new Error("enough");
  await t.rejects(engine.inspect("x", AbortSignal.abort(reason)), reason);
  const script = ["sh", "-c", "a whole script"];
  const told = { tried: "see who owns /x", deadlineMs: 1000 };
  const both: Promise<unknown>[] = [
    engine.exec("x", script, told),
    engine.openExec("x", script, told),
  ];
  for (const work of both) {
    await t.rejects(work, { message: /^see who owns \/x on unix:\S+: [^]*no engine/ });
  }
  const name = "n".repeat(101);
  const write = engine.writeFiles("x", "/tmp", [{ path: name, content: "", mode: 0 }]);
  await t.rejects(write, { code: "ERR_DOCKER_ENGINE", message: /^write n+ to \/tmp of x on unix/ });
});
