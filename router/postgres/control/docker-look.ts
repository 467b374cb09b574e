/**
 * A look at a member in a container from outside: its state, its processes and its files by the
 * engine alone, so that a command that only looks makes no container. The engine mounts the volumes
 * for each file, which takes it some 40 ms: too slow for a flip's hold, but it works while the
 * container is torn down.
 */
import type { ContainerFacts, ContainerProcess, DockerEngine } from "../../../kit/docker-engine.ts";
import type { HostLook, SeenProcess } from "./channel.ts";
import { readPostmasterFile } from "./judge.ts";

/** Docker's states in which a container has processes. */
const withProcesses = new Set(["running", "paused", "restarting"]);

/** A look at `data` as the engine shows it. @throws EngineError, or Error where there is nothing */
export async function lookByEngine(
  engine: DockerEngine,
  { container, data }: { readonly container: string; readonly data: string },
  how: "whole" | "light",
  signal: AbortSignal,
): Promise<HostLook> {
  const facts = await engine.inspect(container, signal);
  if (facts === null) throw new Error(`there is no container ${container}`);
  const hasProcesses = withProcesses.has(facts.status);
  const listed = hasProcesses ? await engine.processes(container, signal) : [];
  const read = async (name: string): Promise<Buffer | null> =>
    await engine.readFile(container, `${data}/${name}`, signal);
  const [pidFile, signalFile, promote, ready] = await Promise.all([
    read("postmaster.pid"),
    read("standby.signal"),
    read("promote"),
    how === "whole"
      ? engine.listFolder(container, `${data}/pg_wal/archive_status`, signal)
      : undefined,
  ]);
  // Last: what ended before the processes were listed has written it by now.
  const control = await read("global/pg_control");
  if (control === null && (await read("PG_VERSION")) === null) {
    throw new Error(`there is no data directory ${data} in container ${container}`);
  }
  const processes = seenProcesses(listed);
  const pidText = pidFile?.toString("utf8") ?? null;
  return {
    pidFile: pidText,
    postmaster: postmasterIn(facts, pidText, processes),
    control,
    signalFile: signalFile?.toString("utf8") ?? null,
    promoteFile: promote !== null,
    processes,
    archiveReady: (ready ?? []).filter((name) => name.endsWith(".ready")).length,
  };
}

/** Those of Postgres that have not ended, as ps(1) shows them, in the form of /proc. */
export function seenProcesses(listed: readonly ContainerProcess[]): SeenProcess[] {
  return listed
    .filter(({ name, state }) => /^(postgres|postmaster)$/.test(name) && !/^[ZX]/.test(state))
    .map(({ pid, parent, state, name, command }) => ({
      pid,
      stat: `${pid} (${name}) ${state.slice(0, 1)} ${parent}`,
      // ps gives a process without a command line its name in brackets.
      commandLine: command === `[${name}]` ? "" : command,
    }));
}

/** The process that postmaster.pid names: the container's first one counts itself as 1. */
function postmasterIn(
  { pid }: ContainerFacts,
  pidFile: string | null,
  processes: readonly SeenProcess[],
): number | null {
  const named = readPostmasterFile(pidFile)?.pid;
  const seen = named === 1 ? pid : named;
  return processes.some((one) => one.pid === seen) ? (seen ?? null) : null;
}
