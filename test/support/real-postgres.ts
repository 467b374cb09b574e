/**
 * A real Postgres in a temporary folder on an address of its own, never run as root, with a standby
 * where one is wanted. Everything ends with the test.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { chown, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { runChild } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import { signalEach } from "./kill-process.ts";

export const superuser = { user: "postgres", password: "a-password-for-tests" } as const;

interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

/** The newest installed Postgres; its programs are not on the path of Debian. */
async function programFolder(): Promise<string> {
  const root = "/usr/lib/postgresql";
  const versions = (await readdir(root)).map(Number).filter(Number.isInteger);
  return join(root, String(Math.max(...versions)), "bin");
}

async function owner(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const passwd = await readFile("/etc/passwd", "utf8");
  const fields = passwd
    .split("\n")
    .find((line) => line.startsWith("postgres:"))
    ?.split(":");
  return { uid: Number(fields?.[2]), gid: Number(fields?.[3]) };
}

export class RealPostgres {
  readonly host: string;
  readonly port = 5432;
  readonly folder: string;
  readonly #bin: string;
  readonly #as: { uid: number; gid: number } | undefined;
  #server: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  constructor(
    host: string,
    folder: string,
    bin: string,
    as: { uid: number; gid: number } | undefined,
  ) {
    this.host = host;
    this.folder = folder;
    this.#bin = bin;
    this.#as = as;
  }

  static async #make(t: Teardown, host: string): Promise<RealPostgres> {
    const folder = await mkdtemp(join(tmpdir(), "pg-health-test-"));
    const as = await owner();
    if (as !== undefined) await chown(folder, as.uid, as.gid);
    const made = new RealPostgres(host, folder, await programFolder(), as);
    t.teardown(async () => {
      await made.kill();
      await rm(folder, { recursive: true, force: true });
    });
    return made;
  }

  /** A fresh primary on `host`, started, with `settings` in its configuration. */
  static async create(
    t: Teardown,
    host: string,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<RealPostgres> {
    const made = await RealPostgres.#make(t, host);
    const passwordFile = join(made.folder, "password");
    await writeFile(passwordFile, superuser.password, { mode: 0o644 });
    const flags = ["-D", made.data, "-U", superuser.user, "-A", "scram-sha-256", "--no-sync"];
    await made.#run("initdb", [...flags, "--pwfile", passwordFile]);
    await made.#configure(settings);
    await made.start();
    return made;
  }

  /** A streaming standby of `primary` on `host`, started. */
  static async standbyOf(t: Teardown, primary: RealPostgres, host: string): Promise<RealPostgres> {
    const made = await RealPostgres.#make(t, host);
    const { user, password } = superuser;
    const source = `host=${primary.host} port=${primary.port} user=${user} password=${password}`;
    await made.#run("pg_basebackup", [
      "-D",
      made.data,
      "-d",
      source,
      "-R",
      "-c",
      "fast",
      "-X",
      "stream",
    ]);
    await made.#configure({});
    await made.start();
    return made;
  }

  get data(): string {
    return join(this.folder, "data");
  }

  get pid(): number {
    const pid = this.#server?.pid;
    if (pid === undefined) throw new Error("this Postgres is not running");
    return pid;
  }

  async #configure(settings: Readonly<Record<string, string>>): Promise<void> {
    const all = {
      listen_addresses: this.host,
      port: String(this.port),
      unix_socket_directories: "",
      shared_buffers: "16MB",
      ...settings,
    };
    const lines = Object.entries(all).map(([name, value]) => `${name} = '${value}'`);
    await writeFile(join(this.data, "postgresql.auto.conf"), `${lines.join("\n")}\n`, {
      flag: "a",
    });
    const hba =
      "host all all 127.0.0.0/8 scram-sha-256\nhost replication all 127.0.0.0/8 scram-sha-256\n";
    await writeFile(join(this.data, "pg_hba.conf"), hba);
  }

  async #run(program: string, args: readonly string[]): Promise<void> {
    await runChild(join(this.#bin, program), args, {
      deadlineMs: 120_000,
      cwd: "/",
      ...this.#as,
      env: { LC_ALL: "C", PATH: "/usr/bin:/bin" },
    });
  }

  /** Starts the server and waits until it takes a login. */
  async start(): Promise<void> {
    const server = spawn(join(this.#bin, "postgres"), ["-D", this.data], {
      cwd: "/",
      stdio: ["ignore", "ignore", "pipe"],
      env: { LC_ALL: "C", PATH: "/usr/bin:/bin" },
      ...this.#as,
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    const ended = new AbortController();
    server.on("exit", () => {
      resolve();
      ended.abort(new Error(`Postgres ${this.host} ended at its start: ${this.log.slice(-500)}`));
    });
    server.stderr?.on("data", (chunk: Buffer) => this.#log.push(chunk.toString("utf8")));
    this.#exited = promise;
    this.#server = server;
    const { signal } = ended;
    await eventually(
      `Postgres ${this.host}`,
      { deadlineMs: 60_000, intervalMs: 50, signal },
      async () => {
        await this.sql("SELECT 1");
        // Another server may have the address, and have answered.
        return this.log.includes("ready to accept") ? true : undefined;
      },
    );
  }

  readonly #log: string[] = [];
  /** What the server has logged since it was made. */
  get log(): string {
    return this.#log.join("");
  }

  /** Every process of this server: the postmaster and its children (none of a server that has just ended). */
  async pids(): Promise<number[]> {
    const path = `/proc/${this.pid}/task/${this.pid}/children`;
    const children = await readFile(path, "utf8").catch(() => "");
    return [this.pid, ...children.trim().split(" ").filter(Boolean).map(Number)];
  }

  /** Sends a signal to every process of this server. */
  async signalAll(signal: "SIGSTOP" | "SIGCONT" | "SIGKILL"): Promise<void> {
    // A frozen postmaster makes no backend that would escape.
    if (signal !== "SIGCONT") signalEach([this.pid], "SIGSTOP");
    signalEach(await this.pids(), signal);
  }

  /** Fast shutdown; resolves when the server has ended. */
  async stop(): Promise<void> {
    process.kill(this.pid, "SIGINT");
    await this.#exited;
  }

  /** Ends every process of the server at once, frozen ones too. */
  async kill(): Promise<void> {
    if (this.#server?.exitCode !== null || this.#server.signalCode !== null) return;
    await this.signalAll("SIGKILL");
    await this.#exited;
  }

  /** A connected client as the superuser; the caller ends it. */
  async client(): Promise<Client> {
    const { host, port } = this;
    const config = { host, port, database: "postgres", connectionTimeoutMillis: 20_000 };
    const client = new Client({ ...config, ...superuser });
    client.on("error", () => undefined);
    await client.connect();
    return client;
  }

  /** Runs one statement on a connection of its own. */
  async sql(text: string): Promise<Record<string, unknown>[]> {
    const client = await this.client();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }
}
