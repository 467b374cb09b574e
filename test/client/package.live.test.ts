/**
 * The connector as its users get it: built, packed, installed into an empty folder, imported and
 * required there, type-checked by a strict consumer, and used as apps use pg's Pool, on this Node and
 * on an older one where the machine has one.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { formatAddress } from "../../kit/address.ts";
import { inCheckout } from "../../kit/checkout.ts";
import { runChild } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import { withLab } from "../support/lab.ts";
import { startRecovery } from "../support/recovery-process.ts";

const { test } = t;
const deadlineMs = 60_000;
const soon = { deadlineMs: 40_000, intervalMs: 100 };
const fixtures = inCheckout("test/fixtures/client");

/** Runs a program as a user would: without what tap hands to its children. */
async function run(
  words: readonly [string, ...string[]],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const [program, ...rest] = words;
  const { stdout } = await runChild(program, rest, {
    deadlineMs,
    cwd,
    env: { ...ownEnvironment(), ...env },
  });
  return stdout.trim();
}

function ownEnvironment(): Record<string, string> {
  const { NODE_OPTIONS: _, ...inherited } = process.env;
  return Object.fromEntries(
    Object.entries(inherited).filter(
      ([name, value]) => value !== undefined && !/^(npm_|PG)/.test(name),
    ),
  ) as Record<string, string>;
}

/** The first block of JavaScript of a page. */
async function firstExample(page: string): Promise<string> {
  const text = await readFile(inCheckout(page), "utf8");
  return /^```js\n([\s\S]*?)^```/m.exec(text)?.[1] ?? "";
}

