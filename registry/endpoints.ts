/**
 * Which records can be published: their names, addresses, TTLs and ports. What a resolver would have
 * to leave out never gets a generation.
 */
import type { Endpoint } from "./contract.ts";

/** What of a record is checked; its owner and its ids are not. */
export type CheckedRecord = Pick<
  Endpoint,
  "fqdn" | "record_type" | "target_ip" | "target_port" | "ttl" | "node_id"
>;

/** Bounds of a TTL, in seconds. */
export const ttlBounds = { min: 1, max: 86_400 } as const;

const nameLimit = 253;
const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;
const octet = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const ipv4 = new RegExp(`^${octet}(\\.${octet}){3}$`);
const ipv6Letters = /^[0-9a-f:.]+$/;

/**
 * Why this record cannot be published in `zone`, as one sentence part that names the field; undefined
 * when it can. Names are without trailing dot and in small letters.
 */
export function checkDraft(zone: string, draft: CheckedRecord): string | undefined {
  return (
    nameFault(zone, draft) ??
    ttlFault(draft) ??
    nodeFault(draft) ??
    checks[draft.record_type](draft)
  );
}

/** True where `text` is a name that DNS can carry: labels of 1 to 63 letters, digits, - and _. */
export function isDomainName(text: string): boolean {
  return text.length <= nameLimit && text.split(".").every((one) => label.test(one));
}

function nameFault(zone: string, { fqdn }: CheckedRecord): string | undefined {
  const shown = JSON.stringify(fqdn);
  if (!isDomainName(fqdn)) return `fqdn ${shown} is no domain name in small letters`;
  const isInside = fqdn === zone || fqdn.endsWith(`.${zone}`);
  return isInside ? undefined : `fqdn ${shown} is outside the zone ${zone}`;
}

function ttlFault({ ttl }: CheckedRecord): string | undefined {
  const { min, max } = ttlBounds;
  const fits = Number.isInteger(ttl) && ttl >= min && ttl <= max;
  return fits ? undefined : `ttl ${ttl} is not between ${min} and ${max} seconds`;
}

function nodeFault({ node_id: node }: CheckedRecord): string | undefined {
  return node === null || (Number.isInteger(node) && node >= 1)
    ? undefined
    : `node_id ${node} is no node`;
}

type Check = (draft: CheckedRecord) => string | undefined;

const checks: Readonly<Record<CheckedRecord["record_type"], Check>> = {
  A: (draft) => addressFault(draft, isPublicIpv4, "an IPv4 address"),
  AAAA: (draft) => addressFault(draft, isPublicIpv6, "an IPv6 address"),
  SRV: (draft) => {
    if (!/^_[^.]+\._[^.]+\./.test(draft.fqdn)) return `fqdn ${draft.fqdn} names no service`;
    return targetFault(draft) ?? (isPort(draft.target_port) ? undefined : portWords(draft));
  },
  CNAME: (draft) => {
    if (draft.target_ip === draft.fqdn) return `target_ip ${draft.fqdn} is the name itself`;
    return targetFault(draft) ?? (draft.target_port === null ? undefined : portWords(draft));
  },
};

function addressFault(
  draft: CheckedRecord,
  fits: (text: string) => boolean,
  what: string,
): string | undefined {
  const { target_ip: target, target_port: port } = draft;
  if (target === null || !fits(target)) {
    return `target_ip ${JSON.stringify(target)} is not ${what} of one host`;
  }
  return port === null || isPort(port) ? undefined : portWords(draft);
}

function targetFault({ target_ip: target }: CheckedRecord): string | undefined {
  const isName = target !== null && isDomainName(target) && !ipv4.test(target);
  return isName ? undefined : `target_ip ${JSON.stringify(target)} is no domain name`;
}

function isPort(port: number | null): boolean {
  return port !== null && Number.isInteger(port) && port >= 1 && port <= 65_535;
}

function portWords({ record_type: type, target_port: port }: CheckedRecord): string {
  return `target_port ${port} does not go with ${type}`;
}

/** Neither "any", nor a group of hosts, nor everybody: nobody can be reached there. */
function isPublicIpv4(text: string): boolean {
  if (!ipv4.test(text)) return false;
  const first = Number(text.split(".")[0]);
  return first !== 0 && first < 224;
}

function isPublicIpv6(text: string): boolean {
  const canonical = canonicalIpv6(text);
  if (canonical === undefined) return false;
  return canonical !== "::" && !canonical.startsWith("ff") && !canonical.startsWith("::ffff:");
}

/** An IPv6 address as RFC 5952 writes it; undefined for what is none. */
export function canonicalIpv6(text: string): string | undefined {
  const small = text.toLowerCase();
  if (!small.includes(":") || !ipv6Letters.test(small)) return undefined;
  const parsed = URL.parse(`http://[${small}]/`);
  return parsed === null ? undefined : parsed.hostname.slice(1, -1);
}

/** The same record in the form in which it is kept, so that one thing has one form. */
export function canonicalDraft<Draft extends CheckedRecord>(draft: Draft): Draft {
  const { record_type: type, target_ip: target } = draft;
  const fqdn = draft.fqdn.toLowerCase().replace(/\.$/, "");
  const name = target?.toLowerCase().replace(/\.$/, "") ?? null;
  if (type !== "AAAA") return { ...draft, fqdn, target_ip: name };
  return { ...draft, fqdn, target_ip: name === null ? null : (canonicalIpv6(name) ?? name) };
}
