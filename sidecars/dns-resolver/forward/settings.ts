/**
 * What a forwarder is told: its upstreams for all names and for single zones, and its bounds. A list
 * that would make it ask itself is refused.
 */
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { formatAddress } from "../../../kit/address.ts";
import type { Address } from "../../../kit/address.ts";
import { nameFromText } from "../wire/names.ts";

/** The upstreams of the names of one zone. An empty list: its names are not forwarded. */
export interface ZoneUpstreams {
  /** Such as `corp.example`. */
  readonly zone: string;
  readonly upstreams: readonly Address[];
}

/** Whom to ask. The longest zone that a name lies in decides; names in none go to `upstreams`. */
export interface UpstreamChoice {
  readonly upstreams: readonly Address[];
  /**
   * True: addresses of private networks in what `upstreams` answer are left out, so that no name of
   * the Internet leads inside (DNS rebinding). What a zone's own upstreams answer stays.
   */
  readonly hidesPrivate?: boolean;
  readonly zones: readonly ZoneUpstreams[];
}

export interface ForwarderSettings extends UpstreamChoice {
  /** Where this process takes questions: no upstream may be one of these. */
  readonly ownAddresses: readonly Address[];
  /** The largest answer over UDP, in bytes. */
  readonly udpSizeMax: number;
  readonly limits?: Partial<ForwardLimits>;
}

/** Every bound. Times are in milliseconds where the name says so, TTLs in seconds. */
export interface ForwardLimits {
  /** From a question to its answer, whatever that is. */
  readonly totalMs: number;
  /** The same while every upstream is out: who waits is told so before it gives up by itself. */
  readonly allOutMs: number;
  /** The next upstream is asked no earlier than this after the last. */
  readonly hedgeMinMs: number;
  /** Queries sent for one question. */
  readonly attemptsMax: number;
  /** Sockets for each upstream, and how long and how often each is used. */
  readonly socketsPerUpstream: number;
  readonly socketUses: number;
  readonly socketAgeMs: number;
  readonly tcpConnectionsMax: number;
  /** Questions under way, and clients that wait for them. */
  readonly questionsMax: number;
  readonly waitersMax: number;
  readonly cacheBytesMax: number;
  readonly cacheEntriesMax: number;
  readonly ttlMax: number;
  readonly negativeTtlMax: number;
  /** How long past its time an answer may be given while no upstream answers. */
  readonly staleMax: number;
  readonly staleTtl: number;
  /** A failure is remembered this long at first, and at most (RFC 9520). */
  readonly failureTtl: number;
  readonly failureTtlMax: number;
  /** Questions that a client may have sent on: steadily a second, and at once. */
  readonly missesPerSecond: number;
  readonly missesBurst: number;
  readonly probeMs: number;
}

export const defaultLimits: ForwardLimits = {
  totalMs: 1800,
  allOutMs: 300,
  hedgeMinMs: 150,
  attemptsMax: 6,
  socketsPerUpstream: 64,
  socketUses: 1000,
  socketAgeMs: 30_000,
  tcpConnectionsMax: 64,
  questionsMax: 2000,
  waitersMax: 10_000,
  cacheBytesMax: 16 * 1024 * 1024,
  cacheEntriesMax: 50_000,
  ttlMax: 86_400,
  negativeTtlMax: 3600,
  staleMax: 86_400,
  staleTtl: 30,
  failureTtl: 1,
  failureTtlMax: 5,
  missesPerSecond: 2000,
  missesBurst: 4000,
  probeMs: 750,
};

/** An upstream that cannot be one. */
export class ForwardUpstreamError extends Error {
  override readonly name = "ForwardUpstreamError";
  readonly code = "ERR_FORWARD_UPSTREAM";
  readonly upstream: string;
  constructor(upstream: string, why: string, cause?: unknown) {
    super(`forward to ${upstream}: ${why}`, { cause });
    this.upstream = upstream;
  }
}

const everywhere = new Set(["0.0.0.0", "::"]);

function isOwn(upstream: Address, own: readonly Address[]): boolean {
  const interfaces = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const isThisHosts =
    upstream.host.startsWith("127.") ||
    everywhere.has(upstream.host) ||
    interfaces.some(({ address }) => address === upstream.host);
  return own.some(
    ({ host, port }) =>
      port === upstream.port &&
      (host === upstream.host ||
        (everywhere.has(host) && isThisHosts) ||
        (everywhere.has(upstream.host) && isThisHosts)),
  );
}

/**
 * Checks every upstream: an IP address that is not the forwarder's own.
 * @throws ForwardUpstreamError
 */
export function checkUpstreams(choice: UpstreamChoice, own: readonly Address[]): void {
  const lists = [choice.upstreams, ...choice.zones.map(({ upstreams }) => upstreams)];
  for (const upstream of lists.flat()) {
    const words = formatAddress(upstream);
    if (isIP(upstream.host) === 0) throw new ForwardUpstreamError(words, "not an IP address");
    if (isOwn(upstream, own)) {
      throw new ForwardUpstreamError(
        words,
        "this resolver's own address: questions would go round",
      );
    }
  }
  for (const { zone } of choice.zones) {
    try {
      nameFromText(zone);
    } catch (cause) {
      throw new ForwardUpstreamError(zone, "not the name of a zone", cause);
    }
  }
}
