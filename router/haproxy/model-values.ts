/**
 * The last check of every text before it stands in a rendered configuration, by the allow-list of its
 * kind: a newline in a value would add a directive and still pass `haproxy -c`.
 */
import type { z } from "zod";
import { addressValue } from "../../config/values.ts";
import { formatAddress } from "../../kit/address.ts";
import type { Address } from "../../kit/address.ts";

/** An environment from which no HAProxy configuration can be made; `path` is where it is wrong. */
export class HaproxyModelError extends Error {
  override readonly name = "HaproxyModelError";
  readonly code = "ERR_HAPROXY_MODEL";
  readonly path: string;
  constructor(path: string, message: string) {
    super(`${path}: ${message}`);
    this.path = path;
  }
}

/** An address as it stands in the configuration. @throws HaproxyModelError */
export function addressText(address: Address, path: string): string {
  const text = formatAddress(address);
  checked(addressValue, text, path);
  return text;
}

/** The same values, all of them whole numbers from 0 on. @throws HaproxyModelError */
export function wholeNumbers<T extends object>(values: T, path: string): T {
  for (const [key, value] of Object.entries(values) as [string, unknown][]) {
    if (typeof value === "number" && Number.isInteger(value) && value >= 0) continue;
    throw new HaproxyModelError(`${path}.${key}`, `expected a whole number, got ${String(value)}`);
  }
  return values;
}

/** The value, where its kind allows it. @throws HaproxyModelError */
export function checked<T>(kind: z.ZodType<T>, value: string, path: string): T {
  const result = kind.safeParse(value);
  if (result.success) return result.data;
  throw new HaproxyModelError(path, result.error.issues[0]?.message ?? "not allowed");
}
