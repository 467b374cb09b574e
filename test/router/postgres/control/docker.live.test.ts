/**
 * Control of a member in a container, on the real engine: every act in every state, over its
 * socket, over ssh and over TCP with TLS; what a restart policy makes of an armed member; programs
 * in the member's image and volume; and what a tool that is killed leaves.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import t from "tap";
import type { Test } from "tap";
import type { Environment } from "../../../../config/schema.ts";
import { eventually, nextTurn, systemClock } from "../../../../kit/clock.ts";
import type { EngineAddress } from "../../../../kit/docker-engine.ts";
import { openEngine } from "../../../../kit/docker.ts";
import type { HostControl } from "../../../../router/postgres/control/contract.ts";
import { dockerChannel } from "../../../../router/postgres/control/docker-channel.ts";
import {
  openBeside,
  programContainer,
} from "../../../../router/postgres/control/docker-containers.ts";
import type { OpenContainer } from "../../../../router/postgres/control/docker-containers.ts";
import { openHost } from "../../../../router/postgres/control/host.ts";
import { engineHere } from "../../../support/containers.ts";
import { startDockerPair } from "../../../support/docker-pair.ts";
import type { DockerPair } from "../../../support/docker-pair.ts";
import { signalOne } from "../../../support/kill-process.ts";
import { startSshWay, startTlsWay } from "../../../support/engine-ways.ts";
import { factsWithin } from "../../../support/host-facts.ts";

const { signal } = new AbortController();
const soon = { deadlineMs: 30_000, intervalMs: 20 };
const awaitFacts = factsWithin(soon);
const controlLabel = "org.switchyard.control";

const engine = await engineHere();
const skip = typeof engine === "string" ? engine : false;
// Before the pair, which is taken away first.
t.teardown(() => typeof engine === "string" || engine.close());
// No test runs without it.
const pair = (typeof engine === "string" ? null : await startDockerPair(t, engine)) as DockerPair;
const primary = skip === false ? pair.containerOf("dal-01") : "";

function hostOf(t: Test, member: string, environment: Environment = pair.environment): HostControl {
  const host = openHost(environment, member);
  t.teardown(() => host.close());
  return host;
}

async function awaitStatus(container: string, status: string): Promise<void> {
  await eventually(`${container} is ${status}`, soon, async () =>
    (await pair.engine.inspect(container))?.status === status ? true : undefined,
  );
}

async function awaitRole(member: string, isStandby: boolean): Promise<void> {
  await eventually(`${member} answers, standby: ${isStandby}`, soon, async () => {
    const [row] = await pair.ask(member, (ask) => ask("SELECT pg_is_in_recovery() AS standby"));
    return row?.["standby"] === (isStandby ? "t" : "f") ? true : undefined;
  });
}

/** What is beside a member's container. */
async function beside(container: string): Promise<string[]> {
  const found = await pair.engine.list({ [controlLabel]: container });
  return found.map(({ name }) => name);
}

async function awaitNothingBeside(container: string): Promise<void> {
  await eventually(`nothing is beside ${container}`, soon, async () =>
    (await beside(container)).length === 0 ? true : undefined,
  );
}

t.test(
  "a look by the engine alone says the same as one over the shell, and makes nothing",
  { skip },
  async (t) => {
    await pair.streams("chi-02");
    for (const member of ["dal-01", "chi-02"]) {
      const outside = hostOf(t, member);
      const inside = hostOf(t, member);
      await inside.warm(signal);
      for (const how of ["whole", "light"] as const) {
        const [one, other] = [
          await outside.inspect(signal, how),
          await inside.inspect(signal, how),
        ];
        t.strictSame(
          { ...one, processes: [], control: null },
          { ...other, processes: [], control: null },
          `${member}, ${how}`,
        );
        t.equal(one.control?.systemIdentifier, other.control?.systemIdentifier);
        t.equal(one.control?.state, member === "dal-01" ? "in production" : "in archive recovery");
      }
      const kinds = async (host: HostControl): Promise<string[]> =>
        (await host.inspect(signal)).processes.map(({ kind }) => kind).toSorted();
      // Workers come and go between two looks.
      await eventually(`${member}: the same processes`, soon, async () =>
        String(await kinds(outside)) === String(await kinds(inside)) ? true : undefined,
      );
      t.ok((await kinds(outside)).includes(member === "dal-01" ? "walsender" : "walreceiver"));
      const relative = await outside.readFile("PG_VERSION", signal);
      t.strictSame(relative, await inside.readFile(`${inside.data}/PG_VERSION`, signal));
      t.equal(await outside.readFile("nothing", signal), null);
      t.equal((await beside(pair.containerOf(member))).length, 1, "that of the shell alone");
      inside.close();
      await awaitNothingBeside(pair.containerOf(member));
    }
  },
);

