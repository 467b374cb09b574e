/**
 * Programs in containers: one that runs in a running container (exec), and a container that lives
 * as long as the stream to its program. Both hand the engine's connection over.
 */
import type { Duplex, Readable } from "node:stream";
import { withDeadline } from "./clock.ts";
import { at, create, remove, shownSpec, startDeadlineMs } from "./docker-containers.ts";
import type {
  ContainerSpec,
  ContainerStream,
  DockerEngine,
  ExecOptions,
  ExecResult,
  ProgramEnd,
} from "./docker-engine.ts";
import { engineError, EngineError } from "./docker-errors.ts";
import type { EngineWay } from "./docker-request.ts";
import { attachedBody } from "./docker-spec.ts";
import { brokenOff, containerStream, endedWith } from "./docker-streams.ts";

const outputLimitBytes = 16 * 1024 * 1024;
/** From the end of a program's output to how it ended. */
const endDeadlineMs = 10_000;

/** Running programs, by `streams`, which close ends. */
export function programCalls(
  way: EngineWay,
  streams: Set<ContainerStream>,
): Pick<DockerEngine, "exec" | "openExec" | "openContainer"> {
  const keep = (stream: ContainerStream): ContainerStream => {
    streams.add(stream);
    void stream.ended.then(() => streams.delete(stream));
    return stream;
  };
  const open: DockerEngine["openExec"] = async (container, argv, options) =>
    keep(await openExec(way, container, argv, options));
  return {
    openExec: open,
    exec: (container, argv, options) => runExec(way, keep, container, argv, options),
    openContainer: async (spec, signal) => keep(await openContainer(way, spec, signal)),
  };
}

async function openExec(
  way: EngineWay,
  container: string,
  argv: readonly string[],
  options: Omit<ExecOptions, "deadlineMs" | "input">,
): Promise<ContainerStream> {
  const { signal, tried = shownProgram(container, argv) } = options;
  const made = await way.ask({
    tried,
    method: "POST",
    path: `${at(container)}/exec`,
    body: {
      ...{ AttachStdin: true, AttachStdout: true, AttachStderr: true, Tty: false },
      Cmd: argv,
      ...(options.user === undefined ? {} : { User: options.user }),
      Env: Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`),
    },
    signal,
  });
  const path = `/exec/${(made as { Id: string }).Id}`;
  const body = { Detach: false, Tty: false };
  const socket = await way.hijack({ tried, method: "POST", path: `${path}/start`, body, signal });
  const exitCode = async (): Promise<number | null> => {
    const reply = await way.ask({
      tried: `see how it ended: ${tried}`,
      method: "GET",
      path: `${path}/json`,
      deadlineMs: endDeadlineMs,
    });
    return (reply as { ExitCode: number | null }).ExitCode;
  };
  return containerStream(socket, async (fault) => {
    const code = await exitCode();
    // One that failed may not have read its input. Of one that did not, some output may be missing.
    if (fault === undefined || (code ?? 0) !== 0) return endedWith(code ?? -1);
    return brokenOff(engineError(tried, way.url, fault));
  });
}

function shownProgram(container: string, argv: readonly string[]): string {
  return `run ${argv.join(" ")} in container ${container}`;
}

async function runExec(
  way: EngineWay,
  keep: (stream: ContainerStream) => ContainerStream,
  container: string,
  argv: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  const { tried = shownProgram(container, argv) } = options;
  const run = async (signal: AbortSignal): Promise<ExecResult> => {
    const stream = keep(await openExec(way, container, argv, { ...options, signal }));
    signal.addEventListener("abort", () => stream.destroy(), { once: true });
    try {
      stream.stdin.end(options.input ?? "");
      const [stdout, stderr] = await Promise.all([
        textOf(stream.stdout, way, tried),
        textOf(stream.stderr, way, tried),
      ]);
      const { code, words } = await stream.ended;
      if (code !== null) return { code, stdout, stderr };
      throw new EngineError(tried, way.url, { fault: "other", words });
    } finally {
      stream.destroy();
    }
  };
  try {
    return await withDeadline(tried, options.deadlineMs, run, options.signal);
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw engineError(tried, way.url, cause);
  }
}

async function textOf(output: Readable, way: EngineWay, tried: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of output as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > outputLimitBytes) {
      throw new EngineError(tried, way.url, {
        fault: "other",
        words: "it printed more than 16 MiB",
      });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function openContainer(
  way: EngineWay,
  spec: ContainerSpec,
  signal: AbortSignal | undefined,
): Promise<ContainerStream> {
  const shown = shownSpec(spec);
  const id = await create(way, spec, attachedBody(spec), signal);
  let socket: Duplex | undefined;
  try {
    // How it ended is asked for before it starts: once it has ended it is gone.
    const [attached, exit] = await Promise.all([
      attach(way, id, shown, signal),
      exitOf(way, id, shown, signal),
    ]);
    socket = attached;
    await way.ask({
      tried: `start container ${shown}`,
      method: "POST",
      path: `${at(id)}/start`,
      deadlineMs: startDeadlineMs,
      signal,
    });
    const letGo = (): void => void kill(way, id).catch(() => undefined);
    return containerStream(attached, () => exit.end, letGo);
  } catch (error) {
    socket?.destroy();
    await remove(way, id, undefined).catch(() => undefined);
    throw error;
  }
}

function attach(
  way: EngineWay,
  id: string,
  shown: string,
  signal: AbortSignal | undefined,
): Promise<Duplex> {
  const query = { stream: 1, stdin: 1, stdout: 1, stderr: 1 };
  const tried = `attach to container ${shown}`;
  return way.hijack({ tried, method: "POST", path: `${at(id)}/attach`, query, signal });
}

async function kill(way: EngineWay, id: string): Promise<void> {
  await way.ask({
    tried: `end container ${id}`,
    method: "POST",
    path: `${at(id)}/kill`,
    deadlineMs: endDeadlineMs,
  });
}

/** The answer begins at once and ends with the container. */
async function exitOf(
  way: EngineWay,
  id: string,
  shown: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly end: Promise<ProgramEnd> }> {
  const tried = `see how container ${shown} ended`;
  const query = { condition: "next-exit" };
  const answer = await way.read({ tried, method: "POST", path: `${at(id)}/wait`, query, signal });
  if (answer === undefined) throw new TypeError("an engine's answer without a body");
  const end = (async (): Promise<ProgramEnd> => {
    const reply = JSON.parse(await textOf(answer, way, tried)) as { StatusCode: number };
    return endedWith(reply.StatusCode);
  })().catch((error: unknown) => brokenOff(engineError(tried, way.url, error)));
  return { end };
}
