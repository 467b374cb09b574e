/**
 * Ways to the engine of this machine besides its socket: a real sshd on loopback with keys of its
 * own, and a TLS server that asks for a client's certificate and passes on to the socket.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import type { Test } from "tap";
import { runChild } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import type { EngineAddress } from "../../kit/docker-engine.ts";
import { faultCode } from "../../kit/fault-words.ts";
import { knock } from "../../kit/knock.ts";
import { signalOne } from "./kill-process.ts";

const soon = { deadlineMs: 10_000, intervalMs: 20 };
const brief = { deadlineMs: 20_000 };
const loopback = "127.0.0.1";
/** An address of this process's own, where no connection of anybody begins: the port is free. */
const sshEnd = {
  host: `127.54.${(process.pid >> 8) & 255}.${(process.pid & 252) + 1}`,
  port: 2222,
} as const;

/** A way by ssh, or why there is none. */
export interface SshWay {
  readonly url: string;
  /** Ends the sessions that are open, as a network that went away would. */
  readonly cut: () => Promise<void>;
  /** How many sessions are open. */
  readonly sessions: () => Promise<number>;
}

async function find(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return path;
  }
  return undefined;
}

/** Starts sshd, and puts an ssh that knows it first in PATH. `t` ends it. */
export async function startSshWay(t: Test): Promise<SshWay | string> {
  const sshd = await find(["/usr/sbin/sshd", "/usr/local/sbin/sshd"]);
  if (sshd === undefined) return "there is no sshd (Debian: openssh-server)";
  const ssh = await find(["/usr/bin/ssh", "/usr/local/bin/ssh"]);
  if (ssh === undefined) return "there is no ssh (Debian: openssh-client)";
  const docker = await find(["/usr/bin/docker", "/usr/local/bin/docker"]);
  if (docker === undefined) return "there is no docker command for the other end of ssh";
  // sshd looks at who may write to the folders above its keys.
  const home = await mkdtemp(join(tmpdir(), "sy-ssh-"));
  t.teardown(async () => await rm(home, { recursive: true, force: true }));
  const { host, port } = sshEnd;
  for (const name of ["host", "client"]) {
    const words = ["-q", "-t", "ed25519", "-N", "", "-f", join(home, name)];
    await runChild("ssh-keygen", words, brief);
  }
  await writeFile(join(home, "keys"), await readFile(join(home, "client.pub")), { mode: 0o600 });
  const hostKey = await readFile(join(home, "host.pub"), "utf8");
  await writeFile(join(home, "known"), `[${host}]:${port} ${hostKey}`);
  await writeFile(join(home, "sshd.conf"), serverConfiguration(home));
  await writeFile(join(home, "ssh.conf"), clientConfiguration(home));
  await writeFile(join(home, "ssh"), `#!/bin/sh\nexec ${ssh} -F ${join(home, "ssh.conf")} "$@"\n`);
  await chmod(join(home, "ssh"), 0o755);
  const path = process.env["PATH"] ?? "";
  process.env["PATH"] = `${home}:${path}`;
  t.teardown(() => {
    process.env["PATH"] = path;
  });
  await makePrivilegeFolder(t);
  const child = spawn(sshd, ["-D", "-e", "-f", join(home, "sshd.conf")], { stdio: "ignore" });
  t.teardown(() => void child.kill("SIGKILL"));
  await eventually("sshd listens", soon, async (signal) => {
    await knock(sshEnd, { what: "sshd", deadlineMs: 1000, signal });
    return true;
  });
  const sessions = async (): Promise<readonly number[]> => {
    const { stdout } = await runChild("ps", ["-o", "pid=", "--ppid", String(child.pid)], {
      ...brief,
      accept: [0, 1],
    });
    return stdout.split("\n").map(Number).filter(Boolean);
  };
  return {
    url: `ssh://${userInfo().username}@${host}:${port}`,
    cut: async () => (await sessions()).forEach(endSession),
    sessions: async () => (await sessions()).length,
  };
}

/** A session that ended by itself since it was seen is fine. */
function endSession(pid: number): void {
  try {
    signalOne(pid, "SIGKILL");
  } catch (error) {
    if (faultCode(error) !== "ESRCH") throw error;
  }
}

/** sshd of root has it built in as a place to be, and the system's own start makes it. */
async function makePrivilegeFolder(t: Test): Promise<void> {
  if (userInfo().uid !== 0) return;
  const made = await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  if (made !== undefined) t.teardown(async () => await rmdir(made));
}

function serverConfiguration(home: string): string {
  return `
ListenAddress ${sshEnd.host}
Port ${sshEnd.port}
HostKey ${home}/host
AuthorizedKeysFile ${home}/keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 4:100:4
PermitRootLogin prohibit-password
`;
}

function clientConfiguration(home: string): string {
  return `
Host *
  IdentityFile ${home}/client
  IdentitiesOnly yes
  UserKnownHostsFile ${home}/known
  StrictHostKeyChecking yes
`;
}

/** A way by TCP with TLS; `stranger` has a certificate of an authority that the server does not know. */
export async function startTlsWay(
  t: Test,
  socket: string,
): Promise<{ readonly address: EngineAddress; readonly stranger: EngineAddress }> {
  const home = await mkdtemp(join(tmpdir(), "sy-tls-"));
  t.teardown(async () => await rm(home, { recursive: true, force: true }));
  const ours = await makeAuthority(home, "ours");
  const theirs = await makeAuthority(home, "theirs");
  const { ca } = ours;
  const here = await makeCertificate(home, "ours", "server", `subjectAltName=IP:${loopback}`);
  const options = { ...here, ca, requestCert: true, rejectUnauthorized: true, allowHalfOpen: true };
  const server = createServer(options, (client) => {
    const engine = connect({ path: socket, allowHalfOpen: true });
    client.pipe(engine).pipe(client);
    for (const [one, other] of [
      [client, engine],
      [engine, client],
    ] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  server.on("tlsClientError", () => undefined);
  server.listen(0, loopback);
  await once(server, "listening");
  t.teardown(() => void server.close());
  const url = `tcp://${loopback}:${(server.address() as AddressInfo).port}`;
  const client = await makeCertificate(home, "ours", "client");
  const wrong = await makeCertificate(home, "theirs", "client");
  return {
    address: { url, tls: { ca, ...client } },
    stranger: { url, tls: { ca: theirs.ca, ...wrong } },
  };
}

const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

async function makeAuthority(home: string, name: string): Promise<{ readonly ca: string }> {
  const out = ["-keyout", join(home, `${name}.key`), "-out", join(home, `${name}.pem`)];
  await runChild("openssl", ["req", "-x509", "-subj", `/CN=${name}`, ...key, ...out], brief);
  return { ca: await readFile(join(home, `${name}.pem`), "utf8") };
}

async function makeCertificate(
  home: string,
  authority: string,
  name: string,
  extension?: string,
): Promise<{ readonly key: string; readonly cert: string }> {
  const file = (ending: string): string => join(home, `${authority}-${name}.${ending}`);
  const by = ["-CA", join(home, `${authority}.pem`), "-CAkey", join(home, `${authority}.key`)];
  const more = extension === undefined ? [] : ["-addext", extension];
  const words = ["req", "-x509", "-subj", `/CN=${name}`, ...key, ...by, ...more];
  await runChild("openssl", [...words, "-keyout", file("key"), "-out", file("pem")], brief);
  return { key: await readFile(file("key"), "utf8"), cert: await readFile(file("pem"), "utf8") };
}
