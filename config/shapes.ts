/**
 * The shapes that the schema is made of: mappings that take their keys and no others, lists with a
 * bound, secrets, and the units in which limits are said.
 */
import { z } from "zod";
import { Secret } from "./secret.ts";
import { durationValue, wholeNumber } from "./values.ts";

const secretNotation = "${NAME} or file:/absolute/path";
/** A secret as it stands in the file; load.ts has resolved it to a Secret before this sees it. */
export const secretValue = z
  .instanceof(Secret, { error: `expected ${secretNotation}` })
  .meta({ kind: "secret", notation: secretNotation });

export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;

/** The time between two checks of HAProxy, or for one. */
export const checkTime = durationValue({ minMs: 50, maxMs: minute });
/** Checks in a row that change a server's state. */
export const checkCount = wholeNumber({ min: 1, max: 20 });

/** A mapping that takes these keys and no others. */
export function mapping<const T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape, {
    // Undefined leaves the issue of an unknown key to zod, which lists the keys.
    error: (issue) => (issue.code === "invalid_type" ? "expected a mapping of keys" : undefined),
  });
}

/** A list with a bounded number of entries; `what` names them in the plural. */
export function listOf<T extends z.ZodType>(
  entry: T,
  what: string,
  limits: { min: number; max: number },
) {
  const error = `expected a list of ${limits.min} to ${limits.max} ${what}`;
  return z.array(entry, { error }).min(limits.min, error).max(limits.max, error);
}
