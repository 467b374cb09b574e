/**
 * The looks of one operation. What was seen a moment ago is not looked at again: the look that
 * confirmed one step serves the next one, as long as nothing was done in between. Between hold and
 * release clients wait for every look.
 */
import type { Timing } from "../../kit/clock.ts";
import type { OperationKind } from "./step.ts";

/** A look at the world. */
export type Observe<K extends OperationKind> = (
  parts: readonly K["part"][],
  signal: AbortSignal,
) => Promise<K["seen"]>;

/** What was seen serves again for this long. */
export const lookServesMs = 20;
/** One look, and one question to the lock. */
export const lookDeadlineMs = 5000;

export class Looks<K extends OperationKind> {
  readonly #observe: Observe<K>;
  readonly #timing: Timing;
  #last: { readonly seen: K["seen"]; readonly parts: ReadonlySet<string>; at: number } | undefined;

  constructor(observe: Observe<K>, timing: Timing) {
    this.#observe = observe;
    this.#timing = timing;
  }

  /**
   * Looks at `parts` now.
   * @throws DeadlineError, the signal's reason, or what looking throws
   */
  async fresh(why: string, parts: readonly K["part"][], signal?: AbortSignal): Promise<K["seen"]> {
    this.forget();
    const at = this.#timing.clock.monotonic();
    const what = `${why}: look at ${parts.join(", ")}`;
    const work = (inner: AbortSignal): Promise<K["seen"]> => this.#observe(parts, inner);
    const seen = await this.#timing.limit(what, lookDeadlineMs, work, signal);
    this.#last = { seen, parts: new Set(parts), at };
    return seen;
  }

  /** The last look, if it shows all of `parts` and began a moment ago; else a fresh one. */
  async recent(why: string, parts: readonly K["part"][], signal?: AbortSignal): Promise<K["seen"]> {
    const last = this.#last;
    const isRecent = last !== undefined && this.#timing.clock.monotonic() - last.at < lookServesMs;
    const covers = isRecent && parts.every((one) => last.parts.has(one));
    return covers ? last.seen : await this.fresh(why, parts, signal);
  }

  /** Something is about to change: what was seen does not serve any more. */
  forget(): void {
    this.#last = undefined;
  }
}
