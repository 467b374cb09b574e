/**
 * Writes a snapshot and is killed (SIGKILL) at the Nth touch of the file system, in the middle of it
 * where it is a write: node die-at.ts FOLDER GENERATION N. It ends with 0 when there are fewer.
 */
import { promises } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { writeSnapshot } from "../../../sidecars/dns-resolver/sync/snapshot.ts";
import { record } from "./fake-registry.ts";

const [folder = "", generation = "0", last = "0"] = process.argv.slice(2);
let touches = 0;

type Act = (...words: unknown[]) => Promise<unknown>;

/** Puts a counter before the act called `name`; `half` does the half of it. */
function mined(
  owner: object,
  name: string,
  half?: (self: unknown, words: unknown[]) => Promise<unknown>,
) {
  const acts = owner as Record<string, Act>;
  const act = acts[name];
  if (act === undefined) throw new Error(`there is no ${name}`);
  acts[name] = async function mine(this: unknown, ...words: unknown[]) {
    touches += 1;
    if (touches === Number(last)) {
      await half?.(this, words);
      process.kill(process.pid, "SIGKILL");
    }
    return await act.apply(this, words);
  };
}

const probe = await promises.open(join(folder, "probe"), "w");
const handle = Object.getPrototypeOf(probe) as object;
await probe.close();
await promises.rm(join(folder, "probe"));
for (const name of ["link", "rename", "rm", "open", "mkdir"]) mined(promises, name);
for (const name of ["sync", "chmod"]) mined(handle, name);
mined(handle, "writeFile", async (self, [content]) => {
  const text = String(content);
  const { write } = self as { write: (text: string) => Promise<unknown> };
  await write.call(self, text.slice(0, text.length / 2));
});
syncBuiltinESMExports();

await writeSnapshot(folder, {
  zone: "temps.local",
  epoch: "epoch-1",
  generation: Number(generation),
  zoneHash: "",
  writtenAt: 1,
  records: Array.from({ length: 50 }, (_, id) =>
    record(id + 1, `n${id}`, `10.0.${generation}.${id}`),
  ),
});
process.stdout.write(`${touches}\n`);
