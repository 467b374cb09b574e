/**
 * Logs of long-running processes: JSON lines on standard output, one info line for each change and
 * one debug line a cycle. Field names are fixed: node role timeline lsn lagBytes generation
 * operationId step. Tools for people do not log; they print.
 */
import { pino } from "pino";

export type Logger = Pick<ReturnType<typeof pino>, "debug" | "info" | "warn" | "error">;

/** Makes a logger; `level` is pino's (debug, info, warn, error, silent). */
export function createLogger(options: { name: string; level: string }): Logger {
  return pino({ name: options.name, level: options.level, base: { name: options.name } });
}
