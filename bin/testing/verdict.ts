/**
 * From what a test file printed (TAP 14, nested) to the tests in it. A test is an innermost
 * `t.test`; assertions that stand beside subtests count as one test of their own.
 */
import { Parser } from "tap-parser";
import type { Result } from "tap-parser";
import { stringify } from "yaml";

export interface Test {
  /** The file and the names of the nested tests, outermost first. */
  readonly path: readonly string[];
  readonly outcome: "passed" | "failed" | "skipped";
  /** Why it was skipped, or what failed, line by line. */
  readonly reasons: readonly string[];
}

/** How the file's process ended. */
export interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
  /** What ended or spoiled it from outside: a deadline, an interruption, processes left behind. */
  readonly trouble?: string | undefined;
}

const detailLinesMax = 60;

/** The parser of one file's output: write all of it, then ask for the tests. */
export interface Verdict {
  write(text: string): void;
  /** The tests of the file. A file that failed without a failing test, or had none, is one itself. */
  end(ending: Ending): readonly Test[];
}

/**
 * Starts to read what the test file named `file` (as it is shown) prints.
 * @returns a reader that takes pieces of any size
 */
export function readVerdict(file: string): Verdict {
  const tests: Test[] = [];
  const parser = new Parser({});
  follow(parser, [file], tests);
  return {
    write: (text) => void parser.write(text),
    end: (ending) => {
      parser.end();
      const failed = tests.some((test) => test.outcome === "failed");
      const trouble = troubleOf(ending, parser.ok, failed, tests.length);
      if (trouble !== undefined) {
        tests.push({ path: [file], outcome: "failed", reasons: [trouble] });
      }
      return tests;
    },
  };
}

function troubleOf(
  ending: Ending,
  ok: boolean,
  alreadyFailed: boolean,
  count: number,
): string | undefined {
  if (ending.trouble !== undefined) return ending.trouble;
  if (alreadyFailed) return undefined;
  if (ending.signal !== null) return `ended by ${ending.signal}`;
  if (ending.code !== 0) return `ended with exit code ${ending.code}`;
  if (count === 0) return "there is no test in it";
  return ok ? undefined : "its output is not complete";
}

function follow(parser: Parser, path: readonly string[], tests: Test[]): void {
  const failures: string[] = [];
  let children = 0;
  let asserted = 0;
  let skippedHere = 0;
  parser.on("child", (child: Parser) => {
    children += 1;
    follow(child, [...path, child.name], tests);
  });
  parser.on("assert", (result: Result) => {
    const reason = skipReason(result);
    if (reason !== undefined) {
      skippedHere += 1;
      tests.push(skipped([...path, nameOf(result)], reason));
    } else if (!result.closingTestPoint) {
      asserted += 1;
      if (!result.ok) failures.push(...describe(result));
    }
  });
  parser.on("complete", () => {
    for (const one of parser.failures) {
      if (typeof one.tapError === "string") failures.push(one.tapError);
    }
    if (failures.length > 0) tests.push({ path, outcome: "failed", reasons: failures });
    else if (asserted > 0) tests.push({ path, outcome: "passed", reasons: [] });
    else if (path.length > 1 && children + skippedHere === 0 && !isSkipAll(parser)) {
      tests.push({ path, outcome: "failed", reasons: ["it asserts nothing"] });
    }
  });
}

/** The words after SKIP or TODO; "" when there are none; undefined for a test point that counts. */
function skipReason(result: Result): string | undefined {
  // tap's own note on a test without assertions; that test is judged where it ends.
  if (result.skip === "no tests found") return undefined;
  if (result.skip !== false) return result.skip === true ? "" : result.skip;
  if (result.todo !== false) return result.todo === true ? "" : `to do: ${result.todo}`;
  return undefined;
}

function isSkipAll(parser: Parser): boolean {
  return (
    parser.planStart === 1 &&
    parser.planEnd === 0 &&
    parser.planComment !== "no tests found" &&
    parser.planComment !== ""
  );
}

function skipped(path: readonly string[], reason: string): Test {
  return reason === ""
    ? { path, outcome: "failed", reasons: ["skipped without a reason"] }
    : { path, outcome: "skipped", reasons: [reason] };
}

function nameOf(result: Result): string {
  return result.name === "" ? `number ${result.id}` : result.name;
}

function describe(result: Result): readonly string[] {
  const diagnosis = result.diag as unknown;
  const lines =
    diagnosis === null || diagnosis === undefined ? [] : stringify(diagnosis).split("\n");
  const shown = lines.filter((line) => line.trim() !== "").slice(0, detailLinesMax);
  return [`not ok: ${nameOf(result)}`, ...shown.map((line) => `  ${line}`)];
}
