/** The lab that a command line means: where labs are for this user, and which one. */
import type { Invocation } from "../../cli/command.ts";
import { UsageError } from "../../cli/command.ts";
import { dockerHost } from "../../cli/docker-host.ts";
import { stateHome } from "../../cli/state-home.ts";
import { nameValue } from "../../../config/values.ts";
import { labPlace } from "../../../lab/place.ts";
import type { LabPlace } from "../../../lab/place.ts";

/**
 * Reads --name and finds the place of labs.
 * @throws UsageError
 */
export async function labOf(invocation: Invocation): Promise<{ place: LabPlace; name: string }> {
  const name = String(invocation.flags["name"]);
  const checked = nameValue.safeParse(name);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    throw new UsageError(
      `--name ${JSON.stringify(name)}: ${issue?.message}`,
      `see lab ${invocation.command} --help`,
    );
  }
  return { place: await labPlace({ stateHome: stateHome(), engine: dockerHost() }), name };
}
