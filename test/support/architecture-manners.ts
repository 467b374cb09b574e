/** Rules of form: sizes, names, comments, words, and what a committed file must not tell. */
import { isSource, isTest, withoutComments } from "./repository.ts";
import type { Repository, Rule } from "./repository.ts";

/** Files that may be short, and why. */
const smallFiles: readonly { readonly files: RegExp; readonly why: string }[] = [
  {
    files: /^bin\/cli\/(state-home|docker-host|child-environment|process-variables|step-json)\.ts$/,
    why: "one fact about this process",
  },
  { files: /^bench\/figures\.ts$/, why: "one concept" },
  { files: /^bin\/commands\//, why: "a verb reads its words; the work lies in a room" },
  { files: /^config\/(secret|config-error)\.ts$/, why: "one class" },
  { files: /^client\/index\.ts$/, why: "the entry of a package: names alone" },
  { files: /^config\/(hosts|host-address)\.ts$/, why: "one question" },
  { files: /^lab\/scram\.ts$/, why: "one concept" },
  { files: /^lab\/(status|driver\/open)\.ts$/, why: "one step between the rows and what they do" },
  { files: /^lab\/driver\/name-servers\.ts$/, why: "one fact about this machine" },
  { files: /^kit\/(address|checkout|fault-words|logger|lsn|nearest)\.ts$/, why: "one concept" },
  {
    files: /^router\/cluster\/(conditions\/(operations|monitor)|findings\/row|verdict)\.ts$/,
    why: "one type, one decision",
  },
  { files: /^router\/pooler\/console(-replies)?\.ts$/, why: "one type, one decision" },
  { files: /^router\/flip-db\/(plan\/plan-cut-off|prechecks\/cut-off)\.ts$/, why: "one concept" },
  { files: /^router\/backends\/lookup\/once\.ts$/, why: "one concept" },
  { files: /^router\/haproxy\/render\.ts$/, why: "one step between two rooms" },
  { files: /^registry\/store\/assemble\.ts$/, why: "one step between parts and a whole" },
  { files: /^(sidecars\/pool-gate|registry)\/variables\.ts$/, why: "one table" },
  { files: /^sidecars\/pg-health\/self\.ts$/, why: "one fact about this process" },
  {
    files:
      /^sidecars\/dns-resolver\/(listen\/listen-addresses|zone\/(addresses|chain|services|serving)|engine\/socket-address)\.ts$/,
    why: "one concept",
  },
];

const smallest = 40;
const largest = 300;

/** Every line of the chosen files that matches, as `path:line: what was found`. */
function linesThat(
  repository: Repository,
  chosen: (path: string) => boolean,
  pattern: RegExp,
  prepare: (text: string) => string = (text) => text,
): string[] {
  return [...repository].flatMap(([path, { text }]) =>
    chosen(path)
      ? prepare(text)
          .split("\n")
          .flatMap((line, index) => {
            const found = pattern.exec(line);
            return found === null ? [] : [`${path}:${index + 1}: ${found[0].trim()}`];
          })
      : [],
  );
}

/** Joined here, so that this file does not break the rule that it keeps. */
const joined = (...parts: string[]): string => ["", ...parts].join("/");
const workplace = [joined("work"), joined("opt", "roots"), joined("tmp", "brief")];
const machinePaths = new RegExp(`(^|[^\\w.-])(${workplace.join("|")})(/|\\b)`);

/** Places where "replica" is the right word: DNS names and read routing, as Postgres says it. */
const readRouting =
  /^(router\/haproxy|sidecars|registry|services|config|templates|lab|test|bench)\//;
const postgresOwnWords = /wal_level|session_replication_role|replication/;

const isRunOfCommand = (path: string, head: string): boolean =>
  path.startsWith("bin/commands/") && head.endsWith(" run");

export const manners: readonly Rule[] = [
  {
    rule: `a source file has ${smallest} to ${largest} lines`,
    check: (repository) =>
      [...repository].flatMap(([path, { text }]) => {
        if (!isSource(path)) return [];
        const lines = text.split("\n").length - 1;
        const maySmall = smallFiles.some(({ files }) => files.test(path));
        const fits = lines <= largest && (lines >= smallest || maySmall);
        return fits ? [] : [`${path} has ${lines} lines`];
      }),
    planted: [{ "kit/a.ts": "x\n" }, { "kit/a.ts": "x\n".repeat(largest + 1) }],
  },
  {
    rule: "the list of short files names short files",
    check: (repository) =>
      smallFiles
        .filter(
          ({ files }) =>
            ![...repository].some(
              ([path, { text }]) => files.test(path) && text.split("\n").length <= smallest,
            ),
        )
        .map(({ files }) => `${files} names no short file`),
    planted: [{ "kit/lsn.ts": "x\n".repeat(smallest) }],
  },
  {
    rule: "no file is named after nothing",
    check: (repository) =>
      [...repository.keys()].filter((path) =>
        /(^|\/|-)(utils?|helpers?|misc|common|shared|lib)(\.|-|\/|$)/.test(path),
      ),
    planted: [{ "kit/utils.ts": "" }, { "common/a.ts": "" }, { "test/support/lab-helpers.ts": "" }],
  },
  {
    rule: "a file begins with what it is for",
    check: (repository) =>
      [...repository].flatMap(([path, { text }]) =>
        path.endsWith(".ts") && !text.startsWith("/**") ? [`${path} has no head comment`] : [],
      ),
    planted: [{ "kit/a.ts": 'import { b } from "./b.ts";\n' }],
  },
  {
    rule: "an exported function says what it takes and returns",
    check: (repository) =>
      [...repository].flatMap(([path, { text }]) =>
        isSource(path)
          ? [...text.matchAll(/(.*)\n(export (?:async )?function\*? \w+)/g)].flatMap(
              ([, before = "", head = ""]) =>
                // What the run of a command takes and returns stands at CommandRow.
                before.endsWith("*/") || isRunOfCommand(path, head) ? [] : [`${path}: ${head}`],
            )
          : [],
      ),
    planted: [{ "kit/a.ts": "/** Head. */\n\nexport async function go() {}\n" }],
  },
  {
    rule: "the time of day is read in kit/clock.ts",
    check: (repository) =>
      linesThat(
        repository,
        (path) => isSource(path) && path !== "kit/clock.ts" && !path.startsWith("client/"),
        /new Date\(\)/,
        withoutComments,
      ),
    planted: [{ "kit/a.ts": "const now = new Date();\n" }],
  },
  {
    rule: "no test is left out or runs alone without a reason",
    check: (repository) =>
      linesThat(
        repository,
        isTest,
        /\bonly: true|\.only\(|\btodo: true|\.todo\(|\bskip: true|\.skip\(\s*"[^"]*",/,
      ),
    planted: [
      { "test/a.test.ts": "t.only(() => undefined);\n" },
      { "test/a.test.ts": 't.test("x", { skip: true }, go);\n' },
    ],
  },
  {
    rule: "no committed file tells where it was written",
    check: (repository) => [
      ...linesThat(repository, () => true, machinePaths),
      ...linesThat(
        repository,
        (path) => /(^|\/)(package-lock\.json|\.npmrc|package\.json)$/.test(path),
        /"resolved": "(?!https:\/\/registry\.npmjs\.org\/)|^\s*registry\s*=/,
      ),
    ],
    planted: [
      { "docs/a.md": `see ${joined("work", "main")} for it\n` },
      { "test/a.test.ts": `"${joined("opt", "roots", "trixie")}"\n` },
      { "package-lock.json": '"resolved": "http://10.0.0.1:4873/pg.tgz"\n' },
    ],
  },
  {
    rule: "one word for one thing",
    check: (repository) => [
      ...linesThat(
        repository,
        (path) => path.endsWith(".ts"),
        new RegExp(`\\b(${["sla", "ve"].join("")}s?|(white|black)list)\\b`, "i"),
      ),
      ...linesThat(
        repository,
        isSource,
        /\bmaster (node|database|postgres)|(?<!(patronictl|repmgr standby|pg_autoctl perform) )\bswitchover\b/i,
        withoutComments,
      ),
      ...linesThat(
        repository,
        (path) => isSource(path) && !readRouting.test(path),
        /(?<!pg-)\breplicas?\b/i,
        (text) =>
          withoutComments(text)
            .split("\n")
            .map((line) => (postgresOwnWords.test(line) ? "" : line))
            .join("\n"),
      ),
    ],
    planted: [
      { "kit/a.ts": `// the ${["sla", "ve"].join("")} follows\n` },
      { "router/cluster/a.ts": 'const text = "the replica lags";\n' },
      { "router/cluster/a.ts": "const switchover = 1;\n" },
    ],
  },
];
