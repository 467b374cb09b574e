/** Servers by script, in virtual time: who is what when, who was dialled when, and which sessions are open. */
import type { Role, TargetSessionAttrs } from "../../client/target/attributes.ts";
import { AttemptError } from "../../client/errors.ts";
import type { AttemptReason } from "../../client/errors.ts";
import { createFinder } from "../../client/search/finder.ts";
import type {
  DialAddress,
  Finder,
  FinderOptions,
  FindRequest,
  Pass,
} from "../../client/search/finder.ts";
import { createNames } from "../../client/target/names.ts";
import type { NameAddress } from "../../client/target/names.ts";
import { VirtualTime } from "../support/virtual-time.ts";

/** What a server does with who comes: a role, a refusal, or nothing at all. */
export type Manner =
  | "primary"
  | "standby"
  | "read-only primary"
  | "black hole"
  | Exclude<AttemptReason, "role" | "timeout">;

export interface Session {
  readonly address: string;
  readonly by: number;
}

export interface Dial {
  readonly address: string;
  readonly at: number;
  /** Which search, counted from 1. */
  readonly by: number;
}

const roles: Readonly<Record<string, Role>> = {
  primary: { inRecovery: false, readOnly: false },
  standby: { inRecovery: true, readOnly: true },
  "read-only primary": { inRecovery: false, readOnly: true },
};

const codes: Partial<Record<string, string>> = {
  refused: "ECONNREFUSED",
  authentication: "28P01",
  starting: "57P03",
  full: "53300",
};

export class ScriptedServers {
  readonly time = new VirtualTime();
  /** By address; absent is refused. */
  readonly manners = new Map<string, Manner>();
  /** How long a server takes, in milliseconds; absent is 2. */
  readonly delays = new Map<string, number>();
  /** By name; an Error is what asking for it ends in. */
  readonly names = new Map<string, readonly string[] | Error | "silent">();
  readonly nameDelays = new Map<string, number>();
  readonly dials: Dial[] = [];
  readonly open = new Set<Session>();
  questions = 0;
  authenticating = 0;
  mostAuthenticating = 0;
  #clients = 0;

  finder(options: FinderOptions = {}): Finder {
    const { now, sleep } = this.time;
    const names = createNames({
      timing: { now, sleep },
      timeoutMs: 2000,
      ask: async (host) => {
        this.questions += 1;
        await sleep(this.nameDelays.get(host) ?? 1);
        const said = this.names.get(host);
        if (said === "silent") return await new Promise(() => undefined);
        if (said instanceof Error) throw said;
        const addresses = (said ?? []).map((address): NameAddress => ({
          address,
          family: address.includes(":") ? 6 : 4,
        }));
        if (addresses.length > 0) return { addresses, ttlMs: 5000 };
        throw Object.assign(new Error(`${host} is not known`), { code: "ENOTFOUND" });
      },
    });
    return createFinder({ now, sleep, names, random: () => 0.5, ...options });
  }

  /** One search; its session is in `open` until it is closed. */
  find(
    finder: Finder,
    hosts: string,
    attributes: TargetSessionAttrs,
    options: Partial<FindRequest<Session>> = {},
  ): ReturnType<typeof finder.find<Session>> {
    this.#clients += 1;
    const by = this.#clients;
    return finder.find<Session>({
      endpoints: hosts.split(",").map((host) => ({ host, port: 5432, hostaddr: undefined })),
      attributes,
      attempt: (address, pass, signal) => this.#attempt(address, pass, { signal, by }),
      discard: (session) => void this.open.delete(session),
      ...options,
    });
  }

  /** How often an address was dialled, at or after a time. */
  dialled(address: string, since = 0): number {
    return this.dials.filter((one) => one.address === address && one.at >= since).length;
  }

  async #attempt(
    { address }: DialAddress,
    pass: Pass,
    { signal, by }: { readonly signal: AbortSignal; readonly by: number },
  ): Promise<Session> {
    this.dials.push({ address, at: this.time.now(), by });
    await this.time.sleep((this.delays.get(address) ?? 2) / 2, signal);
    signal.throwIfAborted();
    const manner = this.manners.get(address) ?? "refused";
    if (manner === "black hole") {
      await this.time.sleep(1e9, signal);
      signal.throwIfAborted();
    }
    const endTurn = await pass.turn(signal);
    this.authenticating += 1;
    this.mostAuthenticating = Math.max(this.mostAuthenticating, this.authenticating);
    try {
      await this.time.sleep((this.delays.get(address) ?? 2) / 2, signal);
    } finally {
      this.authenticating -= 1;
      endTurn();
    }
    signal.throwIfAborted();
    const role = roles[manner];
    if (role === undefined) {
      const code = codes[manner];
      const stops = manner === "authentication";
      throw new AttemptError(manner as AttemptReason, `it is ${manner}`, { code, stops });
    }
    if (!pass.accepts(role)) throw new AttemptError("role", `it is a ${manner}`);
    const session = { address, by };
    this.open.add(session);
    return session;
  }
}
