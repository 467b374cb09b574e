/**
 * The lookup of a target's addresses: an address as a name, the hosts file, then name servers through
 * c-ares, with a channel of its own for each question, so that a name that is never answered takes
 * neither a thread nor a place from another (node:dns, "Implementation considerations").
 */
import { Resolver } from "node:dns/promises";
import { systemClock, withDeadline } from "../../../kit/clock.ts";
import type { Clock } from "../../../kit/clock.ts";
import { deniesWithAuthority } from "./authority.ts";
import { createHostsFile } from "./hosts-file.ts";
import type { HostsFile } from "./hosts-file.ts";
import { readIp } from "./ip.ts";
import { failedWith } from "./outcome.ts";
import type { Failed, Lookup, Outcome, Question } from "./outcome.ts";
import { foundOrEmpty } from "./merge.ts";
import { readSrvRecords } from "./srv.ts";

/** So long one family is waited for when the other has answered with addresses. */
const otherFamilyMs = 1000;

/** c-ares doubles the time of a try with each round: two tries fit into the deadline. */
const shareOfTry = 0.4;

export interface LookupOptions {
  /** When the hosts file is looked at again. */
  readonly clock?: Clock;
  /** Where the hosts file lies; /etc/hosts when not given. */
  readonly hostsPath?: string;
}

/** A lookup by the machine's hosts file and name servers, or those that a question names. */
export function createLookup(options: LookupOptions = {}): Lookup {
  const hosts = createHostsFile(options.hostsPath ?? "/etc/hosts", options.clock ?? systemClock);
  return async (question, signal) => {
    signal.throwIfAborted();
    const { timeoutMs, servers, family } = question;
    const resolver = new Resolver({ timeout: Math.ceil(timeoutMs * shareOfTry), tries: 2 });
    const giveUp = (): void => resolver.cancel();
    signal.addEventListener("abort", giveUp, { once: true });
    try {
      if (servers.length > 0) resolver.setServers(servers);
      return await answer({ resolver, hosts, signal, family }, question);
    } finally {
      signal.removeEventListener("abort", giveUp);
      // What was not waited for to its end must not hold a socket.
      resolver.cancel();
    }
  };
}

async function answer(ask: Ask, { hostname, srv, trustNxdomain }: Question): Promise<Outcome> {
  const outcome = srv === undefined ? await byName(ask, hostname) : await bySrv(ask, srv);
  if (outcome.kind === "found" || outcome.failure !== "nxdomain") return outcome;
  return trustNxdomain === "any" ? outcome : await doubted(ask, srv ?? hostname, outcome);
}

async function bySrv(ask: Ask, srv: string): Promise<Outcome> {
  try {
    const records = await ask.resolver.resolveSrv(srv);
    return await readSrvRecords(srv, records, (name) => byName(ask, name));
  } catch (error) {
    return failedWith(`look up the SRV records of ${srv}`, error);
  }
}

/** An NXDOMAIN stands when the first name server says it as an authority. */
async function doubted(ask: Ask, name: string, outcome: Failed): Promise<Failed> {
  const [server = ""] = ask.resolver.getServers();
  const asked = name.replace(/\.$/, "");
  const authoritative = await deniesWithAuthority(asked, server, ask.signal);
  if (authoritative) return { ...outcome, authoritative };
  const message = `${outcome.message}, and ${server} does not say so as an authority`;
  return { ...outcome, failure: "servfail", message, authoritative };
}

/** An address is its own answer, the hosts file stands first, then name servers are asked. */
async function byName(ask: Ask, hostname: string): Promise<Outcome> {
  const { family, hosts } = ask;
  const name = hostname.toLowerCase().replace(/\.$/, "");
  const literal = readIp(hostname);
  const ips = literal === undefined ? await hosts.addresses(name) : [literal];
  const near = ips.filter((ip) => family === "both" || ip.family === family);
  if (near.length > 0) {
    const source = literal === undefined ? "hosts" : "address";
    const raw = near.map(({ text }) => ({ ip: text, port: undefined, share: 1 }));
    return foundOrEmpty(`look up ${name}`, raw, { ttlSeconds: undefined, source, unknown: [] });
  }
  if (literal === undefined) return await byServers(ask, name);
  return failedWith(`look up ${name} as an IPv${family} address`, { code: "ENODATA" });
}

interface Ask {
  readonly resolver: Resolver;
  readonly hosts: HostsFile;
  readonly signal: AbortSignal;
  readonly family: 4 | 6 | "both";
}

/** What one family answered: records, or the error. */
interface Half {
  readonly family: 4 | 6;
  readonly records: readonly { readonly address: string; readonly ttl: number }[];
  readonly error: unknown;
}

async function half({ resolver }: Ask, name: string, family: 4 | 6): Promise<Half> {
  try {
    const records = await (family === 4
      ? resolver.resolve4(name, { ttl: true })
      : resolver.resolve6(name, { ttl: true }));
    return { family, records, error: undefined };
  } catch (error) {
    return { family, records: [], error };
  }
}

/** Both families side by side: the one that is late when the other has addresses is not known. */
async function halves(ask: Ask, name: string): Promise<Half[]> {
  if (ask.family !== "both") return [await half(ask, name, ask.family)];
  const asked = [half(ask, name, 4), half(ask, name, 6)] as const;
  const first = await Promise.race(asked);
  if (first.records.length === 0) return await Promise.all(asked);
  const other = first.family === 4 ? asked[1] : asked[0];
  const late: Half = {
    family: first.family === 4 ? 6 : 4,
    records: [],
    error: Object.assign(new Error("late"), { code: "ETIMEOUT" }),
  };
  const what = `the other addresses of ${name}`;
  const rest = withDeadline(what, otherFamilyMs, () => other, ask.signal);
  return [first, await rest.catch(() => late)];
}

async function byServers(ask: Ask, name: string): Promise<Outcome> {
  const answers = await halves(ask, name);
  const records = answers.flatMap((one) => one.records);
  const what = `look up ${name}`;
  if (records.length === 0) return failedWith(what, worst(answers));
  const unknown = answers.filter((one) => isUnknown(one.error)).map((one) => one.family);
  const raw = records.map(({ address }) => ({ ip: address, port: undefined, share: 1 }));
  const ttlSeconds = records.reduce((least, { ttl }) => Math.min(least, ttl), Infinity);
  const outcome = foundOrEmpty(what, raw, { ttlSeconds, source: "dns", unknown });
  // Nothing of what came can be used, and not all has come.
  if (outcome.kind === "found" || unknown.length === 0) return outcome;
  return { ...outcome, ...failedWith(what, worst(answers)) };
}

/** Only NXDOMAIN and NODATA say that a family has no addresses. */
function isUnknown(error: unknown): boolean {
  if (error === undefined) return false;
  const { failure } = failedWith("", error);
  return failure === "servfail" || failure === "timeout";
}

/** Of two errors the one that says least: where a half is not known, neither is the whole. */
function worst(answers: readonly Half[]): unknown {
  const ranks = ["timeout", "servfail", "empty", "nxdomain"];
  const errors = answers.flatMap((one) => one.error ?? []);
  const rank = (error: unknown): number => ranks.indexOf(failedWith("", error).failure);
  return errors.toSorted((left, right) => rank(left) - rank(right))[0];
}
