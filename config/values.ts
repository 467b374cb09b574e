/**
 * The value types of an environment file. Each is an allow-list: what passes here is safe to stand
 * in an HAProxy or PgBouncer configuration, because the characters that could end a word, a line
 * or a comment there cannot occur. Messages say what is expected; explain.ts adds what was there.
 */
import { isIP, isIPv4 } from "node:net";
import { z } from "zod";
import type { Address } from "../kit/address.ts";
import { partKinds } from "./kamal-words.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "./units.ts";

/** How a value is written, for the reference of the keys: its kind and what limits it. */
interface Notation {
  readonly kind: "text" | "number" | "duration" | "size" | "choice" | "secret" | "list";
  readonly notation: string;
}

const label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const hostNamePattern = new RegExp(`^(?=.{1,253}$)${label}(\\.${label})*$`);

function matching(pattern: RegExp, notation: string) {
  const error = `expected ${notation}`;
  return z
    .string({ error })
    .regex(pattern, { error, abort: true })
    .meta({ kind: "text", notation });
}

/** Text that `parse` turns into a value, or refuses with undefined. */
function parsed<T>(parse: (text: string) => T | undefined, notation: string, meta?: Notation) {
  const error = `expected ${notation}`;
  return z
    .string({ error })
    .transform((text, context): T => {
      const value = parse(text);
      if (value !== undefined) return value;
      context.addIssue({ code: "custom", message: error });
      return z.NEVER;
    })
    .meta({ ...(meta ?? { kind: "text", notation }) });
}

/** Names of members, routers, clusters: safe as HAProxy server name, DNS label and file name. */
export const nameValue = matching(
  /^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/,
  "a name: 1 to 40 lower-case letters, digits and dashes, a letter first, no dash last",
);

/** A name of DNS, and no address. */
export const zoneValue = matching(
  new RegExp(`^(?=.{1,253}$)(?!.*\\.[0-9]+$)${label}(\\.${label})*$`),
  "a domain name such as temps.local",
);

/** A Postgres role or database name as it may stand in generated files. */
export const identifierValue = matching(
  /^[A-Za-z_][A-Za-z0-9_-]{0,62}$/,
  "1 to 63 letters, digits, _ and -, a letter or _ first",
);

/** The name of a replication slot. PostgreSQL manual, 26.2.6 "Replication Slots". */
export const slotValue = matching(
  /^[a-z0-9_]{1,63}$/,
  "a slot name: 1 to 63 lower-case letters, digits and _",
);

/** True for an IPv4 or IPv6 address (no brackets, no zone). */
export function isIpAddress(host: string): boolean {
  return isIP(host) !== 0 && !host.includes("%");
}

function isHost(host: string): boolean {
  // Four numbers that are no IPv4 address (256.1.1.1) are a typing error, not a name.
  if (/^[0-9.]+$/.test(host)) return isIPv4(host);
  return isIpAddress(host) || hostNamePattern.test(host);
}

function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([1-9][0-9]{0,4})$/.exec(text);
  if (match === null) return undefined;
  const host = match[1] ?? match[2] ?? "";
  const port = Number(match[3]);
  const hostIsRight = match[1] === undefined ? isHost(host) : isIP(host) === 6 && isIpAddress(host);
  return hostIsRight && port <= 65_535 ? { host, port } : undefined;
}

/** Where a program on the same host reaches a listener: a wildcard address becomes loopback. */
export function reachableAddress(listener: Address): Address {
  const loopback: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };
  return { host: loopback[listener.host] ?? listener.host, port: listener.port };
}

/** `host:port` or `[IPv6]:port`. */
export const addressValue = parsed(
  parseAddress,
  "host:port, such as 10.0.0.1:5432, db-1.example.com:5432 or [fd00::1]:5432",
);

