/**
 * What a look at a data directory means: which process is what, and whether Postgres runs, is being
 * stopped or is gone. A claim of `gone` decides whether another node may be promoted, so whatever
 * is not recognised counts as a process that can write.
 */
import type { HostLook, SeenProcess } from "./channel.ts";
import type { ControlFile, HostFacts, PostgresProcess } from "./contract.ts";

export interface PostmasterFile {
  readonly pid: number;
  readonly port: string;
  /** Empty when it makes no socket. */
  readonly socketFolder: string;
  /** starting, stopping, ready, standby, or empty while it has not been written. */
  readonly status: string;
}

/**
 * Reads postmaster.pid (src/include/utils/pidfile.h); null when there is none or it is not written
 * yet. A single-user Postgres writes its pid as a negative number.
 */
export function readPostmasterFile(text: string | null): PostmasterFile | null {
  const lines = (text ?? "").split("\n");
  const pid = /^-?([1-9][0-9]{0,9})$/.exec(lines[0]?.trim() ?? "")?.[1];
  if (pid === undefined) return null;
  return {
    pid: Number(pid),
    port: lines[3]?.trim() ?? "",
    socketFolder: lines[4]?.trim() ?? "",
    status: lines[7]?.trim() ?? "",
  };
}

/** True when the control file says that a shutdown was completed. */
export function isCleanStop(control: ControlFile | null): boolean {
  return control?.state === "shut down" || control?.state === "shut down in recovery";
}

/**
 * What a title says, behind `postgres: ` and the cluster's name. The words of a session are its
 * user, database and host, so each pattern holds the whole of a title that no session can have.
 */
const kinds: readonly (readonly [title: RegExp, kind: string])[] = [
  [/^checkpointer( performing [a-z -]*(checkpoint|restartpoint))?$/, "checkpointer"],
  [/^logger$/, "logger"],
  [/^archiver( (archiving|last was|failed on) [0-9A-F]{8,24}[.\w]*)?$/, "archiver"],
  [/^walsender \S+ (\S+ )?\S+ (streaming [0-9A-F]+\/[0-9A-F]+|START_REPLICATION)$/, "walsender"],
  [/^walsender /, "busy walsender"],
  [/^startup\b/, "startup"],
  [/^walreceiver\b/, "walreceiver"],
  [/^walwriter$/, "walwriter"],
  [/^background writer$/, "background writer"],
  [/^autovacuum (launcher|worker)\b/, "autovacuum"],
];

/** What never writes data, whatever came before. */
const harmlessAlways = new Set(["archiver", "logger", "ending"]);
/** What may be left of a Postgres whose shutdown checkpoint has been written. */
const harmlessAfterStop = new Set([
  ...["postmaster", "checkpointer", "walsender"],
  ...harmlessAlways,
]);

/** Names the processes of a look, the postmaster first. */
export function nameProcesses(seen: readonly SeenProcess[]): PostgresProcess[] {
  const pids = new Set(seen.map((one) => one.pid));
  const named = seen.map((one): PostgresProcess => {
    const title = one.commandLine.replaceAll("\0", " ").trimEnd();
    return { pid: one.pid, kind: kindOf(one, title, pids), title };
  });
  const rank = ({ kind }: PostgresProcess): number => (kind === "postmaster" ? 0 : 1);
  return named.toSorted((left, right) => rank(left) - rank(right) || left.pid - right.pid);
}

function kindOf(seen: SeenProcess, title: string, pids: ReadonlySet<number>): string {
  // Its memory is gone, and with it whatever it could still have done (exit(2), mm before files).
  if (title === "") return "ending";
  const own = /^postgres: (.*)$/s.exec(title)?.[1];
  if (own === undefined) {
    // A child has its postmaster's command line until it sets a title.
    return pids.has(parentOf(seen)) ? "new child" : "postmaster";
  }
  // With cluster_name set, that stands before the rest.
  const rests = [own, own.replace(/^.*?: /, "")];
  const row = kinds.find(([pattern]) => rests.some((rest) => pattern.test(rest)));
  return row?.[1] ?? "backend";
}

function parentOf({ stat }: SeenProcess): number {
  // The name in parentheses may hold anything, so fields are counted from its end.
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? -1);
}

/** Whether Postgres runs, is being stopped, or is gone. */
export function judgeProcess(
  look: HostLook,
  processes: readonly PostgresProcess[],
  control: ControlFile | null,
): HostFacts["process"] {
  const file = readPostmasterFile(look.pidFile);
  const stopping = file?.status === "stopping";
  if (look.processes === null) return stopping ? "stopping" : "alive";
  if (processes.every(({ kind }) => harmlessAlways.has(kind))) return "gone";
  const postmaster = processes.find(({ kind }) => kind === "postmaster");
  const ends = postmaster === undefined || (stopping && postmaster.pid === look.postmaster);
  if (isCleanStop(control)) {
    if (ends && processes.every(({ kind }) => harmlessAfterStop.has(kind))) return "gone";
    // It has removed its file and is about to end; or a new one, which has yet to write it.
    if (file === null && processes.every(({ kind }) => kind === "postmaster")) return "stopping";
  }
  return postmaster !== undefined && ends ? "stopping" : "alive";
}