t.test(
  "stop, read the control file while the container is torn down, start",
  { skip },
  async (t) => {
    const host = hostOf(t, "dal-01");
    const outside = hostOf(t, "dal-01");
    await host.warm(signal);
    const { processes } = await host.inspect(signal);
    const checkpointer = processes.find(({ kind }) => kind === "checkpointer")?.pid;
    signalOne(checkpointer, "SIGSTOP");
    await host.stop(signal);
    for (const one of [host, outside]) {
      const held = await awaitFacts(one, "stopping", (facts) => facts.process === "stopping");
      t.equal(held.control?.state, "in production");
    }
    signalOne(checkpointer, "SIGCONT");
    const ends = [host, outside].map(async (one) => {
      // Each look as soon as the one before: many fall into the container's teardown.
      await eventually("it is gone", { ...soon, intervalMs: 1 }, async () => {
        const facts = await one.inspect(signal, "light");
        if (facts.process !== "gone") return undefined;
        t.equal(facts.control?.state, "shut down", "not before");
        return facts.processes.length === 0 ? true : undefined;
      });
    });
    await Promise.all(ends);
    // The container may be at its teardown still: a start waits for that.
    await host.start(signal);
    await awaitRole("dal-01", false);
    await awaitStatus(primary, "running");
    await host.stop(signal);
    await awaitStatus(primary, "exited");
    await host.stop(signal);
    t.equal((await outside.inspect(signal)).process, "gone", "exited");
    await outside.start(signal);
    await host.start(signal);
    await awaitRole("dal-01", false);
  },
);

t.test(
  "a member that is frozen, one that never ran, and one that is not there",
  { skip },
  async (t) => {
    const host = hostOf(t, "dal-01");
    await host.warm(signal);
    await pair.engine.pause(primary);
    try {
      for (const one of [host, hostOf(t, "dal-01")]) {
        t.equal((await one.inspect(signal)).process, "alive", "frozen is not gone");
      }
    } finally {
      await pair.engine.unpause(primary);
    }
    const [dal, chi] = pair.environment.members;
    if (dal?.control === undefined || chi === undefined) throw new TypeError("no members");
    const at = (container: string, data: string): Environment => ({
      ...pair.environment,
      members: [{ ...dal, control: { ...dal.control, container, data } }, chi],
    });
    const { data } = dal.control;
    const missing = hostOf(t, "dal-01", at(`${primary}-none`, data));
    const says = { code: "ERR_HOST_CONTROL", message: /no container sy-test.*-none/ };
    await t.rejects(missing.inspect(signal), says);
    await t.rejects(missing.warm(signal), says);
    await t.rejects(missing.stop(signal), { message: /No such container/ });
    await t.rejects(missing.run(["true"], { deadlineMs: 5000 }), says);
    const elsewhere = hostOf(t, "dal-01", at(primary, "/var/lib/elsewhere"));
    await t.rejects(elsewhere.inspect(signal), {
      message: /no data directory \/var\/lib\/elsewhere/,
    });
    await t.rejects(elsewhere.arm("me", signal), {
      message: /elsewhere: in no volume of .*postgresql/,
    });
    const empty = hostOf(t, "dal-01", at(primary, "/var/lib/postgresql/other"));
    await t.rejects(empty.arm("me", signal), { message: /postgresql\/other/ });
    await awaitNothingBeside(`${primary}-none`);
  },
);

t.test("an armed member that the engine starts again comes back read-only", { skip }, async (t) => {
  const host = hostOf(t, "dal-01");
  await host.arm("flip 7", signal);
  const own = await pair.engine.readEntry(primary, `${host.data}/standby.signal`);
  t.match(own, { uid: 999, gid: 999, mode: 0o600, content: Buffer.from("switchyard flip 7\n") });
  t.strictSame((await host.inspect(signal)).armed, { by: "flip 7" });
  await t.rejects(host.disarm("flip 8", signal), { message: /is flip 7, not flip 8/ });
  const before = await pair.engine.inspect(primary);
  t.ok(before !== null && before.pid > 1);
  signalOne(before?.pid, "SIGKILL");
  await eventually("the engine started it again", soon, async () =>
    ((await pair.engine.inspect(primary))?.restarts ?? 0) > (before?.restarts ?? 0)
      ? true
      : undefined,
  );
  await awaitRole("dal-01", true);
  await host.stop(signal);
  await awaitFacts(host, "gone", (facts) => facts.process === "gone");
  await awaitStatus(primary, "exited");
  await host.disarm("flip 7", signal);
  await host.disarm("flip 7", signal);
  await host.start(signal);
  await awaitRole("dal-01", false);
});

