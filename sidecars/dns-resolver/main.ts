/**
 * The dns-resolver process: reads its settings, answers for the zone from the snapshot or the
 * registry, and forwards the rest, until it is asked to stop. Exit codes: 0 stopped as asked, 1
 * failed, 64 usage, 69 the status address cannot be listened on, 75 another one has the state folder,
 * 78 configuration.
 */
import { flushCompileCache } from "node:module";
import { setFlagsFromString } from "node:v8";
import { sidecarEnding, sidecarHelp, sidecarSource } from "../../config/sidecar-words.ts";
import type { Sidecar } from "../../config/sidecar-words.ts";
import { systemClock } from "../../kit/clock.ts";
import { listen } from "../../kit/http.ts";
import { createLogger } from "../../kit/logger.ts";
import type { Logger } from "../../kit/logger.ts";
import { runService } from "../../kit/service.ts";
import type { Service } from "../../kit/service.ts";
import { startResolver } from "./resolver.ts";
import type { Resolver } from "./resolver.ts";
import { resolverRoutes } from "./routes.ts";
import { readSettings } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { ownState } from "./sync/state-owner.ts";
import { variableTable } from "./variables.ts";

const sidecar: Sidecar = {
  program: "dns-resolver",
  purpose: "Answers for the zone of the registry over DNS, and forwards other questions.",
  variables: variableTable,
  paths: "/livez /readyz /status /metrics; `dns-resolver status` prints the status",
};

async function start(settings: Settings, logger: Logger, signal: AbortSignal): Promise<Service> {
  let resolver: Resolver | undefined;
  let isReloadAsked = false;
  process.on("SIGHUP", () => {
    isReloadAsked = true;
    void resolver?.reloadUpstreams();
  });
  // First: a second resolver must not touch the snapshot of this one.
  const owned = await ownState(settings.folder);
  const server = await listen(
    settings.statusListen,
    resolverRoutes(() => resolver?.status()),
    (error, path) => logger.error({ step: path, err: error }, "a request failed"),
  );
  try {
    const started = await startResolver({ settings, clock: systemClock, logger }, signal);
    resolver = started;
    keepHeapSmall();
    // Since the settings were read, the file may have changed.
    if (isReloadAsked) void started.reloadUpstreams();
    // Node writes it at its end, which may be a kill.
    flushCompileCache();
    const { registry, zone } = settings;
    const hasZone = (): boolean => started.status().generation !== null;
    return {
      waitsFor: () => (hasZone() ? undefined : `the zone ${zone.zone} from ${registry}`),
      stop: async () => {
        await started.stop();
        owned.release();
        await server.close(500);
      },
    };
  } catch (error) {
    owned.release();
    await server.close(0);
    throw error;
  }
}

/**
 * Each new state of the zone leaves the old one as garbage; it is collected before the heap doubles.
 * Not before the threads run: compiled code is kept apart by these flags, and they would have none.
 */
function keepHeapSmall(): void {
  setFlagsFromString("--heap-growing-percent=25");
  setFlagsFromString("--optimize-for-size");
}

async function run(): Promise<void> {
  const source = sidecarSource(sidecar, process.argv.slice(2), process.env);
  if (source === undefined) {
    process.stdout.write(`${sidecarHelp(sidecar)}\n`);
    return;
  }
  const settings = await readSettings(source);
  const name = `${sidecar.program} of ${settings.zone.zone}`;
  const logger = createLogger({ name: sidecar.program, level: settings.logLevel });
  await runService((signal) => start(settings, logger, signal), {
    name,
    stopDeadlineMs: 5000,
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
