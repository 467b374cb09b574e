/**
 * Tells the operator how a rebuild goes: a line for each step, and the progress of a copy as one
 * line that is written anew on a terminal, or as a line every five seconds elsewhere.
 */
import { systemClock } from "../../../kit/clock.ts";
import type { StepEvent } from "../../../router/operation/run-step.ts";
import type { RebuildReport } from "../../../router/rebuild-standby/report.ts";
import type { RebuildRequest } from "../../../router/rebuild-standby/rebuild-actions.ts";
import { ProgressMeter, progressWords } from "../../../router/rebuild-standby/progress.ts";
import type { Amount, Progress } from "../../../router/rebuild-standby/progress.ts";
import type { RebuildResult } from "../../../router/rebuild-standby/rebuild.ts";
import { rebuildReport } from "../../../router/rebuild-standby/report.ts";
import type { Invocation } from "../../cli/command.ts";
import { stepJson } from "../../cli/step-json.ts";
import { stepPrinter, timeWidth } from "../../cli/step-lines.ts";

const lineEveryMs = 5000;
const eraseLine = "\r\u001B[K";
const indent = " ".repeat(timeWidth + 2);

export class Telling {
  readonly #invocation: Invocation;
  readonly #environment: string;
  readonly #request: RebuildRequest;
  readonly #events: StepEvent[] = [];
  readonly #startedAt = systemClock.now();
  readonly #began = systemClock.monotonic();
  readonly #linesOfStep: ReturnType<typeof stepPrinter>;
  #meter = new ProgressMeter();
  #progress: Progress | null = null;
  #saidAt = -lineEveryMs;
  #lineIsOpen = false;

  constructor(invocation: Invocation, environment: string, request: RebuildRequest) {
    this.#invocation = invocation;
    this.#environment = environment;
    this.#request = request;
    this.#linesOfStep = stepPrinter(invocation.output.style);
  }

  /** Takes an event of a step. */
  step(event: StepEvent): void {
    this.#events.push(event);
    if (event.phase === "start") this.#meter = new ProgressMeter();
    const { output, flags } = this.#invocation;
    if (flags["json"] === true) {
      for (const line of stepJson(event)) output.result(line);
      return;
    }
    // A copy that tells how far it is need not say that it goes on.
    if (event.phase === "waiting" && this.#lineIsOpen) return;
    const lines = this.#linesOfStep(event);
    if (lines.length > 0) this.end();
    for (const line of lines) output.note(line);
  }

  /** Takes how much was copied. */
  amount(step: string, amount: Amount): void {
    const now = systemClock.monotonic();
    const progress = this.#meter.add(amount, now);
    this.#progress = progress;
    const { output, flags } = this.#invocation;
    if (flags["json"] === true) {
      output.result(JSON.stringify({ event: "progress", step, ...rounded(progress) }));
    } else if (output.interactive) {
      process.stderr.write(`${eraseLine}${indent}${progressWords(progress)}`);
      this.#lineIsOpen = true;
    } else if (now - this.#saidAt >= lineEveryMs) {
      this.#saidAt = now;
      output.note(`${indent}${progressWords(progress)}`);
    }
  }

  /** Ends a line that is being written anew. */
  end(): void {
    if (!this.#lineIsOpen) return;
    this.#lineIsOpen = false;
    process.stderr.write("\n");
  }

  /** The report of what was told so far, with how it ended. */
  report(result: RebuildResult): RebuildReport {
    const isRefused = result.kind === "refused";
    return rebuildReport({
      environment: this.#environment,
      request: this.#request,
      plans: isRefused ? [] : result.plans,
      outcome: isRefused ? null : result.outcome,
      refused: isRefused ? result.why : "",
      events: this.#events,
      copied: this.#progress,
      startedAt: new Date(this.#startedAt).toISOString(),
      tookMs: Math.round(systemClock.monotonic() - this.#began),
    });
  }
}

function rounded(progress: Progress): Progress {
  const { bytesPerSecond } = progress;
  return {
    ...progress,
    bytesPerSecond: bytesPerSecond === null ? null : Math.round(bytesPerSecond),
  };
}
