/** bin/lab up as a process that a test holds, and ends, in the middle of its work. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Test } from "tap";
import { inCheckout } from "../../kit/checkout.ts";
import { withDeadline } from "../../kit/clock.ts";

export interface HeldUp {
  /** Sends it `signal` and lets it go on. @returns the exit code and the signal that ended it */
  readonly end: (signal: "SIGINT" | "SIGKILL") => Promise<unknown[]>;
}

const deadlineMs = 90_000;

/** Starts `bin/lab up` with these words; resolves when it has said `line`, and goes no further. */
export async function upHeldAt(t: Test, line: string, words: readonly string[]): Promise<HeldUp> {
  const child = spawn(process.execPath, [inCheckout("bin/commands/lab.ts"), "up", ...words], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = once(child, "exit");
  t.teardown(() => void child.kill("SIGKILL"));
  const { promise: held, resolve, reject } = Promise.withResolvers<void>();
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    const isHeld = said.includes(line);
    said += text;
    if (isHeld || !said.includes(line)) return;
    child.kill("SIGSTOP");
    resolve();
  });
  void ended.then(() => reject(new Error(`it ended before it said ${line}: ${said}`)));
  await withDeadline(`${line}, of bin/lab up`, deadlineMs, () => held);
  return {
    end: async (signal) => {
      child.kill(signal);
      child.kill("SIGCONT");
      return await ended;
    },
  };
}
