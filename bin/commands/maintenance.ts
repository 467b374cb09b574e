/** bin/maintenance: opens and closes the maintenance window of an environment. */
import { main } from "../cli/main.ts";
import type { OptionRow, ProgramRow } from "../cli/command.ts";

const environment = { name: "ENVIRONMENT" };
const json: OptionRow = { type: "boolean", summary: "print JSON lines (docs/cli-json.md)" };
const reason: OptionRow = {
  type: "string",
  value: "TEXT",
  summary: "why, for topology and status",
};

const program: ProgramRow = {
  name: "maintenance",
  summary: "Opens and closes a maintenance window: the steps that an environment declares.",
  takesEnvironment: false,
  environmentMayBeFirst: true,
  commands: [
    {
      name: "up",
      summary: "do the steps in order; goes on where an earlier run stopped",
      arguments: [environment],
      options: { reason, json },
      details:
        "Exit code 1 when a step failed: what was done stands, and up or down goes on from there.",
      load: () => import("./maintenance/up.ts"),
    },
    {
      name: "down",
      summary: "undo them in reverse order; goes on where an earlier run stopped",
      arguments: [environment],
      options: { json },
      load: () => import("./maintenance/down.ts"),
    },
    {
      name: "status",
      summary: "show the window that is open, and its steps",
      arguments: [environment],
      options: { json },
      details: "Exit code 0 with or without a window.",
      load: () => import("./maintenance/status.ts"),
    },
    {
      name: "run",
      summary: "open a window, run COMMAND, close the window, also when COMMAND fails",
      arguments: [environment, { name: "COMMAND", rest: true }],
      options: { reason },
      details: [
        "The exit code is that of COMMAND; 1 when the window could not be opened or closed. Write --",
        "before COMMAND, so that its flags are its own.",
      ].join("\n"),
      load: () => import("./maintenance/run.ts"),
    },
  ],
  examples: [
    'maintenance up production --reason "storage is moved"',
    "maintenance status production",
    "maintenance down production",
    "maintenance run production -- bin/recovery production flip-db --yes",
  ],
};

await main(program);
