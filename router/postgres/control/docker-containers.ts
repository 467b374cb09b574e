/**
 * The containers that are made beside a member's: one to look and act in, and one for programs.
 * Both are of the member's own image, with its volumes, and see the processes of the engine's host;
 * both end with the stream to their shell, so that a tool that is killed leaves nothing.
 */
import { randomBytes } from "node:crypto";
import { withDeadline } from "../../../kit/clock.ts";
import type {
  ContainerFacts,
  ContainerSpec,
  ContainerStream,
  DockerEngine,
} from "../../../kit/docker-engine.ts";

const controlLabel = "org.switchyard.control";
const labLabel = "org.switchyard.lab";
/** One that was never started belongs to a tool that was killed right then. */
const abandonedMs = 60_000;
const openDeadlineMs = 15_000;

export interface OpenContainer {
  readonly name: string;
  readonly stream: ContainerStream;
}

/**
 * Opens a container beside `member`, whose facts are given. `programs`: in its networks, too.
 * Without them it can take no address that the member has a right to.
 * @throws EngineError, DeadlineError
 */
export async function openBeside(
  engine: DockerEngine,
  member: ContainerFacts,
  kind: "looks" | "programs",
  now: number,
  signal: AbortSignal,
): Promise<OpenContainer> {
  return await withDeadline(
    `open a container beside ${member.name}`,
    openDeadlineMs,
    async (inner) => {
      await removeAbandoned(engine, member.name, now, inner);
      const name = `${member.name}-switchyard-${randomBytes(4).toString("hex")}`;
      const stream = await engine.openContainer(besideSpec(member, name, kind), inner);
      return { name, stream };
    },
    signal,
  );
}

/** What is made. */
export function besideSpec(
  member: ContainerFacts,
  name: string,
  kind: "looks" | "programs",
): ContainerSpec {
  const lab = member.labels[labLabel];
  return {
    name,
    image: member.imageId,
    entrypoint: ["sh"],
    user: "0:0",
    // By name and not as "volumes from": a nameless volume then belongs to the member alone, and is
    // not removed with this container.
    mounts: member.mounts.filter(({ source }) => source !== ""),
    networks: kind === "programs" ? member.networks.map(({ network }) => ({ network })) : [],
    pid: "host",
    // To see in which folder a process of another user works.
    capabilities: ["SYS_PTRACE"],
    securityOptions: ["apparmor=unconfined"],
    labels: { [controlLabel]: member.name, ...(lab === undefined ? {} : { [labLabel]: lab }) },
  };
}

async function removeAbandoned(
  engine: DockerEngine,
  member: string,
  now: number,
  signal: AbortSignal,
): Promise<void> {
  const found = await engine.list({ [controlLabel]: member }, signal);
  const abandoned = found.filter(
    ({ status, createdAt }) => status === "created" && now - Date.parse(createdAt) > abandonedMs,
  );
  await Promise.all(abandoned.map(({ id }) => engine.remove(id, signal)));
}

export interface ProgramContainer {
  /** Opens it where it is not open. @returns its name, and the owner of the data as user:group */
  open(signal: AbortSignal): Promise<{ readonly name: string; readonly owner: string }>;
  close(): void;
}

interface OpenPrograms {
  readonly name: string;
  readonly owner: string;
  readonly stream: ContainerStream;
}

/** Of the data directory, or of the folder that it is missing in: a rebuild moves it away. */
const ownerScript = '[ -d "$1" ] || set -- "${1%/*}"; stat -L -c %u:%g -- "$1"';

/** The container that programs on `data` run in, from the first one to close. Opens nothing yet. */
export function programContainer(
  data: string,
  engine: { readonly get: () => Promise<DockerEngine> },
  openOne: (signal: AbortSignal) => Promise<OpenContainer>,
): ProgramContainer {
  let opening: Promise<OpenPrograms> | undefined;
  const open = async (signal: AbortSignal): Promise<OpenPrograms> => {
    const { name, stream } = await openOne(signal);
    try {
      drain(stream);
      const argv = ["sh", "-c", ownerScript, "sh", data];
      const tried = `see who owns ${data} in container ${name}`;
      const options = { deadlineMs: openDeadlineMs, user: "0:0", signal, tried };
      const { code, stdout, stderr } = await (await engine.get()).exec(name, argv, options);
      if (code !== 0) throw new Error(`see who owns ${data}: ${stderr.trim()}`);
      return { name, owner: stdout.trim(), stream };
    } catch (error) {
      stream.destroy();
      throw error;
    }
  };
  const begin = (signal: AbortSignal): Promise<OpenPrograms> => {
    const one = open(signal);
    opening = one;
    // By then another one may have been opened, which this one's end says nothing of.
    const forget = (): void => {
      if (opening === one) opening = undefined;
    };
    one.then(({ stream }) => void stream.ended.then(forget), forget);
    return one;
  };
  return {
    open: (signal) => opening ?? begin(signal),
    close: () => {
      void opening?.then(({ stream }) => stream.destroy()).catch(() => undefined);
      opening = undefined;
    },
  };
}

/** Its shell says nothing; what it would say must not hold it up. */
function drain({ stdin, stdout, stderr }: ContainerStream): void {
  stdin.on("error", () => undefined);
  stdout.resume();
  stderr.resume();
}
