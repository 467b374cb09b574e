/**
 * From names to addresses, with what they were last time kept for when no name server answers. Asks
 * the given name servers for A and AAAA side by side and keeps answers as long as their TTL says
 * (1 s to 30 s); without servers asks the system (getaddrinfo), and keeps its answer for 1 s.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { AttemptError, asAttemptError } from "../errors.ts";
import { askServers, assertServers } from "./name-servers.ts";
import { systemTiming } from "../search/timing.ts";
import type { Timing } from "../search/timing.ts";

export interface NameAddress {
  readonly address: string;
  /** 0 is a Unix socket. */
  readonly family: 4 | 6 | 0;
}

export interface NameAnswer {
  readonly addresses: readonly NameAddress[];
  /** True where these are from before, because no name server answers now. */
  readonly stale: boolean;
}

/** What one question brought; more may come of the family that is late. */
export interface Asked {
  readonly addresses: readonly NameAddress[];
  readonly ttlMs: number;
}

export interface NamesOptions {
  /** `address` or `address:port`, as node:dns takes them; without them the system is asked. */
  readonly servers?: readonly string[] | undefined;
  /** How long one question may take. */
  readonly timeoutMs?: number | undefined;
  readonly timing?: Timing | undefined;
  /** Instead of a real question, for tests. Must end when `timeoutMs` is over. */
  readonly ask?: ((host: string) => Promise<Asked>) | undefined;
}

export interface AddressesOptions {
  /** Ask, whatever is cached. */
  readonly fresh: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface Names {
  /**
   * The addresses of a host now. Where older ones are known they are given back (`stale`) when the
   * question is not answered within `patienceMs`, and while it fails.
   * @throws AttemptError "dns" where nothing is known, or the signal's reason
   */
  addresses(host: string, options: AddressesOptions): Promise<NameAnswer>;
  /** What was known last of a host, however old; a literal is what it is. Asks nobody. */
  known(host: string): readonly NameAddress[];
  /** True where the last question failed, so that what is known is from before. */
  isFailing(host: string): boolean;
}

/** How long a question may hold up a search that knows older addresses. */
const patienceMs = 50;
const defaultTimeoutMs = 2000;
const shortestTtlMs = 1000;
const longestTtlMs = 30_000;
/** A name that is gone is tried where it was for this long: names flap while they change. */
const goneMs = 30_000;

interface Known {
  readonly addresses: readonly NameAddress[];
  readonly until: number;
  readonly at: number;
}

/** What a name server says of a name that has no address, as against one that does not answer. */
const saysNone = new Set(["ENOTFOUND", "ENODATA"]);

interface Question {
  readonly answer: Promise<Asked>;
  readonly since: number;
}

/**
 * A cache that is empty at first and holds no timer.
 * @throws TypeError for a name server that is no address
 */
export function createNames(options: NamesOptions = {}): Names {
  assertServers(options.servers ?? []);
  return new NameCache(options);
}

class NameCache implements Names {
  readonly #options: NamesOptions;
  readonly #timing: Timing;
  readonly #timeoutMs: number;
  readonly #known = new Map<string, Known>();
  readonly #failing = new Set<string>();
  /** One for each host at a time: a system that does not answer has few threads to ask with. */
  readonly #questions = new Map<string, Question>();

  constructor(options: NamesOptions) {
    this.#options = options;
    this.#timing = options.timing ?? systemTiming;
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  }

