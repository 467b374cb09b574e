/** The addresses of a name, asked once: for whoever wants to know and registers nothing. */
import { attempt } from "../watch/attempt.ts";
import type { Means } from "../watch/attempt.ts";
import { LookupError } from "./outcome.ts";
import { readTargetOptions } from "../target-settings.ts";
import type { TargetOptions } from "../target.ts";

export type OnceOptions = Pick<TargetOptions, "family" | "servers" | "srv" | "timeoutMs">;

/**
 * Looks a name up once.
 * @returns its addresses, at least one, each once, sorted
 * @throws LookupError when it does not resolve, TargetOptionsError when that is no host name
 */
export async function askOnce(
  means: Means,
  hostname: string,
  options: OnceOptions,
  signal: AbortSignal,
): Promise<string[]> {
  // Any port will do: only addresses are told.
  const settings = readTargetOptions(hostname, { ...options, port: 1 });
  const { srv, family, servers, timeoutMs, trustNxdomain } = settings;
  const one = attempt(means, { hostname, srv, family, servers, timeoutMs, trustNxdomain });
  signal.addEventListener("abort", () => one.cancel(), { once: true });
  const attempted = await one.ended;
  if (attempted === undefined) throw new LookupError(hostname, cutOff(hostname));
  const { outcome } = attempted;
  if (outcome.kind === "failed") throw new LookupError(hostname, outcome);
  return [...new Set(outcome.addresses.map(({ ip }) => ip))];
}

const cutOff = (hostname: string) =>
  ({
    kind: "failed",
    failure: "timeout",
    code: "ECANCELLED",
    message: `look up ${hostname}: cut off`,
  }) as const;
