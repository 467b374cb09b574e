/** Rules between the code and its papers: links, dependencies, exit codes, findings, launchers. */
import { builtinModules } from "node:module";
import { dirname, join, normalize } from "node:path/posix";
import { schemaKeys } from "../../config/schema-keys.ts";
import { importsOf, isSource, withoutComments } from "./repository.ts";
import type { Repository, Rule } from "./repository.ts";

const textOf = (repository: Repository, path: string): string => repository.get(path)?.text ?? "";

/** The names that stand in backquotes at the start of a row of a Markdown table. */
function namesInTables(text: string): string[] {
  return [...text.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = ""]) => name);
}

/** GitHub's anchor of a heading. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .trim()
    .replaceAll(" ", "-");
}

function brokenLinks(path: string, text: string, repository: Repository): string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = ""]) => {
    if (/^(https?|mailto):/.test(link)) return [];
    const [file = "", fragment] = link.split("#");
    const target = file === "" ? path : normalize(join(dirname(path), file)).replace(/\/$/, "");
    const isFolder = [...repository.keys()].some((one) => one.startsWith(`${target}/`));
    if (!repository.has(target) && !isFolder) return [`${path}: ${link} leads nowhere`];
    const headings = [...textOf(repository, target).matchAll(/^#+ (.+)$/gm)];
    const known = headings.map(([, heading = ""]) => anchor(heading));
    return fragment === undefined || known.includes(fragment)
      ? []
      : [`${path}: no heading ${link}`];
  });
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

function manifest(repository: Repository): { runtime: string[]; development: string[] } {
  const parsed = JSON.parse(textOf(repository, "package.json") || "{}") as Manifest;
  return {
    runtime: Object.keys(parsed.dependencies ?? {}),
    development: Object.keys(parsed.devDependencies ?? {}),
  };
}

function packageOf(specifier: string): string | undefined {
  if (specifier.startsWith(".") || specifier.startsWith("node:")) return undefined;
  if (builtinModules.includes(specifier)) return undefined;
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}

/** Codes that Node gives its own errors. */
const nodesOwn = new Set(["ERR_MODULE_NOT_FOUND"]);
const exitCodesFile = "bin/cli/exit-codes.ts";

function errorCodes(repository: Repository): { listed: Set<string>; thrown: Map<string, string> } {
  const listed = new Set(textOf(repository, exitCodesFile).match(/\bERR_[A-Z0-9_]+/g));
  const thrown = new Map<string, string>();
  for (const [path, { text }] of repository) {
    // No program of bin/ ends with an error of the connector, which is a package of its own.
    if (!isSource(path) || path === exitCodesFile || path.startsWith("client/")) continue;
    for (const [, code = ""] of withoutComments(text).matchAll(/"(ERR_[A-Z0-9_]+)"/g)) {
      thrown.set(code, path);
    }
  }
  return { listed, thrown };
}

/** What a text names as a command, such as `bin/router ENV set a/b ready`, and is none. */
function unknownCommands(path: string, text: string, repository: Repository): string[] {
  const named = text.matchAll(/\bbin\/([a-z][a-z-]*)((?:\s+(?!bin\/)[\w/-]+)*)/g);
  return [...named].flatMap(([, program = "", rest = ""]) => {
    if (!repository.has(`bin/${program}`)) return [`${path}: there is no bin/${program}`];
    const table = textOf(repository, `bin/commands/${program}.ts`);
    const words = rest.split(/\s+/).filter((word) => word !== "");
    const verb = words[table.includes("takesEnvironment: true") ? 1 : 0];
    if (table === "" || verb === undefined || verb.startsWith("-")) return [];
    if (!new RegExp(`(?:name: |Verb\\()"${verb}( [a-z]+)?"`).test(table)) {
      return [`${path}: bin/${program} has no command ${verb}`];
    }
    return words
      .filter((word) => word.startsWith("--"))
      .filter((flag) => !new RegExp(`(?<![\\w-])"?${flag.slice(2)}"?[,:]`).test(table))
      .map((flag) => `${path}: bin/${program} ${verb} has no ${flag}`);
  });
}

