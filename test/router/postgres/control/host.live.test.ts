/**
 * Host control on the Postgres of a lab, over both channels: every act, a postmaster that was
 * killed and left its children, pids that are somebody else's by now, and the rights that it takes.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { access, chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import type { Environment, MemberControlKeys } from "../../../../config/schema.ts";
import { runChild } from "../../../../kit/child.ts";
import { eventually } from "../../../../kit/clock.ts";
import { formatLsn } from "../../../../kit/lsn.ts";
import type { HostControl, HostFacts } from "../../../../router/postgres/control/contract.ts";
import { openHost } from "../../../../router/postgres/control/host.ts";
import { withLab } from "../../../support/lab.ts";
import { factsWithin } from "../../../support/host-facts.ts";

const { signal } = new AbortController();
const soon = { deadlineMs: 20_000, intervalMs: 10 };
const awaitFacts = factsWithin(soon);
const isRoot = process.getuid?.() === 0;
const forRoot = isRoot ? {} : { skip: "it takes root" };

const lab = await withLab(t);

type Change = Partial<{ readonly [key in keyof MemberControlKeys]: MemberControlKeys[key] }>;

/** The lab's environment with other `control` keys for a member. */
function changed(environment: Environment, member: string, change: Change): Environment {
  const members = environment.members.map((one) =>
    one.name === member && one.control !== undefined
      ? { ...one, control: { ...one.control, ...change } }
      : one,
  );
  return { ...environment, members };
}

function hostOf(t: Test, member: string, change: Change = {}): HostControl {
  const host = openHost(changed(lab.environment, member, change), member);
  t.teardown(() => host.close());
  return host;
}

const shells: readonly { readonly name: string; readonly change: Change }[] = [
  { name: "local", change: {} },
  { name: "shell", change: { shell: ["sh"] } },
];

function postmasterOf(facts: HostFacts): number {
  const found = facts.processes.find((one) => one.kind === "postmaster");
  if (found === undefined) throw new Error("there is no postmaster");
  return found.pid;
}

async function stateOf(part: string): Promise<string | undefined> {
  return (await lab.status()).find((one) => one.part === part)?.state;
}

/** Waits until Postgres itself says that it has come up, as a primary or a standby. */
async function awaitUp(host: HostControl): Promise<void> {
  await eventually(`${host.member}: up`, soon, async () => {
    const text = (await host.readFile("postmaster.pid", signal))?.toString() ?? "";
    return /^(ready|standby) *$/m.test(text) ? true : undefined;
  });
}

/** The control file as our reader and as pg_controldata have it. */
async function compare(t: Test, host: HostControl, programs: string): Promise<string> {
  const text = await host.run([join(programs, "pg_controldata"), host.data], {
    deadlineMs: 10_000,
  });
  const says = (label: string): string =>
    new RegExp(`^${label}: +(.*)$`, "m").exec(text)?.[1] ?? "missing";
  const { control } = await host.inspect(signal);
  t.ok(control);
  if (control === null) return "unreadable";
  t.equal(control.state, says("Database cluster state"));
  t.equal(formatLsn(control.checkpoint), says("Latest checkpoint location"));
  t.equal(String(control.timeline), says("Latest checkpoint's TimeLineID"));
  t.equal(control.systemIdentifier, says("Database system identifier"));
  t.equal(control.canRewind, true);
  return control.state;
}

/** Stops Postgres and looks all the while, as a flip does; @returns every verdict, each once. */
async function stopAndWatch(host: HostControl): Promise<string[]> {
  const seen: string[] = [];
  await host.warm(signal);
  await host.stop(signal);
  await eventually(`end of ${host.member}`, { ...soon, intervalMs: 1 }, async () => {
    const facts = await host.inspect(signal, "light");
    const verdict = `${facts.process}, ${facts.control?.state}`;
    if (seen.at(-1) !== verdict) seen.push(verdict);
    return facts.process === "gone" && facts.processes.length === 0 ? true : undefined;
  });
  return seen;
}

