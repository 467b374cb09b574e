/**
 * Runs programs on a member's host, each through a shell of its own that becomes the program: as
 * the owner of the data directory, or as whoever the shell is. A program that is given up is ended
 * on its host, not only the way to it.
 */
import { StringDecoder } from "node:string_decoder";
import { withDeadline } from "../../../kit/clock.ts";
import type { ProgramEnd } from "../../../kit/docker-engine.ts";
import { attempt, HostControlError } from "./channel.ts";
import type { RunOptions } from "./contract.ts";
import { endScript, programScript } from "./shell-script.ts";
import { ShellSession } from "./shell-session.ts";
import type { Program, ShellStream } from "./shell-session.ts";

export interface ProgramPlace {
  readonly member: string;
  /** What gives the shell, for messages. */
  readonly shell: string;
  /** Opens a POSIX shell there, for a program that is to run as the owner or as the channel is. */
  readonly open: (as: "owner" | "channel", signal: AbortSignal) => Promise<ShellStream>;
  /** The words that run a program as the owner of the data directory; text says why they cannot. */
  readonly ownerWords: (
    argv: readonly string[],
    signal: AbortSignal,
  ) => Promise<readonly string[] | string>;
}

export interface ProgramRunner {
  /** Opens the shell of the next program beforehand. */
  warm(signal: AbortSignal): Promise<void>;
  /** @throws HostControlError with what the program said last, or the reason of its signal */
  run(argv: readonly string[], as: "owner" | "channel", options: RunOptions): Promise<string>;
  close(): void;
}

const outputLimitBytes = 16 * 1024 * 1024;
/** How much of what a failed program said stands in the error; its end says why. */
const saidLimit = 2000;
const endDeadlineMs = 10_000;
const openDeadlineMs = 15_000;

/** Programs on one host. Opens nothing yet. */
export function programRunner(place: ProgramPlace): ProgramRunner {
  let spare: ShellSession | undefined;
  const take = async (as: "owner" | "channel", signal: AbortSignal): Promise<ShellSession> => {
    const taken = as === "channel" ? spare : undefined;
    if (as === "channel") spare = undefined;
    return taken?.isOpen === true ? taken : new ShellSession(await place.open(as, signal));
  };
  return {
    warm: async (signal) => {
      if (spare?.isOpen === true) return;
      spare = await withDeadline(
        `open a shell by ${place.shell}`,
        openDeadlineMs,
        async (inner) => {
          const fresh = new ShellSession(await place.open("channel", inner));
          await fresh.ask(":", inner);
          return fresh;
        },
        signal,
      );
    },
    run: async (argv, as, options) => {
      const shown = `run ${argv.join(" ")}`;
      return await attempt(place.member, shown, options.signal, async () => {
        const words = as === "owner" ? await wordsOf(place, shown, argv, options.signal) : argv;
        const open = (signal: AbortSignal): Promise<ShellSession> => take(as, signal);
        const session = await withDeadline(shown, openDeadlineMs, open, options.signal);
        return await runOver(session, place, words, options);
      });
    },
    close: () => spare?.end(),
  };
}

async function wordsOf(
  place: ProgramPlace,
  shown: string,
  argv: readonly string[],
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const ask = (inner: AbortSignal): Promise<readonly string[] | string> =>
    place.ownerWords(argv, inner);
  const words = await withDeadline(shown, openDeadlineMs, ask, signal);
  if (typeof words === "string") throw new HostControlError(place.member, shown, words);
  return words;
}

async function runOver(
  session: ShellSession,
  place: ProgramPlace,
  argv: readonly string[],
  options: RunOptions,
): Promise<string> {
  const { input = "", env = {} } = options;
  const output = new ProgramOutput(options.onLine);
  const script = programScript(argv, { LC_ALL: "C", ...env });
  let pid: number | undefined;
  const program: Program = {
    input,
    onBegin: (begun) => {
      pid = begun;
    },
    onOutput: (name, chunk) => output.hear(name, chunk),
  };
  const toTheEnd = async (signal: AbortSignal): Promise<ProgramEnd> =>
    await Promise.race([session.become(script, program, signal), output.tooMuch]);
  try {
    const { code, words } = await withDeadline(
      argv.join(" "),
      options.deadlineMs,
      toTheEnd,
      options.signal,
    );
    output.end();
    if (code === 0) return output.text;
    throw new Error(`${words}: ${output.said()}`);
  } catch (error) {
    // Whoever is told that it was given up can count on it that it has ended.
    if (pid !== undefined && session.isOpen) await endThere(place, pid);
    session.end();
    throw error;
  }
}

/** Over a shell of its own, since the program's has become the program. */
async function endThere(place: ProgramPlace, pid: number): Promise<void> {
  try {
    await withDeadline(`end of process ${pid}`, endDeadlineMs, async (signal) => {
      const session = new ShellSession(await place.open("channel", signal));
      try {
        await session.ask(endScript(pid), signal);
      } finally {
        session.end();
      }
    });
  } catch {
    // The way to the host is gone, most likely; the caller is told what went wrong first.
  }
}

/** What a program prints: kept up to a limit, and given on line by line. */
class ProgramOutput {
  readonly tooMuch: Promise<never>;
  readonly #tooMuch: (reason: Error) => void;
  readonly #onLine: (line: string) => void;
  readonly #decoders = { stdout: new StringDecoder(), stderr: new StringDecoder() };
  readonly #rest = { stdout: "", stderr: "" };
  #bytes = 0;
  #errors = "";
  text = "";

  constructor(onLine: ((line: string) => void) | undefined) {
    const { promise, reject } = Promise.withResolvers<never>();
    this.tooMuch = promise;
    this.#tooMuch = reject;
    this.#onLine = onLine ?? (() => undefined);
    promise.catch(() => undefined);
  }

  hear(name: "stdout" | "stderr", chunk: Buffer): void {
    const text = this.#decoders[name].write(chunk);
    if (name === "stderr") this.#errors = `${this.#errors}${text}`.slice(-saidLimit);
    else this.#keep(text, chunk.length);
    const lines = `${this.#rest[name]}${text}`.split("\n");
    this.#rest[name] = (lines.pop() ?? "").slice(-outputLimitBytes);
    for (const line of lines) this.#onLine(line);
  }

  /** Gives on the last lines, which had no end. */
  end(): void {
    for (const rest of Object.values(this.#rest)) if (rest !== "") this.#onLine(rest);
  }

  /** What it said last, for an error. */
  said(): string {
    const said = this.#errors.trim() || this.text.trim() || "it printed nothing";
    return said.length > saidLimit ? `... ${said.slice(-saidLimit)}` : said;
  }

  #keep(text: string, bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > outputLimitBytes) this.#tooMuch(new Error("it printed more than 16 MiB"));
    else this.text += text;
  }
}
