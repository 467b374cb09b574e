/** A unified diff of two texts, line by line, for an operator to read. */

type Edit = readonly [kind: " " | "-" | "+", line: string];

const contextLines = 3;

/**
 * The unified diff from `before` to `after` with three lines of context; "" when they are equal.
 * The names stand in its head.
 */
export function unifiedDiff(
  before: { readonly name: string; readonly text: string },
  after: { readonly name: string; readonly text: string },
): string {
  if (before.text === after.text) return "";
  const edits = editScript(linesOf(before.text), linesOf(after.text));
  return [`--- ${before.name}`, `+++ ${after.name}`, ...hunks(edits)].join("\n");
}

/** The lines of a text; one that does not end in a line break says so, as diff(1) does. */
function linesOf(text: string): string[] {
  if (text === "") return [];
  const lines = text.split("\n");
  const last = lines.pop() ?? "";
  return last === "" ? lines : [...lines, `${last} (no line break at the end)`];
}

function editScript(before: readonly string[], after: readonly string[]): Edit[] {
  const lengths = commonLengths(before, after);
  const edits: Edit[] = [];
  let row = 0;
  let column = 0;
  while (row < before.length || column < after.length) {
    const left = before[row];
    const right = after[column];
    const down = lengths[row + 1]?.[column] ?? -1;
    const across = lengths[row]?.[column + 1] ?? -1;
    if (left !== undefined && left === right) {
      edits.push([" ", left]);
      row += 1;
      column += 1;
    } else if (left !== undefined && (right === undefined || down >= across)) {
      edits.push(["-", left]);
      row += 1;
    } else {
      edits.push(["+", right ?? ""]);
      column += 1;
    }
  }
  return edits;
}

/** Longest common subsequence: `[i][j]` is its length for the rest after i and j lines. */
function commonLengths(before: readonly string[], after: readonly string[]): number[][] {
  const table = Array.from({ length: before.length + 1 }, () =>
    Array.from({ length: after.length + 1 }, () => 0),
  );
  for (let row = before.length - 1; row >= 0; row -= 1) {
    for (let column = after.length - 1; column >= 0; column -= 1) {
      const next = table[row + 1];
      const here = table[row];
      if (here === undefined || next === undefined) continue;
      here[column] =
        before[row] === after[column]
          ? (next[column + 1] ?? 0) + 1
          : Math.max(next[column] ?? 0, here[column + 1] ?? 0);
    }
  }
  return table;
}

function hunks(edits: readonly Edit[]): string[] {
  const changed = edits.flatMap(([kind], index) => (kind === " " ? [] : [index]));
  const ranges: { from: number; to: number }[] = [];
  for (const index of changed) {
    const last = ranges.at(-1);
    const from = Math.max(0, index - contextLines);
    const to = Math.min(edits.length, index + contextLines + 1);
    if (last !== undefined && from <= last.to) last.to = to;
    else ranges.push({ from, to });
  }
  return ranges.flatMap(({ from, to }) => {
    const span = (skip: "+" | "-"): string => {
      const start = edits.slice(0, from).filter(([kind]) => kind !== skip).length;
      const count = edits.slice(from, to).filter(([kind]) => kind !== skip).length;
      return `${count === 0 ? start : start + 1},${count}`;
    };
    const body = edits.slice(from, to).map(([kind, line]) => kind + line);
    return [`@@ -${span("+")} +${span("-")} @@`, ...body];
  });
}
