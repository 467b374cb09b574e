/** What the client verbs of `registry` have alike: which registry, as whom, and advice where it says no. */
import { resolve } from "node:path";
import { ConfigError } from "../../../config/config-error.ts";
import { resolveSecret } from "../../../config/secret-source.ts";
import type { RegistryTarget } from "../../../registry/client.ts";
import { ownVariables } from "../../../registry/settings.ts";
import { registryUrl } from "../../../registry/variables.ts";
import { UsageError } from "../../cli/command.ts";
import type { Invocation } from "../../cli/command.ts";
import { exitCodes } from "../../cli/exit-codes.ts";
import { processVariables } from "../../cli/process-variables.ts";

/**
 * The registry that the flags or the variables name.
 * @param tokenFlag the flag that names the file of the admin token
 * @throws UsageError, ConfigError, VariableError, SecretError
 */
async function targetOf(
  { flags }: Pick<Invocation, "flags">,
  tokenFlag: string,
): Promise<RegistryTarget> {
  const own = ownVariables(processVariables());
  const given = flags["url"];
  if (given !== undefined && !registryUrl.safeParse(given).success) {
    const seen = JSON.stringify(given);
    throw new UsageError(`--url takes http://host:port; got ${seen}`, "see registry --help");
  }
  const file = flags[tokenFlag] ?? own.REGISTRY_TOKEN_FILE;
  if (typeof file !== "string") {
    throw new ConfigError(
      `which admin token? --${tokenFlag} or REGISTRY_TOKEN_FILE names the file that registry init wrote`,
    );
  }
  const secret = await resolveSecret(`file:${resolve(file)}`, {});
  const url = typeof given === "string" ? given : (own.REGISTRY_URL ?? "");
  return { url, token: () => secret.reveal() };
}

const advice: Readonly<Record<string, string>> = {
  ERR_REGISTRY_DENIED:
    "is that the file of an admin token of this registry? --token-file or REGISTRY_TOKEN_FILE names another",
  ERR_REGISTRY_UNREACHABLE:
    "is that where it runs? --url or REGISTRY_URL names another place; registry start runs one",
};

/**
 * Does `work` on the registry that is meant, and says what may help where it is silent or says no.
 * @returns 0, or the exit code that `work` gives
 */
export async function onRegistry(
  invocation: Invocation,
  work: (target: RegistryTarget) => Promise<number | void>,
  tokenFlag = "token-file",
): Promise<number> {
  const target = await targetOf(invocation, tokenFlag);
  try {
    return (await work(target)) ?? exitCodes.done;
  } catch (error) {
    const words = advice[String((error as { code?: unknown }).code)];
    if (words !== undefined) invocation.output.note(words);
    throw error;
  }
}

/** Prints a value as JSON with --json, else `lines`. */
export function tell(
  { output, flags }: Invocation,
  value: unknown,
  lines: readonly string[],
): void {
  if (flags["json"] === true) output.result(JSON.stringify(value));
  else for (const line of lines) output.result(line);
}
