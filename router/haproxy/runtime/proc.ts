/**
 * The master's `show proc`: the master, its current worker, and the old workers that still have
 * sessions. HAProxy Management Guide, 9.4 "Master CLI".
 */
export interface ProcessRow {
  readonly pid: number;
  readonly reloads: number;
  readonly uptimeSeconds: number;
  readonly version: string;
}

export interface Processes {
  readonly master: ProcessRow;
  /** Reloads that have failed since the last that went well. */
  readonly failedReloads: number;
  readonly workers: readonly ProcessRow[];
  readonly oldWorkers: readonly ProcessRow[];
}

/**
 * Parses the answer of `show proc`.
 * @throws TypeError when the columns are unknown or there is no master in it
 */
export function parseProcesses(text: string): Processes {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const [header = "", ...rest] = lines;
  const names = [...header.matchAll(/<([^>]+)>/g)].map((match) => match[1] ?? "");
  const found: { master?: ProcessRow; failed: number } = { failed: 0 };
  const sections: Record<string, ProcessRow[]> = { workers: [], "old workers": [], programs: [] };
  let section = "";
  for (const line of rest) {
    if (line.startsWith("# ")) {
      section = line.slice(2).trim();
      continue;
    }
    const { type, row } = parseRow(names, line);
    if (type === "master") {
      found.master = row;
      found.failed = Number(/\[failed: ([0-9]+)\]/.exec(line)?.[1] ?? 0);
    } else sections[section]?.push(row);
  }
  if (found.master === undefined) throw new TypeError("show proc: no master in the answer");
  return oldIsCurrent({
    master: found.master,
    failedReloads: found.failed,
    workers: sections["workers"] ?? [],
    oldWorkers: sections["old workers"] ?? [],
  });
}

/** After a failed reload 3.2 lists the worker that still serves under "old workers". */
function oldIsCurrent(seen: Processes): Processes {
  if (seen.workers.length > 0 || seen.failedReloads === 0 || seen.oldWorkers.length === 0) {
    return seen;
  }
  const [newest, ...older] = seen.oldWorkers.toSorted(
    (left, right) => left.reloads - right.reloads,
  );
  return { ...seen, workers: newest === undefined ? [] : [newest], oldWorkers: older };
}

function parseRow(names: readonly string[], line: string): { type: string; row: ProcessRow } {
  // "0 [failed: 0]" is one column with spaces in it.
  const words = line
    .replace(/ \[failed: [0-9]+\]/, "")
    .trim()
    .split(/\s+/);
  const text = (name: string): string => {
    const value = words[names.indexOf(name)];
    if (value === undefined)
      throw new TypeError(`show proc: no ${name} in ${JSON.stringify(line)}`);
    return value;
  };
  const pid = Number(text("PID"));
  if (!Number.isInteger(pid)) throw new TypeError(`show proc: PID is ${text("PID")}`);
  return {
    type: text("type"),
    row: {
      pid,
      reloads: Number(text("reloads")),
      uptimeSeconds: parseAge(text("uptime")),
      version: text("version"),
    },
  };
}

const units: Readonly<Record<string, number>> = { d: 86_400, h: 3600, m: 60, s: 1 };

/** Seconds of an age as HAProxy prints it, such as `0d00h11m06s`, `1h2m` or `3s`. */
export function parseAge(text: string): number {
  let seconds = 0;
  for (const [, count, unit] of text.matchAll(/([0-9]+)([dhms])/g)) {
    seconds += Number(count) * (units[unit ?? ""] ?? 0);
  }
  return seconds;
}
