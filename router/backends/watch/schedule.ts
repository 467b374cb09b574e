/**
 * What is due when: a heap of moments over one timer, so that a thousand targets cost one. The timer
 * holds the process alive as long as something is due.
 */
import { nextTurn } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";

export interface Schedule {
  /**
   * Calls `run` once at `atMs` of the clock's monotonic time, or as soon as possible after it; up to
   * `earlyMs` before it when something else is due then: what comes together costs less.
   */
  at(atMs: number, run: () => void, earlyMs?: number): Due;
  /** How much is due still. */
  readonly size: () => number;
}

export interface Due {
  cancel(): void;
}

interface Entry extends Due {
  readonly atMs: number;
  readonly earlyMs: number;
  readonly order: number;
  readonly run: () => void;
  /** Where it stands in the heap; -1 when it does not. */
  place: number;
}

/** A timer that comes later than this was held up by this process: answers may lie unread. */
const lateMs = 20;

/** Why a sleep ends early; one for all, since an error made anew each time has its price. */
const woken = new Error("something else is due");

/** A schedule of `clock`. What `run` throws is lost to nobody: it ends the process as any lost error. */
export function createSchedule(clock: Clock): Schedule {
  const heap: Entry[] = [];
  let order = 0;
  let wake: AbortController | undefined;
  const remove = (entry: Entry): void => {
    if (entry.place >= 0) removeAt(heap, entry.place);
    // Asleep for nothing, it would hold the process alive.
    if (heap.length === 0) wake?.abort(woken);
  };
  let isAwake = false;
  const run = async (): Promise<void> => {
    isAwake = true;
    try {
      // Nothing runs before whoever asked for it knows that it is due.
      await Promise.resolve();
      let hasRun = false;
      for (let first = heap[0]; first !== undefined; first = heap[0]) {
        const waitMs = first.atMs - clock.monotonic();
        if (waitMs > (hasRun ? first.earlyMs : 0)) {
          hasRun = false;
          wake = new AbortController();
          await clock.sleep(waitMs, wake.signal).catch(() => undefined);
          // What is read first is what came in time: no answer counts as late because we were.
          if (clock.monotonic() - first.atMs > lateMs) await nextTurn();
          continue;
        }
        hasRun = true;
        removeAt(heap, 0);
        first.run();
      }
    } finally {
      // In the same turn as the last look at the heap, or what is added meanwhile would be lost.
      isAwake = false;
      wake = undefined;
    }
  };
  return {
    at: (atMs, callback, earlyMs = 0) => {
      const cancel = (): void => remove(entry);
      const entry: Entry = { atMs, earlyMs, order, run: callback, place: -1, cancel };
      order += 1;
      insert(heap, entry);
      if (!isAwake) void run();
      else if (entry.place === 0) wake?.abort(woken);
      return entry;
    },
    size: () => heap.length,
  };
}

const isBefore = (one: Entry, other: Entry): boolean =>
  one.atMs === other.atMs ? one.order < other.order : one.atMs < other.atMs;

function insert(heap: Entry[], entry: Entry): void {
  heap.push(entry);
  rise(heap, entry, heap.length - 1);
}

function removeAt(heap: Entry[], at: number): void {
  const entry = heap[at];
  const last = heap.pop();
  if (entry === undefined || last === undefined) return;
  entry.place = -1;
  if (entry === last) return;
  rise(heap, last, at);
  sink(heap, last, last.place);
}

/** Puts an entry at `from` or as far above as it belongs. */
function rise(heap: Entry[], entry: Entry, from: number): void {
  let at = from;
  while (at > 0) {
    const above = Math.floor((at - 1) / 2);
    const parent = heap[above];
    if (parent === undefined || !isBefore(entry, parent)) break;
    put(heap, parent, at);
    at = above;
  }
  put(heap, entry, at);
}

function sink(heap: Entry[], entry: Entry, from: number): void {
  let at = from;
  for (;;) {
    const [left, right] = [heap[at * 2 + 1], heap[at * 2 + 2]];
    const child = right !== undefined && left !== undefined && isBefore(right, left) ? right : left;
    if (child === undefined || !isBefore(child, entry)) break;
    const { place } = child;
    put(heap, child, at);
    at = place;
  }
  put(heap, entry, at);
}

/** An entry knows its place, so that it can be taken out without a search. */
function put(heap: Entry[], entry: Entry, at: number): void {
  const moved = entry;
  heap[at] = moved;
  moved.place = at;
}
