/**
 * The pg-health process: reads its settings, watches one Postgres and answers over HTTP until it
 * is asked to stop. Exit codes: 0 stopped as asked, 1 failed, 64 usage, 69 the address cannot be
 * listened on, 78 configuration.
 */
import { parseArgs } from "node:util";
import { inCheckout } from "../../kit/checkout.ts";
import { systemClock } from "../../kit/clock.ts";
import { listen } from "../../kit/http.ts";
import { createLogger } from "../../kit/logger.ts";
import type { Logger } from "../../kit/logger.ts";
import { runService } from "../../kit/service.ts";
import type { Service } from "../../kit/service.ts";
import { createMetrics } from "./metrics.ts";
import { Monitor } from "./monitor.ts";
import { healthRoutes } from "./routes.ts";
import { readSettings } from "./settings.ts";
import type { Settings, SettingsSource } from "./settings.ts";
import { variableRows } from "./variables.ts";

const exitCodeByError: Readonly<Record<string, number>> = {
  ERR_USAGE: 64,
  ERR_LISTEN: 69,
  ERR_CONFIG: 78,
  ERR_CONFIG_UNKNOWN_ENVIRONMENT: 78,
};

const flags = {
  env: { type: "string" },
  member: { type: "string" },
  "config-folder": { type: "string" },
  help: { type: "boolean", short: "h" },
} as const;

class UsageError extends Error {
  override readonly name = "UsageError";
  readonly code = "ERR_USAGE";
}

function usage(): string {
  const names = Object.keys(variableRows);
  const width = Math.max(...names.map((name) => name.length));
  const rows = Object.entries<{ summary: string; fallback?: string }>(variableRows);
  return [
    "Answers over HTTP whether a Postgres takes writes: 200 primary, or 503 and one word why.",
    "",
    "usage: pg-health [--env ENVIRONMENT --member NAME [--config-folder FOLDER]]",
    "",
    "With --env, everything comes from the environment file. Without it, from variables:",
    "",
    ...rows.map(([name, { summary, fallback }]) => {
      const shown = fallback === undefined ? "" : ` [${fallback}]`;
      return `  ${name.padEnd(width)}  ${summary}${shown}`;
    }),
    "",
    "Paths: / /primary /replica?lag=10MB|500ms&mode=apply|write /livez /readyz /metrics /status",
  ].join("\n");
}

/** The words of the command line; undefined when the help was asked for. */
function parseWords(words: readonly string[]): SettingsSource | undefined {
  const { env, member, help, "config-folder": folder } = parseStrictly(words);
  if (help === true) return undefined;
  if (env === undefined) {
    if (member !== undefined) throw new UsageError("--member needs --env");
    if (folder !== undefined) throw new UsageError("--config-folder needs --env");
    return { variables: process.env };
  }
  if (member === undefined) throw new UsageError("--env needs --member NAME");
  const environment = { name: env, member, folder: folder ?? inCheckout("config") };
  return { variables: process.env, environment };
}

function parseStrictly(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options: flags, strict: true }).values;
  } catch (cause) {
    const [sentence = ""] = (cause as Error).message.split(". ");
    throw new UsageError(`${sentence} (see pg-health --help)`, { cause });
  }
}

async function start(settings: Settings, logger: Logger): Promise<Service> {
  const metrics = createMetrics();
  const monitor = new Monitor(settings, {
    clock: systemClock,
    logger,
    onProbe: metrics.observeProbe,
  });
  const routes = healthRoutes(monitor, metrics);
  const server = await listen(settings.listen, routes, (error, path) =>
    logger.error({ step: path, err: error }, "a request failed"),
  );
  await monitor.start();
  return {
    stop: async () => {
      await server.close(500);
      monitor.stop();
    },
  };
}

async function run(): Promise<void> {
  const source = parseWords(process.argv.slice(2));
  if (source === undefined) {
    process.stdout.write(`${usage()}\n`);
    return;
  }
  const settings = await readSettings(source);
  const logger = createLogger({ name: "pg-health", level: settings.logLevel });
  await runService(() => start(settings, logger), {
    name: "pg-health",
    stopDeadlineMs: 3000,
    logger,
  });
}

try {
  await run();
} catch (error) {
  const { message, code } = error as { message?: string; code?: string };
  for (const line of String(message ?? error).split("\n")) {
    process.stderr.write(`pg-health: ${line}\n`);
  }
  process.exitCode = exitCodeByError[code ?? ""] ?? 1;
}
