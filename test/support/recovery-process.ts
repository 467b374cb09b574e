/** bin/recovery as a real process: what it prints as it comes, and how it ends. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Test } from "tap";
import { inCheckout } from "../../kit/checkout.ts";
import { systemClock, withDeadline } from "../../kit/clock.ts";
import { parseEvents } from "../../router/flip-db/event-log.ts";
import type { FlipEvent, FlipReport, FlipStepEvent } from "../../router/flip-db/events.ts";

const endDeadlineMs = 60_000;
const waitDeadlineMs = 30_000;

export interface RecoveryProcess {
  readonly child: ChildProcess;
  /** Standard output and standard error so far. */
  out(): string;
  notes(): string;
  /** Resolves when either has something that matches. @throws DeadlineError */
  says(pattern: RegExp): Promise<void>;
  /** Resolves with the event of that step and phase (with --json). @throws DeadlineError */
  step(step: string, phase: FlipStepEvent["phase"]): Promise<FlipStepEvent>;
  /** The exit code. @throws DeadlineError */
  end(): Promise<number | null>;
  events(): FlipEvent[];
  /** The last event, which has to be a report. */
  report(): FlipReport;
}

/**
 * Starts `bin/recovery` with `words`; it is ended with the test if it still runs.
 * @param options stateHome: where it keeps its operations; terminal: it runs on one of its own
 */
export function startRecovery(
  t: Pick<Test, "teardown">,
  words: readonly string[],
  options: {
    readonly stateHome: string;
    readonly terminal?: boolean;
    /** Another program of bin/ instead. */
    readonly program?: "router";
    readonly env?: Readonly<Record<string, string>>;
  },
): RecoveryProcess {
  const program = inCheckout(`bin/${options.program ?? "recovery"}`);
  // script(1) starts a shell for it ($SHELL, or dash). One that stays would die of the same Ctrl-C,
  // and its 130 would be the exit code.
  const command = ["exec", program, ...words].join(" ");
  const argv: readonly string[] =
    options.terminal === true
      ? ["script", "--quiet", "--return", "--command", command, "/dev/null"]
      : [program, ...words];
  const [file = "", ...rest] = argv;
  const { NODE_OPTIONS: _, RECOVERY_YES: __, ...inherited } = process.env;
  const env = { ...inherited, XDG_STATE_HOME: options.stateHome, ...options.env };
  const child = spawn(file, rest, { env, stdio: ["pipe", "pipe", "pipe"] });
  // Not "exit": what it said last may still be on its way then.
  let isOver = false;
  const ended = once(child, "close").finally(() => (isOver = true));
  t.teardown(() => child.kill("SIGKILL"));
  const text = { out: "", notes: "" };
  const wakers = new Set<() => void>();
  const wakeAll = (): void => {
    for (const wake of wakers) wake();
  };
  const hear = (name: "out" | "notes") => (chunk: string) => {
    text[name] += chunk;
    wakeAll();
  };
  child.stdout.setEncoding("utf8").on("data", hear("out"));
  child.stderr.setEncoding("utf8").on("data", hear("notes"));
  void ended.then(wakeAll);
  const until = async <T>(what: string, find: () => T | undefined): Promise<T> =>
    await withDeadline(`${words.join(" ")}: ${what}`, waitDeadlineMs, async (signal) => {
      for (;;) {
        const found = find();
        if (found !== undefined) return found;
        if (isOver) throw new Error(`${what}: ended before, with ${text.out}${text.notes}`);
        const { promise, resolve } = Promise.withResolvers<void>();
        wakers.add(resolve);
        await Promise.race([promise, systemClock.sleep(500, signal)]);
        wakers.delete(resolve);
      }
    });
  const events = (): FlipEvent[] => parseEvents(text.out);
  return {
    child,
    out: () => text.out,
    notes: () => text.notes,
    events,
    says: async (pattern) => {
      await until(String(pattern), () => (pattern.test(text.out + text.notes) ? true : undefined));
    },
    step: (step, phase) =>
      until(`${step} ${phase}`, () => {
        const steps = events().filter((one) => one.event === "step");
        return steps.find((one) => one.step === step && one.phase === phase);
      }),
    end: async () => {
      const what = `${words.join(" ")}: its end`;
      await withDeadline(what, endDeadlineMs, () => ended).catch((cause: unknown) => {
        throw new Error(`${what}; it said ${text.out}${text.notes}`, { cause });
      });
      return child.exitCode;
    },
    report: () => {
      const last = events().at(-1);
      if (last?.event === "report") return last;
      throw new TypeError(`the last line is no report: ${text.out}${text.notes}`);
    },
  };
}
