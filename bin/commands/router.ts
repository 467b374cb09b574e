/** bin/router: the HAProxy of each app host: its configuration, its servers, its sessions. */
import { main } from "../cli/main.ts";
import type { OptionRow, ProgramRow } from "../cli/command.ts";

const router: OptionRow = {
  type: "string",
  value: "NAME",
  summary: "one router; all of the environment when not given",
};
const json: OptionRow = { type: "boolean", summary: "print JSON on standard output" };

const program: ProgramRow = {
  name: "router",
  summary: "Renders, installs and watches the HAProxy on each app host.",
  takesEnvironment: true,
  commands: [
    {
      name: "render",
      summary: "print the configuration of a router or a pooler",
      options: {
        router: { ...router, summary: "which router; may be left out where there is one" },
        pooler: {
          type: "string",
          value: "MEMBER",
          summary: "print pgbouncer.ini of this member's node pooler instead",
        },
        edge: {
          type: "string",
          value: "NAME",
          summary: "print pgbouncer.ini of this edge pooler, in front of --router",
        },
      },
      load: () => import("./router/render.ts"),
    },
    {
      name: "kamal",
      summary: "print the accessories for Kamal's config/deploy.yml",
      options: {
        destination: {
          type: "string",
          value: "NAME",
          summary: "for config/deploy.NAME.yml instead",
        },
        file: {
          type: "string",
          value: "PATH",
          summary: "print this file that accessories mount instead",
        },
        write: {
          type: "string",
          value: "APP",
          summary: "write those files into the app's repository instead",
        },
        json,
      },
      details: "docs/kamal.md walks through a deployment.",
      load: () => import("./router/kamal.ts"),
    },
    {
      name: "check",
      summary: "render, and let HAProxy check the result (haproxy -c)",
      options: { router },
      load: () => import("./router/check.ts"),
    },
    {
      name: "diff",
      summary: "compare what would be rendered with the file on the router",
      options: { router },
      details: "Exit code 0 when they are the same, 1 when they differ.",
      load: () => import("./router/diff.ts"),
    },
    {
      name: "apply",
      summary: "check, write, reload, and see that the new worker runs it",
      options: {
        router,
        "dry-run": { type: "boolean", summary: "say what would happen and change nothing" },
        yes: { type: "boolean", summary: "do it even where it is refused as unsafe" },
      },
      details:
        "All routers are looked at first, then done one after the other; the first that fails ends it.\nThe reload closes no session: those that are open stay in the old worker until hard-stop-after\nends them.",
      load: () => import("./router/apply.ts"),
    },
    {
      name: "status",
      summary: "show what each router thinks of each server",
      options: { router, json },
      load: () => import("./router/status.ts"),
    },
    {
      name: "watch",
      summary: "print a line for each change of a server, until Ctrl-C",
      options: { router, json },
      load: () => import("./router/watch.ts"),
    },
    {
      name: "backends",
      summary: "keep the servers of backends in step with DNS, until Ctrl-C",
      options: {
        router,
        json,
        listen: {
          type: "string",
          value: "IP:PORT",
          summary: "answer /livez, /readyz, /status and /metrics there",
        },
        state: {
          type: "string",
          value: "FILE",
          summary: "keep last good answers there, for a start while DNS is down",
        },
      },
      details:
        "SIGHUP asks for every name now. When it ends, the routers keep the servers that they have.\ndocs/backends.md has the rest.",
      load: () => import("./router/backends.ts"),
    },
    {
      name: "set",
      summary: "bring a server to ready, drain or maint",
      arguments: [{ name: "BACKEND/SERVER" }, { name: "ready|drain|maint" }],
      options: {
        router,
        json,
        yes: {
          type: "boolean",
          summary: "do it even when clients would be cut off or left waiting",
        },
      },
      load: () => import("./router/set.ts"),
    },
    {
      name: "sessions",
      summary: "list the sessions, those on old workers included",
      options: {
        router,
        backend: { type: "string", value: "NAME", summary: "only sessions of this backend" },
        "close-old-workers": {
          type: "boolean",
          summary: "end the sessions that a reload has left on old workers",
        },
        yes: { type: "boolean", summary: "with --close-old-workers: do it" },
        json,
      },
      load: () => import("./router/sessions.ts"),
    },
  ],
  examples: [
    "router production render --router app-01",
    "router production diff",
    "router production set pg-primary/dal-01 drain",
  ],
};

await main(program);
