/**
 * The addresses of all endpoints of a target, asked side by side: a name that is slow does not hold
 * up the hosts that have answered, and enters its addresses when they come.
 */
import { addressesOf, keyOf, knownAddresses } from "../target/address.ts";
import { asAttemptError } from "../errors.ts";
import type { FailedAttempt } from "../errors.ts";
import type { DialAddress } from "./finder.ts";
import type { Names } from "../target/names.ts";
import type { Endpoint } from "../target/target.ts";
import type { Timing } from "./timing.ts";

export interface ResolveOptions {
  readonly names: Names;
  readonly timing: Timing;
  /** Ask, whatever is cached. */
  readonly fresh: boolean;
  /** Names whose addresses are known are not waited for; only what is new in their answers is late. */
  readonly isHurried: boolean;
  readonly signal: AbortSignal;
  /** Endpoints whose names have not answered yet, each with the time at which it was asked. */
  readonly open: Map<Endpoint, number>;
  /** The addresses of an endpoint whose name was late. */
  readonly onLate: (addresses: readonly DialAddress[]) => void;
  readonly onFailed: (failure: FailedAttempt) => void;
}

/** How long hosts that have answered wait for the names that have not. */
const resolutionDelayMs = 50;

/**
 * @returns the addresses of each endpoint that there are a moment after the first one has any, or
 * when all have answered; none where its name failed or is late. Never rejects
 */
export async function resolveEndpoints(
  endpoints: readonly Endpoint[],
  options: ResolveOptions,
): Promise<readonly (readonly DialAddress[])[]> {
  const { isHurried, names, onLate, signal } = options;
  const lists = endpoints.map((one) => (isHurried ? knownAddresses(names, one) : []));
  let isGiven = false;
  const asks = endpoints.map(async (endpoint, index) => {
    const before = lists[index] ?? [];
    const list = await ask(endpoint, options);
    const news = list.filter((one) => !before.some((other) => keyOf(other) === keyOf(one)));
    if (isGiven && !signal.aborted) onLate(news);
    else lists[index] = list;
    if (list.length === 0) throw new Error("nothing to dial here");
  });
  const answered = Promise.allSettled(asks);
  if (lists.every(({ length }) => length === 0)) {
    await Promise.race([answered, soonAfterAny(asks, options)]);
  }
  isGiven = true;
  return [...lists];
}

async function soonAfterAny(
  asks: readonly Promise<void>[],
  { timing, signal }: ResolveOptions,
): Promise<void> {
  try {
    await Promise.any(asks);
  } catch {
    // All have answered, with nothing.
    return;
  }
  if (asks.length > 1) await timing.sleep(resolutionDelayMs, signal);
}

async function ask(
  endpoint: Endpoint,
  { names, timing, fresh, signal, open, onFailed }: ResolveOptions,
): Promise<readonly DialAddress[]> {
  const { host, port } = endpoint;
  const askedAt = timing.now();
  open.set(endpoint, askedAt);
  try {
    return await addressesOf(names, endpoint, { fresh, signal });
  } catch (cause) {
    if (signal.aborted) return [];
    const { reason, code, message } = asAttemptError(cause, "dns");
    const ms = timing.now() - askedAt;
    onFailed({ host, address: undefined, port, reason, code, message, ms, cause });
    return [];
  } finally {
    open.delete(endpoint);
  }
}
