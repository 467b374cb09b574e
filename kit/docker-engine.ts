/**
 * What Switchyard asks of a Docker Engine, as plain values. docker.ts speaks to the engine; what
 * runs on it is told apart by labels. Docker Engine API v1.41 and newer (engine 20.10).
 */
import type { Readable, Writable } from "node:stream";

/** Where an engine is reached. */
export interface EngineAddress {
  /** unix:///path, ssh://[user@]host[:port] or tcp://host:port. */
  readonly url: string;
  /** PEM texts; for tcp:// alone. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** One end of a container in a network. */
export interface NetworkEnd {
  readonly network: string;
  /** A fixed address, in a network with a subnet of its own; the engine's choice when not given. */
  readonly address?: string;
  /** Further names in that network's DNS. */
  readonly aliases?: readonly string[];
}

export interface Mount {
  /** A volume's name, or an absolute path of the engine's host. */
  readonly source: string;
  /** The path in the container. */
  readonly target: string;
  readonly readOnly?: boolean;
}

export interface HealthCheck {
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly retries: number;
}

export interface ContainerSpec {
  /** The engine's choice when not given. */
  readonly name?: string;
  readonly image: string;
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  /** user or user:group, by name or number; the image's when not given. */
  readonly user?: string;
  readonly hostname?: string;
  /** The first one is there from the start; none gives a container without a network. */
  readonly networks: readonly NetworkEnd[];
  /** Whom the engine asks for names that are no container's, in this order; three at the most. */
  readonly dns?: readonly string[];
  readonly mounts?: readonly Mount[];
  /** All mounts of these containers as well. */
  readonly volumesFrom?: readonly string[];
  /** `host`: it sees all processes of the engine's host. */
  readonly pid?: "host";
  readonly capabilities?: readonly string[];
  /** Such as apparmor=unconfined. */
  readonly securityOptions?: readonly string[];
  readonly restart?: "no" | "unless-stopped" | "always";
  /** It is removed, with its unnamed volumes, when it ends. */
  readonly autoRemove?: boolean;
  readonly stopSignal?: string;
  readonly sharedMemoryBytes?: number;
  readonly health?: HealthCheck;
}

export type ContainerStatus =
  | "created"
  | "running"
  | "paused"
  | "restarting"
  | "removing"
  | "exited"
  | "dead";

export interface ContainerFacts {
  readonly id: string;
  readonly name: string;
  /** By the name that it was made with. */
  readonly image: string;
  readonly imageId: string;
  readonly status: ContainerStatus;
  /** Of its first process, as the engine's host counts; 0 when it does not run. */
  readonly pid: number;
  readonly exitCode: number;
  readonly createdAt: string;
  readonly startedAt: string;
  readonly restarts: number;
  readonly restart: string;
  readonly stopSignal: string;
  readonly user: string;
  readonly labels: Readonly<Record<string, string>>;
  /** none, starting, healthy or unhealthy. */
  readonly health: string;
  readonly networks: readonly { readonly network: string; readonly address: string }[];
  readonly mounts: readonly Mount[];
}

/** How a program ended. */
export interface ProgramEnd {
  /** Null when the way to it broke, or a signal ended it: nobody knows how far it came. */
  readonly code: number | null;
  /** Such as "exit code 0". */
  readonly words: string;
}

/** An open way to a program in a container; ending it ends the program's input. */
export interface ContainerStream {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves, never rejects, when the stream has ended. */
  readonly ended: Promise<ProgramEnd>;
  /** Lets go at once. */
  destroy(): void;
  /** Whether it keeps this process alive: from the start it does. */
  ref(): void;
  unref(): void;
}

export interface ExecOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal;
  readonly user?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Buffer;
  /** For messages, in place of the program's words, which may be a whole script. */
  readonly tried?: string;
}

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A file of a container, and whose it is there. */
export interface ContainerFile {
  readonly content: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A process of a container, as ps(1) on the engine's host shows it. */
export interface ContainerProcess {
  /** As the engine's host counts. */
  readonly pid: number;
  readonly parent: number;
  /** ps(1): R, S, D, Z … and what may follow it. */
  readonly state: string;
  /** Its name, as in /proc/PID/comm. */
  readonly name: string;
  /** Its whole command line. */
  readonly command: string;
}

export interface FileToWrite {
  /** Relative to the folder. */
  readonly path: string;
  readonly content: string | Buffer;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * One engine. Every call has a deadline of its own and ends with `signal`; what goes wrong is an
 * EngineError that says what was tried, on which engine, what came back, and what to do.
 */
export interface DockerEngine {
  readonly address: EngineAddress;
  ping(signal?: AbortSignal): Promise<{ readonly version: string; readonly apiVersion: string }>;

