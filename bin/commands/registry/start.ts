/** `registry start`: runs the registry until SIGTERM or SIGINT. */
import { resolve } from "node:path";
import { createLogger } from "../../../kit/logger.ts";
import { runService } from "../../../kit/service.ts";
import { startRegistry } from "../../../registry/process.ts";
import { readSettings } from "../../../registry/settings.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { takeInterrupts } from "../../cli/interrupts.ts";
import { processVariables } from "../../cli/process-variables.ts";

const stopDeadlineMs = 5000;

/** 0 when it was stopped as asked. */
export async function run({ flags }: Invocation): Promise<number> {
  const folder = typeof flags["data"] === "string" ? resolve(flags["data"]) : undefined;
  const settings = await readSettings(processVariables(), folder);
  const logger = createLogger({ name: "registry", level: settings.logLevel });
  // The end of a service is no abort: runService listens by itself.
  const ours = takeInterrupts(() => undefined);
  try {
    const start = (signal: AbortSignal) => startRegistry(settings, logger, signal);
    await runService(start, { name: "registry", stopDeadlineMs, logger });
  } finally {
    ours();
  }
  return exitCodes.done;
}
