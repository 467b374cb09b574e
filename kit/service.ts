/**
 * The life of a long-running process: start, be ready, stop when asked to (SIGTERM, SIGINT) within
 * a deadline. A signal during the start ends the start.
 */
import { withDeadline } from "./clock.ts";

export interface Service {
  /** What it has to wait for still, though it runs; undefined, or not there: nothing. */
  readonly waitsFor?: () => string | undefined;
  /** Gives everything back; called once. */
  readonly stop: () => Promise<void>;
}

export interface ServiceOptions {
  readonly name: string;
  readonly stopDeadlineMs: number;
  readonly logger: { readonly info: (facts: object, text: string) => void };
  /** Where the signals come from; this process when not given. */
  readonly signals?: Pick<NodeJS.EventEmitter, "on" | "off">;
}

/** A second signal came while the service was stopping. */
export class StopInterruptedError extends Error {
  override readonly name = "StopInterruptedError";
  readonly code = "ERR_STOP_INTERRUPTED";
  constructor(name: string, signal: string) {
    super(`${name}: ${signal} while stopping: gave up waiting for a clean end`);
  }
}

const endSignals = ["SIGTERM", "SIGINT"] as const;

/**
 * Starts a service and resolves when it has been asked to stop and has stopped. `start` gets a
 * signal that aborts when the end is asked for before the service is ready.
 * @throws what `start` or `stop` throws, DeadlineError when stopping takes too long,
 * StopInterruptedError on a second signal
 */
export async function runService(
  start: (signal: AbortSignal) => Promise<Service>,
  options: ServiceOptions,
): Promise<void> {
  const { name, logger } = options;
  const source = options.signals ?? process;
  const asked = new AbortController();
  const impatient = new AbortController();
  const listeners = endSignals.map((signal) => {
    const listener = (): void => {
      if (asked.signal.aborted) impatient.abort(new StopInterruptedError(name, signal));
      else asked.abort(signal);
    };
    source.on(signal, listener);
    return { signal, listener };
  });
  try {
    const service = await startUnlessAsked(start, asked.signal);
    if (service === undefined) return;
    const lacking = service.waitsFor?.();
    const state = lacking === undefined ? "is ready" : `runs, and waits for ${lacking}`;
    logger.info({ step: "ready" }, `${name} ${state}`);
    await aborted(asked.signal);
    logger.info({ step: "stop" }, `${name} stops: ${String(asked.signal.reason)}`);
    const stop = (): Promise<void> => service.stop();
    await withDeadline(`stop ${name}`, options.stopDeadlineMs, stop, impatient.signal);
  } finally {
    for (const { signal, listener } of listeners) source.off(signal, listener);
  }
}

async function startUnlessAsked(
  start: (signal: AbortSignal) => Promise<Service>,
  asked: AbortSignal,
): Promise<Service | undefined> {
  try {
    return await start(asked);
  } catch (error) {
    if (asked.aborted) return undefined;
    throw error;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}
