/**
 * The pool-gate process: reads its settings, resumes what an earlier one had paused, and answers
 * over HTTP until it is asked to stop. Exit codes: 0 stopped as asked, 1 failed, 64 usage, 69 the
 * address cannot be listened on, 78 configuration.
 */
import { sidecarEnding, sidecarHelp, sidecarSource } from "../../config/sidecar-words.ts";
import type { Sidecar } from "../../config/sidecar-words.ts";
import { systemClock } from "../../kit/clock.ts";
import { listen } from "../../kit/http.ts";
import { createLogger } from "../../kit/logger.ts";
import type { Logger } from "../../kit/logger.ts";
import { runService } from "../../kit/service.ts";
import type { Service } from "../../kit/service.ts";
import { Gate } from "./gate.ts";
import { PoolerConsole } from "./pooler.ts";
import { gateRoutes } from "./routes.ts";
import { readSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { variableTable } from "./variables.ts";

const sidecar: Sidecar = {
  program: "pool-gate",
  purpose:
    "Owns the PAUSE of one PgBouncer: pauses under a lease, and resumes when the lease ends.",
  part: "gate",
  partValue: "EDGEPOOLER",
  variables: variableTable,
  paths: "GET /status /livez, POST /pause /renew /resume",
};

async function start(settings: Settings, logger: Logger): Promise<Service> {
  const gate = new Gate({
    pooler: new PoolerConsole(settings.pooler),
    stateFile: settings.stateFile,
    clock: systemClock,
    logger,
    usualDatabases: settings.usualDatabases,
  });
  // First: a second gate of the same PgBouncer must not resume what the first one holds.
  const server = await listen(settings.listen, gateRoutes(gate, settings.token), (error, path) =>
    logger.error({ step: path, err: error }, "a request failed"),
  );
  await gate.start();
  return {
    stop: async () => {
      await gate.stop();
      await server.close(500);
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
  const name = settings.name === null ? sidecar.program : `${sidecar.program} of ${settings.name}`;
  const logger = createLogger({ name: sidecar.program, level: settings.logLevel });
  await runService(() => start(settings, logger), { name, stopDeadlineMs: 5000, logger });
}

try {
  await run();
} catch (error) {
  const { text, exitCode } = sidecarEnding(sidecar.program, error);
  process.stderr.write(text);
  process.exitCode = exitCode;
}
