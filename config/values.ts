/**
 * The value types of an environment file. Each is an allow-list: what passes here is safe to stand
 * in an HAProxy or PgBouncer configuration, because the characters that could end a word, a line
 * or a comment there cannot occur.
 */
import { isIP, isIPv4 } from "node:net";
import { z } from "zod";

export interface Address {
  readonly host: string;
  readonly port: number;
}

const label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const hostNamePattern = new RegExp(`^(?=.{1,253}$)${label}(\\.${label})*$`);

/** Names of members, routers, clusters: safe as HAProxy server name, DNS label and file name. */
export const nameValue = z
  .string()
  .regex(
    /^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/,
    "expected a name: 1 to 40 lower-case letters, digits and dashes, a letter first",
  );

/** A Postgres role or database name as it may stand in generated files. */
export const identifierValue = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_-]{0,62}$/, "expected letters, digits, _ and -, at most 63");

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
  return hostIsRight && port <= 65535 ? { host, port } : undefined;
}

/** `host:port` or `[IPv6]:port`. */
export const addressValue = z.string().transform((text, context): Address => {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  context.addIssue({
    code: "custom",
    message: `expected host:port, such as 10.0.0.1:5432, db-1.example.com:5432 or [fd00::1]:5432; got ${JSON.stringify(text)}`,
  });
  return z.NEVER;
});

/** `http://host:port`, no path. */
export const healthUrlValue = z.string().transform((text, context): Address => {
  const address = text.startsWith("http://")
    ? parseAddress(text.slice("http://".length).replace(/\/$/, ""))
    : undefined;
  if (address !== undefined) return address;
  context.addIssue({
    code: "custom",
    message: `expected http://host:port, such as http://10.0.0.1:8008; got ${JSON.stringify(text)}`,
  });
  return z.NEVER;
});

/** An absolute path of safe characters. */
export const pathValue = z
  .string()
  .regex(/^\/[A-Za-z0-9._/@+-]{1,200}$/, "expected an absolute path of letters, digits and ._/@+-")
  .refine((path) => !path.split("/").includes(".."), "expected a path without ..");

const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A duration such as `300ms`, `2s`, `30m`, `12h`, within limits given in milliseconds. */
export function durationValue(limits: { minMs: number; maxMs: number }) {
  return z.string().transform((text, context): number => {
    const match = /^([0-9]{1,9})(ms|s|m|h|d)$/.exec(text);
    const ms =
      match === null ? Number.NaN : Number(match[1]) * (durationUnits[match[2] ?? ""] ?? 0);
    if (ms >= limits.minMs && ms <= limits.maxMs) return ms;
    context.addIssue({
      code: "custom",
      message: `expected a duration from ${limits.minMs}ms to ${limits.maxMs}ms, such as 300ms, 2s, 30m or 12h; got ${JSON.stringify(text)}`,
    });
    return z.NEVER;
  });
}

const sizeUnits: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1024,
  MB: 1024 ** 2,
  GB: 1024 ** 3,
};

/** A size such as `64kB`, `10MB`, `1GB` (powers of 1024, as PostgreSQL reads them), in bytes. */
export const sizeValue = z.string().transform((text, context): number => {
  const match = /^([0-9]{1,9})(B|kB|MB|GB)$/.exec(text);
  if (match !== null) return Number(match[1]) * (sizeUnits[match[2] ?? ""] ?? 0);
  context.addIssue({
    code: "custom",
    message: `expected a size such as 64kB, 10MB or 1GB; got ${JSON.stringify(text)}`,
  });
  return z.NEVER;
});
