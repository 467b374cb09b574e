/** A simulated tool as runFlip wants it: looks, acts, the lock, its journal and its time. */
import { DeadlineError } from "../../kit/clock.ts";
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
    lock: { acquire: (...words) => tool.acquire(...words) },
    records: () => Promise.resolve([...tool.file]),
    journal: {
      append: async (record) => {
        await tool.strike("journal", "before");
        world.advance(1);
        tool.file.push(record);
        world.trace.push(
          `${world.now} ${tool.run}: ${record.phase} ${record.step} ${String(record.facts["reason"] ?? record.facts["result"] ?? "")}`,
        );
        await tool.strike("journal", "after");
      },
    },
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
