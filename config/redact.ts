/**
 * An environment as it may be printed: the form of the file (addresses, durations and sizes as
 * text, defaults filled in), with every secret as [redacted].
 */
import { formatAddress } from "../kit/address.ts";
import type { Address } from "../kit/address.ts";
import { asWritten, schemaKeys } from "./schema-keys.ts";
import type { Environment } from "./schema.ts";
import { Secret } from "./secret.ts";

/** What JSON can hold. */
export type Printable =
  | string
  | number
  | boolean
  | null
  | readonly Printable[]
  | { readonly [key: string]: Printable };

/** The environment as a plain object that holds no secret. */
export function redactEnvironment(environment: Environment): Record<string, Printable> {
  const kinds = new Map(schemaKeys().map((key) => [key.path, key.kind]));
  const { name, file, ...values } = environment;
  return { name, file, ...(printable(values, "", kinds) as Record<string, Printable>) };
}

function printable(value: unknown, path: string, kinds: ReadonlyMap<string, string>): Printable {
  if (value instanceof Secret) return String(value);
  if (Array.isArray(value)) return value.map((one) => printable(one, `${path}[]`, kinds));
  if (typeof value === "object" && value !== null) {
    if (isAddress(value)) {
      return `${/\.(health|url)$/.test(path) ? "http://" : ""}${formatAddress(value)}`;
    }
    const entries = Object.entries(value)
      .filter(([, one]) => one !== undefined)
      .map(([key, one]) => [key, printable(one, path === "" ? key : `${path}.${key}`, kinds)]);
    return Object.fromEntries(entries) as Record<string, Printable>;
  }
  const kind = kinds.get(path);
  if (kind === "duration" || kind === "size") return asWritten(kind, value) ?? "";
  return value as Printable;
}

function isAddress(value: object): value is Address {
  return "host" in value && "port" in value;
}
