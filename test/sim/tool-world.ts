/** A simulated tool as runFlip wants it: looks, acts, the lock, its journal and its time. */
import { DeadlineError } from "../../kit/clock.ts";
import type { Journal } from "../../router/operation/journal-file.ts";
import type { JournalRecord } from "../../router/operation/records.ts";
import type { FlipWorld } from "../../router/flip-db/flip.ts";
import { simActions } from "./actions.ts";
import { hang } from "./faults.ts";
import { lookAt } from "./look.ts";
import type { Tool } from "./tool.ts";

/** Everything that runFlip needs. */
export function worldOf(tool: Tool): FlipWorld {
  const { world } = tool;
  return {
    observe: async (parts, ends) => {
      tool.ends = ends ?? tool.ends;
      if (!tool.alive) await tool.kill();
      world.advance(1);
      return lookAt(tool, parts, ends);
    },
    actions: simActions(tool),
    leaveOut: (parts) => {
      tool.leftOut = parts;
    },
    lock: { acquire: (...words) => tool.acquire(...words) },
    records: () => Promise.resolve([...tool.file]),
    journal: simJournal(tool),
    timing: {
      clock: {
        now: () => world.now,
        monotonic: () => world.now,
        sleep: (ms) => {
          world.advance(ms);
          return Promise.resolve();
        },
      },
      limit: async (what, deadlineMs, work, outer) => {
        outer?.throwIfAborted();
        const before = tool.limitEnd;
        tool.limitEnd = Math.min(before, world.now + deadlineMs);
        try {
          return await work(outer ?? new AbortController().signal);
        } catch (error) {
          if (error === hang) throw new DeadlineError(what, deadlineMs);
          throw error;
        } finally {
          tool.limitEnd = before;
        }
      },
    },
  };
}

/** A record that is only noted is lost when the tool dies before it appends the next one. */
function simJournal(tool: Tool): Journal {
  const { world } = tool;
  const noted: JournalRecord[] = [];
  const trace = ({ phase, step, facts }: JournalRecord): void => {
    const words = String(facts["reason"] ?? facts["result"] ?? "");
    world.trace.push(`${world.now} ${tool.run}: ${phase} ${step} ${words}`);
  };
  return {
    note: (record) => {
      noted.push(record);
      trace(record);
    },
    append: async (record) => {
      const name = `${record.phase} ${record.step}`.trim();
      await tool.strike("journal", "before");
      await tool.strike(name, "before");
      world.advance(1);
      tool.file.push(...noted.splice(0), record);
      trace(record);
      await tool.strike("journal", "after");
      await tool.strike(name, "after");
    },
  };
}
