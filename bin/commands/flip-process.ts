/**
 * The processes that a flip runs in, started by `recovery` and by nobody else: the executor carries
 * it out, the watcher takes over if the executor dies. Both are sessions of their own.
 */
import { main } from "../cli/main.ts";
import type { ProgramRow } from "../cli/command.ts";

const words = [{ name: "ENVIRONMENT" }, { name: "RUN" }, { name: "FOLDER" }] as const;

const program: ProgramRow = {
  name: "flip-process",
  summary: "Carries out what recovery has begun; not to be started by hand.",
  takesEnvironment: false,
  commands: [
    {
      name: "executor",
      summary: "carries out the order on its standard input",
      arguments: words,
      load: () => import("./flip-db/executor.ts"),
    },
    {
      name: "watcher",
      summary: "goes on with the order if the executor dies",
      arguments: words,
      load: () => import("./flip-db/watcher.ts"),
    },
  ],
  examples: [],
};

await main(program);
