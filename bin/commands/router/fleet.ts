/**
 * What the verbs of `router` have alike: which routers they are about (those of the environment, or
 * the one named by --router), how they refuse, and how a result of each becomes one exit code.
 */
import type { Environment, Router } from "../../../config/schema.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import type { ExitCode } from "../../cli/exit-codes.ts";
import { environmentNamed, nearestHint } from "../environment.ts";

export interface Fleet {
  readonly environment: Environment;
  readonly routers: readonly Router[];
}

/**
 * Loads the environment, with its secrets or without, and picks its routers.
 * @throws UsageError for an unknown router or an environment without any; ConfigError
 */
export async function chooseFleet(
  invocation: Invocation,
  options: { readonly withoutSecrets?: boolean } = {},
): Promise<Fleet> {
  const environment = await environmentNamed(invocation.environment, options);
  const names = environment.routers.map((one) => one.name);
  if (names.length === 0) {
    throw new UsageError(
      `${environment.file}: routers: there is none`,
      "add the HAProxy of each app host under routers",
    );
  }
  const wanted = invocation.flags["router"];
  if (typeof wanted !== "string") return { environment, routers: environment.routers };
  const routers = environment.routers.filter((one) => one.name === wanted);
  if (routers.length > 0) return { environment, routers };
  throw new UsageError(
    `${environment.name} has no router ${JSON.stringify(wanted)}`,
    nearestHint(wanted, names),
  );
}

/** 0 when all of a fleet gave a value, 69 when none did, 1 in between. */
export function exitCodeOfFleet(
  results: readonly ({ value: unknown } | { error: Error })[],
): ExitCode {
  const failed = results.filter((one) => "error" in one).length;
  if (failed === 0) return exitCodes.done;
  return failed === results.length ? exitCodes.unavailable : exitCodes.failed;
}