  /** Null when there is none of that name. */
  inspect(container: string, signal?: AbortSignal): Promise<ContainerFacts | null>;
  /** Those that carry every one of `labels`, running or not. */
  list(
    labels: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<readonly ContainerFacts[]>;
  /** @returns its id */
  create(spec: ContainerSpec, signal?: AbortSignal): Promise<string>;
  /** One that runs already is fine. */
  start(container: string, signal?: AbortSignal): Promise<void>;
  /** Sends the signal and marks it as stopped by hand: restart policies leave it alone. */
  kill(container: string, signalName: string, signal?: AbortSignal): Promise<void>;
  /** Its stop signal, then SIGKILL after `graceS`; waits for the end. One that is stopped is fine. */
  stop(container: string, graceS: number, signal?: AbortSignal): Promise<void>;
  /** The same, and starts it, also one that did not run. */
  restart(container: string, graceS: number, signal?: AbortSignal): Promise<void>;
  pause(container: string, signal?: AbortSignal): Promise<void>;
  unpause(container: string, signal?: AbortSignal): Promise<void>;
  /** Ends and removes it, with its unnamed volumes; none is fine. */
  remove(container: string, signal?: AbortSignal): Promise<void>;
  /** The last `lines` of its output. */
  logs(container: string, lines: number, signal?: AbortSignal): Promise<string>;

  /** Its processes; none for one that does not run. */
  processes(container: string, signal?: AbortSignal): Promise<readonly ContainerProcess[]>;

  /** Runs a program in a running container to its end, whatever its exit code. */
  exec(container: string, argv: readonly string[], options: ExecOptions): Promise<ExecResult>;
  /** The same, kept open. */
  openExec(
    container: string,
    argv: readonly string[],
    options: Pick<ExecOptions, "user" | "signal" | "tried">,
  ): Promise<ContainerStream>;
  /**
   * Makes, attaches and starts a container that lives as long as the stream: autoRemove. It ends
   * when its program does at the end of its input, so it outlives no tool that was killed; what it
   * prints is kept nowhere.
   */
  openContainer(spec: ContainerSpec, signal?: AbortSignal): Promise<ContainerStream>;

  /** Through the archive API, from a stopped container as well; null when there is no such file. */
  readFile(container: string, path: string, signal?: AbortSignal): Promise<Buffer | null>;
  /** The same, and whose it is. */
  readEntry(container: string, path: string, signal?: AbortSignal): Promise<ContainerFile | null>;
  /** The names in a folder; null when there is none. For folders of few and small files. */
  listFolder(
    container: string,
    path: string,
    signal?: AbortSignal,
  ): Promise<readonly string[] | null>;
  /** The same way; `folder` must be there. A file is replaced, not written over, but not at once. */
  writeFiles(
    container: string,
    folder: string,
    files: readonly FileToWrite[],
    signal?: AbortSignal,
  ): Promise<void>;

  /** @param subnet such as 10.213.0.0/24; the engine's choice when not given */
  createNetwork(
    name: string,
    options: { readonly subnet?: string; readonly labels?: Readonly<Record<string, string>> },
    signal?: AbortSignal,
  ): Promise<void>;
  /** None is fine. */
  removeNetwork(name: string, signal?: AbortSignal): Promise<void>;
  listNetworks(
    labels: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<readonly string[]>;
  createVolume(
    name: string,
    labels: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<void>;
  /** None is fine. */
  removeVolume(name: string, signal?: AbortSignal): Promise<void>;
  listVolumes(
    labels: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<readonly string[]>;
  /** Its id and labels; null when the engine has no such image. */
  findImage(
    reference: string,
    signal?: AbortSignal,
  ): Promise<{
    readonly id: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly user: string;
  } | null>;

  /** Ends every open connection. */
  close(): void;
}
