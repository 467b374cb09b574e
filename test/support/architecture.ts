/**
 * The rules of docs/architecture.md that the linter cannot see, one row a rule. A rule takes the
 * checkout and returns what breaks it, one line each; every row carries a planted fault that it
 * must find, so that no rule can fall silent.
 */
import { importsOf, isSource, isTest, reachedFrom, withoutComments } from "./repository.ts";
import type { Rule } from "./repository.ts";
import { manners } from "./architecture-manners.ts";
import { papers } from "./architecture-papers.ts";

/** Which rooms a room may import. contract.ts and client.ts stand open to more: see `openDoors`. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  kit: [],
  config: ["kit"],
  sidecars: ["kit", "config"],
  router: ["kit", "config"],
  registry: ["kit", "config", "router"],
  services: ["kit", "config", "router"],
  lab: ["kit", "config", "router", "registry", "services"],
  bin: ["kit", "config", "router", "registry", "services", "lab", "sidecars"],
  // What starts real programs for tests serves the benches too.
  bench: ["kit", "config", "router", "registry", "services", "lab", "sidecars", "client", "test"],
  client: [],
};

/** Rooms that take the contract and the client of any other room. */
const openDoors = new Set(["sidecars", "router", "registry", "services", "lab", "bin", "bench"]);
const isDoor = (path: string): boolean => /\/(contract|client)\.ts$/.test(path);

/** In router/: operations, which share `member` and `operation`, and nothing of each other. */
const operations = ["flip-db", "rebuild-standby", "fence", "maintenance"];

/** In router/: what must not know what. cluster, backends and every actions.ts join them. */
const strangers: Readonly<Record<string, readonly string[]>> = {
  haproxy: ["postgres", "pooler", "cluster", "member", "operation", ...operations],
  postgres: ["haproxy", "pooler", "cluster", "member", "operation", ...operations],
  pooler: ["haproxy", "postgres", "cluster", "member", "operation", ...operations],
  operation: ["haproxy", "postgres", "pooler", "cluster", "member", ...operations],
  member: ["haproxy", "pooler", "cluster", ...operations],
  ...Object.fromEntries(
    operations.map((one) => [one, operations.filter((other) => other !== one)]),
  ),
};

const part = (path: string, index: number): string => path.split("/")[index] ?? "";

const operationWords = /^router\/operation\/(lock|records|step)\.ts$/;

function whyNot(from: string, to: string): string | undefined {
  const [room, other] = [part(from, 0), part(to, 0)];
  if (to.endsWith("/main.ts") && !(to === "bin/cli/main.ts" && room === "bin")) {
    return "nobody but a launcher loads a main.ts";
  }
  if (room !== other) {
    const open = rooms[room]?.includes(other) === true || (openDoors.has(room) && isDoor(to));
    return open ? undefined : `${room} may not import ${other}`;
  }
  if (room === "sidecars" && part(from, 1) !== part(to, 1) && !isDoor(to)) {
    return "of another sidecar only contract.ts and client.ts are open";
  }
  const isStrange = room === "router" && strangers[part(from, 1)]?.includes(part(to, 1)) === true;
  // The cluster's lock and journal are Postgres, in operation's words.
  if (part(from, 1) === "postgres" && operationWords.test(to)) return undefined;
  return isStrange ? `${part(from, 1)} does not know ${part(to, 1)}` : undefined;
}

const pureNames =
  /^(?!lab\/|bin\/).*\/(view|findings|candidate|plan|steps|model|render|commands|replies|answers|roles|contract|assess)\.ts$|^lab\/model\.ts$/;
const impure = /^(?!node:assert$)(node:|pg$|express$|pino$|prom-client$|dockerode$|yaml$)/;

