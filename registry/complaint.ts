/**
 * One line in the log for each change of what is wrong. What is tried again and again would fill the
 * log with one and the same, and what is not told at all looks healthy.
 */
import type { Logger } from "../kit/logger.ts";

export interface Complaint {
  /**
   * Tells why something fails, as a warning, unless that was told last. The reason holds no secret and
   * nothing that differs each time, such as a number of tries.
   */
  about(reason: string): void;
  /** It does not fail any more; `words` are told where something was wrong. */
  over(words?: string): void;
}

/** Facts of a log line, such as { step: "lead" }. */
export type ComplaintFacts = Readonly<Record<string, unknown>>;

/**
 * A complaint that nobody has made yet. `facts` go with each of its lines; without a logger nothing is
 * told.
 */
export function createComplaint(
  logger: Pick<Logger, "warn" | "info"> | undefined,
  facts: ComplaintFacts,
): Complaint {
  let told: string | undefined;
  return {
    about: (reason) => {
      if (reason === told) return;
      told = reason;
      logger?.warn(facts, reason);
    },
    over: (words) => {
      if (told === undefined) return;
      told = undefined;
      if (words !== undefined) logger?.info(facts, words);
    },
  };
}
