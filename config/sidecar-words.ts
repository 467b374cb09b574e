/** The command line of a sidecar: everything from an environment file, or from variables. */
import { parseArgs } from "node:util";

/** The command line cannot be understood. */
export class SidecarUsageError extends Error {
  override readonly name = "SidecarUsageError";
  readonly code = "ERR_USAGE";
}

/** Which part of which environment; undefined means: the variables say everything. */
export interface SidecarPlace {
  readonly name: string;
  readonly part: string;
  /** The folder of the environment files; undefined means the usual one. */
  readonly folder: string | undefined;
}

export type SidecarWords =
  | { readonly help: true }
  | { readonly help: false; readonly environment: SidecarPlace | undefined };

/**
 * Reads `--env ENVIRONMENT --PART NAME [--config-folder FOLDER]` or nothing, where PART is the word
 * for what the sidecar stands beside.
 * @throws SidecarUsageError
 */
export function parseSidecarWords(
  words: readonly string[],
  sidecar: { readonly program: string; readonly part: string },
): SidecarWords {
  const { env, help, "config-folder": folder, [sidecar.part]: name } = parse(words, sidecar);
  if (help !== undefined) return { help: true };
  if (env === undefined) {
    const stray = name === undefined ? (folder === undefined ? "" : "config-folder") : sidecar.part;
    if (stray !== "") throw new SidecarUsageError(`--${stray} needs --env`);
    return { help: false, environment: undefined };
  }
  if (name === undefined) throw new SidecarUsageError(`--env needs --${sidecar.part} NAME`);
  return { help: false, environment: { name: env, part: name, folder } };
}

function parse(
  words: readonly string[],
  { program, part }: { readonly program: string; readonly part: string },
): Readonly<Record<string, string | undefined>> {
  const text = { type: "string" } as const;
  const options = { env: text, [part]: text, "config-folder": text } as const;
  const help = { help: { type: "boolean", short: "h" } } as const;
  try {
    const { values } = parseArgs({
      args: [...words],
      options: { ...options, ...help },
      strict: true,
    });
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
  } catch (cause) {
    const [sentence = ""] = (cause as Error).message.split(". ");
    throw new SidecarUsageError(`${sentence} (see ${program} --help)`, { cause });
  }
}
