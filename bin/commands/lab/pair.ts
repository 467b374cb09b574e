/** lab cut | heal PART PART. */
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { actOnPair } from "../../../lab/verbs.ts";
import type { PairVerb } from "../../../lab/verbs.ts";
import { labOf } from "./place.ts";

export async function run(invocation: Invocation): Promise<number> {
  const { place, name } = await labOf(invocation);
  const [one = "", other = ""] = invocation.arguments;
  // The table of bin/commands/lab.ts loads this file for these verbs only.
  await actOnPair(place, name, invocation.command as PairVerb, [one, other], {
    note: invocation.output.note,
    signal: invocation.signal,
  });
  return exitCodes.done;
}
