/**
 * What an app writes about where to connect, as libpq and pg users write it: connection strings with
 * one or several hosts, configuration objects, and the environment variables of libpq (PostgreSQL
 * manual, 34.1.2 and 34.15). Ours are host, port, hostaddr, target_session_attrs, load_balance_hosts
 * and connect_timeout; all else is left to pg.
 */
import { isTargetSessionAttrs, targetSessionAttrs } from "./attributes.ts";
import type { TargetSessionAttrs } from "./attributes.ts";
import { readConnectionString } from "./connection-string.ts";
import type { ConnectionString } from "./connection-string.ts";

/** One host of a target. */
export interface Endpoint {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string;
  readonly port: number;
  /** Connect here; `host` is then the name for TLS alone. */
  readonly hostaddr: string | undefined;
}

export interface Target {
  readonly endpoints: readonly Endpoint[];
  readonly attributes: TargetSessionAttrs;
  readonly loadBalance: boolean;
  /** connect_timeout; Infinity where it is written as 0, undefined where it is not written. */
  readonly connectTimeoutMs: number | undefined;
  /** What was given, for pg: with one host, and without what is ours. */
  readonly rest: object;
}

type Environment = Readonly<Record<string, string | undefined>>;

const defaultPort = 5432;
/** pg's default, where libpq takes a Unix socket. */
const defaultHost = "localhost";

/** Our keys in a configuration object; a connection string has the first name of each. */
const ownKeys = {
  hostaddr: ["hostaddr"],
  target_session_attrs: ["target_session_attrs", "targetSessionAttrs"],
  load_balance_hosts: ["load_balance_hosts", "loadBalanceHosts"],
  connect_timeout: ["connect_timeout", "connectTimeout"],
} as const;
const otherKeys = ["dns", "finder", "staggerMs", "attemptTimeoutMs"];

const variables = {
  host: "PGHOST",
  port: "PGPORT",
  hostaddr: "PGHOSTADDR",
  target_session_attrs: "PGTARGETSESSIONATTRS",
  load_balance_hosts: "PGLOADBALANCEHOSTS",
  connect_timeout: "PGCONNECT_TIMEOUT",
} as const;
type Word = keyof typeof variables;

/**
 * Reads a target. As in pg, what a connection string says stands above the object that holds it, and
 * the environment below both.
 * @param config a connection string, or what pg.Client takes with our keys beside
 * @throws TypeError for a value that means nothing, with those that do; it shows no password
 */
export function readTarget(config: string | object | undefined, environment: Environment): Target {
  const given = asRecord(config);
  const text = given["connectionString"];
  const written = typeof text === "string" && text !== "" ? readConnectionString(text) : undefined;
  const word = (name: Word): string | undefined =>
    wordOf(name, given, written) ?? nonEmpty(environment[variables[name]]);
  const endpoints = endpointsOf(word("host"), word("port"), word("hostaddr"));
  return {
    endpoints,
    attributes: attributesOf(word("target_session_attrs")),
    loadBalance: loadBalanceOf(word("load_balance_hosts")),
    connectTimeoutMs: timeoutOf(word("connect_timeout")),
    rest: restOf(given, written, endpoints),
  };
}

function asRecord(config: string | object | undefined): Readonly<Record<string, unknown>> {
  if (typeof config === "string") return { connectionString: config };
  return { ...config };
}

/** What the string says, else the object; host and port of an object count without a string alone. */
function wordOf(
  name: Word,
  given: Readonly<Record<string, unknown>>,
  written: ConnectionString | undefined,
): string | undefined {
  const inString = nonEmpty(written?.words.get(name));
  if (inString !== undefined) return inString;
  if (name === "host" || name === "port") {
    return written === undefined ? listed(given[name], name) : undefined;
  }
  for (const key of ownKeys[name]) {
    const value = listed(given[key], key);
    if (value !== undefined) return value;
  }
  return undefined;
}

const nonEmpty = (text: string | undefined): string | undefined => (text === "" ? undefined : text);

/** A value or a list of values, as libpq writes a list. */
function listed(value: unknown, key: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  const words = values.map((one) => {
    if (typeof one === "string" || typeof one === "number") return String(one);
    throw new TypeError(`${key} is a string, a number or a list of them, not ${typeof one}`);
  });
  return nonEmpty(words.join(","));
}

const split = (list: string | undefined): readonly string[] =>
  list === undefined ? [] : list.split(",").map((one) => one.trim());

function endpointsOf(
  hostList: string | undefined,
  portList: string | undefined,
  addressList: string | undefined,
): readonly Endpoint[] {
  const [hosts, ports, addresses] = [split(hostList), split(portList), split(addressList)];
  const count = Math.max(hosts.length, addresses.length, 1);
  if (hosts.length > 0 && addresses.length > 0 && hosts.length !== addresses.length) {
    throw new TypeError(
      `hostaddr names ${addresses.length} addresses for ${hosts.length} hosts: one for each, please`,
    );
  }
  if (ports.length > 1 && ports.length !== count) {
    throw new TypeError(
      `port names ${ports.length} ports for ${count} ${count === 1 ? "host" : "hosts"}: one for all, or one for each`,
    );
  }
  return Array.from({ length: count }, (_, index) => {
    const hostaddr = nonEmpty(addresses[index]);
    const host = nonEmpty(hosts[index]) ?? hostaddr ?? defaultHost;
    return { host, port: portOf(ports[ports.length === 1 ? 0 : index]), hostaddr };
  });
}

function portOf(text: string | undefined): number {
  if (text === undefined || text === "") return defaultPort;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (port >= 1 && port <= 65_535) return port;
  // No error quotes a value: behind a slash that was not escaped it may be part of a password.
  throw new TypeError("port is a number from 1 to 65535");
}

function attributesOf(word: string | undefined): TargetSessionAttrs {
  if (word === undefined) return "any";
  if (isTargetSessionAttrs(word)) return word;
  const allowed = Object.keys(targetSessionAttrs).join(", ");
  throw new TypeError(`target_session_attrs is one of ${allowed}`);
}

function loadBalanceOf(word: string | undefined): boolean {
  if (word === undefined || word === "disable") return false;
  if (word === "random") return true;
  throw new TypeError("load_balance_hosts is disable or random");
}

/** Seconds, as libpq has them: zero and less wait for ever. */
function timeoutOf(word: string | undefined): number | undefined {
  if (word === undefined) return undefined;
  if (!/^\s*[-+]?\d+\s*$/.test(word)) {
    throw new TypeError("connect_timeout is a whole number of seconds");
  }
  const seconds = Number(word);
  return seconds <= 0 ? Infinity : seconds * 1000;
}

function restOf(
  given: Readonly<Record<string, unknown>>,
  written: ConnectionString | undefined,
  endpoints: readonly Endpoint[],
): object {
  const ours = new Set<string>([...Object.values(ownKeys).flat(), ...otherKeys]);
  const rest = Object.fromEntries(Object.entries(given).filter(([key]) => !ours.has(key)));
  const [first] = endpoints;
  if (first === undefined) return rest;
  if (written !== undefined) {
    return { ...rest, connectionString: written.forPg(first, endpoints.length > 1) };
  }
  const { host, port } = first;
  // One host, or none, reaches pg as it was written.
  if (endpoints.length > 1) return { ...rest, host, port };
  return {
    ...rest,
    ...(given["host"] === undefined ? {} : { host }),
    ...(given["port"] === undefined ? {} : { port }),
  };
}
