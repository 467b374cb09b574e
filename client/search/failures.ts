/** What failed in one search, the last failure of each address, and the error that comes of it. */
import { keyOf, withPort } from "../target/address.ts";
import type { Company } from "./company.ts";
import { ConnectError } from "../errors.ts";
import type { FailedAttempt } from "../errors.ts";
import type { DialAddress } from "./finder.ts";
import type { Endpoint } from "../target/target.ts";

/** What is still under way when a search ends. */
export interface Unfinished {
  readonly running: readonly { readonly address: DialAddress; readonly ms: number }[];
  /** Endpoints whose names have not answered, and for how long. */
  readonly asking: readonly { readonly endpoint: Endpoint; readonly ms: number }[];
  /** What has only begun again, for less than this, says less than how it ended last time. */
  readonly youngMs: number;
}

export interface EndFacts extends Unfinished {
  readonly wanted: string;
  readonly endpoints: readonly Endpoint[];
  readonly ms: number;
  /** Whether the last question for a host failed, so that its addresses are from before. */
  readonly isFailing: (host: string) => boolean;
}

/** The failures of one search; searches in its company see them, too. */
export class Failures {
  stoppedBy: FailedAttempt | undefined;
  readonly #own = new Map<string, FailedAttempt>();
  readonly #company: Company;

  constructor(company: Company) {
    this.#company = company;
  }

  /** @param key of the address, or the host where its name failed */
  note(key: string, failure: FailedAttempt): void {
    this.#own.set(key, failure);
    this.#company.failures.set(key, failure);
  }

  /** The error of a search that ends now. */
  error({ wanted, endpoints, ms, isFailing, ...unfinished }: EndFacts): ConnectError {
    this.#noteUnfinished(unfinished);
    return new ConnectError({
      wanted,
      targets: endpoints.map(({ host, port }) => withPort(host, port)),
      attempts: this.#all(),
      rounds: this.#company.rounds,
      ms,
      stoppedBy: this.stoppedBy,
      lastKnown: endpoints.flatMap(({ host, hostaddr }) =>
        hostaddr === undefined && isFailing(host) ? [host] : [],
      ),
    });
  }

  #all(): FailedAttempt[] {
    return [...new Map([...this.#company.failures, ...this.#own]).values()];
  }

  #noteUnfinished({ running, asking, youngMs }: Unfinished): void {
    for (const { address, ms } of running) {
      const key = keyOf(address);
      if (ms < youngMs && this.#own.has(key)) continue;
      const { host, port } = address;
      this.note(key, { host, address: address.address, port, reason: "timeout", ...silent(ms) });
    }
    const known = new Set(this.#all().map(({ host }) => host));
    for (const { endpoint, ms } of asking) {
      const { host, port } = endpoint;
      if (known.has(host)) continue;
      this.note(host, { host, address: undefined, port, reason: "dns", ...silent(ms) });
    }
  }
}

const silent = (ms: number): Pick<FailedAttempt, "code" | "message" | "ms" | "cause"> => ({
  code: "ETIMEDOUT",
  message: `no answer within ${Math.round(ms)} ms`,
  ms,
  cause: undefined,
});
