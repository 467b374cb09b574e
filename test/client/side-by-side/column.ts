/** What the test asks of each column, and the columns that are a process of Node. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { eventually, systemClock } from "../../../kit/clock.ts";
import type { OwnNames } from "../../support/own-name-server.ts";
import { stopMark } from "./orders.ts";
import type { Order, Reply } from "./orders.ts";
import type { Access, ColumnName } from "./columns.ts";

/** A reply and when it came, by the clock of the test. */
export interface Seen extends Reply {
  readonly at: number;
}

export interface Load {
  /** What came back so far, in the order in which it came. */
  readonly replies: readonly Seen[];
  /** Resolves with whether all that was under way has ended; waits `patienceMs` for it. */
  stop(patienceMs: number): Promise<boolean>;
}

export interface Column {
  readonly name: string;
  open(as: string, access: Access): void;
  /** Writes one row over a new connection; undefined when nothing came back in `watchMs`. */
  write(as: string, row: number, watchMs: number): Promise<Reply | undefined>;
  /** Writes rows from `row` on until it is stopped. */
  load(as: string, row: number): Load;
}

interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

const asker = fileURLToPath(new URL("asker.ts", import.meta.url));
const often = 10;
/** A name that is not answered keeps a thread of libuv for seconds; no other question may wait. */
const threads = "64";

/** Starts the process that uses `library`; it ends with the test. */
export function nodeColumn(t: Teardown, names: OwnNames, library: ColumnName): Column {
  const [program, ...args] = names.command([process.execPath, asker]);
  const env = { PATH: "/usr/bin:/bin", UV_THREADPOOL_SIZE: threads };
  const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "close");
  let gone = false;
  void ended.then(() => (gone = true));
  t.teardown(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const replies = new Map<string, Seen[]>();
  const stopped = new Set<string>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const reply = JSON.parse(line) as Reply;
    if (reply.row === stopMark) stopped.add(reply.as);
    else replies.get(reply.as)?.push({ ...reply, at: systemClock.monotonic() });
  });
  const tell = (order: Order): void => {
    if (gone) throw new Error(`the process that uses ${library} has ended`);
    child.stdin.write(`${JSON.stringify(order)}\n`);
  };
  const repliesOf = (as: string): Seen[] => {
    const found = replies.get(as);
    if (found === undefined) throw new Error(`${library} was not told how to reach ${as}`);
    return found;
  };
  tell({ do: "use", column: library });
  return {
    name: library,
    open: (as, access) => {
      replies.set(as, []);
      tell({ do: "open", as, access });
    },
    write: async (as, row, watchMs) => {
      const seen = repliesOf(as);
      tell({ do: "write", as, row });
      const wait = { deadlineMs: watchMs, intervalMs: often };
      const look = (): Reply | undefined => seen.find((reply) => reply.row === row);
      return await eventually(`${library} writes to ${as}`, wait, look).catch(() => undefined);
    },
    load: (as, row) => {
      tell({ do: "load", as, row });
      return {
        replies: repliesOf(as),
        stop: async (patienceMs) => {
          tell({ do: "stop", as });
          const wait = { deadlineMs: patienceMs, intervalMs: often };
          const look = (): true | undefined => (stopped.has(as) ? true : undefined);
          return await eventually(`${library} stops`, wait, look).catch(() => false);
        },
      };
    },
  };
}
