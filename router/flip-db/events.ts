/**
 * What a flip tells while it runs and when it has ended: the lines of `flip-db --json`, of the
 * executor's event file and of `history`. docs/cli-json.md has them as a contract.
 */
import type { Facts } from "../operation/step.ts";

export interface FlipPids {
  /** Who carries it out; after that one's death the watcher itself. */
  readonly executor: number;
  readonly watcher: number | null;
}

/** The first line: what is about to be done. */
export interface FlipBeginEvent {
  readonly event: "begin";
  readonly operationId: string;
  readonly kind: FlipReport["kind"];
  readonly from: string;
  readonly to: string;
  readonly mode: FlipReport["mode"];
  /** ISO 8601. */
  readonly startedAt: string;
  readonly pids: FlipPids;
}

export interface FlipStepEvent {
  readonly event: "step";
  readonly step: string;
  readonly phase: "start" | "done" | "failed" | "skipped" | "waiting";
  /** The processes of the flip: who carries it out and who watches over it. */
  readonly pids: FlipPids;
  /** Since the step began. */
  readonly ms: number;
  /** For the operator: what the step does, and with `waiting` what it waits for. */
  readonly words: string;
  readonly reason?: string;
  /** In `--json`, which knows no phase `skipped`: with `done`, when it was so already. */
  readonly skipped?: true;
  /** What came out of it, with `done`. */
  readonly facts?: Facts;
}

/** Something that the operator should know now. */
export interface FlipNoteEvent {
  readonly event: "note";
  readonly pids: FlipPids;
  readonly words: string;
}

/** The last line where there is no report: nothing was begun, so nothing was changed. */
export interface FlipFailureEvent {
  readonly event: "failure";
  /** As in bin/cli/exit-codes.ts. */
  readonly code: string;
  readonly message: string;
}

export type FlipEvent =
  | FlipBeginEvent
  | FlipStepEvent
  | FlipNoteEvent
  | FlipFailureEvent
  | FlipReport;

/** When each resolver had the new primary, in ms. */
export interface FlipNames {
  readonly generation: number;
  /** What the times count from: the end of the promotion, or where another run made it, this step. */
  readonly since: "promotion" | "step";
  readonly resolvers: readonly {
    readonly name: string;
    /** When the registry had its acknowledgement; null where it has no such node. */
    readonly acknowledgedMs: number | null;
    /** When it answered so itself; null where it was not asked. */
    readonly answeredMs: number | null;
  }[];
  /** Nodes that the registry has not heard of for a while, and what a lost host took along. */
  readonly absent: readonly string[];
}

export interface FlipReport {
  readonly event: "report";
  readonly operationId: string;
  readonly kind: "flip" | "resume" | "abort" | "failover";
  /** done: writes are on `to`; undone: writes are on `from`; stuck: see `next`; refused: nothing was done. */
  readonly result: "done" | "undone" | "stuck" | "refused";
  /** The operator asked for the end of it, and it was taken back. */
  readonly aborted: boolean;
  readonly from: string;
  readonly to: string;
  readonly mode: "seamless" | "fast";
  /** ISO 8601. */
  readonly startedAt: string;
  readonly tookMs: number;
  /** From the first client held, or the old primary's stop, to the last one released; null when never. */
  readonly pauseMs: number | null;
  /** The longest that any one gate held its clients; null in fast mode. */
  readonly longestHoldMs: number | null;
  readonly steps: readonly { readonly step: string; readonly ms: number; readonly facts: Facts }[];
  readonly sessionsClosed: number;
  readonly timelines: { readonly before: number; readonly after: number | null };
  /** Of the old primary's shutdown checkpoint, and what the standby had replayed, as LSN text. */
  readonly lsns: { readonly checkpoint: string | null; readonly replayed: string | null };
  /** `none, proven by …`, or what may be lost, or why it is not known. */
  readonly loss: string;
  /** How the names followed; left out where there are none, or they did not. */
  readonly names?: FlipNames;
  /** Who made the change, where it was asked of a monitor. */
  readonly manager?: "pg_auto_failover";
  /** Whether the old primary streams from the new one again. */
  readonly rejoined: boolean;
  /** What failed, or failed without ending the flip. */
  readonly problems: readonly { readonly step: string; readonly reason: string }[];
  /** The command that helps; null when nothing is left to do. */
  readonly next: string | null;
}
