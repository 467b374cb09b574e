/**
 * Tells the registry what is served here: at once when that has changed, every 15 s as a sign of
 * life, and again until it was heard. What it answers shows whether the poll still hears everything.
 */
import type { Clock } from "../../../kit/clock.ts";
import { acknowledge } from "../../../registry/client.ts";
import type { RegistryTarget } from "../../../registry/client.ts";
import type { AckRequest } from "../../../registry/contract.ts";
import { backoff, createBell } from "./pace.ts";
import { syncFaultWords } from "./sync-ledger.ts";

export interface AckOptions {
  readonly registry: RegistryTarget;
  readonly node: number;
  readonly clock: Clock;
  readonly lifeSignMs: number;
  /** It was heard: when, in milliseconds since 1970; `fits` when the registry is at that generation. */
  readonly heard: (generation: number, at: number, fits: boolean) => void;
  /** It was not heard, and why. */
  readonly unheard: (words: string) => void;
}

export interface Acks {
  /** From now on this is what is served. */
  say(body: AckRequest): void;
  /** Ends with the signal it was started with. */
  readonly ended: Promise<void>;
}

const linesMax = 10;
const lineMax = 300;

/** The lines of what is wrong, cut to what an acknowledgement takes. */
export function ackLines(lines: readonly string[]): string[] {
  const shown = lines.length <= linesMax ? lines : lines.slice(0, linesMax - 1);
  const more = lines.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].map((line) =>
    line.slice(0, lineMax),
  );
}

/** Starts to acknowledge; nothing is sent before something was said. */
export function startAcks(options: AckOptions, signal: AbortSignal): Acks {
  const bell = createBell();
  let body: AckRequest | undefined;
  const run = async (): Promise<void> => {
    let failures = 0;
    while (!signal.aborted) {
      if (body !== undefined) failures = (await send(options, body, signal)) ? 0 : failures + 1;
      const pause =
        failures === 0 ? options.lifeSignMs : Math.min(options.lifeSignMs, backoff(failures));
      await bell.wait(pause, signal).catch(() => undefined);
    }
  };
  return {
    say: (next) => {
      body = next;
      bell.ring();
    },
    ended: run(),
  };
}

async function send(
  { clock, heard, node, registry, unheard }: AckOptions,
  body: AckRequest,
  signal: AbortSignal,
): Promise<boolean> {
  const generation = body.applied_generation;
  try {
    const reply = await acknowledge(registry, node, body, signal);
    heard(generation, clock.now(), reply.server_generation === generation);
    return true;
  } catch (error) {
    if (!signal.aborted) unheard(syncFaultWords(error, node));
    return signal.aborted;
  }
}
