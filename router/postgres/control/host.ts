/**
 * Host control of one member, over the channel that its environment names: the engine of its host
 * where `control.container` is set, a shell on its host where `control.shell` is, else this machine.
 */
import { join } from "node:path";
import { engineOfHost } from "../../../config/hosts.ts";
import type { Environment, MemberControlKeys } from "../../../config/schema.ts";
import { DeadlineError, eventually, withDeadline } from "../../../kit/clock.ts";
import type { DockerEngine } from "../../../kit/docker-engine.ts";
import { openEngine } from "../../../kit/docker.ts";
import { attempt, HostControlError } from "./channel.ts";
import type { HostChannel, HostLook } from "./channel.ts";
import type { ControlFile, HostControl, HostFacts } from "./contract.ts";
import { readControlFile } from "./control-file.ts";
import { dockerChannel } from "./docker-channel.ts";
import { judgeProcess, nameProcesses, readPostmasterFile } from "./judge.ts";
import { localChannel } from "./local-channel.ts";
import { shellChannel } from "./shell-channel.ts";
import { armedBy, postmasterOf, stopPostgres } from "./stop.ts";

const startDeadlineMs = 60_000;
const poolerDeadlineMs = 600_000;
const quickenDeadlineMs = 10_000;
const leaveDeadlineMs = 60_000;
/** From a start that was accepted to a process that can be seen: systemd may do other things first. */
const appearDeadlineMs = 5000;
const lookEveryMs = 20;

interface Host {
  readonly member: string;
  readonly keys: MemberControlKeys;
  readonly channel: HostChannel;
}

/**
 * Opens nothing yet: the first act, or warm, does.
 * @throws HostControlError when the environment has no such member, or no `control` for it
 */
export function openHost(environment: Environment, memberName: string): HostControl {
  const found = environment.members.find((one) => one.name === memberName);
  const keys = found?.control;
  if (keys === undefined) {
    const missing = found === undefined ? "no such member" : "it has no control";
    throw new HostControlError(memberName, `control its host`, `${missing} in ${environment.file}`);
  }
  const channel = channelTo(environment, memberName, found?.host ?? "", keys);
  return control({ member: memberName, keys, channel });
}

function channelTo(
  environment: Environment,
  member: string,
  host: string,
  { container, poolerContainer: pooler, shell, data }: MemberControlKeys,
): HostChannel {
  if (container !== undefined) {
    const engine = async (): Promise<DockerEngine> =>
      openEngine(await engineOfHost(environment, host));
    return dockerChannel({ member, container, pooler, data, host, engine });
  }
  return shell === undefined ? localChannel(member, data) : shellChannel(member, shell, data);
}

function control(host: Host): HostControl {
  const { member, keys, channel } = host;
  const signalFile = join(keys.data, "standby.signal");
  return {
    member,
    data: keys.data,
    get isQuick() {
      return channel.isQuick ?? true;
    },
    warm: (signal) => channel.warm(keys.stop !== undefined, signal),
    inspect: (signal, how = "whole") => inspect(host, how, signal),
    arm: async (by, signal) => {
      const content = `switchyard ${by}\n`;
      if (!/^[^\p{Cc}]{1,200}$/u.test(by)) throw new TypeError(`no signature: ${by}`);
      await channel.write(signalFile, content, signal);
      const read = await channel.read(signalFile, signal);
      if (read?.toString("utf8") === content) return;
      throw new HostControlError(member, `arm ${keys.data}`, "standby.signal reads back otherwise");
    },
    disarm: async (by, signal) => {
      const armed = armedBy((await channel.read(signalFile, signal))?.toString("utf8") ?? null);
      if (armed === null) return;
      if (armed.by !== by) {
        const whose = armed.by === "" ? "nobody's" : armed.by;
        throw new HostControlError(
          member,
          `disarm ${keys.data}`,
          `standby.signal is ${whose}, not ${by}`,
        );
      }
      await channel.remove(signalFile, signal);
    },
    stop: (signal, armed) => stopPostgres(host, signal, armed),
    start: (signal) => start(host, signal),
    removePromoteFile: (signal) => channel.remove(join(keys.data, "promote"), signal),
    terminate: (pid, signal) => terminate(host, pid, signal),
    readFile: (path, signal) =>
      channel.read(path.startsWith("/") ? path : join(keys.data, path), signal),
    run: (argv, options) => channel.run(argv, "owner", options),
    restartPooler: (signal) => restartPooler(host, signal),
    runHook: (argv, options) => channel.run(argv, "channel", options),
    close: () => channel.close(),
  };
}

/**
 * Opens the quick way to a host whose looks go a slow one, for whoever is about to act. Where it
 * cannot be opened, looks stay slow, and the first act says why: it opens the same way.
 * @throws the signal's reason
 */
