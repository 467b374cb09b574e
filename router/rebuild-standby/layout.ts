/** Reads what the layout scripts print: one `name=value` a line. */
import { leftoverKinds } from "./observation.ts";
import type { Layout, Leftover } from "./observation.ts";

const dataKinds = ["cluster", "empty", "missing", "foreign"] as const;

/** What the whole layout says, or the short one, whose other facts stay at their most careful. */
export function readLayout(text: string): Layout {
  const pairs = text.split("\n").flatMap((line): [string, string][] => {
    const at = line.indexOf("=");
    return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 1)]];
  });
  const all = (name: string): string[] =>
    pairs.filter(([key]) => key === name).map(([, value]) => value);
  const one = (name: string): string | null => {
    const value = all(name).at(-1) ?? "";
    return value === "" ? null : value;
  };
  return {
    data: dataKinds.find((kind) => kind === one("data")) ?? "foreign",
    isMountPoint: one("mount") === "yes",
    parentWritable: one("writable") === "yes",
    freeBytes: Number(one("free") ?? 0) * 1024,
    major: one("major") === null ? null : Number(one("major")),
    walLink: one("wal"),
    hasConninfo: one("conninfo") === "yes",
    hasRestoreCommand: one("restore") === "yes",
    hasArchiveCommand: one("archive") === "yes",
    oldestSegment: one("segment") === null ? null : `00000000${one("segment")}`,
    newestTimeline: one("timeline") === null ? null : Number.parseInt(one("timeline") ?? "", 16),
    programs: one("programs") ?? "",
    leftovers: all("leftover").flatMap(readLeftover),
    realData: one("real") ?? "",
    realExport: one("export"),
    missingHook: one("missing"),
    workers: all("worker").map(Number),
  };
}

function readLeftover(text: string): Leftover[] {
  const [name, id] = text.split(" ");
  const kind = leftoverKinds.find((known) => known === name);
  return kind === undefined || id === undefined ? [] : [{ kind, id }];
}