/** As addressValue, but a number address: what is bound to, or asked before names work. */
export const ipAddressValue = parsed((text) => {
  const address = parseAddress(text);
  return address !== undefined && isIpAddress(address.host) ? address : undefined;
}, "an IP address and a port, such as 10.0.0.1:6433 or [fd00::1]:6433");

/** `http://host:port`, no path. */
export const healthUrlValue = parsed(
  (text) =>
    text.startsWith("http://")
      ? parseAddress(text.slice("http://".length).replace(/\/$/, ""))
      : undefined,
  "http://host:port, such as http://10.0.0.1:8008",
);

const containerPattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

const pathPattern = /^(\/(?!\.\.?(\/|$))[A-Za-z0-9._@+-]+)+$/;

/** An absolute path of safe characters. */
export const pathValue = parsed(
  (text) => (text.length <= 200 && pathPattern.test(text) ? text : undefined),
  "an absolute path of letters, digits and ._@+-, without . and .., at most 200 characters",
);

/**
 * The path of a Unix socket. sun_path has 108 bytes (unix(7)) and HAProxy appends its process id
 * while it binds, so it takes 97.
 */
export const socketPathValue = parsed(
  (text) => (text.length <= 97 && pathPattern.test(text) ? text : undefined),
  "an absolute path of letters, digits and ._@+-, without . and .., at most 97 characters",
);

/** Where a Docker Engine listens. Docker's own client writes it the same way. */
export const engineUrlValue = parsed((text) => {
  if (text.startsWith("unix://")) {
    const path = text.slice("unix://".length);
    return path.length <= 107 && pathPattern.test(path) ? text : undefined;
  }
  if (text.startsWith("tcp://")) return parseAddress(text.slice("tcp://".length)) && text;
  const match =
    /^ssh:\/\/(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,62}@)?([^@/:]+)(?::([1-9][0-9]{0,4}))?$/.exec(text);
  if (match === null) return undefined;
  // As the host of an address is: a word that starts with a dash would be an option of ssh.
  return parseAddress(`${match[1]}:${match[2] ?? "22"}`) && text;
}, "unix:///path, ssh://user@host or tcp://host:port");

/** A socket in a container, `docker://CONTAINER/PATH`, in its two parts; undefined for all else. */
export function socketInContainer(
  address: string,
): { readonly container: string; readonly path: string } | undefined {
  const [, container = "", path = ""] = /^docker:\/\/([^/]*)(\/.*)$/.exec(address) ?? [];
  const isRight = containerPattern.test(container) && path.length <= 107 && pathPattern.test(path);
  return isRight ? { container, path } : undefined;
}

/** Where a Runtime API or master socket listens: a path, an address, or a path in a container. */
export const runtimeAddressValue = parsed((text) => {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    return path.length <= 107 && pathPattern.test(path) ? text : undefined;
  }
  if (text.startsWith("docker:")) return socketInContainer(text) && text;
  const isTcp = text.startsWith("tcp://") && parseAddress(text.slice("tcp://".length));
  return isTcp ? text : undefined;
}, "unix:/path, tcp://host:port or docker://container/path");

/** A program with its arguments, one list entry a word; no shell is in between. */
export const argvValue = z
  .array(
    z
      .string({ error: "expected a word: text without control characters" })
      .regex(
        /^[^\p{Cc}]{1,1000}$/u,
        "expected a word: 1 to 1000 characters, no control characters",
      ),
    { error: "expected a list of words: the program and its arguments" },
  )
  .min(1, "expected a list of words: the program and its arguments")
  .max(64, "expected at most 64 words")
  .meta({ kind: "list", notation: "a list of words: the program and its arguments" });

/** The name of a container, as `docker create` takes it. */
export const containerValue = matching(
  containerPattern,
  "a container's name: 1 to 128 letters, digits, _ . and -, a letter or digit first",
);

/**
 * An image whose content cannot change under its name: with a tag other than latest, or a digest.
 * The grammar is that of the distribution project's "reference".
 */
