/**
 * A DNS server on a real socket whose answers a test writes, name by name, and changes as it goes:
 * A, AAAA and SRV records with a time to live, NXDOMAIN, SERVFAIL, REFUSED, no data, or silence, for a
 * name or for one type of it. RFC 1035, section 4; over UDP.
 */
import { createSocket } from "node:dgram";
import { AUTHORITATIVE_ANSWER, decode, encode } from "dns-packet";
import type { Answer, Packet } from "dns-packet";

/** `denied`: NXDOMAIN of one that is no authority. */
const rcodes = { servfail: 2, nxdomain: 3, denied: 3, refused: 5 } as const;

/** What is said to one question; a list is the records. */
export type Said = readonly string[] | keyof typeof rcodes | "silent";

export interface SrvData {
  readonly priority: number;
  readonly weight: number;
  readonly port: number;
  readonly target: string;
}

/** What a name has; a type that is not given has no data. */
export interface Name {
  readonly A?: Said;
  readonly AAAA?: Said;
  readonly SRV?: readonly SrvData[] | Exclude<Said, readonly string[]>;
  /** Seconds. Default 5. */
  readonly ttl?: number;
}

export interface ScriptedDns {
  /** `host:port`, as node:dns takes it. */
  readonly server: string;
  readonly host: string;
  readonly port: number;
  /** By name, lower case. A name that is not there does not exist. */
  readonly names: Map<string, Name | Exclude<Said, readonly string[]>>;
  /** Questions so far: all, or for one name. */
  asked(name?: string): number;
  stop(): Promise<void>;
}

/** Starts it on `host`, at any free port unless one is given. */
export async function startScriptedDns(host: string, port = 0): Promise<ScriptedDns> {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  const names: ScriptedDns["names"] = new Map();
  const counts = new Map<string, number>();
  socket.on("message", (bytes, from) => {
    const query = decode(bytes);
    const [question] = query.questions ?? [];
    const name = question?.name.toLowerCase() ?? "";
    counts.set(name, (counts.get(name) ?? 0) + 1);
    const reply = replyTo(query, name, question?.type ?? "A", names.get(name) ?? "nxdomain");
    if (reply !== undefined) socket.send(encode(reply), from.port, from.address);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, host, resolve);
  });
  const bound = socket.address().port;
  return {
    server: host.includes(":") ? `[${host}]:${bound}` : `${host}:${bound}`,
    host,
    port: bound,
    names,
    asked: (name) =>
      name === undefined
        ? [...counts.values()].reduce((sum, count) => sum + count, 0)
        : (counts.get(name) ?? 0),
    stop: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function rcodeOf(said: string | readonly unknown[]): number {
  return typeof said === "string" ? rcodes[said as keyof typeof rcodes] : 0;
}

type Entry = Name | Exclude<Said, readonly string[]>;

function replyTo(query: Packet, name: string, type: string, entry: Entry): Packet | undefined {
  const said = typeof entry === "string" ? entry : (entry[type as "A" | "AAAA" | "SRV"] ?? []);
  if (said === "silent") return undefined;
  const reply: Packet = {
    type: "response",
    id: query.id ?? 0,
    flags: (said === "denied" ? 0 : AUTHORITATIVE_ANSWER) | rcodeOf(said),
    questions: query.questions ?? [],
  };
  if (typeof said === "string") return reply;
  const ttl = typeof entry === "string" ? 0 : (entry.ttl ?? 5);
  const answers = said.map((data) => ({ type, name, ttl, data }) as Answer);
  return { ...reply, answers };
}
