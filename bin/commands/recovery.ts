/** bin/recovery: what a cluster is now, what is wrong with it and what to do. */
import { main } from "../cli/main.ts";
import type { ProgramRow } from "../cli/command.ts";

const program: ProgramRow = {
  name: "recovery",
  summary: "Shows a cluster, what is wrong with it and what to do.",
  takesEnvironment: true,
  commands: [
    {
      name: "topology",
      summary: "show every part of the cluster, what is wrong and what to do",
      options: {
        json: { type: "boolean", summary: "print one JSON object (docs/cli-json.md)" },
        watch: { type: "boolean", summary: "look again and again until Ctrl-C" },
        interval: {
          type: "string",
          value: "TIME",
          default: "2s",
          summary: "time between two looks with --watch, 500ms to 1h",
        },
      },
      details: [
        "exit codes: 0 all is well; 1 degraded: something is not right; 2 unsafe: two members take",
        "writes, or a router sends writes to a standby; 69 no member can be reached at all.",
        "What each finding means: docs/runbooks/topology.md.",
      ].join("\n"),
      load: () => import("./topology/run.ts"),
    },
  ],
  examples: [
    "recovery lab topology",
    "recovery production topology --json",
    "recovery production topology --watch --interval 5s",
  ],
};

await main(program);
