/** `router ENV check`: renders each router's configuration and lets HAProxy check it. */
import { flapGuardWarnings } from "../../../router/haproxy/flap-guard.ts";
import { checkText, InstallError, renderWithFences } from "../../../router/haproxy/install.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { chooseFleet } from "./fleet.ts";

/** 0 when HAProxy takes all of them, with warnings or without, 1 when it refuses one. */
export async function run(invocation: Invocation): Promise<number> {
  const { output, signal } = invocation;
  const { environment, routers } = await chooseFleet(invocation);
  let refused = 0;
  for (const router of routers) {
    for (const line of flapGuardWarnings(environment.members, router)) {
      output.note(`${router.name}: warning: ${environment.file}: ${line}`);
    }
    const text = await renderWithFences(environment, router, signal);
    try {
      const warnings = await checkText(environment, router, text, signal);
      for (const line of warnings) output.note(`${router.name}: ${line}`);
      output.result(`${router.name}: valid`);
    } catch (error) {
      if (!(error instanceof InstallError)) throw error;
      if (error.code !== "ERR_HAPROXY_CONFIGURATION") throw error;
      refused += 1;
      output.note(error.message);
    }
  }
  return refused === 0 ? exitCodes.done : exitCodes.failed;
}