export async function quicken(host: HostControl, signal: AbortSignal): Promise<void> {
  if (host.isQuick) return;
  const warm = (inner: AbortSignal): Promise<void> => host.warm(inner);
  try {
    await withDeadline(`open the way to ${host.member}`, quickenDeadlineMs, warm, signal);
  } catch {
    signal.throwIfAborted();
  }
}

async function inspect(
  { channel }: Host,
  how: "whole" | "light",
  signal: AbortSignal,
): Promise<HostFacts> {
  let look = await channel.look(how, signal);
  let file = controlOf(look);
  if (file === null && look.control !== null) {
    // Postgres writes the file while we read it; a second look then finds it whole.
    look = await channel.look(how, signal);
    file = controlOf(look);
  }
  const processes = nameProcesses(look.processes ?? []);
  return {
    process: judgeProcess(look, processes, file),
    processes,
    control: file,
    armed: armedBy(look.signalFile),
    promoteFile: look.promoteFile,
    archiveReady: look.archiveReady,
  };
}

function controlOf({ control: bytes }: HostLook): ControlFile | null {
  const read = bytes === null ? null : readControlFile(bytes);
  return read !== null && "control" in read ? read.control : null;
}

async function restartPooler({ channel, keys }: Host, signal: AbortSignal): Promise<void> {
  const { restartPooler: words } = keys;
  if (words === undefined) return await channel.service?.restartPooler(signal);
  await channel.run(words, "channel", { deadlineMs: poolerDeadlineMs, signal });
}

async function terminate(
  { channel, member }: Host,
  pid: number,
  signal: AbortSignal,
): Promise<void> {
  if (postmasterOf(await channel.look("light", signal)) === pid) {
    const why = "it is the postmaster, and would shut down without haste";
    throw new HostControlError(member, `terminate process ${pid}`, why);
  }
  await channel.kill(pid, "SIGTERM", signal);
}

/** Nothing of an earlier Postgres is left that could come in the way of the next one. */
async function makeWay(host: Host, signal: AbortSignal): Promise<"running" | "free"> {
  const { channel, keys, member } = host;
  let left: readonly { pid: number; title: string }[] = [];
  try {
    return await eventually(
      `end of Postgres on ${keys.data}`,
      { deadlineMs: leaveDeadlineMs, intervalMs: lookEveryMs, signal },
      async () => {
        const look = await channel.look("whole", signal);
        const processes = nameProcesses(look.processes ?? []);
        left = processes;
        if (processes.length === 0) return "free";
        const { status } = readPostmasterFile(look.pidFile) ?? {};
        const runs = processes[0]?.kind === "postmaster" && processes[0].pid === look.postmaster;
        return runs && status !== "stopping" ? "running" : undefined;
      },
    );
  } catch (cause) {
    if (!(cause instanceof DeadlineError)) throw cause;
    if (cause.cause instanceof HostControlError) throw cause.cause;
    const who = left.map(({ pid, title }) => `${pid} ${title}`).join(", ");
    throw new HostControlError(
      member,
      `start Postgres on ${keys.data}`,
      `still there: ${who}`,
      cause,
    );
  }
}

async function start(host: Host, signal: AbortSignal): Promise<void> {
  const { channel, keys, member } = host;
  if ((await makeWay(host, signal)) === "running") return;
  const { start: words = [] } = keys;
  if (channel.service !== undefined) {
    await channel.service.start(() => removeLeftovers(host, signal), signal);
  } else {
    await removeLeftovers(host, signal);
    await channel.run(words, "channel", { deadlineMs: startDeadlineMs, signal });
  }
  // Until then a look would still call it gone.
  const look = async (): Promise<true | undefined> =>
    (await channel.look("light", signal)).processes?.length !== 0 || undefined;
  const limits = { deadlineMs: appearDeadlineMs, intervalMs: 5, signal };
  const how = words.join(" ") || `the start of ${keys.container}`;
  await attempt(member, `look for a process after ${how}`, signal, () =>
    eventually("a Postgres process", limits, look),
  );
}

/**
 * Removes the lock files of a Postgres that is gone. Its pid may belong to another program by now,
 * or to a zombie, and Postgres would take either for itself and refuse to start.
 */
async function removeLeftovers({ channel, keys }: Host, signal: AbortSignal): Promise<void> {
  const pidFile = join(keys.data, "postmaster.pid");
  const text = (await channel.read(pidFile, signal))?.toString("utf8") ?? null;
  if (text === null) return;
  const file = readPostmasterFile(text);
  if (file !== null && file.socketFolder.startsWith("/") && /^[0-9]+$/.test(file.port)) {
    const lock = join(file.socketFolder, `.s.PGSQL.${file.port}.lock`);
    const owner = (await channel.read(lock, signal))?.toString("utf8").split("\n")[0]?.trim();
    if (owner === String(file.pid)) await channel.remove(lock, signal);
  }
  await channel.remove(pidFile, signal);
}
