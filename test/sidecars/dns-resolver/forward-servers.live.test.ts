/**
 * Forwarding to real servers: unbound as a resolver with data of its own, and dnsmasq between it and
 * the forwarder. What they say directly is what comes through.
 */
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import type { Address } from "../../../kit/address.ts";
import { eventually } from "../../../kit/clock.ts";
import { askOverTcp } from "../../../sidecars/dns-resolver/forward/tcp-ask.ts";
import { signalOne } from "../../support/kill-process.ts";
import { ask, forwarder, soon } from "./forward-rig.ts";
import type { Scope } from "./forward-rig.ts";
import { askBytes, tell } from "./message-kit.ts";
import type { Ask, Told } from "./message-kit.ts";
import { questionBytes } from "./reply-kit.ts";

const unbound = "/usr/sbin/unbound";
const dnsmasq = "/usr/sbin/dnsmasq";
const noUnbound = existsSync(unbound) ? false : "unbound is not installed";
const noDnsmasq = existsSync(dnsmasq) ? noUnbound : "dnsmasq is not installed";

const addresses = Array.from({ length: 120 }, (_, index) => `192.0.2.${index}`);
const zoneLines = [
  "corp.test. 60 IN SOA ns.corp.test. root.corp.test. 7 900 300 9000 20",
  "corp.test. 60 IN MX 10 mail.corp.test.",
  "www.corp.test. 60 IN A 192.0.2.1",
  "www.corp.test. 60 IN AAAA 2001:db8::1",
  'www.corp.test. 60 IN TXT "one text" "another"',
  "_db._tcp.corp.test. 60 IN SRV 1 2 5432 www.corp.test.",
  "www.corp.test. 60 IN TYPE65500 \\# 5 0102030405",
  "www.corp.test. 60 IN HTTPS 1 . alpn=h2 port=8443",
  ...addresses.map((ip) => `big.corp.test. 60 IN A ${ip}`),
];

const host = "127.41.7.2";

/** A port that was free a moment ago, for UDP and so far for TCP. */
async function freeAddress(): Promise<Address> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, host, resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return { host, port };
}

/** Runs a server until the test ends, and waits until it answers over TCP. */
async function serve(
  t: Scope,
  address: Address,
  program: string,
  args: readonly string[],
): Promise<void> {
  const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said = `${said}${String(chunk)}`.slice(-2000)));
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) signalOne(child.pid, "SIGKILL");
    await ended;
  });
  await eventually(`${program} at ${address.port}`, soon, async () => {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${said}`);
    return await direct(address, { name: "version.bind", type: 16, class: 3 }).catch(
      () => undefined,
    );
  });
}

/** What a server says over TCP, without the forwarder. */
async function direct(address: Address, given: Ask): Promise<Told> {
  const { promise, resolve, reject } = Promise.withResolvers<Told>();
  const query = askBytes(given);
  const question = questionBytes(query);
  askOverTcp(address, query, {
    question,
    onReply: (message) => resolve(tell(message)),
    onError: reject,
  });
  return await promise;
}

async function startUnbound(t: Scope): Promise<Address> {
  const address = await freeAddress();
  const folder = await mkdtemp(join(tmpdir(), "switchyard-unbound-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const config = join(folder, "unbound.conf");
  const lines = [
    `interface: ${address.host}`,
    `port: ${address.port}`,
    ...['username: ""', 'chroot: ""', 'pidfile: ""', `directory: "${folder}"`],
    ...["use-syslog: no", "do-daemonize: no", "num-threads: 1", "module-config: iterator"],
    "access-control: 127.0.0.0/8 allow",
    'local-zone: "corp.test." static',
    ...zoneLines.map((line) => `local-data: '${line}'`),
  ];
  const control = "remote-control:\n  control-enable: no\n";
  await writeFile(config, `server:\n${lines.map((line) => `  ${line}\n`).join("")}${control}`);
  await serve(t, address, unbound, ["-d", "-c", config]);
  return address;
}

async function startDnsmasq(t: Scope, server: Address): Promise<Address> {
  const address = await freeAddress();
  await serve(t, address, dnsmasq, [
    ...["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"],
    ...["--bind-interfaces", `--listen-address=${address.host}`, `--port=${address.port}`],
    ...["--user=root", "--pid-file=", "--cache-size=0", "--log-facility=-"],
    `--server=${server.host}#${server.port}`,
  ]);
  return address;
}

