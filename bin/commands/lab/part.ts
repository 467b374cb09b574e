/** lab stop | kill | start | freeze | thaw PART. */
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { actOnPart } from "../../../lab/verbs.ts";
import type { PartVerb } from "../../../lab/verbs.ts";
import { labOf } from "./place.ts";

export async function run(invocation: Invocation): Promise<number> {
  const { place, name } = await labOf(invocation);
  const [part = ""] = invocation.arguments;
  // The table of bin/commands/lab.ts loads this file for these verbs only.
  await actOnPart(place, name, invocation.command as PartVerb, part, {
    note: invocation.output.note,
    signal: invocation.signal,
  });
  return exitCodes.done;
}
