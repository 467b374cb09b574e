/**
 * `show stat` as CSV: counters and check results. Columns are found by the header's names; fields
 * may be quoted. HAProxy Management Guide, 9.1 "CSV format".
 */
export interface StatRow {
  readonly backend: string;
  /** A server's name, or FRONTEND or BACKEND. */
  readonly server: string;
  readonly kind: "frontend" | "backend" | "server" | "listener";
  /** As HAProxy prints it, such as "UP 1/3" or "MAINT (via probe-a/p)". */
  readonly status: string;
  readonly sessions: number;
  readonly queued: number;
  readonly maxConnections: number | undefined;
  readonly backup: boolean;
  /** backend/server whose state this one copies. */
  readonly tracked: string | undefined;
  readonly check: {
    /** Such as L7OK; "" without a check. */
    readonly status: string;
    readonly code: string;
    readonly durationMs: number | undefined;
    readonly inProgress: boolean;
  };
}

const kinds = ["frontend", "backend", "server", "listener"] as const;

/**
 * Parses the answer of `show stat`.
 * @throws TypeError when a column is missing or a line is cut short
 */
export function parseStat(text: string): StatRow[] {
  const [header = "", ...lines] = text.split("\n");
  if (!header.startsWith("# ")) throw new TypeError("show stat: no header line");
  const names = splitCsv(header.slice(2));
  const columns = { count: names.length, at: new Map(names.map((name, index) => [name, index])) };
  return lines.filter((line) => line !== "").map((line) => parseRow(columns, splitCsv(line)));
}

interface Columns {
  readonly count: number;
  /** Where the column of a name stands. */
  readonly at: ReadonlyMap<string, number>;
}

function parseRow({ count, at }: Columns, fields: readonly string[]): StatRow {
  if (fields.length !== count) {
    throw new TypeError(`show stat: a line has ${fields.length} of ${count} columns`);
  }
  const text = (name: string): string => {
    const value = fields[at.get(name) ?? count];
    if (value === undefined) throw new TypeError(`show stat: no column ${name}`);
    return value;
  };
  const optional = (name: string): number | undefined =>
    text(name) === "" ? undefined : Number(text(name));
  const kind = kinds[Number(text("type"))];
  if (kind === undefined) throw new TypeError(`show stat: unknown type ${text("type")}`);
  const status = text("check_status");
  return {
    backend: text("pxname"),
    server: text("svname"),
    kind,
    status: text("status"),
    sessions: optional("scur") ?? 0,
    queued: optional("qcur") ?? 0,
    maxConnections: optional("slim"),
    backup: optional("bck") === 1,
    tracked: text("tracked") === "" ? undefined : text("tracked"),
    check: {
      status: status.replace(/^\* /, ""),
      code: text("check_code"),
      durationMs: optional("check_duration"),
      inProgress: status.startsWith("* "),
    },
  };
}

/** Splits one CSV line; quotes are doubled inside quoted fields (RFC 4180 §2). */
export function splitCsv(line: string): string[] {
  if (!line.includes('"')) return line.split(",");
  const fields: string[] = [];
  let at = 0;
  while (at <= line.length) {
    if (line[at] === '"') {
      let end = at + 1;
      while (end < line.length && (line[end] !== '"' || line[end + 1] === '"')) {
        end += line[end] === '"' ? 2 : 1;
      }
      fields.push(line.slice(at + 1, end).replaceAll('""', '"'));
      at = end + 2;
    } else {
      const comma = line.indexOf(",", at);
      const end = comma < 0 ? line.length : comma;
      fields.push(line.slice(at, end));
      at = end + 1;
    }
  }
  return fields;
}
