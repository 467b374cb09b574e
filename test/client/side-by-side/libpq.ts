/** The column of libpq: one `psql` a write, since a libpq connection has no memory and no pool. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { runChild } from "../../../kit/child.ts";
import { DeadlineError, systemClock } from "../../../kit/clock.ts";
import type { OwnNames } from "../../support/own-name-server.ts";
import { insert } from "./orders.ts";
import type { Reply } from "./orders.ts";
import type { Access } from "./columns.ts";
import type { Column, Seen } from "./column.ts";

const restMs = 20;
/** psql ends with 0 after its work, else with one of these. */
const accept = [0, 1, 2, 3];

/** `psql` of the newest installed Postgres; what Debian has on the path is a script around it. */
async function newestPsql(): Promise<string> {
  const root = "/usr/lib/postgresql";
  const versions = (await readdir(root)).map(Number).filter(Number.isInteger);
  return join(root, String(Math.max(...versions)), "bin", "psql");
}

function environmentFor({ host, user, password, timeoutMs }: Access): Record<string, string> {
  return {
    PATH: "/usr/bin:/bin",
    LC_ALL: "C",
    PGHOST: host,
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: "postgres",
    PGTARGETSESSIONATTRS: "read-write",
    PGCONNECT_TIMEOUT: String(timeoutMs / 1000),
  };
}

/** The column of libpq, whose programs ask the name server of `names`. */
export async function libpqColumn(names: OwnNames): Promise<Column> {
  const psql = await newestPsql();
  const accesses = new Map<string, Access>();
  const stopped = new Set<string>();
  const write = async (as: string, row: number, watchMs: number): Promise<Reply | undefined> => {
    const access = accesses.get(as);
    if (access === undefined) throw new Error(`psql was not told how to reach ${as}`);
    const text = insert.replace("$1", String(row));
    const [program, ...args] = names.command([psql, "-XqAtw", "-c", text]);
    const began = systemClock.monotonic();
    const env = environmentFor(access);
    try {
      const { code, stdout, stderr } = await runChild(program, args, {
        deadlineMs: watchMs,
        env,
        accept,
      });
      const ms = systemClock.monotonic() - began;
      const where = code === 0 ? stdout.trim() : undefined;
      return { as, row, where, error: code === 0 ? undefined : stderr.trim(), ms };
    } catch (error) {
      if (error instanceof DeadlineError) return undefined;
      throw error;
    }
  };
  const loop = async (as: string, first: number, replies: Seen[]): Promise<void> => {
    for (let row = first; !stopped.has(as); row += 1) {
      const reply = await write(as, row, 5000);
      if (reply !== undefined) replies.push({ ...reply, at: systemClock.monotonic() });
      await systemClock.sleep(restMs);
    }
  };
  return {
    name: "psql (libpq)",
    open: (as, access) => void accesses.set(as, access),
    write,
    load: (as, row) => {
      const replies: Seen[] = [];
      const ended = loop(as, row, replies);
      return {
        replies,
        stop: async () => {
          stopped.add(as);
          await ended;
          return true;
        },
      };
    },
  };
}
