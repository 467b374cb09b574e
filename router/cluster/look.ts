/**
 * Looks at one part of a cluster under a deadline: what fails is a report that says why, so that one
 * dead part hides no other.
 */
import { systemClock, withDeadline } from "../../kit/clock.ts";
import type { Report } from "./observation.ts";

interface LookOptions {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/** Looks at one part; what fails is a report that says why. @throws the outer signal's reason */
export type Look = <T>(
  what: string,
  work: (options: LookOptions) => Promise<T>,
) => Promise<Report<T>>;

const marginMs = 100;

/** Looks that take `deadlineMs` each at most, and end with the outer signal. */
export function reporter(deadlineMs: number, outer: AbortSignal | undefined): Look {
  return async (what, work) => {
    const start = systemClock.monotonic();
    const took = (): number => Math.round(systemClock.monotonic() - start);
    try {
      const value = await withDeadline(
        what,
        // Longer than the part's own deadlines, whose messages say more.
        deadlineMs + marginMs,
        (signal) => work({ deadlineMs, signal }),
        outer,
      );
      return { state: "known", tookMs: took(), value };
    } catch (error) {
      outer?.throwIfAborted();
      const message = error instanceof Error ? error.message : String(error);
      const [line = message] = message.split("\n");
      const { sqlState } = error as { readonly sqlState?: string };
      const said = sqlState === undefined ? {} : { sqlState };
      return { state: "unreachable", tookMs: took(), error: line, ...said };
    }
  };
}