for (const { name, change } of shells) {
  t.test(`there and back over the ${name} channel`, async (t) => {
    const [primary, standby] = ["dal-01", "chi-02"].map((one) => hostOf(t, one, change));
    if (primary === undefined || standby === undefined) return;
    const programs = lab.environment.members[0]?.control?.programs ?? "";
    t.equal(await compare(t, primary, programs), "in production");
    t.equal(await compare(t, standby, programs), "in archive recovery");
    const facts = await awaitFacts(primary, "a walsender", ({ processes }) =>
      processes.some((one) => one.kind === "walsender"),
    );
    const kinds = facts.processes.map((one) => one.kind);
    for (const kind of ["postmaster", "checkpointer", "walwriter"])
      t.ok(kinds.includes(kind), kind);
    t.match(facts, { process: "alive", armed: null, promoteFile: false });
    t.strictSame((await primary.inspect(signal, "light")).processes, []);

    await arms(t, primary);
    await terminates(t, primary, facts);

    const seen = { standby: await stopAndWatch(standby), primary: await stopAndWatch(primary) };
    t.equal(seen.standby.at(-1), "gone, shut down in recovery");
    t.equal(seen.primary.at(-1), "gone, shut down");
    for (const verdict of Object.values(seen).flat()) {
      t.match(verdict, /^(alive|stopping), |^gone, shut down( in recovery)?$/);
    }
    t.equal(await compare(t, standby, programs), "shut down in recovery");
    t.equal(await compare(t, primary, programs), "shut down");
    t.equal(await stateOf("dal-01/postgres"), "stopped", "the lab sees it too");
    await primary.stop(signal);

    for (const host of [primary, standby]) {
      await host.start(signal);
      await awaitUp(host);
      await host.start(signal);
    }
    t.equal(await stateOf("dal-01/postgres"), "running");
    await startedAsTheLabDoes(t, primary, postmasterOf(facts));
    await lab.run("stop", "dal-01/postgres");
    t.equal((await primary.inspect(signal)).process, "gone");
    await lab.run("start", "dal-01/postgres");
    t.equal((await primary.inspect(signal)).process, "alive");
  });
}

async function arms(t: Test, host: HostControl): Promise<void> {
  const path = join(host.data, "standby.signal");
  await host.arm("run-1", signal);
  t.strictSame((await host.inspect(signal, "light")).armed, { by: "run-1" });
  const [file, folder] = await Promise.all([stat(path), stat(host.data)]);
  t.strictSame(
    [file.uid, file.gid, file.mode & 0o777],
    [folder.uid, folder.gid, 0o600],
    "it belongs to Postgres",
  );
  await host.arm("run-2", signal);
  await t.rejects(host.disarm("run-1", signal), {
    code: "ERR_HOST_CONTROL",
    message: /^dal-01: disarm .*: standby\.signal is run-2, not run-1$/,
  });
  t.strictSame((await host.inspect(signal)).armed, { by: "run-2" });
  await host.disarm("run-2", signal);
  await host.disarm("run-2", signal);
  t.equal((await host.inspect(signal)).armed, null);
  await writeFile(path, "");
  t.strictSame((await host.inspect(signal)).armed, { by: "" }, "somebody else's");
  await host.disarm("", signal);
  await writeFile(join(host.data, "promote"), "");
  t.equal((await host.inspect(signal)).promoteFile, true);
  await host.removePromoteFile(signal);
  t.equal((await host.inspect(signal)).promoteFile, false);
  t.equal(await host.readFile("promote", signal), null);
  t.match((await host.readFile("PG_VERSION", signal))?.toString(), /^[0-9]+\n$/);
  const { uid, gid } = lab.place.privileged ? folder : userInfo();
  t.equal(await host.run(["sh", "-c", "id -u; id -g"], { deadlineMs: 5000 }), `${uid}\n${gid}\n`);
}

async function terminates(t: Test, host: HostControl, facts: HostFacts): Promise<void> {
  const postmaster = postmasterOf(facts);
  await t.rejects(host.terminate(postmaster, signal), { message: /it is the postmaster/ });
  const sender = facts.processes.find((one) => one.kind === "walsender")?.pid ?? -1;
  await host.terminate(sender, signal);
  await awaitFacts(host, "another walsender", ({ processes }) =>
    processes.some((one) => one.kind === "walsender" && one.pid !== sender),
  );
  await host.terminate(process.pid, signal);
  t.pass("a process that is none of this Postgres is left alone");
}

/** What host control started is what the lab would have started. */
async function startedAsTheLabDoes(t: Test, host: HostControl, earlier: number): Promise<void> {
  const part = lab.part("dal-01/postgres");
  const pid = postmasterOf(await host.inspect(signal));
  t.not(pid, earlier);
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  if (isRoot) t.match(status, new RegExp(`^Gid:\\s+${part.gid}\\s`, "m"));
  const client = await lab.connect(part.listens[0] ?? { host: "", port: 0 }, { as: "superuser" });
  const { rows } = await client.query(
    "SELECT current_setting('cluster_name') AS name, current_setting('unix_socket_directories') AS sockets",
  );
  t.strictSame(rows, [{ name: "dal-01", sockets: part.folder }]);
  await client.end();
}

