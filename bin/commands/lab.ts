/** bin/lab: a real cluster on this machine, to try things on and to break on purpose. */
import { main } from "../cli/main.ts";
import type { CommandRow, OptionRow, ProgramRow } from "../cli/command.ts";

const name: OptionRow = {
  type: "string",
  value: "NAME",
  default: "lab",
  summary: "the lab, and the environment it is",
};

const partVerb = (verb: string, summary: string): CommandRow => ({
  name: verb,
  summary,
  arguments: [{ name: "PART" }],
  options: { name },
  details:
    "A part is HOST/KIND, such as dal-01/postgres or app-01/router; a host's name alone means all of it.",
  load: () => import("./lab/part.ts"),
});

const pairVerb = (verb: string, summary: string): CommandRow => ({
  name: verb,
  summary,
  arguments: [{ name: "PART" }, { name: "PART" }],
  options: { name },
  load: () => import("./lab/pair.ts"),
});

const program: ProgramRow = {
  name: "lab",
  summary: "Runs a real cluster on this machine: Postgres pair, poolers, pg-health, HAProxy.",
  takesEnvironment: false,
  commands: [
    {
      name: "up",
      summary: "bring a lab up, and print its addresses",
      options: {
        name,
        json: { type: "boolean", summary: "print one JSON object on standard output" },
        driver: {
          type: "string",
          value: "DRIVER",
          choices: ["process", "docker"],
          summary: "what its parts are: programs, or containers [process]",
        },
        cluster: {
          type: "string",
          value: "KIND",
          choices: ["pair", "pg_auto_failover"],
          summary: "who looks after the primary: nobody, or a monitor [pair]",
        },
        members: {
          type: "string",
          value: "N",
          choices: ["2", "3"],
          summary: "members; three with pg_auto_failover [2]",
        },
        names: { type: "boolean", summary: "with a registry, and a resolver on each host" },
        "app-hosts": { type: "string", value: "N", summary: "app hosts, 1 to 8 [1]" },
        pooling: {
          type: "string",
          value: "MODE",
          choices: ["transaction", "session"],
          summary: "pool mode of the edge poolers [transaction]",
        },
        "shared-buffers": {
          type: "string",
          value: "SIZE",
          summary: "shared_buffers of each Postgres [128MB]",
        },
        "archive-command": {
          type: "string",
          value: "COMMAND",
          summary: "turn archiving on, with this archive_command",
        },
      },
      details:
        "A lab that is up already stays as it is; one that is not as asked for is refused (3).",
      load: () => import("./lab/up.ts"),
    },
    {
      name: "down",
      summary: "end a lab and remove all of it, data included",
      options: { name },
      load: () => import("./lab/down.ts"),
    },
    {
      name: "status",
      summary: "show how each part is, and what is cut off",
      options: { name, json: { type: "boolean", summary: "print one JSON object" } },
      load: () => import("./lab/status.ts"),
    },
    partVerb("stop", "stop a part in good order"),
    partVerb("kill", "kill every process of a part at once (SIGKILL)"),
    partVerb("start", "start a part that was stopped or has crashed, on its own data"),
    partVerb("freeze", "freeze every process of a part (SIGSTOP)"),
    partVerb("thaw", "let a frozen part go on (SIGCONT)"),
    pairVerb("cut", "lose every packet between two parts, both ways"),
    pairVerb("heal", "undo a cut"),
  ],
  examples: [
    "lab up",
    "lab up --driver docker --app-hosts 2",
    "lab up --cluster pg_auto_failover --members 3 --names",
    "lab kill dal-01/postgres",
    "lab cut dal-01 chi-02",
    "recovery lab topology",
    "lab down",
  ],
};

await main(program);
