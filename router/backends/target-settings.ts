/**
 * Reads what a caller says of a target: defaults, limits, and one clear error for the first value
 * that is not possible.
 */
import { isIP } from "node:net";
import { isHostAddress } from "../../config/host-address.ts";
import type { Address } from "../../kit/address.ts";
import { nearest } from "../../kit/nearest.ts";
import { isPort } from "./lookup/merge.ts";
import { TargetOptionsError } from "./target.ts";
import type { FailureKind, FailurePolicy, TargetOptions, TargetSettings } from "./target.ts";

const day = 86_400;
const longest = 2_147_483;

interface NumberRule {
  readonly least: number;
  readonly most: number;
  readonly whole?: true;
  /** What it is when it is not given. */
  readonly otherwise?: number;
}

const numbers = {
  port: { least: 1, most: 65_535, whole: true },
  weight: { least: 1, most: 65_535, whole: true, otherwise: 100 },
  dnsRefreshSeconds: { least: 0.1, most: day, otherwise: 30 },
  minRefreshSeconds: { least: 0.1, most: day, otherwise: 1 },
  maxRefreshSeconds: { least: 0.1, most: day, otherwise: 300 },
  jitter: { least: 0, most: 0.2, otherwise: 0.1 },
  timeoutMs: { least: 10, most: 60_000, otherwise: 5000 },
  maxStaleSeconds: { least: 0, most: longest, otherwise: 0 },
  minHealthy: { least: 0, most: 1, otherwise: 0 },
  drainGraceMs: { least: 0, most: day * 1000, otherwise: 30_000 },
  startupWaitSeconds: { least: 0.1, most: day, otherwise: 60 },
} as const satisfies Readonly<Record<string, NumberRule>>;

const inBackoff = { least: 10, most: day * 1000 } as const;
const inTimes = { least: 1, most: 1000, whole: true } as const;
const inSeconds = { least: 0.001, most: longest } as const;

const words = {
  refresh: ["fixed", "ttl"],
  family: ["both", 4, 6],
  startup: ["fail", "wait", "last-known", "empty", "last-known-or-empty"],
  trustNxdomain: ["any", "authoritative"],
} as const;

const policyKeys = {
  nxdomain: "onNxdomain",
  empty: "onEmpty",
  servfail: "onServfail",
  timeout: "onTimeout",
} as const satisfies Readonly<Record<FailureKind, keyof TargetOptions>>;

/** Every key that a target may have, for whoever reads targets out of a file. */
export const targetKeys: readonly (keyof TargetOptions)[] = [
  ...(Object.keys(numbers) as (keyof typeof numbers)[]),
  ...(Object.keys(words) as (keyof typeof words)[]),
  ...Object.values(policyKeys),
  "healthCheck",
  "backoff",
  "servers",
  "srv",
  "holdDown",
];

/** The part of an address that has a port or none: `192.0.2.1:53`, `[2001:db8::1]:53`. */
const serverForm = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::(\d{1,5}))?$/;
const label = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;

/** Whether a text is a host name (RFC 1123, 2.1, with underscores as SRV has them) or an address. */
export function isHostname(text: string): boolean {
  const name = text.endsWith(".") ? text.slice(0, -1) : text;
  // A scope means something on one machine only.
  if (isIP(name) !== 0) return name === text && !name.includes("%");
  return name.length > 0 && name.length <= 253 && name.split(".").every((one) => label.test(one));
}

/**
 * Reads what was said of a target into settings.
 * @throws TargetOptionsError at the first value that is not possible, unknown keys included
 */
