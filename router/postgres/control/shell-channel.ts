/**
 * The channel to a data directory on another host: a shell there, kept open, that is asked for one
 * look or one act at a time. The shell has to be one of Linux (it reads /proc), of root or of the
 * owner of the data directory.
 */
import { withDeadline } from "../../../kit/clock.ts";
import { attempt, HostControlError } from "./channel.ts";
import type { HostChannel, HostLook } from "./channel.ts";
import {
  killScript,
  lookScript,
  preparation,
  readFileReply,
  readLook,
  readScript,
  refusals,
  removeScript,
  writeScript,
} from "./host-script.ts";
import { programRunner } from "./program.ts";
import { ownerWords } from "./shell-script.ts";
import type { DataOwner } from "./shell-script.ts";
import { ShellSession, spawnShell } from "./shell-session.ts";
import type { ShellStream } from "./shell-session.ts";

/** A host far away, and an ssh that asks several servers on the way. */
const openDeadlineMs = 15_000;
/** No question takes longer than a sync of one file does on a busy disk. */
const askDeadlineMs = 30_000;

/** Where the shell is, and how it is opened. */
export interface ShellPlace {
  readonly member: string;
  /** What gives the shell, for messages. */
  readonly shell: string;
  readonly open: (signal: AbortSignal) => Promise<ShellStream>;
  readonly data: string;
}

interface Way {
  readonly place: ShellPlace;
  /** The shell that is open, or is being opened. */
  session: Promise<Opened> | undefined;
  opened: Opened | undefined;
}

interface Opened {
  readonly session: ShellSession;
  readonly owner: DataOwner;
}

/** A channel over a shell, but for programs. */
export interface ShellWay extends Omit<HostChannel, "place" | "run" | "warm" | "service"> {
  /** Who owns the data directory, and who the shell is; opens the shell. */
  owner(signal: AbortSignal): Promise<DataOwner>;
}

/**
 * The channel to `data` over the shell that the words of `shell` give, for messages about `member`.
 * Opens nothing yet.
 */
export function shellChannel(member: string, shell: readonly string[], data: string): HostChannel {
  const shown = shell.join(" ");
  // The session reports a shell that cannot be started as one that ended.
  const openShell = (): Promise<ShellStream> => Promise.resolve(spawnShell(shell));
  const way = shellWay({ member, shell: shown, open: openShell, data });
  const runner = programRunner({
    member,
    shell: shown,
    open: openShell,
    ownerWords: async (argv, signal) => ownerWords(await way.owner(signal), argv),
  });
  return {
    ...way,
    place: shown,
    warm: async (hooks, signal) => {
      await attempt(member, `open a shell by ${shown}`, signal, async () => {
        await Promise.all([way.owner(signal), hooks ? runner.warm(signal) : undefined]);
      });
    },
    run: (argv, as, options) => runner.run(argv, as, options),
    close: () => {
      runner.close();
      way.close();
    },
  };
}

/** Looks and acts over one kept shell. Opens nothing yet. */
export function shellWay(place: ShellPlace): ShellWay {
  const way: Way = { place, session: undefined, opened: undefined };
  const { data } = place;
  return {
    owner: async (signal) => (await open(way, signal)).owner,
    look: async (how, signal): Promise<HostLook> => {
      const output = await ask(way, `look at ${data}`, lookScript(how), signal);
      return readLook(output);
    },
    read: async (path, signal) => {
      const output = await ask(way, `read ${path}`, readScript(path), signal);
      return readFileReply(output);
    },
    write: async (path, content, signal) => {
      await ask(way, `write ${path}`, writeScript(path, content), signal);
    },
    remove: async (path, signal) => {
      await ask(way, `remove ${path}`, removeScript(path), signal);
    },
    kill: async (pid, name, signal, only) => {
      const script = killScript(pid, name, only);
      const output = await ask(way, `send ${name} to process ${pid}`, script, signal);
      return output.toString("latin1").trim() === "sent";
    },
    close: () => way.opened?.session.end(),
  };
}

/** The open shell; opens one when there is none, or it has ended since. */
async function open(way: Way, signal: AbortSignal): Promise<Opened> {
  const usable = way.opened === undefined || way.opened.session.isOpen;
  if (way.session === undefined || !usable) {
    way.opened = undefined;
    way.session = prepare(way.place, signal);
  }
  const one = way.session;
  try {
    const opened = await one;
    if (way.session === one) way.opened = opened;
    return opened;
  } catch (error) {
    if (way.session === one) way.session = undefined;
    throw error;
  }
}

async function prepare(place: ShellPlace, signal: AbortSignal): Promise<Opened> {
  const { member, data } = place;
  const openOne = async (inner: AbortSignal): Promise<ShellSession> =>
    new ShellSession(await place.open(inner));
  const tried = `open a shell by ${place.shell}`;
  const session = await withDeadline(tried, openDeadlineMs, openOne, signal);
  try {
    const { status, output } = await withDeadline(
      tried,
      openDeadlineMs,
      (inner) => session.ask(preparation(data), inner),
      signal,
    );
    const words = output.toString("utf8").trim();
    if (status !== 0) throw new HostControlError(member, `look at ${data}`, reason(status, words));
    const [uid = -1, gid = -1, self = -1] = words.split(/\s+/).slice(-3).map(Number);
    return { session, owner: { uid, gid, self } };
  } catch (error) {
    session.end();
    throw error;
  }
}

/**
 * Asks the open shell. A question that failed with the shell is not asked again: it may have been
 * heard.
 */
async function ask(way: Way, tried: string, script: string, signal: AbortSignal): Promise<Buffer> {
  return await attempt(way.place.member, tried, signal, async () => {
    const { session } = await open(way, signal);
    const { status, output } = await withDeadline(
      tried,
      askDeadlineMs,
      (inner) => session.ask(script, inner),
      signal,
    );
    if (status === 0) return output;
    throw new HostControlError(
      way.place.member,
      tried,
      reason(status, output.toString("utf8").trim()),
    );
  });
}

function reason(status: number, output: string): string {
  // What was printed before the refusal is half an answer.
  const said = output.split("\n").at(-1) ?? "";
  const known = refusals[status];
  if (known !== undefined) return said === "" ? known : `${known}: ${said}`;
  return said === "" ? `exit status ${status}` : said;
}
