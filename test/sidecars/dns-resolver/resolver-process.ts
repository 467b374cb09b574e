/** A real dns-resolver process for tests. */
import { spawn } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { eventually } from "../../../kit/clock.ts";
import { askName, fetchResolverStatus } from "../../../sidecars/dns-resolver/client.ts";
import type {
  AskType,
  NameAnswer,
  ResolverStatus,
} from "../../../sidecars/dns-resolver/contract.ts";
import { ask } from "../../support/health-process.ts";
import type { Answer } from "../../support/health-process.ts";
import { soon, token } from "./fake-registry.ts";
import type { Teardown } from "./fake-registry.ts";

const launcher = fileURLToPath(new URL("../../../bin/dns-resolver", import.meta.url));
const port = 5300;
/** The launchers take the Node that is new enough, which may be this one alone. */
export const programPath = `${dirname(process.execPath)}:/usr/bin:/bin`;

export interface ResolverProcess {
  readonly pid: number;
  readonly output: () => string;
  readonly address: { readonly host: string; readonly port: number };
  status(): Promise<ResolverStatus>;
  /** Asks a path over HTTP. */
  get(path: string): Promise<Answer>;
  /** Asks for a name under the zone. */
  ask(name: string, type?: AskType): Promise<NameAnswer>;
  /** Resolves when that generation is served. */
  serves(generation: number): Promise<ResolverStatus>;
  /** Ends it. @returns the exit code, null after a signal */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** The variables of a resolver on `host`:5300 that follows `registry` as node 7. */
export function variablesOf(
  host: string,
  registry: string,
  folder: string,
): Readonly<Record<string, string>> {
  return {
    DNS_RESOLVER_LISTEN: `${host}:${port}`,
    DNS_RESOLVER_STATUS_LISTEN: `${host}:8054`,
    DNS_RESOLVER_REGISTRY: registry,
    DNS_RESOLVER_NODE: "7",
    DNS_RESOLVER_TOKEN: token,
    DNS_RESOLVER_STATE: folder,
  };
}

/** Starts it with these variables, and waits until it has tried its addresses; it ends with the test. */
export async function startResolverProcess(
  t: Teardown,
  host: string,
  variables: Readonly<Record<string, string>>,
): Promise<ResolverProcess> {
  const child = spawn(launcher, [], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: programPath, ...variables },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
  }
  const { promise: exited, resolve } = Promise.withResolvers<number | null>();
  child.on("close", resolve);
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    return await exited;
  };
  t.teardown(async () => void (await end("SIGKILL")));
  const http = { host, port: 8054 };
  const address = { host, port };
  const status = (): Promise<ResolverStatus> => fetchResolverStatus(http, { deadlineMs: 5000 });
  await eventually(`dns-resolver on ${host}`, { ...soon, deadlineMs: 40_000 }, async () => {
    if (child.exitCode !== null) throw new Error(`it ended: ${output}`);
    return await status();
  });
  return {
    pid: child.pid ?? 0,
    output: () => output,
    address,
    status,
    end,
    get: (path) => ask(http, path),
    ask: (name, type = "A") =>
      askName({
        ...{ address, type, deadlineMs: 5000 },
        name: name === "" ? "temps.local" : `${name}.temps.local`,
      }),
    serves: async (generation) =>
      await eventually(`${host} serves ${generation}`, soon, async () => {
        const now = await status();
        return now.generation === generation ? now : undefined;
      }),
  };
}

/** Runs dns-resolver with these variables to its end (for what it refuses). */
export async function runResolver(
  words: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(launcher, [...words], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: programPath, ...variables },
    timeout: 60_000,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
  }
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.on("close", resolve);
  return { code: await promise, output };
}