export const rules: readonly Rule[] = [
  {
    rule: "rooms import only what lies below them",
    check: (repository) =>
      [...repository].flatMap(([path, { text }]) =>
        isSource(path)
          ? importsOf(path, text).flatMap(({ target }) => {
              const reason = target === undefined ? undefined : whyNot(path, target);
              return reason === undefined ? [] : [`${path} imports ${target}: ${reason}`];
            })
          : [],
      ),
    planted: [
      { "kit/a.ts": 'import { b } from "../config/b.ts";' },
      { "config/a.ts": 'import type { C } from "../sidecars/x/contract.ts";' },
      { "router/a.ts": 'import { b } from "../lab/model.ts";' },
      { "router/a.ts": 'import {\n  b,\n} from "../sidecars/pg-health/probe.ts";' },
      { "sidecars/x/a.ts": 'import { b } from "../y/b.ts";' },
      { "sidecars/x/a.ts": 'const b = await import("../../router/b.ts");' },
      { "router/haproxy/runtime/a.ts": 'import { b } from "../../postgres/sql.ts";' },
      { "router/operation/a.ts": 'export { b } from "../haproxy/b.ts";' },
      { "router/postgres/a.ts": 'import { execute } from "../operation/execute.ts";' },
      { "router/member/a.ts": 'import type { B } from "../flip-db/observation.ts";' },
      { "router/fence/a.ts": 'import { b } from "../flip-db/proof.ts";' },
      { "lab/a.ts": 'import { main } from "../bin/cli/main.ts";' },
      { "bin/commands/a.ts": 'import "../../sidecars/pg-health/main.ts";' },
      { "router/a.ts": 'import { b } from "../test/support/b.ts";' },
      { "bench/a.ts": 'import { b } from "../bin/cli/b.ts";' },
    ],
  },
  {
    rule: "pure files touch nothing",
    check: (repository) =>
      [...repository].flatMap(([path, { text }]) => {
        if (!isSource(path) || !pureNames.test(path)) return [];
        const reached = importsOf(path, text).filter(({ specifier }) => impure.test(specifier));
        // A contract may say that what it describes is waited for; a step may be called await-end.
        const words = path.endsWith("/contract.ts")
          ? /\basync\b|\bawait\b(?!-)|\bPromise\b(?!<)/
          : /\basync\b|\bawait\b(?!-)|\bPromise\b/;
        const waits = words.test(withoutComments(text));
        return [
          ...reached.map(({ specifier }) => `${path} is pure and imports ${specifier}`),
          ...(waits ? [`${path} is pure and waits`] : []),
        ];
      }),
    planted: [
      { "router/flip-db/plan.ts": 'import { readFile } from "node:fs";' },
      { "router/cluster/view.ts": 'import pg from "pg";' },
      { "router/haproxy/render.ts": "export async function render() {}" },
      { "lab/model.ts": "export const later: Promise<number> = go();" },
    ],
  },
  {
    rule: "tests lie in folders that mirror the rooms",
    check: (repository) =>
      [...repository.keys()].filter(isTest).flatMap((path) => {
        const folder = path.split("/").slice(1, -1).join("/");
        // A whole lab of containers belongs to no room.
        const free = ["", "sim", "docker"].includes(folder);
        const mirrored = [...repository.keys()].some((one) => one.startsWith(`${folder}/`));
        return free || mirrored ? [] : [`${path}: there is no ${folder}/`];
      }),
    planted: [{ "test/nowhere/a.test.ts": "", "kit/a.ts": "" }],
  },
  {
    rule: "every source file is reached by a test",
    check: (repository) => {
      const reached = reachedFrom([...repository.keys()].filter(isTest), repository);
      return [...repository.keys()]
        .filter((path) => isSource(path) && !path.startsWith("bench/") && !reached.has(path))
        .map((path) => `${path} is reached by no test`);
    },
    planted: [
      { "kit/a.ts": "", "kit/b.ts": 'import "./a.ts";', "test/kit/k.test.ts": "// ../../kit/a.ts" },
      {
        "bin/x": 'exec "$(dirname "$0")/with-node" x.ts',
        "bin/y.ts": "",
        "test/x.test.ts": '"bin/x"',
      },
    ],
  },
  {
    rule: "at most 40 unit test files, since each costs seconds",
    check: (repository) => {
      const units = [...repository.keys()].filter(
        (path) => isTest(path) && !path.endsWith(".live.test.ts"),
      );
      return units.length <= 40 ? [] : [`there are ${units.length} unit test files`];
    },
    planted: [Object.fromEntries(Array.from({ length: 41 }, (_, n) => [`test/t${n}.test.ts`, ""]))],
  },
  ...manners,
  ...papers,
];
