/** The hooks of a rebuild, and the copy that follows a rewind which fails. */
import { chmod, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import t from "tap";
import { parse, stringify } from "yaml";
import { runChild } from "../../../kit/child.ts";
import * as scripts from "../../../router/rebuild-standby/act-scripts.ts";
import { callOf } from "../../../router/rebuild-standby/look-scripts.ts";
import { beside, dataOf, diverge, proveFollows, rebuild, reportOf, withPair } from "./pair.ts";
import type { Pair } from "./pair.ts";

interface ControlKeys {
  snapshot?: readonly string[];
  restartPooler: readonly string[];
}

/** Sets hooks of `member` in the file of the lab's environment. */
async function setHooks(
  { lab }: Pair,
  member: string,
  change: (control: ControlKeys) => Partial<ControlKeys>,
): Promise<void> {
  const path = join(lab.configFolder, `${lab.name}.yml`);
  const environment = parse(await readFile(path, "utf8")) as {
    readonly members: readonly { readonly name: string; readonly control: ControlKeys }[];
  };
  for (const { name, control } of environment.members) {
    if (name === member) Object.assign(control, change(control));
  }
  await writeFile(path, stringify(environment));
}

/** A hook that writes down the directories it finds, and then does `more`. @returns its record */
async function writeHook(pair: Pair, member: string, name: string, more: string): Promise<string> {
  const data = dataOf(pair, member);
  const [program, record] = [join(dirname(data), name), join(dirname(data), `${name}.seen`)];
  const text = `#!/bin/sh\nset -eu\ncd ${dirname(data)}\nls -d ${basename(data)} ${basename(data)}.* 2>/dev/null >> ${record} || true\n${more}\n`;
  await writeFile(program, text);
  await chmod(program, 0o755);
  return record;
}

/** The names that a hook saw, without the rebuild's id. */
async function seenBy(record: string): Promise<string[]> {
  const text = await readFile(record, "utf8").catch(() => "");
  return text
    .trim()
    .split("\n")
    .map((name) => name.replace(/-.*/, ""));
}

t.test("a snapshot that fails leaves all as it was, for a rewind and for a copy", async (t) => {
  const pair = await withPair(t);
  await diverge(pair, "dal-01", 3);
  const record = await writeHook(pair, "dal-01", "fails", "echo no room >&2; exit 7");
  const words = ["--json", "-y", "--member", "dal-01", "--accept-risk=divergence", "--method"];
  // Until it is rewound its data is the one that diverged; a copy that fails takes the slot along.
  const rows = [
    { fails: "rewind" },
    { fails: "basebackup", after: { asked: "auto", method: "rewind" } },
    { fails: "basebackup", after: { asked: "basebackup", method: "basebackup" } },
  ];
  for (const { fails, after } of rows) {
    await setHooks(pair, "dal-01", () => ({ snapshot: [record.replace(/\.seen$/, "")] }));
    const failed = await rebuild(pair, ...words, fails);
    t.equal(failed.code, 1, fails);
    const { result, problems } = reportOf(failed);
    t.equal(result, "undone", failed.stdout);
    t.match(problems, [{ step: "snapshot", reason: /no room|7/ }]);
    t.strictSame(await beside(pair, "dal-01"), [], "nothing is left beside the data");
    if (after === undefined) continue;
    await setHooks(pair, "dal-01", () => ({ snapshot: ["true"] }));
    const done = reportOf(await rebuild(pair, ...words, after.asked));
    const { method } = after;
    t.match(done, { result: "done", method, problems: [] }, "what it kept serves the next run");
    await proveFollows(t, pair, "dal-01");
  }
  t.ok((await seenBy(record)).includes("data.old"), "it was called with the old data there");
});

t.test("a rewind that fails is followed by a copy, and the pooler is restarted", async (t) => {
  const pair = await withPair(t);
  await diverge(pair, "dal-01", 3);
  // After the rehearsal: what the rewind needs is gone as it begins.
  const gone = `rm ${basename(dataOf(pair, "dal-01"))}.old-*/pg_wal/0*`;
  const snapshot = await writeHook(pair, "dal-01", "snapshot", gone);
  const pooler = await writeHook(pair, "dal-01", "pooler", 'exec "$@"');
  await setHooks(pair, "dal-01", ({ restartPooler }) => ({
    snapshot: [snapshot.replace(/\.seen$/, "")],
    restartPooler: [pooler.replace(/\.seen$/, ""), ...restartPooler],
  }));
  const run = await rebuild(pair, "--json", "-y", "--accept-risk=divergence");
  t.match(reportOf(run), { result: "done", method: "basebackup", problems: [] }, run.stderr);
  const failed = run.stdout
    .split("\n")
    .filter((line) => line.includes('"phase":"failed"'))
    .map((line) => (JSON.parse(line) as { readonly step: string }).step);
  t.strictSame(failed, ["rewind"], "it was the rewind that failed");
  t.strictSame(await seenBy(snapshot), ["data.old", "data.work"], "once, before it");
  t.ok((await seenBy(pooler)).includes("data"), "the pooler was restarted on the new data");
  await proveFollows(t, pair, "dal-01");
  t.strictSame(await beside(pair, "dal-01"), [], "nothing is left beside the data");
  const again = await rebuild(pair, "--json", "-y");
  t.equal(again.code, 0, again.stdout + again.stderr);
});

t.test("what a copy has wrong is found, in whichever half it lies", async (t) => {
  const { lab } = await withPair(t);
  const { folder, gid } = lab.part("chi-02/postgres");
  const copy = join(folder, "copy");
  const programs = lab.environment.members[0]?.control?.programs ?? "";
  const owner = lab.place.privileged ? { uid: lab.place.uid, gid } : {};
  const options = { deadlineMs: 30_000, cwd: "/", env: { PATH: "/usr/bin:/bin" }, ...owner };
  const { host = "", port = 0 } = lab.json.members[0]?.postgres ?? {};
  const { user, password } = lab.json.superuser;
  const from = ["-h", host, "-p", String(port), "-U", user, "-D", copy, "-c", "fast"];
  const env = { ...options.env, PGPASSWORD: password };
  await runChild(join(programs, "pg_basebackup"), from, { ...options, env });
  const verify = async (): Promise<number | null> => {
    const { argv, input } = callOf(scripts.verify, [programs, copy]);
    const [program, ...words] = argv;
    return (await runChild(program, words, { ...options, input, accept: [0, 1] })).code;
  };
  t.equal(await verify(), 0, "as it was made");
  const names = await readdir(join(copy, "base"), { recursive: true, withFileTypes: true });
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  const sized = await Promise.all(
    files.map(async (path) => ({ path, bytes: (await stat(path)).size })),
  );
  const [first, second, third] = sized.toSorted((a, b) => b.bytes - a.bytes);
  const wrong = [first, second, third].flatMap((one) => (one === undefined ? [] : [one.path]));
  for (const path of [...wrong, join(copy, "global/pg_control")]) {
    const right = await readFile(path);
    const bytes = Buffer.from(right);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    await writeFile(path, bytes);
    t.equal(await verify(), 1, `one bit of ${path}`);
    await rename(path, `${path}.away`);
    t.equal(await verify(), 1, `${path} is missing`);
    await rename(`${path}.away`, path);
    await writeFile(path, right);
  }
  t.equal(await verify(), 0, "as it was again");
});
