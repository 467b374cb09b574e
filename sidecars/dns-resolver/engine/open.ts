/**
 * Which engine answers over UDP: the batched one where it can run, else node:dgram. Both give the same
 * answers.
 */
import type { Address } from "../../../kit/address.ts";
import { faultWords } from "../../../kit/fault-words.ts";
import type { Logger } from "../../../kit/logger.ts";
import { startBatched } from "./batched.ts";
import type { Desk } from "./desk.ts";
import { startDgram } from "./dgram.ts";
import type { UdpEngine } from "./dgram.ts";
import type { Tally } from "./tally.ts";

export type EngineName = "batched" | "dgram";

export interface Engine {
  readonly name: EngineName;
  /** @throws the system's error when the address cannot be bound */
  listen(address: Address): Promise<UdpEngine>;
  /** Counters beside those of the desk. */
  tallies(): readonly Tally[];
  close(): Promise<void>;
}

/** The engine that was asked for cannot run on this machine. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  readonly code = "ERR_DNS_ENGINE";
}

/**
 * Opens the engine that is wanted; "auto" is the batched one, or else node:dgram.
 * @throws EngineError when `wanted` is one that cannot run here
 */
export async function openEngine(
  wanted: "auto" | EngineName,
  desk: Desk,
  logger: Logger,
): Promise<Engine> {
  if (wanted !== "dgram") {
    try {
      return await startBatched(desk, logger);
    } catch (error) {
      const why = faultWords(error);
      if (wanted === "batched") {
        throw new EngineError(`the batched engine cannot run here: ${why}`, { cause: error });
      }
      logger.info({ step: "engine", reason: why }, "UDP by node:dgram: no batched engine here");
    }
  }
  return {
    name: "dgram",
    listen: (address) => startDgram(address, desk),
    tallies: () => [],
    close: async () => undefined,
  };
}
