/**
 * A cell of the table in a few words, the same words for all columns, and the table as the
 * documentation has it.
 */
import type { Reply } from "./orders.ts";

/** What an error says, however its author words it; the first that fits is taken. */
const reasons: readonly { readonly says: RegExp; readonly word: string }[] = [
  { says: /28P01|password authentication failed/, word: "wrong password" },
  { says: /read-only|25006/, word: "read-only" },
  { says: /could not translate host name|ENOTFOUND|EAI_AGAIN/, word: "no such name" },
  { says: /timeout|timed out|CONNECT_TIMEOUT|ETIMEDOUT/, word: "timed out" },
  { says: /Connection refused|ECONNREFUSED/, word: "refused" },
  // postgres.js, where its only host is not what it was told to look for.
  { says: /CONNECTION_DESTROYED/, word: "gives up" },
  { says: /ERR_NO_SERVER/, word: "no server" },
];

const afterTimeout = "after its timeout";
/** The share of its own timeout that an answer took. */
const classes: readonly { readonly upTo: number; readonly when: string }[] = [
  { upTo: 0.4, when: "at once" },
  { upTo: 0.95, when: "in time" },
  { upTo: Infinity, when: afterTimeout },
];

const wordFor = (error: string): string =>
  reasons.find(({ says }) => says.test(error))?.word ?? `unknown: ${error}`;

/** How long `ms` is for one whose timeout is `timeoutMs`. */
export function classOf(ms: number, timeoutMs: number): string {
  return classes.find(({ upTo }) => ms < upTo * timeoutMs)?.when ?? "never";
}

/**
 * The cell for one write; undefined: nothing came back as long as the test looked.
 * @param waits whether a server can take it only after something has changed
 */
export function cellOf(reply: Reply | undefined, timeoutMs: number, waits: boolean): string {
  if (reply === undefined) return "nothing, ever";
  const when = classOf(reply.ms, timeoutMs);
  if (reply.error !== undefined) return `${wordFor(reply.error)}, ${when}`;
  return waits && when !== afterTimeout ? "writes, in time" : `writes, ${when}`;
}

/**
 * The cell for a load through a change: how long after it the first row was taken by the new primary.
 * @param ms undefined when none was, as long as the test looked
 */
export function loadCell(
  ms: number | undefined,
  last: Reply | undefined,
  timeoutMs: number,
): string {
  if (ms !== undefined) return `follows, ${classOf(ms, timeoutMs)}`;
  return last?.error === undefined ? "nothing, ever" : `${wordFor(last.error)}, for ever`;
}

export type Table = Readonly<Record<string, Readonly<Record<string, string>>>>;

const begins = "<!-- side by side: begins -->";
const ends = "<!-- side by side: ends -->";

/** The table between the two marks of a page, by row and column, without its marks for code. */
export function tableIn(page: string): Table {
  const [from, to] = [page.indexOf(begins), page.indexOf(ends)];
  const cells = page
    .slice(from + begins.length, to)
    .split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").slice(1, -1))
    .map((row) => row.map((cell) => cell.replaceAll("`", "").trim()));
  const [head = [], , ...rows] = from < 0 || to < from ? [] : cells;
  return Object.fromEntries(
    rows.map(([name = "", ...row]) => [
      name,
      Object.fromEntries(row.map((cell, index) => [head[index + 1] ?? "", cell])),
    ]),
  );
}

/** The table as it stands in a page. */
export function written(table: Table, columns: readonly string[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const rows = Object.entries(table).map(([name, row]) =>
    line([name, ...columns.map((column) => row[column] ?? "")]),
  );
  return [line(["", ...columns]), line(["", ...columns].map(() => "---")), ...rows].join("\n");
}