t.test(
  "programs run as the owner, in the member's image, volume and network",
  { skip },
  async (t) => {
    const host = hostOf(t, "chi-02");
    const text = await host.run(
      ["sh", "-c", 'id -u; pwd; cat "$1/PG_VERSION"; cat', "sh", host.data],
      {
        deadlineMs: 10_000,
        input: "what goes in",
      },
    );
    t.equal(text, "999\n/\n17\nwhat goes in");
    t.equal(await host.runHook(["id", "-u"], { deadlineMs: 10_000 }), "0\n");
    const ready = ["/usr/lib/postgresql/17/bin/pg_isready", "-h", "dal-01"] as const;
    t.match(await host.run([...ready], { deadlineMs: 10_000 }), /accepting connections/);
    const failing = host.run(["sh", "-c", "echo why >&2; exit 3"], { deadlineMs: 10_000 });
    await t.rejects(failing, { code: "ERR_HOST_CONTROL", message: /exit code 3: why$/ });
    const secret = { env: { SY_SECRET: "s3cret" }, deadlineMs: 10_000 };
    t.equal(await host.run(["sh", "-c", "echo $SY_SECRET"], secret), "s3cret\n");
    const lines: string[] = [];
    const given = new AbortController();
    const endless = host.run(["sh", "-c", `echo $$; exec sleep 9${process.pid}1`], {
      ...{ deadlineMs: 20_000, signal: given.signal },
      onLine: (line) => {
        lines.push(line);
        given.abort(new Error("given up"));
      },
    });
    await t.rejects(endless, { message: "given up" });
    t.equal(
      (await commandLines()).filter((one) => one.includes(`sleep\x009${process.pid}1`)).length,
      0,
    );
    t.equal(lines.length, 1);
  },
);

async function commandLines(): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  return await Promise.all(
    pids.map(async (pid) => await readFile(`/proc/${pid}/cmdline`, "latin1").catch(() => "")),
  );
}

/** A tool that holds a member's shell and runs a program; it says `ready` when both are there. */
const tool = `
import { parseEnvironment } from "./config/load.ts";
import { openHost } from "./router/postgres/control/host.ts";
const [text] = process.argv.slice(1);
const source = { name: "pair", file: "pair.yml", variables: { PASSWORD: "x" } };
const host = openHost(await parseEnvironment(text, source), "dal-01");
const { signal } = new AbortController();
await host.warm(signal);
await host.run(["sh", "-c", "echo ready; exec sleep 9${process.pid}2"], {
  deadlineMs: 100_000,
  onLine: (line) => console.log(line),
});
`;

t.test("a tool that is killed leaves no container and no program", { skip }, async (t) => {
  const [{ name, engine: url } = { name: "", engine: "" }] = pair.environment.hosts;
  const control = { container: primary, data: pair.environment.members[0]?.control?.data };
  const text = JSON.stringify({
    cluster: "pair",
    login: { user: "postgres", password: "${PASSWORD}" },
    hosts: [{ name, engine: url }],
    members: [
      {
        ...{ name: "dal-01", ordinal: 0, host: name, control, postgres: "127.0.0.1:1" },
        ...{ pooler: { address: "127.0.0.1:2" }, health: "http://127.0.0.1:3" },
      },
    ],
  });
  await awaitNothingBeside(primary);
  const child = spawn(process.execPath, ["--input-type=module", "-e", tool, text], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => void child.kill("SIGKILL"));
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  t.equal(line, "ready");
  t.equal((await beside(primary)).length, 2);
  child.kill("SIGKILL");
  await awaitNothingBeside(primary);
  t.equal(
    (await commandLines()).filter((one) => one.includes(`sleep\x009${process.pid}2`)).length,
    0,
  );
});

t.test("one that ended late does not end the one that came after it", { skip }, async (t) => {
  const facts = await pair.engine.inspect(primary);
  const data = pair.environment.members[0]?.control?.data ?? "";
  if (facts === null) throw new TypeError(`no container ${primary}`);
  const opened: OpenContainer[] = [];
  const open = async (inner: AbortSignal): Promise<OpenContainer> => {
    const one = await openBeside(pair.engine, facts, "programs", systemClock.now(), inner);
    opened.push(one);
    return one;
  };
  const programs = programContainer(data, { get: async () => pair.engine }, open);
  t.teardown(() => programs.close());
  const first = await programs.open(signal);
  programs.close();
  const second = await programs.open(signal);
  t.not(second.name, first.name);
  await opened[0]?.stream.ended;
  await nextTurn();
  t.equal((await programs.open(signal)).name, second.name);
  opened[1]?.stream.destroy();
  await opened[1]?.stream.ended;
  await nextTurn();
  t.not((await programs.open(signal)).name, second.name, "one that ended is opened again");
  programs.close();
  await awaitNothingBeside(primary);
});

