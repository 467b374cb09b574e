/**
 * The channel to a member in a container, through the engine of its host. Looks and acts go over a
 * shell in a container beside the member's (docker-containers.ts), which answers in milliseconds
 * and sees every process that works in the data directory, whoever's it is. Until `warm` or an act
 * has opened that, looks go by the engine alone (docker-look.ts). Programs never run in
 * the member's container itself: its first process is the postmaster, which would inherit their
 * orphans and take the end of one for a crash of its own.
 */
import { eventually, systemClock } from "../../../kit/clock.ts";
import type { ContainerFacts, DockerEngine } from "../../../kit/docker-engine.ts";
import { EngineError } from "../../../kit/docker-errors.ts";
import { attempt, HostControlError } from "./channel.ts";
import type { HostChannel, PostgresService } from "./channel.ts";
import { openBeside, programContainer } from "./docker-containers.ts";
import type { OpenContainer, ProgramContainer } from "./docker-containers.ts";
import { lookByEngine } from "./docker-look.ts";
import { programRunner } from "./program.ts";
import type { ProgramRunner } from "./program.ts";
import { shellWay } from "./shell-channel.ts";
import type { ShellWay } from "./shell-channel.ts";

export interface DockerPlace {
  readonly member: string;
  readonly container: string;
  /** The container of the PgBouncer beside it, where there is one. */
  readonly pooler: string | undefined;
  /** As the container sees it. */
  readonly data: string;
  /** The engine's host, for messages. */
  readonly host: string;
  readonly engine: () => Promise<DockerEngine>;
}

const endDeadlineMs = 60_000;
const lookEveryMs = 20;
/** PgBouncer lets go of its clients at once when it is told to. */
const poolerGraceS = 10;

/** What leads to one member. */
interface Way {
  readonly place: DockerPlace;
  readonly engine: KeptEngine;
  readonly shell: ShellWay;
  readonly programs: ProgramContainer;
  readonly runner: ProgramRunner;
  /** The shell is open, or was: looks go over it. */
  hasShell: boolean;
}

/** The channel to `place`. Opens nothing yet. */
export function dockerChannel(place: DockerPlace): HostChannel {
  const way = wayTo(place);
  const { member, container } = place;
  const act = async <T>(work: (shell: ShellWay) => Promise<T>): Promise<T> => {
    const done = await work(way.shell);
    // Where the shell cannot be opened, looks go on without it.
    way.hasShell = true;
    return done;
  };
  const tried = <T>(
    what: string,
    signal: AbortSignal,
    work: (engine: DockerEngine) => Promise<T>,
  ) => attempt(member, what, signal, async () => work(await way.engine.get()));
  return {
    place: shownEngine(place),
    get isQuick() {
      return way.hasShell;
    },
    warm: async (_hooks, signal) => {
      const what = `open a container beside ${container}`;
      await attempt(member, what, signal, () => way.shell.owner(signal));
      way.hasShell = true;
    },
    look: (how, signal) =>
      way.hasShell
        ? way.shell.look(how, signal)
        : tried(`look at ${container}`, signal, (engine) =>
            lookByEngine(engine, place, how, signal),
          ),
    read: (path, signal) =>
      way.hasShell
        ? way.shell.read(path, signal)
        : tried(`read ${path}`, signal, (engine) => engine.readFile(container, path, signal)),
    write: (path, content, signal) => act((shell) => shell.write(path, content, signal)),
    remove: (path, signal) => act((shell) => shell.remove(path, signal)),
    kill: (pid, name, signal, only) => act((shell) => shell.kill(pid, name, signal, only)),
    run: (argv, as, options) => way.runner.run(argv, as, options),
    service: service(way),
    close: () => {
      way.runner.close();
      way.programs.close();
      way.shell.close();
      way.engine.close();
    },
  };
}

function wayTo(place: DockerPlace): Way {
  const { member, container, data } = place;
  const engine = keptEngine(place.engine);
  const beside = async (
    kind: "looks" | "programs",
    signal: AbortSignal,
  ): Promise<OpenContainer> => {
    const facts = await memberFacts(await engine.get(), place, signal);
    refuseOutside(place, facts);
    return await openBeside(await engine.get(), facts, kind, systemClock.now(), signal);
  };
  const shell = shellWay({
    member,
    data,
    shell: `a container beside ${container} on ${shownEngine(place)}`,
    open: async (signal) => (await beside("looks", signal)).stream,
  });
  const programs = programContainer(data, engine, (signal) => beside("programs", signal));
  const runner = programRunner({
    member,
    shell: shownEngine(place),
    open: async (as, signal) => {
      const { name, owner } = await programs.open(signal);
      const user = as === "owner" ? owner : "0:0";
      return await (await engine.get()).openExec(name, ["sh"], { user, signal });
    },
    ownerWords: (argv) => Promise.resolve(argv),
  });
  return { place, engine, shell, programs, runner, hasShell: false };
}

