/**
 * Programs that ask a name server of their own: they run in a mount namespace in which another file
 * stands in the place of /etc/resolv.conf, so that the machine keeps its own (mount_namespaces(7),
 * unshare(1)).
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chown, chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import type { Address } from "../../kit/address.ts";
import { runChild } from "../../kit/child.ts";

type Words = readonly string[];

const unshare = "/usr/bin/unshare";
const deadlineMs = 60_000;
/** Nobody else's: below those that the kernel gives to whoever connects. */
const firstPort = 16_432;
const path = "/usr/sbin:/usr/bin:/sbin:/bin";

/** False where this process may make such a namespace, else why it may not: a `skip` of tap. */
export async function cannotHaveOwn(): Promise<string | false> {
  if (process.getuid?.() !== 0) return "only root has a mount namespace of its own";
  const { code, stderr } = await runChild(unshare, ["--mount", "true"], {
    deadlineMs,
    accept: [0, 1],
  });
  return code === 0 ? false : `no mount namespace of its own: ${stderr.trim()}`;
}

export interface OwnNames {
  /** What a program prints that asks this name server. @throws ChildError, DeadlineError */
  run(words: Words, env: Readonly<Record<string, string>>): Promise<string>;
  /** What to start so that a program asks this name server: a program and its arguments. */
  command(words: Words): readonly [string, ...string[]];
  /**
   * Starts a PgBouncer as the user `uid`, beside the name server; it ends with the test.
   * @param settings lines of its file, without the address that it listens on
   * @returns where it listens
   */
  pooler(program: string, settings: Words, users: string, uid: number): Promise<Address>;
}

/**
 * A folder with a resolv.conf that names `host` alone, for as long as the test runs.
 * @param options what else it says, as in resolv.conf(5): `timeout:4 attempts:1`
 */
export async function ownNames(
  t: Pick<Test, "teardown">,
  host: string,
  options = "",
): Promise<OwnNames> {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-names-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755);
  const names = join(folder, "resolv.conf");
  await writeFile(names, `nameserver ${host}\n${options && `options ${options}\n`}`);
  const script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';
  const within = (words: Words): string[] => ["--mount", "sh", "-c", script, "sh", names, ...words];
  let port = firstPort;
  return {
    command: (words) => [unshare, ...within(words)],
    run: async (words, env) => {
      const options = { deadlineMs, env: { PATH: path, ...env } };
      return (await runChild(unshare, within(words), options)).stdout.trim();
    },
    pooler: async (program, settings, users, uid) => {
      const address = { host, port };
      port += 1;
      const own = join(folder, String(address.port));
      const listens = [`listen_addr = ${address.host}`, `listen_port = ${address.port}`];
      const auth = ["auth_type = scram-sha-256", `auth_file = ${own}.users`];
      const lines = [...settings, ...listens, "unix_socket_dir =", ...auth, ""];
      await writeFile(`${own}.users`, users, { mode: 0o600 });
      await chown(`${own}.users`, uid, -1);
      await writeFile(`${own}.ini`, lines.join("\n"));
      const asUser = ["setpriv", `--reuid=${uid}`, "--clear-groups", "--"];
      const child = spawn(unshare, within([...asUser, program, `${own}.ini`]), { stdio: "ignore" });
      const ended = once(child, "close");
      t.teardown(async () => {
        child.kill("SIGKILL");
        await ended;
      });
      return address;
    },
  };
}