/** Every other Node on the path that the package is for. */
async function otherNodes(): Promise<string[]> {
  const folders = (process.env["PATH"] ?? "").split(":").filter(Boolean);
  const found = new Map<string, string>();
  for (const folder of [...new Set(folders)]) {
    const program = join(folder, "node");
    const version = await run([program, "-p", "process.version"], "/").catch(() => "");
    const [, major = 0, minor = 0] = (/^v(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
    const fits = major > 20 || (major === 20 && minor >= 19);
    if (fits && version !== process.version) found.set(version, program);
  }
  return [...found.values()];
}

await test("the package, from its sources to an app", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-client-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const [source, app] = [join(folder, "client"), join(folder, "app")];
  // A copy, so that what is built here never lies in the checkout.
  const isSource = (path: string): boolean => !/\/(dist|node_modules)$/.test(path);
  await cp(inCheckout("client"), source, { recursive: true, filter: isSource });
  await cp(inCheckout("tsconfig.json"), join(folder, "tsconfig.json"));
  await symlink(inCheckout("node_modules"), join(folder, "node_modules"));
  await cp(fixtures, app, { recursive: true });
  await cp(join(app, "consumer.ts.txt"), join(app, "consumer.ts"));

  await t.test("is built and packed: code, types, a README, and nothing else", async (t) => {
    const packed = await run(["npm", "pack", "--json", "--pack-destination", folder], source);
    const json = packed.slice(packed.lastIndexOf("\n[") + 1);
    const [{ filename, files } = { filename: "", files: [] }] = JSON.parse(json) as {
      filename: string;
      files: { path: string }[];
    }[];
    t.equal(filename, "switchyard-client-0.1.0.tgz");
    const others = files
      .map(({ path }) => path)
      .filter((path) => !/^dist\/([\w-]+\/)?[\w-]+\.(js|d\.ts)$/.test(path));
    t.same(others.toSorted(), ["README.md", "package.json"]);
    const manifest = JSON.parse(await readFile(join(source, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    t.same(Object.keys(manifest.dependencies), ["pg"]);
  });

  await t.test("is installed into an empty folder", async (t) => {
    await writeFile(join(app, "package.json"), '{ "name": "app", "private": true }\n');
    const root = JSON.parse(await readFile(inCheckout("package.json"), "utf8")) as {
      devDependencies: Record<string, string>;
    };
    const types = ["@types/pg", "@types/node"].map(
      (name) => `${name}@${root.devDependencies[name]}`,
    );
    const quick = ["--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts"];
    const tarball = join(folder, "switchyard-client-0.1.0.tgz");
    await run(["npm", "install", ...quick, tarball, "pg-cursor", ...types], app);
    const { name } = JSON.parse(
      await readFile(join(app, "node_modules/pg/package.json"), "utf8"),
    ) as { name: string };
    t.equal(name, "pg", "what it needs came with it");
  });

  await t.test("has types that a strict app compiles against", async (t) => {
    const compilerOptions = {
      ...{ strict: true, noEmit: true, module: "nodenext", target: "es2022", types: ["node"] },
      ...{ noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true },
    };
    const project = { compilerOptions, files: ["consumer.ts"] };
    await writeFile(join(app, "tsconfig.json"), JSON.stringify(project));
    const tsc = inCheckout("node_modules/typescript/bin/tsc");
    t.equal(await run([process.execPath, tsc, "-p", "."], app), "");
  });

  const lab = await withLab(t, { names: true });
  const [primary, standby] = lab.json.members;
  if (primary === undefined || standby === undefined) throw new TypeError("a lab has two members");
  const { user, password, database } = lab.json;
  const on = (hosts: string): string => `postgresql://${user}:${password}@${hosts}/${database}`;
  const nodes = [process.execPath, ...(await otherNodes())];
  for (const node of nodes) {
    const version = await run([node, "-p", "process.version"], "/");
    await t.test(`works as pg's Pool does, on Node ${version}`, async (t) => {
      const env = { DATABASE_URL: on(formatAddress(primary.postgres)) };
      const done = (await run([node, "use.mjs"], app, env)).split("\n");
      t.comment(done.join(", "));
      t.equal(done.at(-1), "ending");
      t.equal(await run([node, "use.cjs"], app, env), "7 true function", "by require");
    });
  }
  t.comment(nodes.length === 1 ? "no other Node of 20.19 or newer on the path" : "");

  await t.test("its README's example runs as it stands", async (t) => {
    await writeFile(join(app, "readme.mjs"), await firstExample("client/README.md"));
    const hosts = `${standby.postgres.host},${primary.postgres.host}`;
    const env = { DATABASE_URL: `${on(hosts)}?target_session_attrs=read-write` };
    t.equal(
      await run([process.execPath, "readme.mjs"], app, env),
      `hello from ${primary.postgres.host}`,
    );
  });

  await t.test("so does the example of docs/client.md, and follows a flip", async (t) => {
    await writeFile(join(app, "app.mjs"), await firstExample("docs/client.md"));
    await writeFile(join(app, "lab.json"), JSON.stringify(lab.json));
    const child = spawn(process.execPath, ["app.mjs"], { cwd: app, env: ownEnvironment() });
    const ended = once(child, "close");
    t.teardown(async () => {
      child.kill("SIGKILL");
      await ended;
    });
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
    child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString("utf8")));
    const rows = async (host: string): Promise<number> => {
      const client = await lab.connect({ host, port: 5432 });
      const { rows } = await client.query<{ n: number }>("SELECT count(*)::int AS n FROM notes");
      await client.end();
      return rows[0]?.n ?? 0;
    };
    const many = (host: string, least: number): Promise<number> =>
      eventually(`${least} rows on ${host}`, soon, async () => {
        const n = await rows(host);
        return n >= least ? n : undefined;
      }).catch((cause: unknown) => {
        throw new Error(`the example said: ${said}`, { cause });
      });
    const before = await many(primary.postgres.host, 5);
    const words = [lab.name, "flip-db", "--yes", "--mode", "fast"];
    const flip = startRecovery(t, words, { stateHome: t.testdir() });
    t.equal(await flip.end(), 0, "the flip is done");
    await many(standby.postgres.host, before + 5);
    const change = `${primary.postgres.host} -> ${standby.postgres.host}`;
    const hasTold = (): boolean => said.split("\n").includes(change);
    await eventually("it tells", soon, () => hasTold() || undefined).catch(() => undefined);
    t.ok(hasTold(), said);
    t.equal(child.exitCode, null, "it goes on");
  });
});
