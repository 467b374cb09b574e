/** Planted faults that the linter must find, and neighbours of them that it must let pass. */

/** What the faults import; it is all in order. */
export const sound: Readonly<Record<string, string>> = {
  "kit/clock.ts": "export const clock = (): number => Date.now();\n",
  "kit/template.ts": 'import mustache from "mustache";\n\nexport const render = mustache.render;\n',
  "config/units.ts": 'import { clock } from "../kit/clock.ts";\n\nexport const units = clock;\n',
  "sidecars/pg-health/contract.ts": "export const contract = 1;\n",
  "sidecars/pg-health/client.ts": "export const client = 1;\n",
  "sidecars/pg-health/probe.ts": "export const probe = 1;\n",
  "sidecars/pg-health/main.ts": 'export const start = process.env["HOME"];\n',
  "sidecars/dns-resolver/sync.ts":
    'import { contract } from "../pg-health/contract.ts";\n\nexport const sync = contract;\n',
  "router/haproxy/model.ts": "export const model = 1;\n",
  "router/haproxy/runtime/info.ts":
    'import { model } from "../model.ts";\n\nexport const info = model;\n',
  "router/postgres/sql.ts": "export const sql = 1;\n",
  "router/member/seen.ts":
    'import { sql } from "../postgres/sql.ts";\n\nexport const seen = sql;\n',
  "router/cluster/view.ts": "export const view = 1;\n",
  "router/cluster/observe.ts":
    'import { contract } from "../../sidecars/pg-health/contract.ts";\nimport { sql } from "../postgres/sql.ts";\n\nexport const observe = contract + sql;\n',
  "lab/model.ts": "export const lab = 1;\n",
  "bin/cli/main.ts": "export const main = (): void => console.log(process.argv);\n",
  "bin/commands/lab.ts":
    'import { main } from "../cli/main.ts";\nimport { lab } from "../../lab/model.ts";\n\nexport const run = [main, lab];\n',
  "test/router/x.test.ts": 'import { lab } from "../../lab/model.ts";\n\nexport const x = lab;\n',
};

interface LintFault {
  readonly file: string;
  /** A part of the rule's name. */
  readonly rule: string;
  readonly text: string;
}

function importing(file: string, target: string): LintFault {
  const text = `import * as it from "${target}";\n\nexport const fault = it;\n`;
  return { file, rule: "no-restricted-imports", text };
}

const go = "const go = (): Promise<void> => Promise.resolve();\n\n";

