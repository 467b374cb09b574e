/**
 * The acts that make the member's new data: a base backup beside the old data, or pg_rewind of the
 * old data moved aside. PostgreSQL manual, "pg_basebackup", "pg_verifybackup", "pg_rewind".
 */
import { parseLsn } from "../../kit/lsn.ts";
import * as scripts from "./act-scripts.ts";
import { endlessMs, runScript, writeLogin } from "./run-script.ts";
import type { ActionOptions } from "./run-script.ts";
import { besidePath, configText, sourceConninfo } from "./place.ts";
import type { RebuildPlace } from "./place.ts";
import { readAmount } from "./progress.ts";
import { segmentName } from "./timelines.ts";
import type { RebuildActions, RebuildPlan } from "./rebuild-actions.ts";

type CopyActs = "copy" | "verify" | "prepare" | "removeCopy" | "rehearse" | "rewind";

/** Those acts at `options.place`. */
export function copyActs(options: ActionOptions): Pick<RebuildActions, CopyActs> {
  const { place, run, programs } = options;
  const { data } = place.control;
  return {
    copy: async (plan, signal) => {
      await writeLogin(options, plan.copyId, signal);
      const onLine = amounts(options, "copy");
      await place.beside.run(copyWords(options, plan), { deadlineMs: endlessMs, signal, onLine });
      return undefined;
    },
    verify: async (plan, signal) => {
      const values = [programs, besidePath(place, "new", plan.copyId)];
      await runScript(place, scripts.verify, values, { deadlineMs: endlessMs, signal });
      return undefined;
    },
    prepare: async (plan, signal) => {
      const conninfo = configText(ownConninfo(place));
      const values = [data, plan.copyId, run, plan.configuration, conninfo, plan.slot ?? ""];
      await runScript(place, scripts.prepare, values, { deadlineMs: endlessMs, signal });
      return undefined;
    },
    removeCopy: async (plan, signal) => {
      const values = [data, plan.copyId, plan.walFolder ?? ""];
      await runScript(place, scripts.removeCopy, values, { deadlineMs: endlessMs, signal });
      return undefined;
    },
    rehearse: async (plan, signal) => {
      await writeLogin(options, plan.copyId, signal);
      const folder = besidePath(place, "old", plan.copyId);
      const words = [...(await rewindWords(options, plan, folder, signal)), "--dry-run"];
      const [program = "", ...rest] = words;
      await place.beside.run([program, ...rest], { deadlineMs: endlessMs, signal });
      return undefined;
    },
    rewind: async (plan, signal) => {
      const folder = besidePath(place, "rewind", plan.copyId);
      const old = besidePath(place, "old", plan.copyId);
      const words = await rewindWords(options, plan, folder, signal, old);
      const values = [data, plan.copyId, run, ...wholeWalWords(options, plan), ...words];
      const onLine = amounts(options, "rewind");
      await runScript(place, scripts.rewind, values, { deadlineMs: endlessMs, signal, onLine });
      return undefined;
    },
  };
}

/** The bytes of a segment, and the one with the fork; empty where an archive has what is missing. */
function wholeWalWords(options: ActionOptions, { fork }: RebuildPlan): [string, string] {
  const { hasRestoreCommand, segmentBytes } = options;
  if (hasRestoreCommand || fork === null) return ["", ""];
  return [String(segmentBytes), segmentName(fork.timeline, parseLsn(fork.lsn), segmentBytes)];
}

function amounts({ onAmount }: ActionOptions, step: string): (line: string) => void {
  return (line) => {
    const amount = readAmount(line);
    if (amount !== undefined) onAmount(step, amount);
  };
}

/** What a member without a configuration of its own follows its source by. */
function ownConninfo(place: RebuildPlace): string {
  const { data } = place.control;
  const [passfile, caFile] = [`${data}/switchyard.passfile`, `${data}/switchyard.ca.pem`];
  return sourceConninfo(place, place.member.name, passfile, caFile);
}

function conninfoOf({ place }: ActionOptions, plan: RebuildPlan): string {
  const work = besidePath(place, "work", plan.copyId);
  // Not the member's name: a copy is no standby.
  return sourceConninfo(place, "switchyard-rebuild", `${work}/passfile`, `${work}/ca.pem`);
}

/** Its files go to the disk while they are verified, so the copy itself does not wait for that. */
function copyWords(options: ActionOptions, plan: RebuildPlan): readonly [string, ...string[]] {
  const { place, programs } = options;
  return [
    `${programs}/pg_basebackup`,
    ...["-D", besidePath(place, "new", plan.copyId), "-d", conninfoOf(options, plan)],
    ...["--wal-method=stream", "--checkpoint=fast", "--no-sync", "--progress", "--no-password"],
    ...(plan.slot === null ? [] : [`--slot=${plan.slot}`]),
    ...(plan.walFolder === null ? [] : [`--waldir=${plan.walFolder}`]),
  ];
}

const configFileFrom = 150_000;

/** The words of pg_rewind on `folder`; its settings are read where the data still is. */
async function rewindWords(
  options: ActionOptions,
  plan: RebuildPlan,
  folder: string,
  signal: AbortSignal,
  readFrom: string = folder,
): Promise<string[]> {
  const { programs, hasRestoreCommand, versionNumber } = options;
  const config = hasRestoreCommand ? await configFile(options, readFrom, signal) : null;
  const canName = versionNumber >= configFileFrom;
  return [
    `${programs}/pg_rewind`,
    ...[
      "--target-pgdata",
      folder,
      "--source-server",
      `${conninfoOf(options, plan)} dbname=postgres`,
    ],
    ...["--progress", "--no-ensure-shutdown"],
    ...(hasRestoreCommand ? ["--restore-target-wal"] : []),
    ...(config !== null && canName ? ["--config-file", config] : []),
  ];
}

/** Where its configuration lies when that is not the data directory, as on Debian. */
async function configFile(
  { place }: ActionOptions,
  folder: string,
  signal: AbortSignal,
): Promise<string | null> {
  const content = await place.beside.readFile(`${folder}/postmaster.opts`, signal);
  return /"config_file=([^"]*)"/.exec(content?.toString("utf8") ?? "")?.[1] ?? null;
}
