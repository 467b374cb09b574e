/**
 * What a dns-resolver says: an answer over DNS as our tools read it, and about itself over HTTP (GET
 * /livez, /readyz, /status, /metrics), without a token: a question to port 53 would tell as much.
 */
import { z } from "zod";

/** Where it answers questions when nothing else is said. */
export const dnsPort = 53;

/** Default port of /status. */
export const resolverStatusPort = 8054;

/**
 * ready: answers, and has spoken to the registry lately; stale: answers, with a zone that the registry
 * has not confirmed for a while; loading: has no zone yet, and answers SERVFAIL for names in it;
 * deaf: has a zone and not one address to answer on.
 */
export const resolverStates = ["ready", "stale", "loading", "deaf"] as const;

/** bound: answers there, over UDP and TCP; retrying: could not be bound yet, and is tried again. */
export const listenStates = ["bound", "retrying"] as const;

const time = z.string().nullable();
const count = z.number().int().min(0);

const listenStatus = z.object({
  /** host:port, over UDP and TCP. */
  address: z.string(),
  state: z.enum(listenStates),
  /** What answers over UDP there; null while it is not bound. */
  engine: z.string().nullable(),
  /** Why it is not bound; null where it is. */
  error: z.string().nullable(),
  /** What was wrong when the resolver last asked itself there; null: it answered as it should. */
  fault: z.string().nullable(),
});
export type ListenStatus = z.infer<typeof listenStatus>;

const syncStatus = z.object({
  registry: z.string(),
  node: z.number().int(),
  /** When the registry last confirmed what is served; ISO 8601; null: never. */
  lastSyncAt: time,
  /** Since then, in seconds. */
  staleSeconds: z.number().nullable(),
  /** Why the last try failed; kept until the next one works. */
  lastError: z.string().nullable(),
  /** In a row. */
  failures: count,
  /** The generation that the registry knows to be served here; null: none. */
  acknowledged: count.nullable(),
  /** Whole zones that had to be fetched because a change did not fit what was there. */
  resyncs: count,
  /** Records that are left out and why, a snapshot that could not be written; at most ten lines. */
  wrong: z.array(z.string()),
});
export type SyncStatus = z.infer<typeof syncStatus>;

/** GET /status */
export const resolverStatus = z.object({
  state: z.enum(resolverStates),
  healthy: z.boolean(),
  /** Why it is not healthy, one sentence each; empty when it is. */
  reasons: z.array(z.string()),
  zone: z.string(),
  aliases: z.array(z.string()),
  /** Null: no zone is loaded. The SOA's serial is the generation modulo 2^32. */
  generation: count.nullable(),
  epoch: z.string().nullable(),
  zoneHash: z.string().nullable(),
  records: count,
  /** Where what is served came from. */
  from: z.enum(["registry", "snapshot"]).nullable(),
  sync: syncStatus,
  listen: z.array(listenStatus),
  /** Where questions outside the zone go; empty: nowhere, they are refused. */
  upstreams: z.array(z.string()),
  /** Since the start. */
  counters: z.record(z.string(), z.number()),
});
export type ResolverStatus = z.infer<typeof resolverStatus>;

/** What our tools ask for. */
export const askTypes = ["A", "AAAA", "SOA"] as const;
export type AskType = (typeof askTypes)[number];

/** An answer over DNS. */
export interface NameAnswer {
  /** Such as NOERROR, NXDOMAIN or SERVFAIL. */
  readonly rcode: string;
  /** The answer comes from the zone itself. */
  readonly authoritative: boolean;
  /** Of the type that was asked for, at the end of aliases, in the order of the answer. */
  readonly addresses: readonly string[];
  /** Seconds, the least of all records of the answer; null where there is none. */
  readonly ttl: number | null;
  /** Of the SOA in the answer, or beside a negative one; null where there is none. */
  readonly serial: number | null;
}
