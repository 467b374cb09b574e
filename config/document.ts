/**
 * Reads YAML that people wrote, and nothing else that YAML can do: one document, one mapping at the
 * top, no tags, no merge keys, few aliases, each key once.
 */
import { parseDocument } from "yaml";

/** A text that is not the YAML that is taken here. The message is one line. */
export class YamlError extends Error {
  override readonly name = "YamlError";
  readonly code = "ERR_YAML";
}

// Enough for anchors that save typing; far from what a "billion laughs" needs.
const aliasLimit = 32;

/**
 * Parses the text of one YAML mapping.
 * @throws YamlError
 */
export function parseMapping(text: string): Record<string, unknown> {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true, stringKeys: true });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) {
    throw new YamlError(`not YAML: ${withoutContent(problem.message)}`);
  }
  const value = toPlain(document);
  if (value === null) throw new YamlError("is empty: expected a mapping of keys");
  if (typeof value !== "object" || Array.isArray(value)) {
    throw new YamlError("expected a mapping of keys at the top");
  }
  return value as Record<string, unknown>;
}

// Causes are left out on purpose: the parser's errors quote the file.
function toPlain(document: ReturnType<typeof parseDocument>): unknown {
  try {
    return document.toJS({ maxAliasCount: aliasLimit }) as unknown;
  } catch (error) {
    const isBomb = /excessive alias/i.test((error as Error).message);
    throw new YamlError(
      isBomb
        ? "more YAML aliases than are taken"
        : "a YAML alias (*) names no anchor (&) before it",
    );
  }
}

/**
 * The first sentence of a message of the parser, with its place. What follows a colon there quotes
 * the file (the name of an alias or a tag), and an unquoted password may read as one.
 */
function withoutContent(message: string): string {
  const [firstLine = ""] = message.split("\n");
  const at = / at line \d+, column \d+/.exec(firstLine)?.[0] ?? "";
  return (firstLine.split(/: |; | at line /)[0] ?? "") + at;
}
