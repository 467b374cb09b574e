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
    {
      name: "flip-db",
      summary: "move writes to the standby, without losing a row",
      options: {
        to: { type: "string", value: "MEMBER", summary: "the member that takes writes afterwards" },
        "dry-run": { type: "boolean", summary: "print all prechecks and the plan; change nothing" },
        yes: { type: "boolean", short: "y", summary: "do not ask (RECOVERY_YES=1 is the same)" },
        json: { type: "boolean", summary: "print a JSON line for each event (docs/cli-json.md)" },
        mode: {
          type: "string",
          value: "MODE",
          choices: ["auto", "seamless", "fast"],
          summary: "hold the clients, or close their sessions once",
        },
        resume: {
          type: "string",
          value: "ID",
          optionalValue: true,
          summary: "finish an unfinished flip, the newest without ID",
        },
        abort: {
          type: "string",
          value: "ID",
          optionalValue: true,
          summary: "take an unfinished flip back",
        },
        "accept-risk": {
          type: "string",
          value: "NAME",
          repeatable: true,
          summary: "go on although a precheck refuses; it says the name",
        },
      },
      details: [
        "exit codes: 0 done; 1 done in part, undone or stuck, or left before the end; 3 refused,",
        "nothing was changed; 4 aborted and taken back; 69 something needed is not available; 75",
        "another operation holds the lock. What each line means: docs/runbooks/flip-db.md.",
      ].join("\n"),
      load: () => import("./flip-db/run.ts"),
    },
    {
      name: "failover",
      summary: "promote the standby after the primary was lost",
      options: {
        to: { type: "string", value: "MEMBER", summary: "the member that takes writes afterwards" },
        dead: {
          type: "string",
          value: "MEMBER",
          summary: "your word, for scripts, that this primary is dead and stays so",
        },
        "accept-risk": {
          type: "string",
          value: "NAME",
          repeatable: true,
          summary: "go on without what is cut off; the refusal says the name",
        },
        "dry-run": { type: "boolean", summary: "print the possible loss and the plan" },
        yes: { type: "boolean", short: "y", summary: "do not ask (RECOVERY_YES=1 is the same)" },
        json: { type: "boolean", summary: "print a JSON line for each event (docs/cli-json.md)" },
      },
      details: [
        "It goes on by itself only where the old primary is seen stopped and armed; otherwise it asks",
        "for your word that it is dead: its name, typed. Exit codes as those of flip-db; what may be",
        "lost and how to decide: docs/runbooks/flip-db.md.",
      ].join("\n"),
      load: () => import("./failover/run.ts"),
    },
    {
      name: "history",
      summary: "list past flips, or print the whole report of one",
      arguments: [{ name: "ID", optional: true }],
      options: {
        json: { type: "boolean", summary: "print one JSON object (docs/cli-json.md)" },
        limit: { type: "string", value: "N", default: "20", summary: "how many, 1 to 1000" },
      },
      load: () => import("./history/run.ts"),
    },
    {
      name: "fence",
      summary: "stop a member for good: armed, stopped, proven, and down in every router",
      arguments: [{ name: "MEMBER" }],
      options: {
        reason: { type: "string", value: "TEXT", summary: "why; it stands in the routers' files" },
        yes: { type: "boolean", short: "y", summary: "do not ask (RECOVERY_YES=1 is the same)" },
        confirm: {
          type: "string",
          value: "MEMBER",
          summary: "its name once more, where fencing it ends all writes",
        },
        json: { type: "boolean", summary: "print a JSON line for each event (docs/cli-json.md)" },
      },
      details: [
        "exit codes: 0 all of it is done and proven; 1 a part is not done, and it says which; 75",
        "another operation holds the lock. It can be run again. See docs/runbooks/fence.md.",
      ].join("\n"),
      load: () => import("./fence/fence.ts"),
    },
    {
      name: "unfence",
      summary: "undo a fence, unless another member takes writes",
      arguments: [{ name: "MEMBER" }],
      options: {
        yes: { type: "boolean", short: "y", summary: "do not ask (RECOVERY_YES=1 is the same)" },
        "accept-risk": {
          type: "string",
          value: "NAME",
          choices: ["other-unknown"],
          summary: "other-unknown: you know that a member that does not answer cannot write",
        },
        json: { type: "boolean", summary: "print a JSON line for each event (docs/cli-json.md)" },
      },
      details: "exit codes: 0 it is back; 1 a part is not done; 3 it would make two primaries.",
      load: () => import("./fence/unfence.ts"),
    },
    {
      name: "rebuild-standby",
      summary: "make a member a streaming standby again, from its own data or a fresh copy",
      options: {
        member: { type: "string", value: "MEMBER", summary: "which, where that is not clear" },
        method: {
          type: "string",
          value: "METHOD",
          choices: ["auto", "start", "rewind", "basebackup"],
          default: "auto",
          summary: "auto takes the first that is safe",
        },
        "dry-run": { type: "boolean", summary: "print the plan and why; change nothing" },
        yes: { type: "boolean", short: "y", summary: "do not ask (RECOVERY_YES=1 is the same)" },
        json: { type: "boolean", summary: "print a JSON line for each event (docs/cli-json.md)" },
        export: {
          type: "string",
          value: "FOLDER",
          summary: "on the member's host: keep there the WAL that is thrown away, and its text",
        },
        "keep-old": { type: "boolean", summary: "keep the old data directory afterwards" },
        "accept-risk": {
          type: "string",
          value: "NAME",
          repeatable: true,
          choices: ["divergence", "ahead", "foreign", "unread"],
          summary: "divergence, ahead, foreign or unread; the plan says which it takes",
        },
      },
      details: [
        "exit codes: 0 it streams; 1 it does not, or a part failed; 3 refused, nothing was changed;",
        "4 ended by Ctrl-C, and it is as it was; 69 something needed is not available; 75 another",
        "operation holds the lock. What each step means: docs/runbooks/rebuild-standby.md.",
      ].join("\n"),
      load: () => import("./rebuild-standby/run.ts"),
    },
  ],
  examples: [
    "recovery lab topology",
    "recovery production topology --json",
    "recovery production topology --watch --interval 5s",
    "recovery production flip-db --dry-run",
    "recovery production flip-db --to chi-02",
    "recovery production rebuild-standby --dry-run",
    'recovery production fence dal-01 --reason "its disk is changed"',
  ],
};

await main(program);
