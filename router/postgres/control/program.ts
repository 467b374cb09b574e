/**
 * Runs programs on a member's host, each through a shell of its own that becomes the program: as
 * the owner of the data directory, or as whoever the shell is. A program that is given up is ended
 * on its host, not only the way to it.
 */
import { StringDecoder } from "node:string_decoder";
import { withDeadline } from "../../../kit/clock.ts";
import { attempt, HostControlError } from "./channel.ts";
import type { RunOptions } from "./contract.ts";
import { endScript, ownerWords, programScript } from "./shell-script.ts";
import type { DataOwner } from "./shell-script.ts";
import { ShellSession } from "./shell-session.ts";
import type { Program } from "./shell-session.ts";

export interface ProgramPlace {
  readonly member: string;
  /** A program that gives a POSIX shell on the host. */
  readonly shell: readonly string[];
  /** Who owns the data directory, and who the shell is. */
  readonly owner: (signal: AbortSignal) => Promise<DataOwner>;
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
  const take = (): ShellSession => {
    const taken = spare?.isOpen === true ? spare : new ShellSession(place.shell);
    spare = undefined;
    return taken;
  };
  return {
    warm: async (signal) => {
      if (spare?.isOpen === true) return;
      const fresh = new ShellSession(place.shell);
      await withDeadline(
        `open a shell by ${place.shell.join(" ")}`,
        openDeadlineMs,
        (inner) => fresh.ask(":", inner),
        signal,
      );
      spare = fresh;
    },
    run: async (argv, as, options) => {
      const shown = `run ${argv.join(" ")}`;
      return await attempt(place.member, shown, options.signal, async () => {
        const owner = (signal: AbortSignal): Promise<DataOwner> => place.owner(signal);
        const words =
          as === "owner"
            ? ownerWords(await withDeadline(shown, openDeadlineMs, owner, options.signal), argv)
            : argv;
        if (typeof words === "string") throw new HostControlError(place.member, shown, words);
        return await runOver(take(), place.shell, words, options);
      });
    },
    close: () => spare?.end(),
  };
}

async function runOver(
  session: ShellSession,
  shell: readonly string[],
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
  const toTheEnd = async (signal: AbortSignal): Promise<string> =>
    await Promise.race([session.become(script, program, signal), output.tooMuch]);
  try {
    const how = await withDeadline(argv.join(" "), options.deadlineMs, toTheEnd, options.signal);
    output.end();
    if (how === "exit code 0") return output.text;
    throw new Error(`${how}: ${output.said()}`);
  } catch (error) {
    // Whoever is told that it was given up can count on it that it has ended.
    if (pid !== undefined && session.isOpen) await endThere(shell, pid);
    session.end();
    throw error;
  }
}

/** Over a shell of its own, since the program's has become the program. */
async function endThere(shell: readonly string[], pid: number): Promise<void> {
  const session = new ShellSession(shell);
  try {
    await withDeadline(`end of process ${pid}`, endDeadlineMs, (signal) =>
      session.ask(endScript(pid), signal),
    );
  } catch {
    // The way to the host is gone, most likely; the caller is told what went wrong first.
  } finally {
    session.end();
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
