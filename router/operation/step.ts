/**
 * What a careful operation is made of: rows of a table. A row knows what must hold before it acts,
 * how the world looks once it is done, and which rows undo it. Rows judge what was seen just now;
 * they keep no state of their own.
 */

/** The four types that one kind of operation brings along. */
export interface OperationKind {
  /** What is to be done: plain data that can be printed. */
  readonly plan: unknown;
  /** One look at the world. */
  readonly seen: unknown;
  readonly actions: unknown;
  /** The names of what a look can be asked for. */
  readonly part: string;
}

/** What is worth remembering of a step; journaled as it stands, so no secrets. */
export type Facts = Readonly<Record<string, string | number | boolean>>;

export interface StepContext<K extends OperationKind> {
  readonly plan: K["plan"];
  /** The look by which the row was allowed to run. */
  readonly seen: K["seen"];
  readonly actions: K["actions"];
  /** The session that holds the lock on the member that counts; null where none could be had. */
  readonly session: string | null;
}

export interface StepRow<K extends OperationKind> {
  readonly step: string;
  /** Bounds the act and, from its start, the looks that confirm it. */
  readonly deadlineMs: number;
  readonly lookEveryMs: number;
  /** All that the row judges by. The rest of a look stays unknown, which keeps looks short. */
  readonly looksAt: readonly K["part"][];
  /** What the looks that confirm it show: enough for `isDone`, and for the next row if it can. */
  readonly confirmsBy?: readonly K["part"][];
  /** False for what must be undone even without the lock, and guards itself. */
  readonly needsLock: boolean;
  /** From the moment this row is started nothing is undone any more. */
  readonly pointOfNoReturn?: true;
  /** Its failure is reported and does not end the operation. */
  readonly mayFail?: true;
  /**
   * Of what takes back: where the operator has called the operation off, its failure is reported and
   * leaves nothing for him to do, since others see to it.
   */
  readonly mayFailAborted?: (plan: K["plan"]) => boolean;
  /** It sees to its own tries, under a deadline of its own: past the point of no return too. */
  readonly once?: true;
  /** What others do meanwhile may end the session of the lock: then it is taken anew after it. */
  readonly mayEndLock?: true;
  /** It closes the operation, so it is left out while anything before it is left to undo. */
  readonly closes?: true;
  /** For the operator: `stop Postgres on dal-01`. */
  readonly describe: (plan: K["plan"]) => string;
  /** Why it must not run now; undefined when all holds that must. */
  readonly whyNot: (plan: K["plan"], seen: K["seen"]) => string | undefined;
  /**
   * What `whyNot` says may pass by itself: then it is looked at again for `withinMs`. The lock is asked
   * for as long again, while its session is open.
   */
  readonly passing?: {
    readonly withinMs: number;
    readonly may: (plan: K["plan"], seen: K["seen"]) => boolean;
  };
  /** Whether the world shows its effect. Left out where nothing shows: then its answer counts. */
  readonly isDone?: (plan: K["plan"], seen: K["seen"]) => boolean;
  /** Others may undo its effect before it was seen: then it acts again before each further look. */
  readonly fades?: true;
  /** Why waiting for the effect makes no sense any more; undefined while it does. */
  readonly whyLost?: (plan: K["plan"], seen: K["seen"]) => string | undefined;
  /** What it waits for, in words, when it is slow; undefined where nothing more is known. */
  readonly waitsFor?: (plan: K["plan"], seen: K["seen"]) => string | undefined;
  /** What `waitsFor` wants to see, where that is more than `looksAt`. */
  readonly waitsLookAt?: readonly K["part"][];
  /** What the look that confirmed it shows, for the report. */
  readonly factsOf?: (plan: K["plan"], seen: K["seen"]) => Facts;
  /** Its act changes nothing that a look shows, so the look before it serves the next row too. */
  readonly keepsLook?: true;
  /** Acts; must be safe to repeat. A row that only waits for something returns at once. */
  readonly run: (
    context: StepContext<K>,
    signal: AbortSignal,
  ) => Promise<Facts | undefined> | undefined;
  /** What takes it back, in order. Each is judged by the world, so a half-done step is undone too. */
  readonly undo: readonly StepRow<K>[];
}
