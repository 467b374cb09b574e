/**
 * A router with one backend whose name a scripted name server answers: a real HAProxy, real servers, a
 * real backends process in this one, and what it has told.
 */
import { join } from "node:path";
import type { Test } from "tap";
import { eventually } from "../../kit/clock.ts";
import { startBackends } from "../../router/backends/keeper/process.ts";
import type { BackendsProcess, ProcessEvent } from "../../router/backends/keeper/process.ts";
import { runtimeAddressOf } from "../../router/haproxy/addresses.ts";
import { connectRuntime, showServers } from "../../router/haproxy/runtime/client.ts";
import type { ServerView } from "../../router/haproxy/runtime/servers.ts";
import { noAnswer, startFakeDns } from "./fake-dns.ts";
import type { FakeDns } from "./fake-dns.ts";
import { startFakeMember, visit } from "./fake-member.ts";
import type { FakeMember, Visit } from "./fake-member.ts";
import type { HaproxyProgram, RunningHaproxy } from "./haproxy.ts";
import { renderFor, start } from "./rendered-haproxy.ts";
import type { RenderedPlace } from "./rendered-haproxy.ts";

export const backendPort = 9200;
export const listenHost = "127.76.1.1";
export const hostname = "search.example.com";
const nameServer = "127.76.0.53";
const patience = { deadlineMs: 30_000, intervalMs: 20 };

/** The address of the server `number`. */
export function serverHost(number: number): string {
  return `127.76.2.${number}`;
}

/** One backend as the environment file says it; the keys of its target besides. */
export function backendText(
  keys: string,
  target: string,
  name = "search",
  port = backendPort,
): string {
  const asked = `servers: ["${nameServer}:53"], timeout: 300ms, dnsRefresh: 1s, backoff: { base: 1s, max: 1s }`;
  return `{ name: ${name}, port: ${port}, ${keys} targets: [{ hostname: ${hostname}, port: ${backendPort}, ${asked}, ${target} }] }`;
}

export const quickCheck =
  "check: { inter: 100ms, fastinter: 50ms, downinter: 100ms, rise: 2, fall: 2, timeout: 5s },";

export interface BackendsRig {
  readonly rendered: RenderedPlace;
  readonly haproxy: RunningHaproxy;
  readonly dns: FakeDns;
  /** What the name is now: numbers of servers, or silence. */
  names(...numbers: readonly number[] | ["silent"]): void;
  /** The server of that number, which runs from now on. */
  server(number: number): Promise<FakeMember>;
  /** Starts the process; it ends with the test. */
  begin(options?: { readonly stateFile?: string }): Promise<RunningBackends>;
  /** The backend's servers that were found by DNS, as the router has them. */
  servers(): Promise<ServerView[]>;
  /** Connects through the router. */
  visit(deadlineMs?: number): Promise<Visit>;
}

export interface RunningBackends extends BackendsProcess {
  /** All that it has told so far. */
  readonly told: readonly ProcessEvent[];
  /** Waits until these servers, `number:weight` each, are all that is there and are up. */
  readonly serves: (...wanted: readonly string[]) => Promise<void>;
}

/** Makes one; all of it ends with the test. `keys` and `target` are YAML, with a comma at their end. */
export async function backendsRig(
  t: Test,
  program: HaproxyProgram,
  backends: readonly string[],
  change: (text: string) => string = (text) => text,
): Promise<BackendsRig> {
  const names: Record<string, string | readonly string[]> = {};
  const dns = await startFakeDns(nameServer, names);
  t.teardown(dns.stop);
  const rendered = await renderFor(program, {
    hosts: ["127.76.3.1", "127.76.3.2"],
    listenHost,
    backends,
  });
  const haproxy = await start({ ...rendered, text: change(rendered.text) });
  t.teardown(haproxy.stop);
  const { environment, router } = rendered;
  const runtime = connectRuntime(runtimeAddressOf(environment, router));
  const servers = async (): Promise<ServerView[]> =>
    (await showServers(runtime)).filter((one) => one.server.startsWith("dns."));
  return {
    rendered,
    haproxy,
    dns,
    servers,
    names: (...numbers) => {
      const [first] = numbers;
      names[hostname] =
        first === "silent" ? noAnswer : numbers.map((one) => serverHost(Number(one)));
    },
    server: async (number) => {
      const ports = { pooler: backendPort, health: backendPort + 1 };
      const one = await startFakeMember(`s${number}`, serverHost(number), "primary", ports);
      t.teardown(one.stop);
      return one;
    },
    visit: async (deadlineMs) => {
      const seen = await visit(listenHost, backendPort, deadlineMs);
      t.teardown(() => seen.socket.destroy());
      return seen;
    },
    begin: async ({ stateFile } = {}) => {
      const told: ProcessEvent[] = [];
      const { signal } = new AbortController();
      const tell = (event: ProcessEvent): void => void told.push(event);
      const whole = { environment, routers: [router], stateFile, tell, signal };
      const running = await startBackends(whole);
      t.teardown(running.stop);
      return { ...running, told, serves: (...wanted) => untilServes(servers, wanted) };
    },
  };
}

/** A state file in a router's own folder. */
export function stateFileOf({ place }: RenderedPlace): string {
  return join(place.folder, "backends.json");
}

async function untilServes(
  servers: () => Promise<ServerView[]>,
  wanted: readonly string[],
): Promise<void> {
  const last = { seen: "" };
  const words = (one: ServerView): string => `${one.host.split(".").at(-1)}:${one.weight}`;
  await eventually(`servers ${wanted.join(" ")}`, patience, async () => {
    const seen = await servers();
    last.seen = seen.map((one) => `${words(one)} ${one.status}`).join(", ");
    const isUp = seen.every((one) => one.state === "up");
    return isUp && seen.map(words).toSorted().join() === wanted.join() ? true : undefined;
  }).catch((error: Error) => {
    throw new Error(`${error.message}; there is ${last.seen || "none"}`, { cause: error });
  });
}
