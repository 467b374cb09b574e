/** lab status: a line for each part, and the cuts. */
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import type { Style } from "../../cli/output.ts";
import { formatAddress } from "../../../kit/address.ts";
import type { PartState } from "../../../lab/driver/driver.ts";
import { labStatus } from "../../../lab/status.ts";
import { labOf } from "./place.ts";

const styles: Readonly<Record<PartState, keyof Style>> = {
  running: "good",
  stopped: "warn",
  frozen: "warn",
  crashed: "bad",
};

export async function run(invocation: Invocation): Promise<number> {
  const { output, flags } = invocation;
  const { place, name } = await labOf(invocation);
  const { parts, cuts } = await labStatus(place, name);
  if (flags["json"] === true) {
    output.result(JSON.stringify({ environment: name, parts, cuts }));
    return exitCodes.done;
  }
  for (const part of parts) {
    const shown = output.style[styles[part.state]](part.state.padEnd(8));
    const address = formatAddress(part.address);
    const pid = part.pid === null ? "" : `pid ${part.pid}`;
    output.result(`${part.part.padEnd(16)}  ${shown}  ${address.padEnd(16)}  ${pid}`.trimEnd());
  }
  for (const [one, other] of cuts) output.result(`cut: ${one} and ${other}`);
  return exitCodes.done;
}
