/**
 * pg-health under load: 4,000 requests a second, evenly spread over 200 keep-alive connections,
 * the server on one core. A real Postgres behind it, started for this and removed at the end.
 *
 * usage: bin/with-node ../bench/pg-health.ts [RUNS]
 */
import { spawn } from "node:child_process";
import { inCheckout } from "../kit/checkout.ts";
import { runChild } from "../kit/child.ts";
import { eventually } from "../kit/clock.ts";
import { fetchStatus } from "../sidecars/pg-health/client.ts";
import { RealPostgres, superuser } from "../test/support/real-postgres.ts";
import { machine, median } from "./figures.ts";
import type { LoadResult } from "./http-load.ts";

const address = { host: "127.40.9.1", port: 8008 };
const load = { path: "/primary", connections: 200, ratePerSecond: 4000, seconds: 10 };
const must = 20;
const aim = 5;

async function startServer(postgres: RealPostgres): Promise<() => Promise<void>> {
  const main = inCheckout("sidecars/pg-health/main.ts");
  const server = spawn("taskset", ["-c", "0", process.execPath, main], {
    stdio: ["ignore", "ignore", "inherit"],
    env: {
      PATH: "/usr/bin:/bin",
      PG_HEALTH_LISTEN: `${address.host}:${address.port}`,
      PG_HEALTH_POSTGRES: `${postgres.host}:${postgres.port}`,
      PG_HEALTH_USER: superuser.user,
      PG_HEALTH_PASSWORD: superuser.password,
    },
  });
  const { promise: exited, resolve } = Promise.withResolvers<void>();
  server.on("exit", () => resolve());
  await eventually("pg-health", { deadlineMs: 10_000, intervalMs: 50 }, async () => {
    const { answer } = await fetchStatus(address, { deadlineMs: 500 });
    return answer === "primary" ? true : undefined;
  });
  return async () => {
    server.kill("SIGTERM");
    await exited;
  };
}

async function measure(): Promise<LoadResult> {
  const plan = JSON.stringify({ ...address, ...load, warmUpSeconds: 2 });
  const args = ["-c", "1", process.execPath, inCheckout("bench/http-load.ts"), plan];
  const { stdout } = await runChild("taskset", args, { deadlineMs: 60_000 });
  return JSON.parse(stdout) as LoadResult;
}

function medianP99(results: readonly LoadResult[]): number {
  return median(results.map((one) => one.p99Ms));
}

function describe(results: readonly LoadResult[]): string {
  const ms = (value: number): string => `${value.toFixed(2)} ms`;
  return [
    `machine: ${machine()}`,
    `method: GET ${load.path}, ${load.ratePerSecond}/s evenly over ${load.connections} keep-alive connections for ${load.seconds} s after 2 s; latency from the time a request was due; server on core 0, load and Postgres on the others`,
    ...results.map(
      (one, index) =>
        `run ${index + 1}: ${one.requests} requests, ${one.wrong} wrong, p50 ${ms(one.p50Ms)}, p99 ${ms(one.p99Ms)}, p99.9 ${ms(one.p999Ms)}, max ${ms(one.maxMs)}, sent late by at most ${ms(one.lateMs)}`,
    ),
    `p99, median of ${results.length}: ${ms(medianP99(results))} (must ${must} ms, aim ${aim} ms)`,
  ].join("\n");
}

async function bench(runs: number): Promise<boolean> {
  const endings: (() => void | Promise<void>)[] = [];
  try {
    const teardown = (fn: () => void | Promise<void>): void => void endings.unshift(fn);
    const postgres = await RealPostgres.create({ teardown }, "127.40.9.1");
    endings.unshift(await startServer(postgres));
    const results: LoadResult[] = [];
    for (let run = 0; run < runs; run += 1) results.push(await measure());
    process.stdout.write(`${describe(results)}\n`);
    return results.every((one) => one.wrong === 0) && medianP99(results) <= must;
  } finally {
    for (const end of endings) await end();
  }
}

process.exitCode = (await bench(Number(process.argv[2] ?? 3))) ? 0 : 1;