t.test("an act that cannot open the shell leaves looks as they were", { skip }, async (t) => {
  const image = (await pair.engine.inspect(primary))?.imageId ?? "";
  const labels = { [controlLabel]: "nothing" };
  const container = await pair.engine.create({ image, labels, networks: [] });
  t.teardown(async () => await pair.engine.remove(container));
  const version = { path: "PG_VERSION", content: "17\n", mode: 0o600 };
  await pair.engine.writeFiles(container, "/tmp", [version]);
  const channel = dockerChannel({
    ...{ member: "dal-01", container, pooler: undefined, data: "/tmp", host: "dal-01" },
    engine: () => Promise.resolve(openEngine(pair.engine.address)),
  });
  t.teardown(() => channel.close());
  t.match(await channel.look("whole", signal), { processes: [] });
  await t.rejects(channel.write("/tmp/x", "", signal), { message: /in no volume of/ });
  t.equal(channel.isQuick, false);
  t.match(await channel.look("whole", signal), { processes: [] });
  t.equal(String(await channel.read("/tmp/PG_VERSION", signal)), "17\n");
});

/** The same acts over another way. */
async function thereAndBack(
  t: Test,
  address: EngineAddress,
  environment: Environment,
): Promise<void> {
  const remote = openEngine(address);
  t.match(await remote.ping(), { version: /./ });
  remote.close();
  const host = hostOf(t, "dal-01", environment);
  t.equal((await host.inspect(signal)).process, "alive", "by the engine alone");
  await host.warm(signal);
  await host.arm("there and back", signal);
  await host.stop(signal);
  const facts = await awaitFacts(host, "gone", ({ process }) => process === "gone");
  t.equal(facts.control?.state, "shut down");
  await host.disarm("there and back", signal);
  await host.start(signal);
  await awaitRole("dal-01", false);
  const program = "/usr/lib/postgresql/17/bin/pg_controldata";
  const text = await host.run([program, host.data], { deadlineMs: 30_000 });
  t.match(text, new RegExp(`system identifier: +${facts.control?.systemIdentifier}`));
  host.close();
  await awaitNothingBeside(primary);
}

t.test("over ssh", { skip }, async (t) => {
  const way = await startSshWay(t);
  if (typeof way === "string") {
    t.comment(way);
    return t.plan(0, way);
  }
  await thereAndBack(t, { url: way.url }, pair.through({ engine: way.url }));
  await eventually("no session is left", soon, async () =>
    (await way.sessions()) === 0 ? true : undefined,
  );
  const busy = openEngine({ url: way.url });
  t.teardown(() => busy.close());
  await t.resolves(
    Promise.all(Array.from({ length: 12 }, () => busy.ping())),
    "more at once than sshd lets log in at once",
  );
  busy.close();
  const stranger = openEngine({ url: way.url.replace(/:.*@/, "://nobody@") });
  await t.rejects(stranger.ping(), { code: "ERR_DOCKER_ENGINE", message: /Permission denied/ });
  const nowhere = openEngine({ url: "ssh://127.0.0.1:1" });
  await t.rejects(nowhere.ping(), { message: /Connection refused/ });
  const host = hostOf(t, "dal-01", pair.through({ engine: way.url }));
  await host.warm(signal);
  await way.cut();
  await eventually("the next look opens another", soon, async () =>
    (await host.inspect(signal)).process === "alive" ? true : undefined,
  );
});

t.test("over TCP with TLS", { skip }, async (t) => {
  const { pathname } = new URL(pair.environment.hosts[0]?.engine ?? "");
  const { address, stranger } = await startTlsWay(t, pathname);
  const [ours, theirs] = [address.tls, stranger.tls];
  if (ours === undefined || theirs === undefined) throw new TypeError("no certificates");
  const home = t.testdir(ours);
  const files = { ca: `${home}/ca`, cert: `${home}/cert`, key: `${home}/key` };
  await thereAndBack(t, address, pair.through({ engine: address.url, tls: files }));
  const wrong = openEngine({ url: address.url, tls: { ...theirs, ca: ours.ca } });
  await t.rejects(wrong.ping(), { code: "ERR_DOCKER_ENGINE" }, "a client that it does not know");
  const doubtful = openEngine({ url: address.url, tls: { ...ours, ca: theirs.ca } });
  await t.rejects(doubtful.ping(), { message: /self-signed|unable to (get|verify)/i });
});

t.test(
  "a socket that this user may not use",
  { skip: skip !== false || process.getuid?.() !== 0 ? "it takes root" : false },
  async (t) => {
    const host = hostOf(t, "dal-01");
    const { seteuid } = process;
    seteuid?.(65_534);
    try {
      await t.rejects(host.inspect(signal), { message: /EACCES.*group docker/ });
    } finally {
      seteuid?.(0);
    }
  },
);
