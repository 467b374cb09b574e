/** Starts store-child.ts as a process and reads what it prints; it ends with the test. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

export const childProgram = new URL("store-child.ts", import.meta.url).pathname;

export interface StoreChild {
  readonly process: ChildProcess;
  /** What it has printed, line by line, whole lines only. */
  readonly lines: readonly string[];
  /** Resolves when it has printed `count` lines, or has ended. */
  said(count: number): Promise<void>;
  /** SIGKILL; resolves when it is gone and all that it printed is in `lines`. */
  kill(): Promise<void>;
}

/** Starts it with these words. */
export function startStoreChild(t: Teardown, words: readonly string[]): StoreChild {
  const child = spawn(process.execPath, [childProgram, ...words], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines: string[] = [];
  let heard = Promise.withResolvers<void>();
  const over = new AbortController();
  const tell = (): void => {
    const { resolve } = heard;
    heard = Promise.withResolvers<void>();
    resolve();
  };
  const reader = createInterface({ input: child.stdout });
  reader.on("line", (line) => {
    lines.push(line);
    tell();
  });
  const end = async (): Promise<void> => {
    await Promise.all([once(child, "exit"), once(reader, "close")]);
    over.abort();
    tell();
  };
  const ended = end();
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  t.teardown(kill);
  return {
    process: child,
    lines,
    kill,
    said: async (count) => {
      while (lines.length < count && !over.signal.aborted) await heard.promise;
    },
  };
}
