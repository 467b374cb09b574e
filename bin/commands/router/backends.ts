/**
 * `router ENV backends`: keeps the servers of every router's backends in step with DNS until it is
 * asked to end. A line for each thing that happens; SIGHUP asks for every name now.
 */
import { ConfigError } from "../../../config/config-error.ts";
import type { Environment } from "../../../config/schema.ts";
import { countInWords } from "../../../config/units.ts";
import { ipAddressValue } from "../../../config/values.ts";
import { formatAddress } from "../../../kit/address.ts";
import type { Address } from "../../../kit/address.ts";
import { systemClock } from "../../../kit/clock.ts";
import { listen } from "../../../kit/http.ts";
import type { HttpListener } from "../../../kit/http.ts";
import { startBackends } from "../../../router/backends/keeper/process.ts";
import type { BackendsProcess, ProcessEvent } from "../../../router/backends/keeper/process.ts";
import { backendsRoutes } from "../../../router/backends/keeper/routes.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { takeInterrupts } from "../../cli/interrupts.ts";
import { printable } from "../../cli/output.ts";
import { chooseFleet } from "./fleet.ts";

const closeMs = 500;

/** Runs until SIGTERM or Ctrl-C; 0 then. */
export async function run(invocation: Invocation): Promise<number> {
  const { environment, routers } = await chooseFleet(invocation, { withoutSecrets: true });
  if (environment.backends.length === 0) {
    throw new ConfigError(
      `${environment.file}: backends: there is none; docs/backends.md shows how to declare one`,
    );
  }
  const address = listenAddress(invocation.flags["listen"]);
  const stateFile = invocation.flags["state"];
  const print = printer(invocation, environment);
  const { promise: ended, resolve: end } = Promise.withResolvers<string>();
  const running: { process?: BackendsProcess; server?: HttpListener } = {};
  // From the first moment on: who stops it while it starts must not be left with a lock.
  const release = takeInterrupts((name) => {
    if (name !== "SIGHUP") return end(name);
    print(undefined, "SIGHUP: asks for every name now");
    void running.process?.resolveNow();
  });
  try {
    // First of all: what cannot be listened on is known before a router is told anything.
    if (address !== undefined) {
      const routes = backendsRoutes(() => running.process?.state() ?? { targets: [], routers: [] });
      running.server = await listen(address, routes, (error, path) =>
        print(undefined, `${path}: ${(error as Error).message}`),
      );
    }
    running.process = await startBackends({
      environment,
      routers,
      stateFile: typeof stateFile === "string" ? stateFile : undefined,
      tell: (event) => print(event, event.says),
      signal: invocation.signal,
    });
    print(undefined, startLine(environment, routers.length, address));
    const name = await ended;
    print(undefined, `${name}: ends; the routers keep the servers that they have`);
    return exitCodes.done;
  } finally {
    release();
    try {
      await running.server?.close(closeMs);
    } finally {
      // What it has claimed is given back even so.
      await running.process?.stop();
    }
  }
}

function listenAddress(flag: unknown): Address | undefined {
  if (typeof flag !== "string") return undefined;
  const parsed = ipAddressValue.safeParse(flag);
  if (parsed.success) return parsed.data;
  throw new UsageError(
    `--listen: expected an IP address and a port; got ${JSON.stringify(flag)}`,
    "such as --listen 127.0.0.1:8010",
  );
}

function startLine(
  { backends }: Environment,
  routerCount: number,
  address: Address | undefined,
): string {
  const targets = backends.reduce((sum, one) => sum + one.targets.length, 0);
  const where = address === undefined ? "" : `; listens on ${formatAddress(address)}`;
  return `keeps ${countInWords(backends.length, "backend")} with ${countInWords(targets, "name")} on ${countInWords(routerCount, "router")}${where}`;
}

/** Prints an event: time, who, which backend, what; or the same as JSON. */
function printer(
  { flags, output }: Invocation,
  { backends, routers }: Environment,
): (event: ProcessEvent | undefined, says: string) => void {
  const ours = "backends";
  const width = Math.max(
    ...[ours, "dns", ...routers.map((one) => one.name)].map((one) => one.length),
  );
  const second = Math.max(...backends.map((one) => one.name.length), 1);
  return (event, says) => {
    const at = new Date(systemClock.now()).toISOString();
    if (flags["json"] === true) {
      output.result(JSON.stringify({ at, ...(event ?? { event: "process", says }) }));
      return;
    }
    const who = event === undefined ? ours : "router" in event ? event.router : "dns";
    const of = event?.backend ?? "";
    const what = whatOf(event);
    const words = what === "" ? says : `${what} ${says}`;
    const line = `${at.slice(11, 23)}  ${who.padEnd(width)}  ${of.padEnd(second)}  ${words}`;
    output.result(printable(line));
  };
}

function whatOf(event: ProcessEvent | undefined): string {
  if (event === undefined) return "";
  return "hostname" in event ? event.hostname : (event.server ?? "");
}
