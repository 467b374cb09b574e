/** Runs the scripts of a rebuild on the member's host, and hands it the login for the source. */
import { readFile } from "node:fs/promises";
import type { Lsn } from "../../kit/lsn.ts";
import type { RunOptions } from "../postgres/control/contract.ts";
import * as scripts from "./act-scripts.ts";
import { callOf } from "./look-scripts.ts";
import type { Script } from "./look-scripts.ts";
import { besidePath, passfileLine } from "./place.ts";
import type { RebuildPlace } from "./place.ts";
import type { Amount } from "./progress.ts";

export interface ActionOptions {
  readonly place: RebuildPlace;
  /** Signs what is armed. */
  readonly run: string;
  /** What the survey found: the programs on the host, the segment size. */
  readonly programs: string;
  readonly segmentBytes: number;
  readonly hasRestoreCommand: boolean;
  readonly versionNumber: number;
  readonly onAmount: (step: string, amount: Amount) => void;
  /** Takes the position of the mark that the member has to replay. */
  readonly onMark: (lsn: Lsn) => void;
  /** Hears that the member's slot was made anew. */
  readonly onSlot: () => void;
}

export const quickMs = 60_000;
export const endlessMs = 96 * 3_600_000;
export const hookMs = 600_000;

/** Runs one of the scripts beside the data directory. @throws HostControlError with what it said */
export async function runScript(
  { beside }: Pick<RebuildPlace, "beside">,
  script: Script,
  values: readonly string[],
  options: Omit<RunOptions, "env">,
): Promise<string> {
  const { argv, input } = callOf(script, values, options.input);
  return await beside.run(argv, { ...options, input });
}

/** Puts the login for the source into the work folder on the host, for its owner alone. */
export async function writeLogin(
  options: ActionOptions,
  copyId: string,
  signal: AbortSignal,
): Promise<void> {
  const { place } = options;
  const folder = besidePath(place, "work", copyId);
  const write = async (name: string, input: string): Promise<void> => {
    const how = { deadlineMs: quickMs, signal, input };
    await runScript(place, scripts.writeSecret, [folder, name], how);
  };
  await write("passfile", passfileLine(place));
  const { tlsCa } = place.environment.login;
  if (tlsCa !== undefined) await write("ca.pem", await readFile(tlsCa, "utf8"));
}
