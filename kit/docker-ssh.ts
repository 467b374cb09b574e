/**
 * A connection to a Docker Engine over ssh, as Docker's own client makes one: the system's ssh runs
 * `docker system dial-stdio` there, and what it reads and prints is the engine's socket. So keys,
 * known hosts and ~/.ssh/config hold as they do for the operator.
 */
import { spawn } from "node:child_process";
import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { Duplex } from "node:stream";
import { every } from "./clock.ts";
import { createTurns } from "./turns.ts";
import type { Turns } from "./turns.ts";

export interface SshTarget {
  readonly host: string;
  /** Empty for what ssh's own configuration says. */
  readonly port: string;
  readonly user: string;
}

const options = {
  // Nobody is there to type a password or to look at a host key.
  BatchMode: "yes",
  ConnectTimeout: "10",
  ServerAliveInterval: "5",
  ServerAliveCountMax: "3",
};
const saidLimit = 1000;
/** sshd turns away who comes while ten log in (MaxStartups, sshd_config(5)); others may log in too. */
const loginsAtOnce = 4;
const loginsWaiting = 256;
/** A login that takes longer holds up the others no more. */
const loginMs = 10_000;

/** By what leads to a host: each member has an engine of its own, and they may share the host. */
const logins = new Map<string, Turns>();

/** The words of the ssh that leads to the engine's socket. */
export function sshWords({ host, port, user }: SshTarget): string[] {
  const settings = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  const login = user === "" ? [] : ["-l", user];
  const at = port === "" ? [] : ["-p", port];
  return [...settings, "-T", ...login, ...at, "--", host, "docker", "system", "dial-stdio"];
}

/**
 * Opens one, when fewer than four log in there; an ssh that ends before the connection is done with
 * destroys it with what it said.
 * @throws TurnsError when too many wait
 */
export async function openSsh(target: SshTarget): Promise<Duplex> {
  const words = sshWords(target);
  const key = words.join(" ");
  const turns = logins.get(key) ?? createTurns(loginsAtOnce, loginsWaiting);
  logins.set(key, turns);
  const release = await turns.take();
  try {
    // A group of its own: Ctrl-C in a terminal is for the tool, which ends what it opened itself.
    const child = spawn("ssh", words, { stdio: "pipe", detached: true });
    return new ChildSocket(child, `ssh ${target.host}`, release);
  } catch (error) {
    release();
    throw error;
  }
}

/** A program's input and output as the one socket that Node's HTTP client wants. */
class ChildSocket extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #loggedIn: () => void;
  #said = "";

  /** @param loggedIn called when the login is over, well or not */
  constructor(child: ChildProcessWithoutNullStreams, shown: string, loggedIn: () => void) {
    super();
    this.#child = child;
    const stop = every(loginMs, () => this.#loggedIn());
    this.#loggedIn = () => {
      stop();
      loggedIn();
    };
    // The engine's first word comes after it; ssh itself says nothing.
    child.stdout.once("data", () => this.#loggedIn());
    child.on("error", (error) => this.destroy(new Error(`${shown}: ${error.message}`)));
    child.on("close", (code, killedBy) => {
      const how = killedBy === null ? `exit code ${code}` : `ended by ${killedBy}`;
      const said = this.#said.trim();
      if (code === 0 && said === "") this.destroy();
      else this.destroy(new Error(`${shown}: ${how}${said === "" ? "" : `: ${said}`}`));
    });
    child.stderr.on("data", (chunk: Buffer) => {
      this.#said = `${this.#said}${chunk.toString("utf8")}`.slice(-saidLimit);
    });
    child.stdout.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) child.stdout.pause();
    });
    // The words of an ssh that failed come with its close.
    child.stdout.on("end", () => {
      if (child.exitCode === 0) this.push(null);
    });
    child.stdin.on("error", () => undefined);
  }

  override _read(): void {
    this.#child.stdout.resume();
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    // A broken pipe is told by how ssh ended, which says more.
    this.#child.stdin.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    this.#child.stdin.end(() => done());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#loggedIn();
    this.#child.kill("SIGKILL");
    for (const name of ["stdin", "stdout", "stderr"] as const) this.#child[name].destroy();
    done(error);
  }

  // What the HTTP client asks of a socket besides; ssh keeps itself alive.
  setKeepAlive(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    this.#holdProcess("ref");
    return this;
  }

  unref(): this {
    this.#holdProcess("unref");
    return this;
  }

  #holdProcess(how: "ref" | "unref"): void {
    this.#child[how]();
    for (const name of ["stdin", "stdout", "stderr"] as const) {
      (this.#child[name] as Partial<Record<"ref" | "unref", () => void>>)[how]?.();
    }
  }
}
