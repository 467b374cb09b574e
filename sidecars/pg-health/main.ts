/**
 * The pg-health process: reads its settings, watches one Postgres and answers over HTTP until it
 * is asked to stop. Exit codes: 0 stopped as asked, 1 failed, 64 usage, 69 the address cannot be
 * listened on, 78 configuration.
 */
import { parseSidecarWords } from "../../config/sidecar-words.ts";
import { variableHelp } from "../../config/variables.ts";
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

function usage(): string {
  return [
    "Answers over HTTP whether a Postgres takes writes: 200 primary, or 503 and one word why.",
    "",
    "usage: pg-health [--env ENVIRONMENT --member NAME [--config-folder FOLDER]]",
    "",
    "With --env, everything comes from the environment file. Without it, from variables:",
    "",
    ...variableHelp(variableRows),
    "",
    "Paths: / /primary /replica?lag=10MB|500ms&mode=apply|write /livez /readyz /metrics /status",
  ].join("\n");
}

/** What the command line asks for; undefined when the help was asked for. */
function sourceOf(words: readonly string[]): SettingsSource | undefined {
  const parsed = parseSidecarWords(words, { program: "pg-health", part: "member" });
  if (parsed.help) return undefined;
  const variables = process.env;
  if (parsed.environment === undefined) return { variables };
  const { name, part: member, folder = inCheckout("config") } = parsed.environment;
  return { variables, environment: { name, member, folder } };
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
  const source = sourceOf(process.argv.slice(2));
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
