/**
 * What a rebuild tells while it runs and when it has ended: the lines of `rebuild-standby --json`.
 * docs/cli-json.md has them as a contract.
 */
import type { Facts } from "../operation/step.ts";
import type { Progress } from "./progress.ts";
import type { RebuildMethod } from "./rebuild-actions.ts";

export interface RebuildStepEvent {
  readonly event: "step";
  readonly step: string;
  readonly phase: "start" | "done" | "failed" | "skipped" | "waiting";
  /** Since the step began. */
  readonly ms: number;
  /** What the step does, and with `waiting` what it waits for. */
  readonly words: string;
  readonly reason?: string;
}

export interface RebuildProgressEvent extends Progress {
  readonly event: "progress";
  readonly step: string;
}

export interface RebuildReport {
  readonly event: "report";
  readonly operationId: string;
  readonly kind: "rebuild";
  /** done: it streams; undone: it is as before; stuck: see `next`; refused: nothing was done. */
  readonly result: "done" | "undone" | "stuck" | "refused";
  readonly member: string;
  readonly source: string;
  /** Null when it was refused. */
  readonly method: RebuildMethod | null;
  /** Why this method, or why nothing was done. */
  readonly why: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly tookMs: number;
  readonly steps: readonly { readonly step: string; readonly ms: number; readonly facts: Facts }[];
  /** What was copied, by pg_basebackup or pg_rewind; null where nothing was. */
  readonly copied: {
    readonly bytes: number;
    readonly ms: number;
    readonly bytesPerSecond: number;
  } | null;
  /** WAL of the member that its source never had; null when there was none. */
  readonly thrownAway: {
    readonly walBytes: number;
    readonly transactions: number;
    readonly exportedTo: string | null;
  } | null;
  /** Whether the member streams from its source now. */
  readonly streams: boolean;
  /** What failed, or failed without ending the rebuild. */
  readonly problems: readonly { readonly step: string; readonly reason: string }[];
  /** The command that helps; null when nothing is left to do. */
  readonly next: string | null;
}