/** What is in no volume, a container beside the member cannot see. */
function refuseOutside({ member, container, data }: DockerPlace, { mounts }: ContainerFacts): void {
  const targets = mounts.map(({ target }) => target);
  if (targets.some((target) => data === target || data.startsWith(`${target}/`))) return;
  const found = targets.join(", ") || "it has none";
  throw new HostControlError(member, `reach ${data}`, `in no volume of ${container} (${found})`);
}

function shownEngine({ host }: DockerPlace): string {
  return `the engine of ${host}`;
}

/** @throws HostControlError when the member has no container */
async function memberFacts(
  engine: DockerEngine,
  { member, container, host }: DockerPlace,
  signal: AbortSignal,
): Promise<ContainerFacts> {
  const found = await engine.inspect(container, signal);
  if (found !== null) return found;
  throw new HostControlError(member, `ask the engine of ${host}`, `no container ${container}`);
}

interface KeptEngine {
  readonly get: () => Promise<DockerEngine>;
  readonly close: () => void;
}

/** Opened once; one that could not be is tried again. */
function keptEngine(open: () => Promise<DockerEngine>): KeptEngine {
  let opening: Promise<DockerEngine> | undefined;
  const get = async (): Promise<DockerEngine> => {
    const one = (opening ??= open());
    try {
      return await one;
    } catch (error) {
      if (opening === one) opening = undefined;
      throw error;
    }
  };
  return {
    get,
    close: () => void opening?.then((engine) => engine.close()).catch(() => undefined),
  };
}

function service({ place, engine, shell, programs }: Way): PostgresService {
  const { member, container, pooler } = place;
  const tried = (what: string, signal: AbortSignal, work: (one: DockerEngine) => Promise<void>) =>
    attempt(member, what, signal, async () => work(await engine.get()));
  return {
    // The engine's stop would wait for the container's teardown, and kill after its grace. One that
    // has ended by the signal of our own shell already is marked all the same: for the 100 ms before
    // it starts one again, an engine takes a signal for it as an order to leave it.
    stop: (signal) =>
      tried(`stop ${container}`, signal, (one) =>
        unlessStopped(() => one.kill(container, "SIGINT", signal)),
      ),
    start: (clear, signal) =>
      tried(`start ${container}`, signal, async (one) => {
        // It may have an address that the member has a right to.
        programs.close();
        const facts = (inner: AbortSignal): Promise<ContainerFacts> =>
          memberFacts(one, place, inner);
        if ((await awaitEnd(one, facts, shell, signal)) === "came up") return;
        await clear();
        await one.start(container, signal);
      }),
    restartPooler: async (signal) => {
      if (pooler === undefined) return;
      const restart = (one: DockerEngine): Promise<void> =>
        one.restart(pooler, poolerGraceS, signal);
      await tried(`restart ${pooler}`, signal, restart);
    },
  };
}

/** One that is paused has not stopped, and is not told so. */
async function unlessStopped(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof EngineError && error.fault === "not running")) throw error;
  }
}

/**
 * A container outlives its Postgres by its teardown, and a start meanwhile does nothing. One that
 * the engine starts over and over is stopped first, since its next turn may be minutes away.
 */
async function awaitEnd(
  engine: DockerEngine,
  facts: (signal: AbortSignal) => Promise<ContainerFacts>,
  shell: ShellWay,
  signal: AbortSignal,
): Promise<"ended" | "came up"> {
  const limits = { deadlineMs: endDeadlineMs, intervalMs: lookEveryMs, signal };
  return await eventually("end of the container before", limits, async (inner) => {
    const { id, status } = await facts(inner);
    if (status === "exited" || status === "created") return "ended";
    if (status === "restarting") {
      await unlessStopped(() => engine.kill(id, "SIGKILL", inner));
      return undefined;
    }
    const look = await shell.look("light", inner);
    return look.processes?.length === 0 ? undefined : "came up";
  });
}
