/** A real pg-health process for tests, and a peer that answers /status as a test wants. */
import { spawn } from "node:child_process";
import { request } from "node:http";
import { fileURLToPath } from "node:url";
import { eventually, systemClock } from "../../kit/clock.ts";
import { jsonReply, listen } from "../../kit/http.ts";
import { fetchStatus } from "../../sidecars/pg-health/client.ts";
import type { HealthStatus } from "../../sidecars/pg-health/contract.ts";

interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

const main = fileURLToPath(new URL("../../sidecars/pg-health/main.ts", import.meta.url));

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** The text without the ` (slow)` that a busy machine may put behind it. */
  readonly word: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** How long the answer took, in milliseconds. */
  readonly ms: number;
}

export interface HealthProcess {
  readonly host: string;
  readonly port: number;
  readonly output: () => string;
  readonly pid: number;
  /** Asks a path; one request on a connection of its own, as HAProxy does. */
  readonly get: (path: string, method?: string) => Promise<Answer>;
  readonly status: () => Promise<HealthStatus>;
  /** The word that a path answers with. */
  readonly word: (path: string) => Promise<string>;
  /** Waits until GET / answers with exactly this text. */
  readonly becomes: (text: string, deadlineMs: number) => Promise<void>;
  readonly stop: () => Promise<number | null>;
}

/** Asks `path` of an HTTP server. */
export function ask(
  address: { readonly host: string; readonly port: number },
  path: string,
  method = "GET",
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const began = systemClock.monotonic();
  const { host, port } = address;
  const asked = request({ host, port, path, method, agent: false, timeout: 5000 }, (reply) => {
    let text = "";
    reply.setEncoding("utf8");
    reply.on("data", (chunk: string) => {
      text += chunk;
    });
    reply.on("end", () => {
      const { statusCode = 0, headers } = reply;
      const word = text.trim().replace(" (slow)", "");
      resolve({ status: statusCode, text, word, headers, ms: systemClock.monotonic() - began });
    });
    reply.on("error", reject);
  });
  asked.on("timeout", () => asked.destroy(new Error(`${method} ${path}: no answer in 5 s`)));
  asked.on("error", reject);
  asked.end();
  return promise;
}

/** Runs pg-health with these words and variables to its end (for what it refuses). */
export async function runHealth(
  words: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [main, ...words], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: "/usr/bin:/bin", ...variables },
    timeout: 60_000,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString("utf8")));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")));
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.on("close", resolve);
  return { code: await promise, stdout, stderr };
}

/** Starts pg-health on `host`:8008 and waits until it answers; it ends with the test. */
export async function startHealth(
  t: Teardown,
  host: string,
  variables: Readonly<Record<string, string>>,
): Promise<HealthProcess> {
  const address = { host, port: 8008 };
  const child = spawn(process.execPath, [main], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: "/usr/bin:/bin", PG_HEALTH_LISTEN: `${host}:8008`, ...variables },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
  }
  const { promise: exited, resolve } = Promise.withResolvers<number | null>();
  child.on("close", resolve);
  const stop = async (): Promise<number | null> => {
    child.kill("SIGTERM");
    return await exited;
  };
  t.teardown(async () => {
    child.kill("SIGCONT");
    await stop();
  });
  const get = (path: string, method?: string): Promise<Answer> => ask(address, path, method);
  await eventually(`pg-health on ${host}`, { deadlineMs: 40_000, intervalMs: 20 }, async () => {
    if (child.exitCode !== null) throw new Error(`it ended: ${output}`);
    return (await get("/livez")).status === 200 ? true : undefined;
  });
  return {
    ...address,
    get,
    stop,
    pid: child.pid ?? 0,
    output: () => output,
    word: async (path) => (await get(path)).word,
    status: () => fetchStatus(address, { deadlineMs: 10_000 }),
    becomes: async (text, deadlineMs) => {
      let seen = "";
      const wanted = async (): Promise<true | undefined> => {
        seen = (await get("/")).text.trim();
        if (seen !== text) throw new Error(`it answers ${seen}`);
        return true;
      };
      await eventually(`GET / answers ${text}`, { deadlineMs, intervalMs: 20 }, wanted);
    },
  };
}

export interface FakePeer {
  readonly url: string;
  /** What it says from now on; undefined: it does not answer at all. */
  say: (status: HealthStatus | undefined) => Promise<void>;
}

/** A peer on a real socket: what it says can be caused with real members only in many minutes. */
export async function fakePeer(t: Teardown, host: string): Promise<FakePeer> {
  const address = { host, port: 8008 };
  let said: HealthStatus | undefined;
  const open = () =>
    listen(address, { "/status": () => jsonReply(200, said) }, (error) => {
      throw error;
    });
  let server: Awaited<ReturnType<typeof open>> | undefined;
  const close = async (): Promise<void> => {
    await server?.close(0);
    server = undefined;
  };
  t.teardown(close);
  return {
    url: `http://${host}:${address.port}`,
    say: async (status) => {
      said = status;
      if (status === undefined) await close();
      else server ??= await open();
    },
  };
}
