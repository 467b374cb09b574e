/** The zone of the tests, and how a question is put to it without a socket. `$` stands for the zone. */
import { answer } from "../../../sidecars/dns-resolver/answers/answers.ts";
import type { AnswerOptions } from "../../../sidecars/dns-resolver/answers/answers.ts";
import type { ZoneRecord, ZoneSettings } from "../../../sidecars/dns-resolver/parts.ts";
import { buildZone, unloadedZone } from "../../../sidecars/dns-resolver/zone/build.ts";
import { viewOf } from "../../../sidecars/dns-resolver/zone/served.ts";
import type { ServedView } from "../../../sidecars/dns-resolver/zone/served.ts";
import { askBytes, tell } from "./message-kit.ts";
import type { Ask, Told } from "./message-kit.ts";

export const zone = "temps.local";
export const alias = "db.internal";
export const zones = [zone, alias] as const;
export const generation = 4_294_967_296 + 71;

export const settings: ZoneSettings = {
  zone,
  aliases: [alias],
  forwards: false,
  udpSizeMax: 1232,
  addresses: ["10.0.0.53", "fd00::53"],
};

type Line = readonly [name: string, type: ZoneRecord["record_type"], target: string, port?: number];

const many = (name: string, count: number): Line[] =>
  Array.from({ length: count }, (_, index) => [name, "A", `10.9.${index >> 8}.${index & 255}`]);

const lines: readonly Line[] = [
  ["v4only", "A", "10.2.3.4"],
  ["v6only", "AAAA", "fd00::4"],
  ["dual", "A", "10.2.3.5"],
  ["dual", "AAAA", "fd00::5"],
  ["a.b.c", "A", "10.2.3.6"],
  ["alias", "CNAME", "v4only.temps.local"],
  ["alias2", "CNAME", "alias.temps.local"],
  ["out", "CNAME", "www.example.com"],
  ["out2", "CNAME", "out.temps.local"],
  ["dangling", "CNAME", "nope.temps.local"],
  ["loop1", "CNAME", "loop2.temps.local"],
  ["loop2", "CNAME", "loop1.temps.local"],
  ["db-0.db", "A", "10.0.1.1"],
  ["db-1.db", "A", "10.0.1.2"],
  ["db-2.db", "A", "10.0.1.3"],
  ["primary.db", "A", "10.0.1.2"],
  ["replica.db", "A", "10.0.1.1"],
  ["replica.db", "A", "10.0.1.3"],
  ["replica.db", "A", "10.0.1.4"],
  ["db", "A", "10.0.1.1"],
  ["db", "A", "10.0.1.2"],
  ["db", "A", "10.0.1.3"],
  ["_postgres._tcp.primary.db", "SRV", "db-1.db.temps.local", 5432],
  ["_postgres._tcp.db", "SRV", "db-0.db.temps.local", 5432],
  ["_postgres._tcp.db", "SRV", "db-1.db.temps.local", 5432],
  ["lonely-0.lonely", "A", "203.0.113.9"],
  ["reader", "CNAME", "replica.db.temps.local"],
  ...many("big", 60),
  ...many("huge", 200),
];

export function recordsOf(all: readonly Line[] = lines): ZoneRecord[] {
  return all.map(([name, type, target, port], index) => ({
    id: index + 1,
    fqdn: `${name}.${zone}`,
    record_type: type,
    target_ip: target,
    target_port: port ?? null,
    ttl: name === "primary.db" ? 5 : 30,
  }));
}

/** The zone of the tests, built; by default strictly authoritative. */
export function builtView(change: Partial<ZoneSettings> = {}): ServedView {
  const content = { epoch: "e", generation, records: recordsOf() };
  return viewOf(buildZone({ ...settings, ...change }, content).served);
}

export const emptyView = (): ServedView => viewOf(unloadedZone(settings));

const out = new Uint8Array(65_535);

/** The bytes that a message is answered with, or what `answer` says instead of bytes. */
export function answerTo(
  view: ServedView,
  query: Uint8Array,
  options: Partial<AnswerOptions> = {},
): Uint8Array | number {
  const whole = { transport: "udp", forwards: false, udpSizeMax: 1232, ...options } as const;
  const size = answer(view, query, query.length, out, whole);
  return size > 0 ? out.slice(0, size) : size;
}

/** What a question is answered with, in lines. */
export function told(view: ServedView, ask: Ask, options: Partial<AnswerOptions> = {}): Told {
  const bytes = answerTo(view, askBytes(ask), options);
  if (typeof bytes === "number") throw new Error(`no answer: ${bytes}`);
  return tell(bytes);
}

/** A text of a case, in one of the zones. */
export function inZone(text: string, origin: string): string {
  return text.replaceAll("$", origin);
}