t.test("a postmaster that was killed, and what it leaves behind", async (t) => {
  const host = hostOf(t, "dal-01");
  const part = lab.part("dal-01/postgres");
  const address = part.listens[0] ?? { host: "", port: 0 };
  const client = await lab.connect(address, { as: "superuser" });
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  const backend = rows[0]?.pid ?? -1;

  await t.test("its children count until the last one is gone", async (t) => {
    await host.arm("run-1", signal);
    process.kill(backend, "SIGSTOP");
    process.kill(postmasterOf(await host.inspect(signal)), "SIGKILL");
    const facts = await awaitFacts(host, "only the frozen backend", ({ processes }) =>
      processes.every((one) => one.pid === backend),
    );
    t.match(facts, { process: "alive", processes: [{ pid: backend, kind: "backend" }] });
    t.match(await host.inspect(signal, "light"), {
      process: "alive",
      processes: [{ pid: backend }],
    });
    let started = false;
    const start = host.start(signal).then(() => (started = true));
    await host.inspect(signal);
    t.equal(started, false, "a start waits for them");
    process.kill(backend, "SIGCONT");
    await start;
  });

  await t.test("armed, it comes up read-only", async (t) => {
    await awaitFacts(host, "a standby", ({ control }) => control?.state === "in archive recovery");
    await host.disarm("run-1", signal);
    await lab.run("kill", "dal-01/postgres");
    t.match(await host.inspect(signal), {
      process: "gone",
      control: { state: "in archive recovery" },
    });
  });

  // PostgreSQL takes whatever has the pid of its lock files for itself and does not start.
  const strangers = { "a zombie": zombie, "another program": async () => process.pid };
  for (const [name, pidOf] of Object.entries(strangers)) {
    await t.test(`its pid is ${name} by now`, async (t) => {
      const pid = await pidOf(t);
      const files = [join(host.data, "postmaster.pid"), join(part.folder, ".s.PGSQL.5432.lock")];
      await lab.run("kill", "dal-01/postgres");
      for (const file of files) {
        const text = await readFile(file, "utf8");
        await writeFile(file, text.replace(/^[0-9]+/, String(pid)));
      }
      t.equal((await host.inspect(signal, "light")).process, "gone");
      await host.start(signal);
      await awaitUp(host);
    });
  }
});

/** The pid of a process that has ended and that nobody collects while the test runs. */
async function zombie(t: Test): Promise<number> {
  const parent = spawn("sh", ["-c", "true & exec sleep 300"], { stdio: "ignore" });
  t.teardown(() => parent.kill("SIGKILL"));
  return await eventually("a zombie", soon, async () => {
    for (const entry of await readdir("/proc")) {
      const line = await readFile(`/proc/${entry}/stat`, "latin1").catch(() => "");
      const found = /^([0-9]+) \(.*\) Z ([0-9]+) /.exec(line);
      if (found?.[2] === String(parent.pid)) return Number(found[1]);
    }
    return undefined;
  });
}

t.test("hooks", async (t) => {
  const mark = join(t.testdir({}), "stopped by hand");
  const marking = hostOf(t, "dal-01", { stop: ["touch", mark] });
  await marking.warm(signal);
  await marking.stop(signal);
  await access(mark);
  await awaitFacts(marking, "gone", (facts) => facts.processes.length === 0);
  const failing = hostOf(t, "dal-01", {
    start: ["sh", "-c", "echo no such unit >&2; exit 5"],
    stop: ["sh", "-c", "echo not allowed; exit 1"],
  });
  await t.rejects(failing.start(signal), {
    code: "ERR_HOST_CONTROL",
    message: /^dal-01: run sh -c .*: exit code 5: no such unit$/,
  });
  await t.rejects(failing.stop(signal), { message: /exit code 1: not allowed/ });

  const pooler = lab.part("dal-01/pooler");
  const before = (await lab.status()).find((one) => one.part === pooler.name)?.pid;
  const host = hostOf(t, "dal-01", { shell: ["sh"] });
  await host.start(signal);
  await awaitUp(host);
  const restart = lab.environment.members[0]?.control?.restartPooler ?? [];
  await host.runHook(restart, { deadlineMs: 20_000 });
  await eventually("the pooler answers", soon, async () => {
    const client = await lab.connect(pooler.listens[0] ?? { host: "", port: 0 });
    await client.query("SELECT 1");
    return true;
  });
  const after = (await lab.status()).find((one) => one.part === pooler.name);
  t.equal(after?.state, "running");
  t.not(after?.pid, before);
  t.throws(() => openHost(lab.environment, "nobody"), { message: /^nobody: .*no such member/ });
});