export function readTargetOptions(hostname: string, options: TargetOptions): TargetSettings {
  const said = options as Readonly<Record<string, unknown>>;
  const fault = (key: string, must: string, found: unknown): TargetOptionsError =>
    new TargetOptionsError(hostname, key, must, found);
  if (typeof hostname !== "string" || !isHostname(hostname)) {
    throw fault("hostname", "a host name or an IP address", hostname);
  }
  if (isIP(hostname) !== 0 && !isHostAddress(hostname)) {
    throw fault("hostname", "an address that a server can have", hostname);
  }
  if (typeof options !== "object" || options === null) throw fault("it", "an object", options);
  for (const key of Object.keys(said)) checkKey(key, fault);
  const number = (key: keyof typeof numbers): number | undefined =>
    readNumber(key, said[key], numbers[key], fault);
  const sure = (key: Exclude<keyof typeof numbers, "port">): number =>
    number(key) ?? numbers[key].otherwise;
  const { srv, ...asked } = readQuestion(hostname, said, fault);
  const port = number("port");
  if (port === undefined && srv === undefined) throw fault("port", "given", undefined);
  const minRefreshMs = sure("minRefreshSeconds") * 1000;
  const maxRefreshMs = sure("maxRefreshSeconds") * 1000;
  if (minRefreshMs > maxRefreshMs) {
    throw fault("minRefreshSeconds", "at most maxRefreshSeconds", said["minRefreshSeconds"]);
  }
  return {
    ...asked,
    srv,
    port,
    minRefreshMs,
    maxRefreshMs,
    weight: sure("weight"),
    refreshMs: sure("dnsRefreshSeconds") * 1000,
    healthCheck: said["healthCheck"],
    refresh: readWord("refresh", said, words.refresh, fault),
    jitter: sure("jitter"),
    backoff: readBackoff(said["backoff"], fault),
    policies: readPolicies(said, fault),
    maxStaleMs: sure("maxStaleSeconds") * 1000,
    holdDown: readLimits("holdDown", said["holdDown"], fault),
    minHealthy: sure("minHealthy"),
    drainGraceMs: sure("drainGraceMs"),
    startup: readWord("startup", said, words.startup, fault),
    startupWaitMs: sure("startupWaitSeconds") * 1000,
  };
}

type Fault = (key: string, must: string, found: unknown) => TargetOptionsError;

function checkKey(key: string, fault: Fault): void {
  if (targetKeys.includes(key as keyof TargetOptions)) return;
  const near = nearest(key, targetKeys);
  throw fault("its keys", near === undefined ? "known ones" : `known ones (${near}?)`, key);
}

function readNumber(
  key: string,
  found: unknown,
  rule: NumberRule,
  fault: Fault,
): number | undefined {
  if (found === undefined) return undefined;
  const isOne = typeof found === "number" && (rule.whole !== true || Number.isInteger(found));
  if (isOne && found >= rule.least && found <= rule.most) return found;
  const kind = rule.whole === true ? "a whole number" : "a number";
  throw fault(key, `${kind} from ${rule.least} to ${rule.most}`, found);
}

function readWord<Word>(
  key: string,
  said: Readonly<Record<string, unknown>>,
  known: readonly Word[],
  fault: Fault,
): Word {
  const found = said[key] ?? known[0];
  const word = known.find((one) => one === found);
  if (word === undefined) throw fault(key, known.join(", "), found);
  return word;
}

function readQuestion(
  hostname: string,
  said: Readonly<Record<string, unknown>>,
  fault: Fault,
): Pick<TargetSettings, "timeoutMs" | "servers" | "family" | "srv" | "trustNxdomain"> {
  const servers = said["servers"] ?? [];
  const isList = Array.isArray(servers) && servers.length <= 16;
  if (
    !isList ||
    !servers.every((one) => typeof one === "string" && readServer(one) !== undefined)
  ) {
    throw fault("servers", "a list of up to 16 addresses, each with or without a port", servers);
  }
  return {
    servers: servers as readonly string[],
    family: readWord("family", said, words.family, fault),
    trustNxdomain: readWord("trustNxdomain", said, words.trustNxdomain, fault),
    timeoutMs: readNumber("timeoutMs", said["timeoutMs"], numbers.timeoutMs, fault) ?? 5000,
    srv: readSrv(hostname, said["srv"], fault),
  };
}

