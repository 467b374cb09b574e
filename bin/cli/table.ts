/** Tables and paragraphs that never grow wider than the screen, whatever stands in them. */
import { printable } from "./output.ts";

export interface Cell {
  readonly text: string;
  /** Colours the padded text; the width is that of the bare one. */
  readonly paint?: (text: string) => string;
}

const gap = "  ";
const narrowest = 4;

/** Cuts a text to `width` columns; what was cut shows as three dots. */
export function fit(text: string, width: number): string {
  const clean = printable(text);
  return clean.length <= width ? clean : `${clean.slice(0, Math.max(0, width - 3))}...`;
}

export interface TableOptions {
  /** The screen's width; what does not fit is cut, the widest column first. No limit without it. */
  readonly columns?: number;
  /** Colours the heading. */
  readonly dim: (text: string) => string;
  /** Titles of the columns whose cells stand at the right, as numbers do. */
  readonly right?: readonly string[];
  /** Titles of the columns that are never cut: what is typed back. */
  readonly whole?: readonly string[];
}

/** Aligned rows under a heading; no line ends in spaces. */
export function tableLines(
  heading: readonly string[],
  rows: readonly (readonly Cell[])[],
  options: TableOptions,
): string[] {
  const widths = heading.map((title, index) =>
    Math.max(title.length, ...rows.map((row) => printable(row[index]?.text ?? "").length)),
  );
  const spare = (options.columns ?? Infinity) - gap.length * (heading.length - 1);
  const mayCut = heading.map((title) => options.whole?.includes(title) !== true);
  while (widths.reduce((sum, one) => sum + one, 0) > spare) {
    const widest = Math.max(...widths.filter((_, index) => mayCut[index]));
    if (widest <= narrowest) break;
    widths[widths.findIndex((one, index) => one === widest && mayCut[index])] = widest - 1;
  }
  const line = (cells: readonly Cell[]): string =>
    cells
      .map(({ text, paint }, index) => {
        const width = widths[index] ?? 0;
        const isRight = options.right?.includes(heading[index] ?? "") === true;
        const fitted = fit(text, width);
        const padded = isRight
          ? fitted.padStart(width)
          : fitted.padEnd(index === cells.length - 1 ? 0 : width);
        return paint === undefined ? padded : paint(padded);
      })
      .join(gap)
      .trimEnd();
  return [options.dim(line(heading.map((text) => ({ text })))), ...rows.map(line)];
}

/**
 * Breaks a text into lines of at most `columns`; the first begins with `first`, the others with as
 * many spaces. A word that is too long is broken.
 */
export function paragraph(first: string, text: string, columns: number): string[] {
  const room = Math.max(10, columns - first.length);
  const lines: string[] = [];
  let line = "";
  for (const word of printable(text).split(" ")) {
    let rest = word;
    if (line !== "" && line.length + 1 + rest.length > room) {
      lines.push(line);
      line = "";
    }
    while (rest.length > room) {
      lines.push(rest.slice(0, room));
      rest = rest.slice(room);
    }
    line = line === "" ? rest : `${line} ${rest}`;
  }
  lines.push(line);
  const indent = " ".repeat(first.length);
  return lines.map((one, index) => (index === 0 ? first : indent) + one);
}