export const imageValue = matching(
  /^(?=.{1,255}$)(?!.*:latest$)[a-z0-9][a-z0-9._-]*(:[0-9]{1,5}(?=\/))?(\/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})$/,
  "a pinned image: a name with a tag (not latest) or an @sha256: digest",
);

/** What deploy.yml calls a host: a name or an IP address. */
export const hostValue = parsed(
  (text) => (isHost(text) ? text : undefined),
  "a host name or an IP address",
);

/** The same, and a name may end with the dot of DNS's root. */
export const rootedHostValue = parsed((text) => {
  const name = text.replace(/\.$/, "");
  return isHost(name) && (name === text || !isIpAddress(name)) ? text : undefined;
}, "a host name or an IP address");

/** The name of an accessory of deploy.yml. */
export const accessoryValue = matching(
  /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/,
  "an accessory's name: 1 to 63 letters, digits, _ and -, a letter or digit first",
);

/** What an accessory is. */
export const partValue = matching(
  new RegExp(`^([a-z]([a-z0-9-]{0,38}[a-z0-9])?/)?(${partKinds.join("|")})$`),
  `NAME/KIND, such as dal-01/postgres; KIND is ${partKinds.join(", ")}`,
);

/** A file: an absolute path, or a name beside the environment file. */
export const fileValue = parsed(
  (text) =>
    text.length <= 200 && pathPattern.test(text.startsWith("/") ? text : `/${text}`)
      ? text
      : undefined,
  "a path, absolute or from the folder of this file: letters, digits and ._@+-, without . and ..",
);

/** One SQL statement on one or more lines. */
export const queryValue = matching(
  /^(?=[^]{1,4000}$)(?=\s*\S)(?:[^\p{Cc}]|[\n\t])+$/u,
  "an SQL query of at most 4000 characters",
);

/** What stands before a name to ask for its SRV records (RFC 2782). */
export const srvPrefixValue = matching(
  /^_[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?\._(tcp|udp)$/,
  "a service and a protocol, such as _http._tcp",
);

/** The path of an HTTP check, as it may stand in an HAProxy configuration. */
export const checkUriValue = matching(
  /^\/[A-Za-z0-9._~/?=&-]{0,199}$/,
  "a path such as /health: letters, digits and ._~/?=&-, at most 200 characters",
);

/** A whole number within limits. */
export function wholeNumber(limits: { min: number; max: number }) {
  const notation = `a whole number from ${limits.min} to ${limits.max}`;
  const error = `expected ${notation}`;
  return z
    .int({ error })
    .min(limits.min, error)
    .max(limits.max, error)
    .meta({ kind: "number", notation });
}

/** One of a few words. */
export function choice<const T extends readonly [string, ...string[]]>(words: T) {
  const notation = `one of ${words.join(", ")}`;
  return z.enum(words, { error: `expected ${notation}` }).meta({ kind: "choice", notation });
}

/** A duration such as `300ms`, `2s`, `30m`, `12h`, within limits given in milliseconds. */
export function durationValue(limits: { minMs: number; maxMs: number }) {
  const notation = `a duration from ${formatDuration(limits.minMs)} to ${formatDuration(limits.maxMs)}`;
  return parsed(
    (text) => {
      const ms = parseDuration(text);
      return ms !== undefined && ms >= limits.minMs && ms <= limits.maxMs ? ms : undefined;
    },
    `${notation}, such as 300ms, 2s, 30m or 12h`,
    { kind: "duration", notation },
  );
}

/** A size such as `64kB`, `10MB`, `1GB`, within limits given in bytes. */
export function sizeInBytes(limits: { min: number; max: number }) {
  const notation = `a size from ${formatSize(limits.min)} to ${formatSize(limits.max)}`;
  return parsed(
    (text) => {
      const bytes = parseSize(text);
      return bytes !== undefined && bytes >= limits.min && bytes <= limits.max ? bytes : undefined;
    },
    `${notation}, such as 64kB, 10MB or 1GB`,
    { kind: "size", notation },
  );
}
