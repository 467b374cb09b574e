/**
 * Walks the schema: which keys exist, where, how each is written and what it is when left out. The
 * reference of the keys, the examples and "did you mean" are checked and made from this.
 */
import type { z } from "zod";
import { environmentSchema } from "./schema.ts";
import { formatDuration, formatSize } from "./units.ts";

export interface SchemaKey {
  /** Such as `members[].pooler.admin.user`. */
  readonly path: string;
  /** text, number, duration, size, choice, secret; `mapping` and `list` for what holds others. */
  readonly kind: string;
  /** What is expected, in words; "" for mappings and lists. */
  readonly notation: string;
  /** The default as it would be written in the file; undefined when there is none. */
  readonly fallback: string | undefined;
  readonly required: boolean;
}

type Definition = z.core.$ZodTypeDef & {
  readonly innerType?: z.ZodType;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly element?: z.ZodType;
  readonly options?: readonly z.ZodType[];
  readonly defaultValue?: unknown;
};

interface Opened {
  readonly schema: z.ZodType;
  readonly definition: Definition;
  readonly fallback: unknown;
  readonly required: boolean;
}

const wrappers = new Set(["default", "prefault", "optional"]);

function open(schema: z.ZodType): Opened {
  const definition = schema._zod.def as Definition;
  if (!wrappers.has(definition.type) || definition.innerType === undefined) {
    return { schema, definition, fallback: undefined, required: true };
  }
  return { ...open(definition.innerType), fallback: definition.defaultValue, required: false };
}

/** Every key of an environment file, parents before their children, in the order of the schema. */
export function schemaKeys(schema: z.ZodType = environmentSchema, path = ""): SchemaKey[] {
  const opened = open(schema);
  const { definition } = opened;
  const own = path === "" ? [] : [describe(path, opened)];
  return [
    ...own,
    ...children(definition).flatMap(([name, child]) => schemaKeys(child, path + name)),
  ].map((key) => (path === "" ? { ...key, path: key.path.replace(/^\./, "") } : key));
}

function children(definition: Definition): [string, z.ZodType][] {
  if (definition.type === "object") {
    return Object.entries(definition.shape ?? {}).map(([key, child]) => [`.${key}`, child]);
  }
  if (definition.type === "union") {
    return (definition.options ?? []).flatMap((option) => children(open(option).definition));
  }
  if (definition.type === "array" && definition.element !== undefined) {
    return children(open(definition.element).definition).map(([key, child]) => [`[]${key}`, child]);
  }
  return [];
}

const containerKinds: Readonly<Record<string, string>> = { object: "mapping", array: "list" };

function describe(path: string, opened: Opened): SchemaKey {
  const { schema, definition, fallback, required } = opened;
  const [first = schema] = definition.type === "union" ? (definition.options ?? []) : [];
  const meta = first.meta() as { kind?: string; notation?: string } | undefined;
  const kind = meta?.kind ?? containerKinds[definition.type] ?? "text";
  return {
    path,
    kind,
    notation: meta?.notation ?? "",
    fallback: kind === "mapping" ? undefined : asWritten(kind, fallback),
    required,
  };
}

/** Writes a parsed value of a kind as it would stand in the file. */
export function asWritten(kind: string, value: unknown): string | undefined {
  if (value === undefined) return undefined;
  if (kind === "duration" && typeof value === "number") return formatDuration(value);
  if (kind === "size" && typeof value === "number") return formatSize(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}
