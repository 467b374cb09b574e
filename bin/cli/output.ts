/**
 * Where a tool prints: results on standard output, progress and complaints on standard error, so
 * that `… --json | jq` works. Colour only on a terminal, and not when NO_COLOR is set.
 */
export interface Output {
  /** Prints a line of the result. */
  readonly result: (line: string) => void;
  /** Prints a line of progress or a complaint. */
  readonly note: (line: string) => void;
  /** Width of the terminal in columns; 100 where there is none. */
  readonly columns: number;
  /** Height of the terminal in lines; undefined where there is none. */
  readonly rows?: number | undefined;
  /** True when standard output is a terminal. */
  readonly interactive: boolean;
  readonly style: Style;
}

export interface Style {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly bold: (text: string) => string;
}

/**
 * Text of others as it may be printed: no character that a terminal would obey, breaks a line at or
 * turns its direction by.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\u{FFFD}");
}

const plain: Style = {
  good: (text) => text,
  bad: (text) => text,
  warn: (text) => text,
  dim: (text) => text,
  bold: (text) => text,
};

const sgr =
  (code: number) =>
  (text: string): string =>
    `\u001B[${code}m${text}\u001B[0m`;

const coloured: Style = { good: sgr(32), bad: sgr(31), warn: sgr(33), dim: sgr(2), bold: sgr(1) };

/** The output of this process. */
export function processOutput(): Output {
  const interactive = isTerminal(process.stdout);
  const noColour = (process.env["NO_COLOR"] ?? "") !== "" || process.env["TERM"] === "dumb";
  return {
    result: (line) => void process.stdout.write(`${line}\n`),
    note: (line) => void process.stderr.write(`${line}\n`),
    columns: process.stdout.columns ?? 100,
    rows: process.stdout.rows,
    interactive,
    style: interactive && !noColour ? coloured : plain,
  };
}

/** @types/node says isTTY is always there; on a pipe or a file it is undefined. */
function isTerminal(stream: { readonly isTTY?: boolean }): boolean {
  return stream.isTTY ?? false;
}