  async addresses(host: string, { fresh, signal }: AddressesOptions): Promise<NameAnswer> {
    signal?.throwIfAborted();
    const literal = literalOf(host);
    if (literal !== undefined) return { addresses: [literal], stale: false };
    const last = this.#known.get(host);
    const timing = this.#timing;
    if (!fresh && last !== undefined && last.until > timing.now()) {
      return { addresses: last.addresses, stale: false };
    }
    const { answer, since } = this.#question(host);
    const asked = timing.now() - since;
    // Who knows older addresses waits a moment after the question was put, and not at all later.
    const waitMs = last === undefined ? this.#timeoutMs : Math.max(0, patienceMs - asked);
    const result = await within(answer, { waitMs, timing, signal });
    signal?.throwIfAborted();
    if (result !== undefined && !("error" in result)) {
      return { addresses: result.addresses, stale: false };
    }
    const stale = this.#lastGood(host, result?.error);
    if (stale !== undefined) return stale;
    throw asAttemptError(result?.error ?? timedOut(host, this.#timeoutMs), "dns");
  }

  isFailing(host: string): boolean {
    return this.#failing.has(host);
  }

  known(host: string): readonly NameAddress[] {
    const literal = literalOf(host);
    return literal === undefined ? (this.#known.get(host)?.addresses ?? []) : [literal];
  }

  #question(host: string): Question {
    const open = this.#questions.get(host);
    if (open !== undefined) return open;
    const question = { answer: this.#asked(host), since: this.#timing.now() };
    this.#questions.set(host, question);
    return question;
  }

  async #asked(host: string): Promise<Asked> {
    try {
      const answer = await this.#ask(host);
      this.#failing.delete(host);
      this.#keep(host, answer);
      return answer;
    } catch (error) {
      if (this.#known.has(host)) this.#failing.add(host);
      throw error;
    } finally {
      this.#questions.delete(host);
    }
  }

  #ask(host: string): Promise<Asked> {
    const { ask, servers } = this.#options;
    if (ask !== undefined) return ask(host);
    if (servers === undefined || servers.length === 0) return askSystem(host);
    return askServers(host, servers, {
      timeoutMs: this.#timeoutMs,
      timing: this.#timing,
      onLate: (all) => this.#keep(host, all),
    });
  }

  #keep(host: string, { addresses, ttlMs }: Asked): void {
    const ms = Math.min(Math.max(ttlMs, shortestTtlMs), longestTtlMs);
    const at = this.#timing.now();
    this.#known.set(host, { addresses, until: at + ms, at });
  }

  #lastGood(host: string, error: unknown): NameAnswer | undefined {
    const last = this.#known.get(host);
    if (last === undefined) return undefined;
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const isGone = saysNone.has(String(code)) && this.#timing.now() - last.at > goneMs;
    return isGone ? undefined : { addresses: last.addresses, stale: true };
  }
}

/** What a question brings within the time, its error as a value; undefined is "not yet". */
async function within(
  question: Promise<Asked>,
  { waitMs, timing, signal }: { waitMs: number; timing: Timing; signal?: AbortSignal | undefined },
): Promise<Asked | { readonly error: unknown } | undefined> {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  signal?.addEventListener("abort", stop, { once: true });
  const waited = async (): Promise<undefined> => {
    await timing.sleep(waitMs, controller.signal);
  };
  try {
    return await Promise.race([question, waited()]);
  } catch (error) {
    return { error };
  } finally {
    stop();
    signal?.removeEventListener("abort", stop);
  }
}

const timedOut = (host: string, ms: number): AttemptError =>
  new AttemptError("dns", `no name server answered for ${host} within ${ms} ms`, {
    code: "ETIMEOUT",
  });

function literalOf(host: string): NameAddress | undefined {
  if (host.startsWith("/")) return { address: host, family: 0 };
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  // A scoped address (fe80::1%eth0) is an address to node:net as it stands.
  const family = isIP(bare);
  return family === 0 ? undefined : { address: bare, family: family === 4 ? 4 : 6 };
}

async function askSystem(host: string): Promise<Asked> {
  const found = await lookup(host, { all: true, order: "verbatim" });
  const addresses = found.map(({ address, family }) => ({
    address,
    family: family === 6 ? (6 as const) : (4 as const),
  }));
  return { addresses, ttlMs: shortestTtlMs };
}
