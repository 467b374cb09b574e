/**
 * A process with a store of its own, for tests that kill it. Words: `write FOLDER COUNT` puts a record
 * a time and prints each generation once it is acknowledged; `hold FOLDER` only owns the folder;
 * `lead URL` prints `leads` when it has the lead, and `lost` when it has lost it.
 */
import { writeSync } from "node:fs";
import { every } from "../../../kit/clock.ts";
import { openPostgresStore } from "../../../registry/store/postgres.ts";
import { openSqliteStore } from "../../../registry/store/sqlite.ts";
import { address, zone } from "./stores.ts";

const [, , verb, place = "", count = "1"] = process.argv;

// One system call a line, so that what is printed was done, and can be seen from outside.
const say = (text: string): void => void writeSync(1, `${text}\n`);

const verbs: Readonly<Record<string, () => Promise<void>>> = {
  write: async () => {
    const store = await openSqliteStore(place, { zone });
    const { generation: from } = await store.head();
    for (let number = from + 1; number <= from + Number(count); number += 1) {
      const drafts = [address(`w${number}`, "10.0.0.1")];
      const { head } = await store.putEndpoints([
        { owner: { kind: "static", id: number }, drafts },
      ]);
      say(`acknowledged ${head.generation}`);
    }
    await store.close();
  },
  hold: async () => {
    await openSqliteStore(place, { zone });
    every(1000, () => undefined);
    say("holds");
    await new Promise(() => process.stdin.resume());
  },
  lead: async () => {
    const store = await openPostgresStore(place, { zone });
    const lead = await store.lead(new AbortController().signal);
    lead.lost.addEventListener("abort", () => say("lost"));
    say("leads");
    await new Promise(() => process.stdin.resume());
  },
};

await verbs[verb ?? ""]?.();
