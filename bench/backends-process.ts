/**
 * What the whole of `bin/router ENV backends` costs while nothing changes: 1,008 names of one address
 * each in 16 backends, a real HAProxy, and the processor time of this process.
 */
import { eventually, systemClock } from "../kit/clock.ts";
import { startBackends } from "../router/backends/keeper/process.ts";
import { haproxyPrograms } from "../test/support/haproxy.ts";
import { renderFor, start } from "../test/support/rendered-haproxy.ts";
import { nameOf } from "./backends-names.ts";

const backendCount = 16;
const targetsEach = 63;
/** How many names it asks for. */
export const processNames = backendCount * targetsEach;

const firstPort = 20_000;
/** Longer than any first pause. */
const settleMs = 35_000;

export interface ProcessFigure {
  /** In percent of a core. */
  readonly share: number;
  /** From the start to every server being there, ms. */
  readonly addedMs: number;
  /** From the reload to every server being there again, ms. */
  readonly againMs: number;
}

function backendTexts(server: string): string[] {
  return Array.from({ length: backendCount }, (_, backend) => {
    const targets = Array.from({ length: targetsEach }, (_unused, at) => {
      const hostname = nameOf(backend * targetsEach + at);
      return `{ hostname: ${hostname}, port: 80, servers: ["${server}"] }`;
    });
    return `{ name: web-${backend}, port: ${firstPort + backend}, targets: [${targets.join(", ")}] }`;
  });
}

/** Measures it for `seconds`; undefined where there is no HAProxy. `server` answers for the names. */
export async function measureProcess(
  server: string,
  seconds: number,
): Promise<ProcessFigure | undefined> {
  const [program] = await haproxyPrograms();
  if (program === undefined) return undefined;
  const rendered = await renderFor(program, {
    hosts: ["127.54.5.1", "127.54.5.2"],
    listenHost: "127.54.5.3",
    backends: backendTexts(server),
  });
  const haproxy = await start(rendered);
  try {
    const { environment, router } = rendered;
    const { signal } = new AbortController();
    const options = { environment, routers: [router], stateFile: undefined, signal };
    const began = systemClock.monotonic();
    const running = await startBackends({ ...options, tell: () => undefined });
    const isWhole = (): true | undefined => {
      const [one] = running.state().routers;
      const servers = (one?.backends ?? []).reduce((sum, { servers: all }) => sum + all.length, 0);
      return (
        (servers === processNames && one?.backends.every(({ isInStep }) => isInStep)) || undefined
      );
    };
    const patience = { deadlineMs: 60_000, intervalMs: 50 };
    try {
      await eventually("every server is there", patience, isWhole);
      const addedMs = systemClock.monotonic() - began;
      await systemClock.sleep(settleMs);
      const before = process.cpuUsage();
      const from = systemClock.monotonic();
      await systemClock.sleep(seconds * 1000);
      const { user, system } = process.cpuUsage(before);
      const share = (100 * (user + system)) / 1000 / (systemClock.monotonic() - from);
      return {
        share,
        addedMs,
        againMs: await reloaded((command) => haproxy.askMaster(command), isWhole, running.state),
      };
    } finally {
      await running.stop();
    }
  } finally {
    await haproxy.stop();
  }
}

async function reloaded(
  ask: (command: string) => Promise<string>,
  isWhole: () => true | undefined,
  state: () => { readonly routers: readonly { readonly pid: number | undefined }[] },
): Promise<number> {
  const pid = state().routers[0]?.pid;
  const began = systemClock.monotonic();
  await ask("reload");
  const patience = { deadlineMs: 60_000, intervalMs: 20 };
  await eventually("every server is there again", patience, () =>
    state().routers[0]?.pid === pid ? undefined : isWhole(),
  );
  return systemClock.monotonic() - began;
}
