/**
 * What the parts of the resolver are to each other: the zone's content as the sync hands it over,
 * the zone as the engines serve it, and the way out for questions that are not the zone's.
 */

/** A record as the registry publishes it (registry/contract.ts, Endpoint), without its owner. */
export interface ZoneRecord {
  readonly id: number;
  /** Without trailing dot. */
  readonly fqdn: string;
  readonly record_type: "A" | "AAAA" | "SRV" | "CNAME";
  readonly target_ip: string | null;
  readonly target_port: number | null;
  /** Seconds. */
  readonly ttl: number;
}

/** One whole state of the zone. */
export interface ZoneContent {
  readonly epoch: string;
  readonly generation: number;
  readonly records: readonly ZoneRecord[];
}

/** What stays the same while the process runs. */
export interface ZoneSettings {
  /** Such as temps.local. */
  readonly zone: string;
  /** Other names of the same zone, served side by side. */
  readonly aliases: readonly string[];
  /** False: strictly authoritative, everything else is REFUSED. */
  readonly forwards: boolean;
  readonly udpSizeMax: number;
  /** Zones that have upstreams of their own: they are not answered here, though RFC 6303 names them. */
  readonly forwardZones?: readonly string[];
  /** Where this resolver can be asked: the addresses of ns.<zone>, unless the registry gives it some. */
  readonly addresses?: readonly string[];
}

/** Who asks, for limits and counters. */
export interface Asker {
  readonly transport: "udp" | "tcp";
  readonly address: string;
}

/** The way out for what is not the zone's. */
export interface Forwarder {
  /**
   * Answers a whole query message with a whole answer message: id, question bytes and EDNS as the
   * asker gave them, cut to the asker's own size. Never rejects: what fails is SERVFAIL with an
   * extended error. Undefined: the query is dropped (over a bound).
   */
  forward(query: Uint8Array, asker: Asker): Promise<Uint8Array | undefined>;
  /**
   * The records at the end of a chain that leaves the zone, for the answer section: owner names
   * uncompressed, in wire form; undefined when no upstream answers.
   */
  resolveTarget(
    target: Uint8Array,
    type: number,
  ): Promise<{ readonly rcode: number; readonly records: readonly Uint8Array[] } | undefined>;
  counters(): Readonly<Record<string, number>>;
  close(): Promise<void>;
}
