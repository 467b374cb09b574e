/** Flags of `registry` as the keys of a cluster's source or of a member. What they may be is the contract's. */
import { parseDuration, parseSize } from "../../../config/units.ts";
import type { ClusterKeys, MemberKeys, RoleSourceKeys } from "../../../registry/contract.ts";
import { UsageError } from "../../cli/command.ts";
import type { Flag, Invocation } from "../../cli/command.ts";

type Flags = Invocation["flags"];

const seeHelp = "see registry --help";

function number(flags: Flags, name: string): number | undefined {
  const text = flags[name];
  if (text === undefined) return undefined;
  if (typeof text === "string" && /^[0-9]{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`--${name} takes a whole number; got ${JSON.stringify(text)}`, seeHelp);
}

function quantity(flags: Flags, name: string, parse: (text: string) => number | undefined) {
  const text = flags[name];
  if (text === undefined) return undefined;
  const value = parse(String(text));
  if (value !== undefined) return value;
  throw new UsageError(`--${name}: expected a number with its unit; got ${String(text)}`, seeHelp);
}

/** Those that are set. */
function given<T extends object>(keys: T): Partial<{ [K in keyof T]: NonNullable<T[K]> }> {
  const set = Object.entries(keys).filter(([, value]) => value !== undefined);
  return Object.fromEntries(set) as Partial<{ [K in keyof T]: NonNullable<T[K]> }>;
}

/**
 * The source that the flags describe, over `before` where that is of the same kind; the registry
 * says what is missing or wrong in it.
 */
export function sourceIn(flags: Flags, before: RoleSourceKeys | undefined): RoleSourceKeys {
  const kind = flags["source"] ?? before?.kind;
  if (kind === undefined) throw new UsageError("--source: which one tells the roles?", seeHelp);
  const keys = {
    host: flags["host"],
    port: number(flags, "port"),
    user: flags["user"],
    password_file: flags["password-file"],
    database: flags["database"],
    tls: flags["tls"],
    formation: flags["formation"],
    group: number(flags, "group"),
    interval_ms: quantity(flags, "interval", parseDuration),
  };
  const base = before?.kind === kind ? before : {};
  return { ...base, ...given(keys), kind } as RoleSourceKeys;
}

/** The bound of lag in bytes; null for none; undefined when it is not named. */
export function lagIn(flags: Flags): ClusterKeys["lag_bytes"] | undefined {
  return flags["lag"] === "none" ? null : quantity(flags, "lag", parseSize);
}

const orNull = (value: Flag): Flag | null => (value === "none" ? null : value);

/** The keys of a member that the flags name, over `before`. */
export function memberIn(flags: Flags, before: Partial<MemberKeys>): Partial<MemberKeys> {
  const noPort = flags["published-port"] === "none";
  const keys = {
    ordinal: number(flags, "ordinal"),
    address: orNull(flags["address"]),
    port: number(flags, "port"),
    node: orNull(flags["node"]),
    published_port: noPort ? null : number(flags, "published-port"),
  };
  return { ...before, ...given(keys) } as Partial<MemberKeys>;
}

/** `NAME=IP`, `NAME=IP:PORT` or `NAME=[IPv6]:PORT`. @throws UsageError */
export function memberWord(word: string, index: number): Pick<MemberKeys, "name" | "ordinal"> {
  const [, name, rest = ""] = /^([^=]+)=(.+)$/.exec(word) ?? [];
  if (name === undefined) {
    const seen = JSON.stringify(word);
    throw new UsageError(`--member takes NAME=IP or NAME=IP:PORT; got ${seen}`, seeHelp);
  }
  const [, v6, v4, port] = /^(?:\[(.+)\]|([^:]+))(?::([0-9]{1,5}))?$/.exec(rest) ?? [];
  const keys = { address: v6 ?? v4 ?? rest, port: port === undefined ? undefined : Number(port) };
  return { name, ordinal: index + 1, ...given(keys) };
}