interface Checks extends Scope {
  readonly same: (found: unknown, wanted: unknown, message: string) => unknown;
  readonly equal: (found: unknown, wanted: unknown) => unknown;
  readonly match: (found: object, wanted: object) => unknown;
}

const questions: readonly Ask[] = [
  { name: "www.corp.test", type: 1 },
  { name: "www.corp.test", type: 28 },
  { name: "www.corp.test", type: 16 },
  { name: "corp.test", type: 15 },
  { name: "corp.test", type: 6 },
  { name: "_db._tcp.corp.test", type: 33 },
  { name: "www.corp.test", type: 65 },
  { name: "www.corp.test", type: 65_500 },
  { name: "www.corp.test", type: 99 },
  { name: "nope.corp.test", type: 1 },
];

/** Without the order of the records, which unbound turns. */
const sorted = ({ rcode, answer, authority }: Told) => ({
  rcode,
  answer: [...answer].sort(),
  authority: [...authority].sort(),
});

/** Asks everything through a forwarder, twice, and compares with what the server itself says. */
async function compare(t: Checks, through: Address, real: Address): Promise<void> {
  const way = forwarder(t, [{ address: through }]);
  for (const question of questions) {
    const want = await direct(real, question);
    const told = await ask(way, question);
    // A positive answer has all it needs without what stands beside it.
    const authority = want.answer.length > 0 ? [] : want.authority;
    t.same(
      sorted(told),
      sorted({ ...want, authority }),
      `${String(question.name)} ${question.type}`,
    );
    t.same(sorted(await ask(way, question)), sorted(told), "again, from what is kept");
  }
  t.equal(way.counters()["hits"], questions.length);
  const big: Ask = { name: "big.corp.test", type: 1 };
  const cut = await ask(way, { ...big, edns: { size: 1232 } });
  t.equal(cut.flags.includes("tc"), true);
  const whole = await way.forward(askBytes(big), { transport: "tcp", address: "127.0.0.1" });
  t.equal(whole === undefined ? 0 : tell(whole).answer.length, addresses.length);
  t.match(way.counters(), { forged: 0, unsolicited: 0, badReplies: 0, failures: 0 });
}

t.test("unbound", { skip: noUnbound }, async (t) => {
  const real = await startUnbound(t);
  await compare(t, real, real);
});

t.test("dnsmasq before unbound", { skip: noDnsmasq }, async (t) => {
  const real = await startUnbound(t);
  await compare(t, await startDnsmasq(t, real), real);
});

t.test("F18: dnsmasq that asks this forwarder again", { skip: noDnsmasq }, async (t) => {
  const front = createSocket("udp4");
  await new Promise<void>((resolve) => front.bind(0, host, resolve));
  t.teardown(() => new Promise<void>((resolve) => front.close(() => resolve())));
  const circle = await startDnsmasq(t, { host, port: front.address().port });
  const limits = { totalMs: 1800, hedgeMinMs: 600 };
  const way = forwarder(t, [{ address: circle }], { limits });
  const passOn = async (query: Uint8Array, from: { address: string; port: number }) => {
    const answer = await way.forward(query, { transport: "udp", address: from.address });
    if (answer !== undefined) front.send(answer, from.port, from.address);
  };
  front.on("message", (query, from) => void passOn(query, from));
  t.match(await ask(way, { name: "round.and.round.example.com" }), { rcode: "SERVFAIL" });
  const { sent = 0, misses = 0 } = way.counters();
  t.ok(sent <= 6 && misses === 1, "it does not grow");
});