t.test("rights", forRoot, async (t) => {
  const { uid, gid } = await stat(hostOf(t, "dal-01").data);
  const as = (user: number, group: number, ...words: string[]): Change => ({
    shell: ["setpriv", `--reuid=${user}`, `--regid=${group}`, "--clear-groups", ...words, "sh"],
  });
  // The lab's Postgres all are one user's, each with a group of its own: they may not look into
  // each other's processes, as those of one group may.
  const sees = ["--inh-caps=+sys_ptrace", "--ambient-caps=+sys_ptrace"];

  await t.test("the owner of the data directory may do all of it", async (t) => {
    const owner = hostOf(t, "dal-01", as(uid, gid, ...sees));
    const facts = await owner.inspect(signal);
    t.equal(facts.process, "alive");
    t.ok(facts.processes.length > 4);
    await owner.arm("run-1", signal);
    t.strictSame((await owner.inspect(signal, "light")).armed, { by: "run-1" });
    await owner.disarm("run-1", signal);
    t.equal(await owner.run(["id", "-u"], { deadlineMs: 5000 }), `${uid}\n`);
  });

  await t.test("a Postgres that it may not look into is not guessed about", async (t) => {
    const half = hostOf(t, "dal-01", as(uid, gid));
    await t.rejects(half.inspect(signal), {
      code: "ERR_HOST_CONTROL",
      message: /: where a Postgres process works may not be read: it takes root: process [0-9]+$/,
    });
  });

  await t.test("nobody else may, and is told so", async (t) => {
    const data = hostOf(t, "dal-01").data;
    const folders = [join(data, "../.."), join(data, ".."), data];
    const modes = await Promise.all(folders.map(async (one) => (await stat(one)).mode));
    t.teardown(async () => {
      for (const [index, one] of folders.entries()) await chmod(one, modes[index] ?? 0o700);
    });
    const nobody = hostOf(t, "dal-01", as(65_534, 65_534));
    await t.rejects(nobody.inspect(signal), { message: /it takes root or the owner/ });
    for (const one of folders.slice(0, 2)) await chmod(one, 0o755);
    await t.rejects(nobody.inspect(signal), {
      code: "ERR_HOST_CONTROL",
      message: /it takes root or the owner of the data directory: this is user 65534/,
    });
    await t.rejects(nobody.stop(signal), { code: "ERR_HOST_CONTROL" });
  });

  await t.test("a data directory that cannot be written to cannot be armed", async (t) => {
    const owner = hostOf(t, "dal-01", as(uid, gid, ...sees));
    const { mode } = await stat(owner.data);
    t.teardown(() => chmod(owner.data, mode));
    await chmod(owner.data, 0o500);
    await t.rejects(owner.arm("run-1", signal), {
      code: "ERR_HOST_CONTROL",
      message: /write .*standby\.signal: .*[Pp]ermission denied/,
    });
    t.equal((await owner.inspect(signal)).armed, null);
  });
});

const sshd = "/usr/sbin/sshd";
const hasSshd = await access(sshd).then(
  () => true,
  () => false,
);

t.test("over ssh", hasSshd && isRoot ? {} : { skip: "it takes root and an sshd" }, async (t) => {
  const folder = t.testdir({});
  const key = join(folder, "key");
  const quiet = { deadlineMs: 20_000 };
  for (const file of [key, join(folder, "host")]) {
    await runChild("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file], quiet);
  }
  await writeFile(join(folder, "keys"), await readFile(`${key}.pub`), { mode: 0o600 });
  await mkdir("/run/sshd", { recursive: true });
  const [, host = ""] = /^(127\.[0-9]+)\./.exec(lab.json.members[0]?.postgres.host ?? "") ?? [];
  const address = `${host}.9.9`;
  const server = spawn(
    sshd,
    [
      ...["-D", "-e", "-f", "/dev/null", "-h", join(folder, "host"), "-p", "2222"],
      ...["-o", `ListenAddress=${address}`, "-o", `AuthorizedKeysFile=${folder}/keys`],
      ...["-o", "StrictModes=no", "-o", "UsePAM=no", "-o", "PidFile=none"],
    ],
    { stdio: "ignore" },
  );
  t.teardown(() => server.kill());
  const member = hostOf(t, "dal-01", {
    shell: [
      ...["ssh", "-i", key, "-p", "2222", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"],
      ...["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", address, "sh"],
    ],
  });
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await eventually("sshd", soon, async () => {
    await member.warm(signal);
    return true;
  });
  await member.arm("run-1", signal);
  t.match(await member.inspect(signal), { process: "alive", armed: { by: "run-1" } });
  await member.disarm("run-1", signal);
  const seen = await stopAndWatch(member);
  t.equal(seen.at(-1), "gone, shut down");
  await member.start(signal);
  await awaitUp(member);
});
