/** Makes what a rebuild sees: a primary that was promoted, and its old primary cleanly stopped. */
import { parseLsn } from "../../../kit/lsn.ts";
import {
  leftoverKinds,
  unknownMember,
  unknownSource,
} from "../../../router/rebuild-standby/observation.ts";
import type {
  ControlSeen,
  Layout,
  Leftover,
  MemberSeen,
  RebuildObservation,
  SourceSeen,
  Survey,
} from "../../../router/rebuild-standby/observation.ts";
import type { RebuildRequest } from "../../../router/rebuild-standby/rebuild-actions.ts";

export interface CaseWords {
  readonly source?: Partial<SourceSeen>;
  readonly member?: Partial<Omit<MemberSeen, "control">> & {
    readonly control?: Partial<ControlSeen> | null;
  };
  readonly layout?: Partial<Layout>;
  readonly hostError?: string;
  readonly survey?: Partial<Survey>;
  readonly request?: Partial<RebuildRequest>;
  /** The source was promoted, and the member wrote on. */
  readonly forked?: boolean;
  readonly streams?: boolean;
}

/** Leftovers by their names, such as old-7. */
export function leftovers(...names: readonly string[]): Leftover[] {
  return names.flatMap((name) => {
    const [first, id = ""] = name.split("-");
    return leftoverKinds.flatMap((kind) => (kind === first ? [{ kind, id }] : []));
  });
}

const control: ControlSeen = {
  state: "shut down",
  checkpoint: parseLsn("0/3000028"),
  timeline: 1,
  minRecoveryEnd: 0n,
  minRecoveryTimeline: 0,
  systemIdentifier: "7",
  canRewind: true,
};

const layout: Layout = {
  data: "cluster",
  isMountPoint: false,
  parentWritable: true,
  freeBytes: 1024 ** 4,
  major: 15,
  walLink: null,
  hasConninfo: true,
  hasRestoreCommand: false,
  hasArchiveCommand: false,
  oldestSegment: "000000000000000000000001",
  newestTimeline: 1,
  programs: "/usr/lib/postgresql/15/bin",
  leftovers: [],
  realData: "/pg/data",
  realExport: null,
  missingHook: null,
  workers: [],
};

/** The case that `words` describe; everything else is in order. */
export function caseOf(words: CaseWords): {
  readonly seen: RebuildObservation;
  readonly survey: Survey;
  readonly request: RebuildRequest;
} {
  const { streams = false, forked = false } = words;
  const sender = { name: "b", slot: "b", state: "streaming", replayLsn: null };
  const source: SourceSeen = {
    ...unknownSource,
    reached: true,
    writable: true,
    versionNumber: 150_018,
    systemIdentifier: "7",
    timeline: forked ? 2 : 1,
    history: forked ? "1\t0/3000000\tno recovery target specified\n" : "",
    lsn: parseLsn("0/8000000"),
    oldestWal: parseLsn("0/1000000"),
    dataBytes: 30_000_000,
    slots: [
      { name: "b", active: streams, walStatus: "reserved", restartLsn: parseLsn("0/2000000") },
    ],
    senders: streams ? [sender] : [],
    ...words.source,
  };
  const { control: controlWords, ...memberWords } = words.member ?? {};
  const member: MemberSeen = {
    ...unknownMember,
    process: "gone",
    armed: false,
    promoteFile: false,
    ...memberWords,
    control: controlWords === null ? null : { ...control, ...controlWords },
    layout:
      words.hostError === undefined
        ? { ...layout, realExport: words.request?.exportTo ?? null, ...words.layout }
        : null,
    hostError: words.hostError ?? "",
  };
  const survey: Survey = {
    end: { timeline: 1, lsn: parseLsn("0/3000028") },
    history: "",
    sameBytes: true,
    past: forked ? { walBytes: 536, transactions: 5 } : null,
    error: "",
    ...words.survey,
  };
  const request: RebuildRequest = {
    operationId: "1",
    member: "b",
    source: "a",
    method: "auto",
    slot: "b",
    keepOld: false,
    exportTo: null,
    hooks: { snapshot: false, restartPooler: true },
    ...words.request,
  };
  return { seen: { source, member }, survey, request };
}
