/** How the steps of an operation stand in `--json`: the same for every command (docs/cli-json.md). */
import type { StepEvent } from "../../router/operation/run-step.ts";

interface Told {
  readonly event: string;
  readonly phase?: string;
  readonly ms?: number;
}

/**
 * The JSON lines of one event. Of a step there are `start` and then `done` or `failed`, also of one
 * that was so already (`skipped: true`); what it waits for meanwhile is an event of its own, so
 * that who reads for these phases reads no other.
 */
export function jsonLines<T extends Told>(told: T): string[] {
  if (told.event === "step" && told.phase === "waiting") {
    const { phase: _phase, ...rest } = told;
    return [JSON.stringify({ ...rest, event: "waiting" })];
  }
  if (told.event !== "step" || told.phase !== "skipped") return [JSON.stringify(told)];
  return [
    JSON.stringify({ ...told, phase: "start", ms: 0, facts: undefined }),
    JSON.stringify({ ...told, phase: "done", skipped: true }),
  ];
}

/** The JSON lines of what the executor tells of a step; facts only where there are any. */
export function stepJson({ ms, facts = {}, ...event }: StepEvent): string[] {
  const more = Object.keys(facts).length === 0 ? {} : { facts };
  return jsonLines({ event: "step", ...event, ms: Math.round(ms), ...more });
}
