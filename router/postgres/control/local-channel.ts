/**
 * The channel to a data directory on this machine: its files through the file system, its processes
 * through /proc (proc(5)). A process belongs to a data directory when it works in it, which Postgres
 * does from its start to its end; device and inode are compared, so that a container's Postgres on
 * the same volume is seen too.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import type { Stats } from "node:fs";
import { readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncFolder, writeFileAtomically } from "../../../kit/atomic-file.ts";
import { faultCode } from "../../../kit/fault-words.ts";
import { attempt, HostControlError } from "./channel.ts";
import type { FileAsSeen, HostChannel, HostLook, HostSignal, SeenProcess } from "./channel.ts";
import { readControlFile } from "./control-file.ts";
import { isCleanStop, readPostmasterFile } from "./judge.ts";
import type { PostmasterFile } from "./judge.ts";
import { programRunner } from "./program.ts";
import { ownerWords } from "./shell-script.ts";
import { spawnShell } from "./shell-session.ts";

interface Place {
  readonly member: string;
  readonly data: string;
}

/** The channel to `data` on this machine, for messages about `member`. Opens nothing yet. */
export function localChannel(member: string, data: string): HostChannel {
  const place: Place = { member, data };
  const runner = programRunner({
    member,
    shell: "/bin/sh",
    open: () => Promise.resolve(spawnShell(["/bin/sh"])),
    ownerWords: async (argv) => {
      const { uid, gid } = await ownerOf(data);
      return ownerWords({ uid, gid, self: selfId() }, argv);
    },
  });
  const tried = <T>(what: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> =>
    attempt(member, what, signal, async () => {
      await mayControl(place);
      return await work();
    });
  return {
    place: "this machine",
    warm: (hooks, signal) =>
      tried(`look after ${data}`, signal, async () => {
        await lookAt(place, "whole");
        if (hooks) await runner.warm(signal);
      }),
    look: (how, signal) => tried(`look at ${data}`, signal, () => lookAt(place, how)),
    read: (path, signal) => tried(`read ${path}`, signal, () => unlessMissing(readFile(path))),
    write: (path, content, signal) =>
      tried(`write ${path}`, signal, async () => {
        const { uid, gid } = await stat(data);
        const owner = selfId() === 0 ? { owner: { uid, gid } } : {};
        await writeFileAtomically(path, content, { mode: 0o600, ...owner });
      }),
    remove: (path, signal) =>
      tried(`remove ${path}`, signal, async () => {
        await rm(path, { force: true });
        await syncFolder(dirname(path));
      }),
    kill: (pid, name, signal, only) =>
      attempt(member, `send ${name} to process ${pid}`, signal, async () =>
        killNow(place, pid, name, only),
      ),
    run: (argv, as, options) => runner.run(argv, as, options),
    close: () => runner.close(),
  };
}

function selfId(): number {
  return process.geteuid?.() ?? -1;
}

/** Of the data directory, or of the folder that it is missing in: a rebuild moves it away. */
async function ownerOf(data: string): Promise<Stats> {
  return (await unlessMissing(stat(data))) ?? (await stat(dirname(data)));
}

/** Who is neither root nor the owner would be shown a part of the files and of the processes. */
async function mayControl(place: Place): Promise<void> {
  requireRight(place, await ownerOf(place.data));
}

function requireRight({ member, data }: Place, { uid }: Stats): void {
  if (selfId() === 0 || selfId() === uid) return;
  throw new HostControlError(
    member,
    `look at ${data}`,
    `it belongs to user ${uid} and this is user ${selfId()}: it takes root or the owner`,
  );
}

async function lookAt(place: Place, how: "whole" | "light"): Promise<HostLook> {
  const { data } = place;
  const [pidFile, control, signalFile, promoteFile, archiveReady] = await Promise.all([
    readText(join(data, "postmaster.pid")),
    readControl(data),
    readText(join(data, "standby.signal")),
    unlessMissing(stat(join(data, "promote"))),
    how === "whole" ? countReady(data) : 0,
  ]);
  const seen = { pidFile, signalFile, promoteFile: promoteFile !== null, archiveReady };
  const folder = await stat(data);
  const named = readPostmasterFile(pidFile);
  if (how === "light" && named !== null && isAtWork(folder, named, control)) {
    return { ...seen, control, postmaster: named.pid, processes: null };
  }
  const processes = processesIn(place, folder);
  const own = processes.find(({ pid }) => named !== null && countsItself(pid) === named.pid);
  // What ended before the processes were looked at has written its control file by now.
  const written = await readControl(data);
  return { ...seen, control: written, postmaster: own?.pid ?? null, processes };
}

/** A process in a container counts itself by its own namespace: the last of NSpid (proc(5)). */
function countsItself(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return Number(/^NSpid:.*?([0-9]+)$/m.exec(status)?.[1] ?? pid);
  } catch {
    // It ended while we looked.
    return pid;
  }
}

