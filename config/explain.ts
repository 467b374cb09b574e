/**
 * Turns what is wrong with an environment file into one line each: the path in the file, what was
 * expected and what was there. Secrets, and what may be one, are never shown.
 */
import type { z } from "zod";
import { nearest } from "../kit/nearest.ts";
import { Secret } from "./secret.ts";
import { schemaKeys } from "./schema-keys.ts";

export type Path = readonly PropertyKey[];

/** Something wrong at one place of the file. `message` says what was expected or what to do. */
export interface Problem {
  readonly path: Path;
  readonly message: string;
  /** The file of a secret that this user may not read, where that is what is wrong. */
  readonly denied?: string;
}

/** Writes a path as `members[0].pooler.address`; "(top level)" for the file as a whole. */
export function formatPath(path: Path): string {
  if (path.length === 0) return "(top level)";
  return path
    .map((part, index) =>
      typeof part === "number" ? `[${part}]` : (index === 0 ? "" : ".") + showKey(String(part)),
    )
    .join("");
}

/** A key of the file may hold anything that YAML takes, escape sequences included. */
function showKey(key: string): string {
  return /^[\w.-]{1,60}$/.test(key) ? key : JSON.stringify(key.slice(0, 60));
}

/** Shows a value that is not what was expected: short, on one line, and without a password in it. */
function showValue(value: unknown): string {
  if (value === null) return "nothing";
  if (value instanceof Secret) return String(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object") return "a mapping";
  if (typeof value !== "string") return `${value as number | boolean}`;
  // A connection string in the wrong place may carry a password.
  if (/:\/\/[^/]*@|password|secret|token/i.test(value)) return "a text that may hold a secret";
  return JSON.stringify(value.length <= 60 ? value : `${value.slice(0, 57)}...`);
}

/** The problems behind one issue of zod; `input` is the value that was parsed. */
export function problemsOf(issue: z.core.$ZodIssue, input: unknown, above: Path = []): Problem[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ path: [...path, key], message: unknownKey(path, key) }));
  }
  if (issue.code === "invalid_union") {
    const meant = issue.errors.find((errors) => errors.every((one) => !isAboutWhole(one)));
    if (meant !== undefined) return meant.flatMap((one) => problemsOf(one, input, path));
  }
  const { found, value } = valueAt(input, path);
  const got = found ? `; got ${showValue(value)}` : "; it is missing";
  return [{ path, message: issue.message + got }];
}

/** True when an issue says that a union's branch was not meant at all, not that a part is wrong. */
function isAboutWhole(issue: z.core.$ZodIssue): boolean {
  return issue.path.length === 0 && issue.code !== "unrecognized_keys";
}

function unknownKey(parent: Path, key: string): string {
  const prefix = parent
    .map((part) => (typeof part === "number" ? "[]" : `.${String(part)}`))
    .join("")
    .replace(/^\./, "");
  const start = prefix === "" ? "" : `${prefix}.`;
  const known = schemaKeys()
    .filter((one) => one.path.startsWith(start))
    .map((one) => one.path.slice(start.length))
    .filter((name) => /^\w+$/.test(name));
  const near = nearest(key, known);
  return `unknown key${near === undefined ? `; known here: ${known.join(", ")}` : `; did you mean ${near}?`}`;
}

function valueAt(input: unknown, path: Path): { found: boolean; value: unknown } {
  let value = input;
  for (const part of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) {
      return { found: false, value: undefined };
    }
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return { found: value !== undefined, value };
}
