/** `registry init`: makes the store, and writes its first admin token once. */
import { resolve } from "node:path";
import { openStore } from "../../../registry/process.ts";
import { writeAdminToken } from "../../../registry/first-token.ts";
import { readSettings } from "../../../registry/settings.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { processVariables } from "../../cli/process-variables.ts";

/** 0 when it is written; 3 when there is a token or the file already; 75 when a registry runs on it. */
export async function run({ flags, output }: Invocation): Promise<number> {
  const file = flags["token-file"];
  if (typeof file !== "string") {
    throw new UsageError("init needs --token-file FILE", "see registry init --help");
  }
  const folder = typeof flags["data"] === "string" ? resolve(flags["data"]) : undefined;
  const { place, zone } = await readSettings(processVariables(), folder);
  const store = await openStore(place, { zone });
  try {
    const another = flags["another-token"] === true;
    await writeAdminToken(store, resolve(file), { another });
  } finally {
    await store.close();
  }
  output.result(`the registry of ${zone} is made; its admin token is in ${file}`);
  return exitCodes.done;
}
