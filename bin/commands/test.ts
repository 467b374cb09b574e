/** bin/test: all tests in one command. */
import { main } from "../cli/main.ts";

await main({
  name: "test",
  summary: "Runs the tests.",
  takesEnvironment: false,
  commands: [
    {
      name: "",
      summary: "Runs the tests and the checks of types, lint and format.",
      arguments: [{ name: "WHAT", optional: true, rest: true }],
      options: {
        jobs: { type: "string", value: "N", summary: "files that run side by side [2]" },
      },
      details: [
        "  unit   the checks, and the tests that start no real Postgres, HAProxy or PgBouncer",
        "  live   only the tests that do (*.live.test.ts), on this machine's programs",
        "  docker only those of them that need a Docker Engine",
        "  full   everything, with whole products instead of samples of them",
        "",
        "Without a word everything runs; with files or folders, only their tests and no checks.",
        "The last line is the count. Exit code 0 when all passed, 1 otherwise.",
      ].join("\n"),
      load: () => import("../testing/run.ts"),
    },
  ],
  examples: ["test", "test unit", "test test/kit", "test --jobs 1 live"],
});
