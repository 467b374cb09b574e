/**
 * What all sidecars have in common between the shell and their work: the command line (everything
 * from an environment file, or from variables), the help, and what an error ends with. It touches
 * no process: a main.ts hands in its words and variables, and does the writing and the ending.
 */
import { parseArgs } from "node:util";
import { inCheckout } from "../kit/checkout.ts";
import { variableHelp } from "./variables.ts";
import type { VariableTable } from "./variables.ts";

/** A sidecar as its command line and its help know it. */
export interface Sidecar {
  readonly program: string;
  /** What it is for, in one sentence. */
  readonly purpose: string;
  /** The flag that names what it stands beside, such as `member`; without it there is no --env. */
  readonly part?: string;
  /** What follows that flag, in the help. */
  readonly partValue?: string;
  readonly variables: VariableTable;
  /** The paths that it answers, in one line; undefined where it answers none over HTTP. */
  readonly paths?: string;
}

/** The command line cannot be understood. */
export class SidecarUsageError extends Error {
  override readonly name = "SidecarUsageError";
  readonly code = "ERR_USAGE";
}

/** Where a sidecar's settings come from. */
export interface SidecarSource {
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** The environment and the part in it; undefined when the variables say everything. */
  readonly environment?: {
    readonly name: string;
    readonly part: string;
    /** The folder of the environment files. */
    readonly folder: string;
  };
}

/**
 * Reads `--env ENVIRONMENT --PART NAME [--config-folder FOLDER]` or nothing, where PART is the word
 * for what the sidecar stands beside; undefined when the help is asked for.
 * @throws SidecarUsageError
 */
export function sidecarSource(
  sidecar: Sidecar,
  words: readonly string[],
  variables: SidecarSource["variables"],
): SidecarSource | undefined {
  const { part = "" } = sidecar;
  const { env, help, "config-folder": folder, [part]: name } = parse(words, sidecar);
  if (help !== undefined) return undefined;
  if (env === undefined) {
    const stray = name === undefined ? (folder === undefined ? "" : "config-folder") : part;
    if (stray !== "") throw new SidecarUsageError(`--${stray} needs --env`);
    return { variables };
  }
  if (name === undefined) throw new SidecarUsageError(`--env needs --${part} NAME`);
  const environment = { name: env, part: name, folder: folder ?? inCheckout("config") };
  return { variables, environment };
}

function parse(
  words: readonly string[],
  { program, part }: Sidecar,
): Readonly<Record<string, string | undefined>> {
  const text = { type: "string" } as const;
  const options = part === undefined ? {} : { env: text, [part]: text, "config-folder": text };
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

/** The text of --help. */
export function sidecarHelp(sidecar: Sidecar): string {
  const { program, purpose, part, partValue, variables, paths } = sidecar;
  const head =
    part === undefined
      ? [`usage: ${program}`, "", "Everything comes from variables:"]
      : [
          `usage: ${program} [--env ENVIRONMENT --${part} ${partValue} [--config-folder FOLDER]]`,
          "",
          "With --env, everything comes from the environment file. Without it, from variables:",
        ];
  return [
    purpose,
    "",
    ...head,
    "",
    ...variableHelp(variables.rows),
    ...(paths === undefined ? [] : ["", `Paths: ${paths}`]),
  ].join("\n");
}

/** What a sidecar's process ends with, by the code of its error; 1 for every other. */
const exitCodeByError: Readonly<Record<string, number>> = {
  ERR_USAGE: 64,
  ERR_LISTEN: 69,
  ERR_LOCKED: 75,
  ERR_CONFIG: 78,
  ERR_CONFIG_UNKNOWN_ENVIRONMENT: 78,
  ERR_DNS_ENGINE: 78,
};

/** What a sidecar that failed says on stderr, whole lines, and the exit code of its process. */
export function sidecarEnding(
  program: string,
  error: unknown,
): { readonly text: string; readonly exitCode: number } {
  const { message, code } = error as { message?: string; code?: string };
  const lines = String(message ?? error).split("\n");
  return {
    text: lines.map((line) => `${program}: ${line}\n`).join(""),
    exitCode: exitCodeByError[code ?? ""] ?? 1,
  };
}
