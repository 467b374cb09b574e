/**
 * What a zone says of a name, told slowly and without any of the resolver's code: lists that are gone
 * through for each question.
 */
import type { ZoneRecord } from "../../../sidecars/dns-resolver/parts.ts";
import type { Told } from "./message-kit.ts";

type Kind = ZoneRecord["record_type"];
export type ModelAnswer = Pick<Told, "rcode" | "answer"> & { readonly isNegative: boolean };

/** The records that are served: a CNAME only where nothing else stands, and one of them. */
export function servedOf(records: readonly ZoneRecord[]): ZoneRecord[] {
  const different = records.filter(
    (one, index) => records.findIndex((other) => lineOf(other, 0) === lineOf(one, 0)) === index,
  );
  return different.filter((one) => {
    if (one.record_type !== "CNAME") return true;
    const beside = different.filter((other) => other.fqdn === one.fqdn);
    return beside.every((other) => other.record_type === "CNAME" && other.id >= one.id);
  });
}

function lineOf(record: ZoneRecord, ttl: number): string {
  const { fqdn, record_type: type, target_ip: target, target_port: port } = record;
  const data = type === "SRV" ? `0 0 ${port} ${target}` : target;
  return `${fqdn} ${ttl} ${type} ${data}`;
}

function linesOf(records: readonly ZoneRecord[]): string[] {
  const ttl = Math.min(...records.map((one) => one.ttl));
  return records.map((one) => lineOf(one, ttl));
}

/** The answer for a name in the zone; `served` as servedOf gives it. Records are in no order. */
export function modelAnswer(
  served: readonly ZoneRecord[],
  zone: string,
  name: string,
  type: Kind | "TXT",
): ModelAnswer {
  const links: string[] = [];
  const passed = new Set<string>();
  for (let at = name; ;) {
    const here = served.filter((one) => one.fqdn === at);
    const alias = here.find((one) => one.record_type === "CNAME");
    if (alias === undefined || type === "CNAME") {
      const found = here.filter((one) => one.record_type === type);
      const answer = [...links, ...linesOf(found)];
      if (found.length > 0) return { rcode: "NOERROR", answer, isNegative: false };
      const isThere =
        at === zone ||
        at === `ns.${zone}` ||
        served.some((one) => `.${one.fqdn}`.endsWith(`.${at}`));
      return { rcode: isThere ? "NOERROR" : "NXDOMAIN", answer: links, isNegative: true };
    }
    if (passed.has(at) || passed.size >= 16)
      return { rcode: "SERVFAIL", answer: [], isNegative: false };
    passed.add(at);
    links.push(...linesOf([alias]));
    at = alias.target_ip ?? "";
    if (at !== zone && !at.endsWith(`.${zone}`)) {
      return { rcode: "NOERROR", answer: links, isNegative: false };
    }
  }
}