function readSrv(hostname: string, srv: unknown, fault: Fault): string | undefined {
  if (srv === undefined || srv === false) return undefined;
  const prefix = typeof srv === "string" ? `${srv}.` : "";
  const isPossible = (srv === true || prefix !== "") && isHostname(`${prefix}${hostname}`);
  if (isPossible && isIP(hostname) === 0) return `${prefix}${hostname}`;
  throw fault("srv", "true, or a prefix such as _postgresql._tcp, beside a host name", srv);
}

/** Where name servers listen unless it is said. */
export const dnsPort = 53;

/** A name server as node:dns writes it; undefined for what is none. */
export function readServer(text: string): Address | undefined {
  const [, six, four, port = String(dnsPort)] = serverForm.exec(text) ?? [];
  const host = isIP(text) === 6 ? text : (six ?? four ?? "");
  const isRight = isIP(host) === (four === undefined ? 6 : 4) && isPort(Number(port));
  return isRight ? { host, port: Number(port) } : undefined;
}

/** The values of an object with two keys, both numbers and both optional. */
function readParts<Key extends string>(
  key: string,
  found: unknown,
  rules: Readonly<Record<Key, NumberRule>>,
  fault: Fault,
): Partial<Record<Key, number>> {
  const known = Object.keys(rules) as Key[];
  const isObject = typeof found === "object" && found !== null;
  if (!isObject || Object.keys(found).some((one) => !known.includes(one as Key))) {
    throw fault(key, `an object with ${known.join(" and ")}`, JSON.stringify(found));
  }
  const parts: Partial<Record<Key, number>> = {};
  for (const one of known) {
    const value = (found as Readonly<Record<string, unknown>>)[one];
    const read = readNumber(`${key}.${one}`, value, rules[one], fault);
    if (read !== undefined) parts[one] = read;
  }
  return parts;
}

function readBackoff(found: unknown, fault: Fault): TargetSettings["backoff"] {
  const rules = { baseMs: inBackoff, maxMs: inBackoff };
  const { baseMs = 1000, maxMs = Math.max(baseMs, 30_000) } =
    found === undefined ? {} : readParts("backoff", found, rules, fault);
  if (baseMs > maxMs) throw fault("backoff.baseMs", "at most backoff.maxMs", baseMs);
  return { baseMs, maxMs };
}

function readLimits(key: string, found: unknown, fault: Fault): TargetSettings["holdDown"] {
  if (found === undefined) return { times: undefined, ms: undefined };
  const { times, seconds } = readParts(key, found, { times: inTimes, seconds: inSeconds }, fault);
  return { times, ms: seconds === undefined ? undefined : seconds * 1000 };
}

function readPolicies(
  said: Readonly<Record<string, unknown>>,
  fault: Fault,
): Readonly<Record<FailureKind, FailurePolicy>> {
  const one = (kind: FailureKind): FailurePolicy => {
    const key = policyKeys[kind];
    const found = said[key];
    if (found === undefined) return "keep";
    if (found === "keep" || found === "drop") return found;
    const must = "keep, drop or { dropAfter: { times, seconds } }";
    if (typeof found !== "object" || found === null || Object.keys(found).join() !== "dropAfter") {
      throw fault(key, must, JSON.stringify(found));
    }
    const within = (found as { readonly dropAfter: unknown }).dropAfter;
    const rules = { times: inTimes, seconds: inSeconds };
    const dropAfter = readParts(`${key}.dropAfter`, within, rules, fault);
    if (Object.keys(dropAfter).length === 0) throw fault(key, must, JSON.stringify(found));
    return { dropAfter };
  };
  return {
    nxdomain: one("nxdomain"),
    empty: one("empty"),
    servfail: one("servfail"),
    timeout: one("timeout"),
  };
}
