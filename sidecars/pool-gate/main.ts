/**
 * The pool-gate process: reads its settings, resumes what an earlier one had paused, and answers
 * over HTTP until it is asked to stop. Exit codes: 0 stopped as asked, 1 failed, 64 usage, 69 the
 * address cannot be listened on, 78 configuration.
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
import { Gate } from "./gate.ts";
import { PoolerConsole } from "./pooler.ts";
import { gateRoutes } from "./routes.ts";
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
    "Owns the PAUSE of one PgBouncer: pauses under a lease, and resumes when the lease ends.",
    "",
    "usage: pool-gate [--env ENVIRONMENT --gate EDGEPOOLER [--config-folder FOLDER]]",
    "",
    "With --env, everything comes from the environment file. Without it, from variables:",
    "",
    ...variableHelp(variableRows),
    "",
    "Paths: GET /status /livez, POST /pause /renew /resume",
  ].join("\n");
}

/** What the command line asks for; undefined when the help was asked for. */
function sourceOf(words: readonly string[]): SettingsSource | undefined {
  const parsed = parseSidecarWords(words, { program: "pool-gate", part: "gate" });
  if (parsed.help) return undefined;
  const variables = process.env;
  const { environment } = parsed;
  if (environment === undefined) return { variables };
  const folder = environment.folder ?? inCheckout("config");
  return { variables, environment: { ...environment, folder } };
}

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
  const source = sourceOf(process.argv.slice(2));
  if (source === undefined) {
    process.stdout.write(`${usage()}\n`);
    return;
  }
  const settings = await readSettings(source);
  const name = settings.name === null ? "pool-gate" : `pool-gate of ${settings.name}`;
  const logger = createLogger({ name: "pool-gate", level: settings.logLevel });
  await runService(() => start(settings, logger), { name, stopDeadlineMs: 5000, logger });
}

try {
  await run();
} catch (error) {
  const { message, code } = error as { message?: string; code?: string };
  for (const line of String(message ?? error).split("\n")) {
    process.stderr.write(`pool-gate: ${line}\n`);
  }
  process.exitCode = exitCodeByError[code ?? ""] ?? 1;
}
