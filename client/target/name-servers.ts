/**
 * One question to given name servers: A and AAAA side by side (RFC 8305, section 3), the servers one
 * after the other in a staggered race, so that a dead first server costs a moment and no more.
 */
import { Resolver } from "node:dns/promises";
import { AttemptError } from "../errors.ts";
import type { Asked, NameAddress } from "./names.ts";
import { race } from "../search/race.ts";
import type { Timing } from "../search/timing.ts";

export interface ServersOptions {
  readonly timeoutMs: number;
  readonly timing: Timing;
  /** Both families, where the second came after the answer was given. */
  readonly onLate: (answer: Asked) => void;
}

/** How long the family that came first waits for the other (RFC 8305, section 3). */
const resolutionDelayMs = 50;
/** How long one server is asked alone. */
const serverStaggerMs = 150;

/** What a server says that knows the name and its want of addresses: no other need be asked. */
const isAnswer = (code: string): boolean => code === "ENODATA" || code === "ENOTFOUND";

interface FamilyAnswer {
  readonly family: 4 | 6;
  readonly records: readonly { readonly address: string; readonly ttl: number }[];
  readonly code: string | undefined;
}

/**
 * The addresses of `host` from the first server that answers.
 * @param servers `address` or `address:port`
 * @throws AttemptError "dns": ENOTFOUND or ENODATA where a server says that there are none
 */
export async function askServers(
  host: string,
  servers: readonly string[],
  options: ServersOptions,
): Promise<Asked> {
  const { timeoutMs, timing } = options;
  const outcome = await race(
    servers,
    (server, signal) => askServer(host, server, { ...options, signal }),
    { staggerMs: Math.min(serverStaggerMs, timeoutMs), timing, onLost: () => undefined },
  );
  const answer = "value" in outcome ? outcome.value : undefined;
  if (answer !== undefined && !(answer instanceof AttemptError)) return answer;
  if (answer !== undefined) throw answer;
  const said = "failures" in outcome ? outcome.failures : [];
  throw new AttemptError(
    "dns",
    `no name server answers for ${host}: ${said
      .map(({ candidate, error }) => `${candidate} ${codeOf(error)}`)
      .join(", ")}`,
    { code: said.length === 0 ? "ETIMEOUT" : codeOf(said[0]?.error), cause: said[0]?.error },
  );
}

/** @throws TypeError where one is no address, with or without a port */
export function assertServers(servers: readonly string[]): void {
  const resolver = new Resolver();
  for (const server of servers) {
    try {
      resolver.setServers([server]);
    } catch (cause) {
      throw new TypeError(
        `a name server is an address or address:port (::1, [::1]:53, 10.0.0.1:53), not "${server}"`,
        { cause },
      );
    }
  }
}

/** @returns what this server knows, or that it says there is nothing; throws where it fails */
async function askServer(
  host: string,
  server: string,
  { timeoutMs, timing, onLate, signal }: ServersOptions & { readonly signal: AbortSignal },
): Promise<Asked | AttemptError> {
  // Two tries within the time, since one datagram may be lost.
  const resolver = new Resolver({ timeout: Math.max(1, Math.floor(timeoutMs / 3)), tries: 2 });
  resolver.setServers([server]);
  const cancel = (): void => resolver.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  const both = [
    answered(4, resolver.resolve4(host, { ttl: true })),
    answered(6, resolver.resolve6(host, { ttl: true })),
  ];
  const all = Promise.all(both);
  const found = await Promise.race([all, delayed(both, timing)]);
  signal.removeEventListener("abort", cancel);
  const asked = asAsked(found);
  if (asked !== undefined) {
    if (found.length < both.length) void tellLate(all, asked, onLate);
    return asked;
  }
  const codes = found.map(({ code }) => code ?? "ENODATA");
  const failed = codes.find((code) => !isAnswer(code));
  const code = failed ?? (codes.includes("ENODATA") ? "ENODATA" : "ENOTFOUND");
  const error = new AttemptError("dns", `${host}: ${code} from name server ${server}`, { code });
  if (failed !== undefined) throw error;
  return error;
}

async function tellLate(
  all: Promise<readonly FamilyAnswer[]>,
  given: Asked,
  onLate: (answer: Asked) => void,
): Promise<void> {
  const whole = asAsked(await all);
  if (whole !== undefined && whole.addresses.length > given.addresses.length) onLate(whole);
}

/** The first family that has addresses, alone, if the other does not come within the delay. */
async function delayed(
  both: readonly Promise<FamilyAnswer>[],
  timing: Timing,
): Promise<readonly FamilyAnswer[]> {
  const first = await Promise.any(
    both.map(async (one) => {
      const answer = await one;
      if (answer.records.length === 0) throw new Error("no addresses of this family");
      return answer;
    }),
  ).catch(() => undefined);
  // Neither has any: `all` has the last word.
  if (first === undefined) return await Promise.all(both);
  await timing.sleep(resolutionDelayMs);
  return [first];
}

async function answered(
  family: 4 | 6,
  question: Promise<readonly { address: string; ttl: number }[]>,
): Promise<FamilyAnswer> {
  try {
    return { family, records: await question, code: undefined };
  } catch (error) {
    return { family, records: [], code: codeOf(error) };
  }
}

/** IPv6 first where both are there: who has both prefers it (RFC 6724, section 2.1, rule 5 apart). */
function asAsked(answers: readonly FamilyAnswer[]): Asked | undefined {
  const addresses = [...answers]
    .sort((one, other) => other.family - one.family)
    .flatMap(({ family, records }): NameAddress[] =>
      records.map(({ address }) => ({ address, family })),
    );
  const ttls = answers.flatMap(({ records }) => records.map(({ ttl }) => ttl));
  return addresses.length === 0 ? undefined : { addresses, ttlMs: Math.min(...ttls) * 1000 };
}

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : "ESERVFAIL";