/** The postmaster of the file is there, and its shutdown has not come to its last lines. */
function isAtWork(folder: Stats, file: PostmasterFile, control: Uint8Array | null): boolean {
  if (worksIn(folder, file.pid) !== true || countsItself(file.pid) !== file.pid) return false;
  if (file.status !== "stopping") return true;
  const read = control === null ? null : readControlFile(control);
  return !(read !== null && "control" in read && isCleanStop(read.control));
}

/** Null when it cannot be read. */
async function readControl(data: string): Promise<Uint8Array | null> {
  return await readFile(join(data, "global/pg_control")).catch(() => null);
}

async function readText(path: string): Promise<string | null> {
  return await unlessMissing(readFile(path, "utf8"));
}

async function countReady(data: string): Promise<number> {
  const names = await unlessMissing(readdir(join(data, "pg_wal/archive_status")));
  return names?.filter((name) => name.endsWith(".ready")).length ?? 0;
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (faultCode(error) === "ENOENT") return null;
    throw error;
  }
}

/** Postgres processes that work in the folder. @throws HostControlError when one cannot be judged */
function processesIn({ member, data }: Place, folder: Stats): SeenProcess[] {
  const pids = readdirSync("/proc").filter((entry) => /^[1-9][0-9]*$/.test(entry));
  return pids.flatMap((entry): SeenProcess[] => {
    const pid = Number(entry);
    const works = worksIn(folder, pid);
    if (works === false) return [];
    const seen = readProcess(pid);
    if (seen === undefined) return [];
    if (works === true) return [seen];
    if (!mayBeOurs(folder, pid)) return [];
    throw new HostControlError(
      member,
      `look for processes in ${data}`,
      `where a Postgres process works may not be read: it takes root: process ${pid}`,
    );
  });
}

/** Whether a process works in the folder; undefined when that may not be read. */
function worksIn(folder: Stats, pid: number): boolean | undefined {
  try {
    const cwd = statSync(`/proc/${pid}/cwd`);
    return cwd.dev === folder.dev && cwd.ino === folder.ino;
  } catch (error) {
    return ["EACCES", "EPERM"].includes(faultCode(error)) ? undefined : false;
  }
}

/** Postgres runs as the owner of its data directory alone. False for a process that has ended. */
function mayBeOurs(folder: Stats, pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    return /^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] === String(folder.uid);
  } catch {
    return false;
  }
}

/** A process, if it is a Postgres that has not ended. */
function readProcess(pid: number): SeenProcess | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, "latin1");
    if (!/^[0-9]+ \((postgres|postmaster)\) [^ZX]/.test(line)) return undefined;
    return { pid, stat: line, commandLine: readFileSync(`/proc/${pid}/cmdline`, "latin1") };
  } catch {
    // It ended while we looked.
    return undefined;
  }
}

function textNow(path: string): string | null {
  try {
    return readFileSync(path, "utf8").replace(/\n+$/, "");
  } catch (error) {
    if (faultCode(error) === "ENOENT") return null;
    throw error;
  }
}

/** All of it in one turn, so that next to nothing can come between the look and the signal. */
function killNow(place: Place, pid: number, name: HostSignal, only?: FileAsSeen): boolean {
  const folder = statSync(place.data);
  requireRight(place, folder);
  if (worksIn(folder, pid) !== true || readProcess(pid) === undefined) return false;
  if (only !== undefined && textNow(only.path) !== only.text) return false;
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if (faultCode(error) === "ESRCH") return false;
    throw error;
  }
}
