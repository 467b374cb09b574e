/** The cases of a rebuild's plan: what is seen, and the method, the refusal or the risks it makes. */
import { parseLsn } from "../../../kit/lsn.ts";
import type { RebuildPlan } from "../../../router/rebuild-standby/rebuild-actions.ts";
import { leftovers } from "./rebuild-case.ts";
import type { CaseWords } from "./rebuild-case.ts";

const gigabyte = 1024 ** 3;

export interface Row {
  readonly name: string;
  readonly given: CaseWords;
  /** The method, or a part of the refusal. */
  readonly want: { readonly method: RebuildPlan["method"] } | { readonly refused: RegExp };
  readonly risks?: readonly string[];
  readonly steps?: string;
  readonly plan?: Partial<RebuildPlan>;
}

export const rows: readonly Row[] = [
  {
    name: "a standby that streams needs nothing",
    given: {
      member: { reached: true, role: "standby", process: "alive", writable: false },
      streams: true,
    },
    want: { method: "nothing" },
    steps: "",
  },
  {
    name: "it streams, and an earlier run was killed before its last steps",
    given: {
      member: { reached: true, role: "standby", process: "alive", writable: false },
      streams: true,
      layout: { leftovers: leftovers("old-7") },
    },
    want: { method: "nothing" },
    steps: "sweep slots pooler health clean",
  },
  {
    name: "a clean demotion is a plain start, armed",
    given: {},
    want: { method: "start" },
    risks: [],
    steps: "sweep arm slot stop start stream slots pooler health clean",
  },
  {
    name: "what the source's WAL no longer reaches is copied",
    given: { source: { oldestWal: parseLsn("0/4000000") } },
    want: { method: "basebackup" },
    risks: [],
    steps: "sweep arm slot copy verify prepare stop swap start stream slots pooler health clean",
  },
  {
    name: "unless an archive has it",
    given: { source: { oldestWal: parseLsn("0/4000000") }, layout: { hasRestoreCommand: true } },
    want: { method: "start" },
  },
  {
    name: "no primary_conninfo: it cannot follow by itself",
    given: { layout: { hasConninfo: false }, request: { method: "start" } },
    want: { refused: /no primary_conninfo/ },
  },
  {
    name: "a crashed primary that wrote on is rewound after its own recovery",
    given: { forked: true, member: { control: { state: "in production" } } },
    want: { method: "rewind" },
    risks: ["divergence"],
    plan: { thrownAway: { walBytes: 536, transactions: 5 }, mayCopy: true },
    steps:
      "sweep arm slot checkpoint stop aside recover rehearse rewind swap start stream slots pooler health clean",
  },
  {
    name: "exported, it need not be accepted",
    given: {
      forked: true,
      request: { exportTo: "/x" },
      member: { archiveReady: 3 },
      layout: { hasArchiveCommand: true },
    },
    want: { method: "rewind" },
    risks: [],
    steps:
      "sweep arm slot checkpoint stop aside archive export rehearse rewind swap start stream slots pooler health clean",
  },
  {
    name: "WAL without a transaction is no loss",
    given: { forked: true, survey: { past: { walBytes: 200, transactions: 0 } } },
    want: { method: "rewind" },
    risks: [],
  },
  {
    name: "what was written on cannot be counted: it counts as a loss",
    given: { forked: true, survey: { past: null } },
    want: { method: "rewind" },
    risks: ["divergence"],
  },
  {
    name: "neither checksums nor hints: copied",
    given: { forked: true, member: { control: { canRewind: false } } },
    want: { method: "basebackup" },
    risks: ["divergence"],
  },
  {
    name: "its WAL does not reach back to the fork: copied",
    given: { forked: true, layout: { oldestSegment: "000000000000000000000009" } },
    want: { method: "basebackup" },
  },
  {
    name: "nor does the source's: copied",
    given: { forked: true, source: { oldestWal: parseLsn("0/4000000") } },
    want: { method: "basebackup" },
    plan: { why: "a no longer has the WAL that b needs, from 0/3000000 on" },
  },
  {
    name: "the same with an archive: rewound",
    given: {
      forked: true,
      source: { oldestWal: parseLsn("0/4000000") },
      layout: { hasRestoreCommand: true },
    },
    want: { method: "rewind" },
    plan: { needsFrom: "0/3000000", restores: true },
  },
  {
    name: "one that waits in vain holds its slot: it is let go, so that it can be made anew",
    given: {
      forked: true,
      member: { reached: true, role: "standby", process: "alive", writable: false },
      source: { slots: [{ name: "b", active: true, walStatus: "reserved", restartLsn: 1n }] },
    },
    want: { method: "rewind" },
    steps:
      "sweep arm stop slot checkpoint aside rehearse rewind swap start stream slots pooler health clean",
  },
  {
    name: "the same with --method rewind is refused",
    given: {
      forked: true,
      layout: { oldestSegment: "000000000000000000000009" },
      request: { method: "rewind" },
    },
    want: { refused: /no longer has its WAL back/ },
  },
  {
    name: "nothing to take back, and a rewind asked for",
    given: { request: { method: "rewind" } },
    want: { refused: /nothing to take back/ },
  },
  {
    name: "a start asked for where it wrote on",
    given: { forked: true, request: { method: "start" } },
    want: { refused: /wrote on after/ },
  },
  {
    name: "ahead on the same timeline: copied, with the typed word",
    given: { survey: { end: { timeline: 1, lsn: parseLsn("0/9000000") } } },
    want: { method: "basebackup" },
    risks: ["ahead"],
  },
  {
    name: "on a timeline that the source never had",
    given: {
      survey: { end: { timeline: 2, lsn: parseLsn("0/3500000") }, history: "1\t0/3000000\tno" },
    },
    want: { method: "basebackup" },
    risks: ["ahead"],
  },
  {
    name: "same numbers and the same history, other bytes",
    given: { survey: { sameBytes: false } },
    want: { method: "basebackup" },
    risks: ["ahead"],
  },
  {
    name: "WAL that cannot be read",
    given: { survey: { end: null } },
    want: { method: "basebackup" },
    risks: ["unread"],
  },
  {
    name: "another cluster's data is moved aside and kept, and its configuration not taken over",
    given: { member: { control: { systemIdentifier: "9" } } },
    want: { method: "basebackup" },
    risks: ["foreign"],
    plan: { keepOld: true, configuration: "source" },
    steps: "sweep slot copy verify prepare stop swap start stream slots pooler health clean",
  },
  {
    name: "an empty directory",
    given: { layout: { data: "empty", hasConninfo: false }, member: { control: null } },
    want: { method: "basebackup" },
    risks: [],
    plan: { keepOld: false, configuration: "source" },
  },
  {
    name: "a slot in use is let go before the copy takes it",
    given: {
      request: { method: "basebackup" },
      member: { reached: true, role: "standby", process: "alive", writable: false },
      streams: true,
    },
    want: { method: "basebackup" },
    steps: "sweep arm stop slot copy verify prepare swap start stream slots pooler health clean",
    plan: { wasRunning: true },
  },
  {
    name: "a snapshot before anything is exchanged, and no pooler to restart",
    given: { request: { method: "basebackup", hooks: { snapshot: true, restartPooler: false } } },
    want: { method: "basebackup" },
    steps: "sweep arm slot copy verify prepare stop snapshot swap start stream slots health clean",
  },
  {
    name: "pg_wal elsewhere: so is the copy's",
    given: { request: { method: "basebackup", operationId: "a-1" }, layout: { walLink: "/wal/x" } },
    want: { method: "basebackup" },
    plan: { walFolder: "/wal/x.a1" },
  },
  {
    name: "an exchange that was interrupted is finished",
    given: { layout: { data: "missing", leftovers: leftovers("ready-7", "old-7") } },
    want: { method: "swap" },
    plan: { copyId: "7" },
    steps: "sweep slot stop swap start stream slots pooler health clean",
  },
  {
    name: "data that was only moved aside is put back",
    given: { layout: { data: "missing", leftovers: leftovers("old-7", "work-7") } },
    want: { method: "put-back" },
    plan: { copyId: "7" },
    steps: "sweep put-back",
  },
  {
    name: "after an interrupted rewind only a copy is left, with its own configuration",
    given: { layout: { data: "missing", leftovers: leftovers("rewind-7", "work-7") } },
    want: { method: "basebackup" },
    risks: [],
    plan: { configuration: "own", keepOld: false },
  },
  {
    name: "and nothing else can be asked for",
    given: {
      layout: { data: "missing", leftovers: leftovers("rewind-7") },
      request: { method: "rewind" },
    },
    want: { refused: /interrupted.*--method basebackup/ },
  },
  {
    name: "a copy that was begun is begun anew",
    given: {
      layout: { leftovers: leftovers("new-7") },
      request: { method: "basebackup", operationId: "8" },
    },
    want: { method: "basebackup" },
    plan: { copyId: "8" },
  },
  {
    name: "a primary",
    given: { member: { role: "primary", writable: true } },
    want: { refused: /fence it first/ },
  },
  {
    name: "a read-only primary is a primary",
    given: { member: { reached: true, role: "primary", writable: false } },
    want: { refused: /is a primary/ },
  },
  {
    name: "a source that does not answer",
    given: { source: { reached: false } },
    want: { refused: /does not answer/ },
  },
  {
    name: "a source that is a standby",
    given: { source: { writable: false } },
    want: { refused: /does not take writes/ },
  },
  {
    name: "a host that does not answer",
    given: { hostError: "no route" },
    want: { refused: /cannot be asked: no route/ },
  },
  {
    name: "processes that are not known",
    given: { member: { process: "unknown" } },
    want: { refused: /is not known/ },
  },
  {
    name: "it runs, answers nothing and is not armed",
    given: { member: { process: "alive", armed: false, control: { state: "in production" } } },
    want: { refused: /does not say that it is a standby/ },
  },
  {
    name: "it runs and is stuck in a recovery that cannot end: surely a standby",
    given: { member: { process: "alive", armed: true, control: { state: "in archive recovery" } } },
    want: { method: "start" },
    plan: { wasRunning: true },
  },
  {
    name: "the same with a promote file",
    given: { member: { promoteFile: true } },
    want: { refused: /promote file/ },
  },
  {
    name: "no room for a second copy, in numbers",
    given: {
      request: { method: "basebackup" },
      source: { dataBytes: 10 * gigabyte },
      layout: { freeBytes: 10.5 * gigabyte },
    },
    want: { refused: /needs 11\.00 GB, and 10\.50 GB are free/ },
  },
  {
    name: "pitfall 26: a mount point cannot be exchanged",
    given: { request: { method: "basebackup" }, layout: { isMountPoint: true } },
    want: { refused: /mount point/ },
  },
  {
    name: "nor moved aside for a rewind; nothing is left then",
    given: { forked: true, layout: { isMountPoint: true } },
    want: { refused: /mount point/ },
  },
  {
    name: "a folder that its owner may not write",
    given: { request: { method: "basebackup" }, layout: { parentWritable: false } },
    want: { refused: /may not write beside it/ },
  },
  {
    name: "tablespaces",
    given: { request: { method: "basebackup" }, source: { tablespaces: ["/fast/ts"] } },
    want: { refused: /tablespaces \(\/fast\/ts\)/ },
  },
];
