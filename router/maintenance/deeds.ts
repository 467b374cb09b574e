/**
 * What maintenance steps do. Their kinds, a row each: what is run to do a step and to undo it, how
 * it shows that it stands, and the words for it; and what the executor needs to carry them out.
 */
import type { MaintenanceStep } from "../../config/schema.ts";
import type { Facts, OperationKind } from "../operation/step.ts";
import type { MaintenanceWindow } from "./window.ts";

export interface MaintenanceActions {
  /** Runs the step's program, or the one that undoes it. */
  readonly run: (
    step: MaintenanceStep,
    what: "run" | "undo",
    signal: AbortSignal,
  ) => Promise<Facts>;
  /** Waits until the step's query returns no rows. */
  readonly wait: (step: MaintenanceStep, signal: AbortSignal) => Promise<Facts>;
}

export interface MaintenanceKind extends OperationKind {
  readonly plan: MaintenanceWindow;
  /** By step: it stands (true), nothing of it stands (false); absent where nobody can say. */
  readonly seen: Readonly<Record<string, boolean | undefined>>;
  readonly actions: MaintenanceActions;
  readonly part: string;
}

export type Argv = readonly string[];

/** Whether a step stands, by a program: what its exit code and its output mean. */
export interface Check {
  readonly argv: Argv;
  /** True: it stands; false: nothing of it stands; undefined: neither, or not known. */
  readonly judge: (code: number, printed: string) => boolean | undefined;
}

export interface Deeds {
  readonly words: string;
  readonly undoWords: string;
  /** Undefined for a step that only waits. */
  readonly run: Argv | undefined;
  /** Undefined where nothing is taken back. */
  readonly undo: Argv | undefined;
  readonly check: Check | undefined;
  readonly wait: MaintenanceStep["wait"];
}

type Kind = (step: MaintenanceStep) => Deeds | undefined;

const command: Kind = ({ name, do: run, undo, isUp }) => {
  if (run === undefined) return undefined;
  return {
    words: `${name}: ${run.join(" ")}`,
    undoWords: `undo ${name}: ${undo?.join(" ") ?? "nothing to do"}`,
    run,
    undo,
    check:
      isUp === undefined
        ? undefined
        : {
            argv: isUp,
            judge: (code) => (code === 0 ? true : code === 1 ? false : undefined),
          },
    wait: undefined,
  };
};

const containers: Kind = ({ name, stopContainers }) => {
  if (stopContainers === undefined) return undefined;
  const { names, program } = stopContainers;
  const list = names.join(", ");
  return {
    words: `${name}: stop ${list}`,
    undoWords: `undo ${name}: start ${list}`,
    run: [program, "stop", ...names],
    undo: [program, "start", ...names],
    check: {
      argv: [program, "inspect", "--format", "{{.State.Running}}", ...names],
      judge: (code, printed) => {
        const running = printed.split("\n").filter((line) => line.trim() !== "");
        if (code !== 0 || running.length !== names.length) return undefined;
        if (running.every((one) => one.trim() === "false")) return true;
        return running.every((one) => one.trim() === "true") ? false : undefined;
      },
    },
    wait: undefined,
  };
};

const queries: Kind = ({ name, wait }) =>
  wait === undefined
    ? undefined
    : {
        words: `${name}: wait until the query returns no rows`,
        undoWords: `undo ${name}: nothing to do`,
        run: undefined,
        undo: undefined,
        check: undefined,
        wait,
      };

const kinds: readonly Kind[] = [command, containers, queries];

/** What a step does. @throws TypeError for a step that the schema would have refused */
export function deedsOf(step: MaintenanceStep): Deeds {
  for (const kind of kinds) {
    const deeds = kind(step);
    if (deeds !== undefined) return deeds;
  }
  throw new TypeError(`maintenance step ${step.name} does nothing`);
}
