/**
 * The pg-health process: reads its settings, watches one Postgres and answers over HTTP until it
 * is asked to stop. Exit codes: 0 stopped as asked, 1 failed, 64 usage, 69 the address cannot be
 * listened on, 78 configuration.
 */
import { sidecarEnding, sidecarHelp, sidecarSource } from "../../config/sidecar-words.ts";
import type { Sidecar } from "../../config/sidecar-words.ts";
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
import type { Settings } from "./settings.ts";
import { variableTable } from "./variables.ts";

const sidecar: Sidecar = {
  program: "pg-health",
  purpose:
    "Answers over HTTP whether a Postgres takes writes: 200 primary, or 503 and one word why.",
  part: "member",
  partValue: "NAME",
  variables: variableTable,
  paths: "/ /primary /replica?lag=10MB|500ms&mode=apply|write /livez /readyz /metrics /status",
};

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
  const source = sidecarSource(sidecar, process.argv.slice(2), process.env);
  if (source === undefined) {
    process.stdout.write(`${sidecarHelp(sidecar)}\n`);
    return;
  }
  const settings = await readSettings(source);
  const logger = createLogger({ name: sidecar.program, level: settings.logLevel });
  await runService(() => start(settings, logger), {
    name: sidecar.program,
    stopDeadlineMs: 3000,
    logger,
  });
}

try {
  await run();
} catch (error) {
  const { text, exitCode } = sidecarEnding(sidecar.program, error);
  process.stderr.write(text);
  process.exitCode = exitCode;
}
