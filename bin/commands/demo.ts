/** bin/demo: the main job in one command. */
import { main } from "../cli/main.ts";

await main({
  name: "demo",
  summary: "Shows that writes follow the primary.",
  takesEnvironment: false,
  commands: [
    {
      name: "",
      summary:
        "Brings up a real Postgres pair behind HAProxy and PgBouncer, lets an app write, flips there and back, and looks for every row.",
      options: {
        json: { type: "boolean", summary: "print one JSON object on standard output" },
        keep: { type: "boolean", summary: "leave the lab running, and say what to try next" },
      },
      details:
        "Exit code 0 when every acknowledged row is on the new primary and its name followed, 1 otherwise.",
      load: () => import("./demo/run.ts"),
    },
  ],
  examples: [],
});
