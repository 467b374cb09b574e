/** How a part stands on this machine: its folder, its owner, and what its programs are told. */
import { chown, mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeFileAtomically } from "../../kit/atomic-file.ts";
import { runChild } from "../../kit/child.ts";
import type { Part } from "../model.ts";
import { makeOpenFolder } from "../place.ts";
import type { LabPlace } from "../place.ts";

/** What the lab's programs see of an environment: nothing of the caller's PG* variables. */
export const plainEnvironment = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C.UTF-8" };

const toolDeadlineMs = 120_000;

/** User and group of a part's own files and processes; nothing where we are not root. */
export function ownerOf(place: LabPlace, part: Part): { uid: number; gid: number } | undefined {
  return place.privileged ? { uid: place.uid, gid: part.gid } : undefined;
}

/** Makes the folder of a part, for its owner alone. */
export async function makePartFolder(place: LabPlace, part: Part): Promise<void> {
  await makeOpenFolder(dirname(part.folder));
  await mkdir(part.folder, { recursive: true, mode: 0o700 });
  const owner = ownerOf(place, part);
  if (owner !== undefined) await chown(part.folder, owner.uid, owner.gid);
}

/** Writes a file of a part's folder as its owner's, readable by nobody else. */
export async function writePartFile(
  place: LabPlace,
  part: Part,
  name: string,
  content: string,
): Promise<void> {
  const owner = ownerOf(place, part);
  await writeFileAtomically(join(part.folder, name), content, {
    mode: 0o600,
    ...(owner === undefined ? {} : { owner }),
  });
}

/**
 * Runs a tool of a part, such as initdb, to its end: as its owner, in its folder.
 * @throws ChildError, DeadlineError, or the signal's reason
 */
export async function runPartTool(
  place: LabPlace,
  part: Part,
  command: readonly [program: string, ...words: string[]],
  options: {
    variables?: Readonly<Record<string, string>>;
    input?: string;
    signal: AbortSignal;
  },
): Promise<void> {
  const [program, ...words] = command;
  await runChild(program, words, {
    deadlineMs: toolDeadlineMs,
    cwd: part.folder,
    env: { ...plainEnvironment, ...options.variables },
    signal: options.signal,
    ...(options.input === undefined ? {} : { input: options.input }),
    ...ownerOf(place, part),
  });
}

/** Where pg_autoctl keeps its pid files: nothing of it is worth keeping once its processes are gone. */
export function runtimeFolder(part: Part): string {
  return join(part.folder, "run");
}

/**
 * Makes the folder of pid files anew: the number in an old one may be another process's by now, or a
 * zombie's, and pg_autoctl would take that for itself.
 */
export async function renewRuntimeFolder(place: LabPlace, part: Part): Promise<void> {
  const folder = runtimeFolder(part);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { mode: 0o700 });
  const owner = ownerOf(place, part);
  if (owner !== undefined) await chown(folder, owner.uid, owner.gid);
}

/** The data directory of a member's Postgres. */
export function dataFolder(part: Part): string {
  return join(part.folder, "data");
}

/** The words that start a member's Postgres. */
export function postgresWords(part: Part): string[] {
  const [address] = part.listens;
  return [
    "-D",
    dataFolder(part),
    ...["-c", `listen_addresses=${address?.host}`, "-c", `port=${address?.port}`],
    ...["-c", `unix_socket_directories=${part.folder}`, "-c", `cluster_name=${part.host}`],
  ];
}