export const papers: readonly Rule[] = [
  {
    rule: "every link in the documents leads somewhere",
    check: (repository) =>
      [...repository].flatMap(([path, { text }]) =>
        path.endsWith(".md") ? brokenLinks(path, text, repository) : [],
      ),
    planted: [
      { "docs/a.md": "[b](b.md)\n" },
      { "docs/a.md": "[b](b.md#one)\n", "docs/b.md": "# Two\n" },
      { "README.md": "[b](#none)\n# Some\n" },
    ],
  },
  {
    rule: "every document stands in the index",
    check: (repository) => {
      const index = textOf(repository, "docs/README.md");
      return [...repository.keys()].filter(
        (path) =>
          /^docs\/.+\.md$/.test(path) &&
          path !== "docs/README.md" &&
          !index.includes(`](${path.slice("docs/".length)})`),
      );
    },
    planted: [{ "docs/a.md": "", "docs/README.md": "[b](b.md)" }],
  },
  {
    rule: "every dependency has its reason in docs/dependencies.md",
    check: (repository) => {
      const { runtime, development } = manifest(repository);
      const explained = namesInTables(textOf(repository, "docs/dependencies.md"));
      const installed = [...runtime, ...development];
      return [
        ...installed
          .filter((name) => !explained.includes(name))
          .map((name) => `${name}: no reason`),
        ...explained
          .filter((name) => !installed.includes(name))
          .map((name) => `${name}: not there`),
      ];
    },
    planted: [
      { "package.json": '{"dependencies":{"a":"1"}}' },
      { "package.json": "{}", "docs/dependencies.md": "| `b` | because |\n" },
    ],
  },
  {
    rule: "what is imported is installed, for users where users need it",
    check: (repository) => {
      const { runtime, development } = manifest(repository);
      return [...repository].flatMap(([path, { text }]) => {
        if (!path.endsWith(".ts") || path.startsWith("client/")) return [];
        const isForDevelopers = !isSource(path) || path.startsWith("bin/testing/");
        const allowed = isForDevelopers ? [...runtime, ...development] : runtime;
        return importsOf(path, text).flatMap(({ specifier }) => {
          const name = packageOf(specifier);
          return name === undefined || allowed.includes(name) ? [] : [`${path} imports ${name}`];
        });
      });
    },
    planted: [
      { "kit/a.ts": 'import a from "a";', "package.json": '{"devDependencies":{"a":"1"}}' },
      { "test/a.test.ts": 'import a from "@x/a/b";', "package.json": "{}" },
    ],
  },
  {
    rule: "every error code has an exit code, and every exit code its error",
    check: (repository) => {
      const { listed, thrown } = errorCodes(repository);
      return [
        ...[...thrown].flatMap(([code, path]) =>
          listed.has(code) ? [] : [`${code} (${path}) is not in ${exitCodesFile}`],
        ),
        ...[...listed].filter((code) => !thrown.has(code) && !nodesOwn.has(code)),
      ];
    },
    planted: [
      { "kit/a.ts": 'readonly code = "ERR_NEW";', [exitCodesFile]: "" },
      { "kit/a.ts": "// ERR_OLD", [exitCodesFile]: "ERR_OLD: exitCodes.failed," },
    ],
  },
  {
    rule: "every key of an environment file is read by something",
    check: (repository) => {
      // The rest of config/ names every key and makes no use of it.
      const users = [...repository].filter(
        ([path]) => isSource(path) && (!path.startsWith("config/") || path === "config/load.ts"),
      );
      const words = new Set(
        users.flatMap(([, { text }]) => withoutComments(text).match(/\b\w+\b/g) ?? []),
      );
      return schemaKeys()
        .filter(({ path }) => !words.has(path.split(/[.\]]+/).at(-1) ?? ""))
        .map(({ path }) => `${path} does nothing`);
    },
    planted: [{ "kit/a.ts": "// queueTimeout" }],
  },
  {
    rule: "every finding stands in the runbook, and nothing else",
    check: (repository) => {
      const tables = [...repository].filter(([path]) =>
        /^router\/cluster\/findings(\/[\w-]+)?\.ts$/.test(path),
      );
      const codes = tables.flatMap(([, { text }]) =>
        [...text.matchAll(/\bcode: "([a-z-]+)"/g)].map(([, code = ""]) => code),
      );
      const runbook = textOf(repository, "docs/runbooks/topology.md");
      const named = [...runbook.matchAll(/^(?:#+ |\| )`([a-z-]+)`/gm)].map(([, code = ""]) => code);
      const headed = [...runbook.matchAll(/^#+ `([a-z-]+)`/gm)].map(([, code = ""]) => code);
      return [
        ...codes
          .filter((code) => !named.includes(code))
          .map((code) => `${code}: not in the runbook`),
        ...headed.filter((code) => !codes.includes(code)).map((code) => `${code}: no such finding`),
      ];
    },
    planted: [
      { "router/cluster/findings.ts": 'code: "lag-high",' },
      { "docs/runbooks/topology.md": "### `lag-high`\n" },
    ],
  },
  {
    rule: "every step of an operation stands in its runbook",
    check: (repository) =>
      [...repository].flatMap(([path, { text }]) => {
        const room = /^router\/(flip-db|rebuild-standby|fence)\/(?:steps\/)?[\w-]*steps\.ts$/.exec(
          path,
        )?.[1];
        if (room === undefined) return [];
        const runbook = textOf(repository, `docs/runbooks/${room}.md`);
        return [...text.matchAll(/\b(?:step: |act\(\s*)"([a-z-]+)"/g)]
          .filter(([, step]) => !runbook.includes(`\`${step}\``))
          .map(([, step]) => `${path}: ${step} is not in the runbook`);
      }),
    planted: [
      { "router/fence/steps.ts": 'step: "arm",', "docs/runbooks/fence.md": "It can disarm it." },
    ],
  },
  {
    rule: "every command that a finding or a runbook names is there today",
    check: (repository) =>
      [...repository].flatMap(([path, { text }]) =>
        /^(docs\/runbooks\/.*\.md|router\/cluster\/findings\/.*\.ts)$/.test(path)
          ? unknownCommands(path, text, repository)
          : [],
      ),
    planted: [
      { "docs/runbooks/a.md": "Run bin/x now." },
      {
        "router/cluster/findings/a.ts": 'todo: "If it lasts: bin/x ENV mend PART."',
        "bin/x": "",
        "bin/commands/x.ts": 'takesEnvironment: true, commands: [{ name: "look" }]',
      },
      {
        "docs/runbooks/a.md": "See `bin/x\nlook --all`.",
        "bin/x": "",
        "bin/commands/x.ts": '{ name: "look", options: { "not-all": json } }',
      },
      {
        "docs/runbooks/a.md": "bin/x look\nbin/x down\n",
        "bin/x": "",
        "bin/commands/x.ts": 'partVerb("look", "looks")',
      },
    ],
  },
  {
    rule: "launchers are executable, short, and start what is there",
    check: (repository) =>
      [...repository].flatMap(([path, { text, executable }]) => {
        if (!/^bin\/[^/]+$/.test(path) || path.endsWith(".ts")) return [];
        const limit = path === "bin/setup" ? 300 : 40;
        const lines = text.split("\n").length - 1;
        const started = [...text.matchAll(/with-node"?\s+(\S+\.ts)/g)].map(([, file = ""]) =>
          normalize(join("bin", file)),
        );
        // What is compiled before it is named from the checkout on, and nothing there fails for it.
        const compiled = [...text.matchAll(/with-compiled" \S+ ((?:[^\n\\]|\\\n)*)/g)].flatMap(
          ([, words = ""]) => words.match(/\S+\.ts/g) ?? [],
        );
        const missing = [...started, ...compiled].filter((file) => !repository.has(file));
        return [
          ...(executable ? [] : [`${path} is not executable`]),
          ...(text.startsWith("#!") ? [] : [`${path} names no interpreter`]),
          ...(lines <= limit ? [] : [`${path} has ${lines} lines`]),
          ...missing.map((file) => `${path} starts ${file}, which is not there`),
        ];
      }),
    planted: [
      { "bin/x.sh": "#!/bin/sh\n" },
      { "bin/x": "echo\n" },
      { "bin/x": `#!/bin/sh\n${"true\n".repeat(50)}` },
      { "bin/x": '#!/bin/sh\nexec "$here/with-node" commands/x.ts\n' },
      { "bin/x": '#!/bin/sh\n"$here/with-compiled" x \\\n  kit/x.ts\n' },
    ],
  },
];
