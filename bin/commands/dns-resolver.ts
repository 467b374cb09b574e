/** bin/dns-resolver status: how the resolver of this node is. Without a verb it is the resolver. */
import { main } from "../cli/main.ts";
import type { ProgramRow } from "../cli/command.ts";

const program: ProgramRow = {
  name: "dns-resolver",
  summary: "Says how the resolver of a node is; `dns-resolver` without a word runs one.",
  takesEnvironment: false,
  commands: [
    {
      name: "status",
      summary: "show what a resolver serves, where, and since when",
      options: {
        url: {
          type: "string",
          value: "HOST:PORT",
          default: "127.0.0.1:8054",
          summary: "its DNS_RESOLVER_STATUS_LISTEN",
        },
        json: { type: "boolean", summary: "print one JSON object on standard output" },
      },
      details: "Exit code 0 when nothing is wrong, 1 when something is, 69 when nobody is there.",
      load: () => import("./dns-resolver/status.ts"),
    },
  ],
  examples: ["dns-resolver status", "dns-resolver status --url 10.0.0.7:8054 --json"],
};

await main(program);
