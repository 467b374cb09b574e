/** lab down: ends a lab and removes all of it. */
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { labDown } from "../../../lab/down.ts";
import { labOf } from "./place.ts";

export async function run(invocation: Invocation): Promise<number> {
  const { place, name } = await labOf(invocation);
  const was = await labDown(place, name, { signal: invocation.signal });
  invocation.output.note(was ? `lab ${name} is gone` : `there is no lab ${name}`);
  return exitCodes.done;
}