export const lintFaults: readonly LintFault[] = [
  importing("kit/a.ts", "../sidecars/pg-health/contract.ts"),
  importing("config/a.ts", "../router/haproxy/model.ts"),
  importing("sidecars/pg-health/a.ts", "../../router/haproxy/model.ts"),
  importing("sidecars/dns-resolver/a.ts", "../pg-health/probe.ts"),
  importing("sidecars/dns-resolver/sync/a.ts", "../../pg-health/probe.ts"),
  importing("router/cluster/a.ts", "../../sidecars/pg-health/probe.ts"),
  importing("router/cluster/b.ts", "../../lab/model.ts"),
  importing("router/haproxy/a.ts", "../postgres/sql.ts"),
  importing("router/haproxy/b.ts", "../cluster/view.ts"),
  importing("router/haproxy/runtime/a.ts", "../../postgres/sql.ts"),
  importing("router/operation/a.ts", "../haproxy/model.ts"),
  importing("router/operation/b.ts", "../member/seen.ts"),
  importing("router/member/a.ts", "../cluster/view.ts"),
  importing("router/postgres/a.ts", "../operation/execute.ts"),
  importing("registry/a.ts", "../lab/model.ts"),
  importing("lab/a.ts", "../bin/commands/lab.ts"),
  importing("bin/commands/a.ts", "../../sidecars/pg-health/main.ts"),
  importing("test/a.test.ts", "../sidecars/pg-health/main.ts"),
  importing("router/a.ts", "mustache"),
  importing("router/b.ts", "pino"),
  importing("router/c.ts", "fs"),
  importing("router/d.ts", "node:process"),
  importing("test/b.test.ts", "node:timers/promises"),
  {
    ...importing("router/flip-db/plan.ts", "node:fs"),
    rule: "no-nodejs-modules",
  },
  {
    file: "router/flip-db/steps.ts",
    rule: "no-async-await",
    text: "export async function fault(): Promise<void> {\n  await Promise.resolve();\n}\n",
  },
  { file: "router/e.ts", rule: "no-default-export", text: "const a = 1;\nexport default a;\n" },
  { file: "router/f.ts", rule: "no-barrel-file", text: 'export * from "./haproxy/model.ts";\n' },
  {
    file: "router/g.ts",
    rule: "no-restricted-properties",
    text: 'export const fault = process.env["HOME"];\n',
  },
  {
    file: "router/h.ts",
    rule: "no-restricted-properties",
    text: "export const fault = (): number => Date.now();\n",
  },
  {
    file: "router/i.ts",
    rule: "no-restricted-properties",
    text: "export const fault = (): number => Math.random();\n",
  },
  {
    file: "router/j.ts",
    rule: "no-restricted-properties",
    text: "export const fault = (): AbortSignal => AbortSignal.timeout(1);\n",
  },
  {
    file: "router/k.ts",
    rule: "no-restricted-globals",
    text: "export const fault = (): unknown => setTimeout(() => undefined, 1);\n",
  },
  {
    file: "test/c.test.ts",
    rule: "no-restricted-globals",
    text: "export const fault = (): unknown => setInterval(() => undefined, 1);\n",
  },
  {
    file: "router/l.ts",
    rule: "no-console",
    text: 'export const fault = (): void => console.log("x");\n',
  },
  {
    file: "router/m.ts",
    rule: "max-lines",
    text: Array.from({ length: 301 }, (_, line) => `export const fault${line} = 1;\n`).join(""),
  },
  {
    file: "router/n.ts",
    rule: "max-lines-per-function",
    text: `export function fault(): number {\n  let a = 0;\n${"  a += 1;\n".repeat(60)}  return a;\n}\n`,
  },
  {
    file: "router/o.ts",
    rule: "no-floating-promises",
    text: `${go}export function fault(): void {\n  go();\n}\n`,
  },
  {
    file: "test/d.test.ts",
    rule: "no-floating-promises",
    text: `${go}export function fault(): void {\n  go();\n}\n`,
  },
  {
    file: "router/p.ts",
    rule: "no-misused-promises",
    text: `${go}export const fault = (list: number[]): void => list.forEach(async () => await go());\n`,
  },
  {
    file: "router/q.ts",
    rule: "return-await",
    text: `${go}export async function fault(): Promise<void> {\n  try {\n    return go();\n  } catch {\n    return undefined;\n  }\n}\n`,
  },
  {
    file: "router/r.ts",
    rule: "switch-exhaustiveness-check",
    text: 'export function fault(a: "x" | "y"): number {\n  switch (a) {\n    case "x":\n      return 1;\n  }\n  return 2;\n}\n',
  },
  {
    file: "router/s.ts",
    rule: "no-cycle",
    text: 'import { other } from "./t.ts";\n\nexport const fault = (): unknown => other;\n',
  },
  {
    file: "router/t.ts",
    rule: "no-cycle",
    text: 'import { fault } from "./s.ts";\n\nexport const other = (): unknown => fault;\n',
  },
  {
    file: "router/u.ts",
    rule: "only-throw-error",
    text: 'export function fault(): never {\n  throw "text";\n}\n',
  },
  {
    file: "router/v.ts",
    rule: "no-explicit-any",
    text: "export const fault = (a: any): unknown => a;\n",
  },
  { file: "router/badName.ts", rule: "filename-case", text: "export const fault = 1;\n" },
];
