/**
 * bin/setup where all is there already, and where Node cannot be had. What it installs is proven on
 * fresh Debian roots (docs/platforms.md): a test must not install packages.
 */
import { cp, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import type { Test } from "tap";
import { runChild } from "../../kit/child.ts";
import type { ChildResult } from "../../kit/child.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const brief = { deadlineMs: 60_000 };
const systemPath = "/usr/sbin:/usr/bin:/sbin:/bin";

async function setup(folder: string, words: readonly string[], path: string): Promise<ChildResult> {
  return await runChild(join(folder, "bin/setup"), words, {
    deadlineMs: 60_000,
    accept: [0, 4, 64, 69],
    env: { PATH: path, HOME: folder },
  });
}

/** A checkout that has what bin/setup reads and no npm packages, and a folder for PATH. */
async function bareCheckout(t: Test): Promise<{ folder: string; programs: string }> {
  const folder = t.testdir({ programs: {} });
  for (const name of ["package.json", "package-lock.json", "bin/setup", "bin/setup.d"]) {
    await cp(join(root, name), join(folder, name), { recursive: true });
  }
  const programs = join(folder, "programs");
  // All but node and npm, wherever this machine keeps those.
  const needed =
    "sh bash env cat cp cut dirname flock head id mkdir mktemp readlink rm sed sha256sum sort stat tail timeout tr uname";
  for (const name of needed.split(" ")) await provide(programs, name);
  return { folder, programs };
}

/** Puts a program of this machine into `programs`. */
async function provide(programs: string, name: string): Promise<void> {
  const { stdout } = await runChild("sh", ["-c", `command -v ${name}`], brief);
  await symlink(stdout.trim(), join(programs, name));
}

t.test("where all is there it changes nothing and says so, twice", async (t) => {
  const path = `${join(process.execPath, "..")}:${systemPath}`;
  for (const words of [[], [], ["--check"]]) {
    const { code, stdout, stderr } = await setup(root, words, path);
    t.equal(code, 0, stderr);
    t.equal(stdout, "", "standard output belongs to the caller");
    // Another test runs bin/test, and with it bin/setup, in this checkout.
    const waited = /^setup: another bin\/setup works in this checkout; waiting for it .*\n/;
    t.match(
      stderr.replace(waited, ""),
      /^setup: nothing (to do|is missing): PostgreSQL \d+, PgBouncer [\d.]+, HAProxy [\d.]+, Node\.js [\d.]+\n$/,
    );
  }
});

t.test("words", async (t) => {
  t.match(await setup(root, ["--help"], systemPath), { code: 0, stdout: /--check/ });
  t.match(await setup(root, ["--chek"], systemPath), { code: 64, stderr: /unknown word '--chek'/ });
});

t.test("where Node cannot be had it says what to do, and exits 69", async (t) => {
  const rows = [
    { name: "no node", files: {}, want: /there is no node on PATH/ },
    {
      name: "Debian 12's own",
      files: { node: "18.20.4" },
      want: /node on PATH is v18.20.4: Node.js 20 or newer/,
    },
    { name: "no npm", files: { node: "20.19.2" }, want: /there is a node on PATH, but no npm/ },
  ];
  for (const { name, files, want } of rows) {
    await t.test(name, async (t) => {
      const { folder, programs } = await bareCheckout(t);
      for (const [program, version] of Object.entries(files))
        await pretend(programs, program, version);
      const { code, stderr } = await setup(folder, [], programs);
      t.equal(code, 69, stderr);
      t.match(stderr, want);
      t.match(stderr, /Debian 12's own nodejs is 18/);
      t.notMatch(stderr, /not found/, "no program was missing");
      const check = await setup(folder, ["--check"], programs);
      t.match(check, { code: 69, stderr: /missing: Node.js 24\n.*missing: the npm dependencies/ });
    });
  }
});

t.test("a half-done installation of npm packages is seen as missing", async (t) => {
  const { folder, programs } = await bareCheckout(t);
  await pretend(programs, "node", "24.0.0");
  const check = async (): Promise<ChildResult> => await setup(folder, ["--check"], programs);
  await runChild("mkdir", ["-p", join(folder, "node_modules/tap")], brief);
  t.match(await check(), { code: 69, stderr: /missing: the npm dependencies/ });
  const stamp =
    "{ uname -m; cat package.json package-lock.json; } | sha256sum | cut -d ' ' -f 1 >node_modules/.installed-by-setup";
  await runChild("sh", ["-c", stamp], { ...brief, cwd: folder });
  t.match(await check(), { code: 0, stderr: /nothing is missing/ });
  await runChild("sh", ["-c", "echo >>package-lock.json"], { ...brief, cwd: folder });
  t.match(await check(), { code: 69, stderr: /missing: the npm dependencies/ });
});

/** An npm that fails as the first of `ends` says, then as the next, and counts how often it was asked. */
async function pretendNpm(programs: string, ends: readonly string[]): Promise<void> {
  const cases = ends.map((end, index) => `${index + 1}) ${end} ;;`).join("\n");
  const script = `#!/bin/sh\necho x >>asked\ncase $(cat asked | wc -l) in\n${cases}\nesac\n`;
  await writeFile(join(programs, "npm"), script, { mode: 0o755 });
  // Nobody waits here: what is tried again is tried again at once.
  await writeFile(join(programs, "sleep"), "#!/bin/sh\n", { mode: 0o755 });
  await symlink(process.execPath, join(programs, "node"));
  await writeFile(join(programs, "date"), `#!/bin/sh\ncat "\${0%/*}/now"\n`, { mode: 0o755 });
  await writeFile(join(programs, "now"), "0\n");
  for (const name of ["grep", "wc"]) await provide(programs, name);
}

t.test("what npm could not fetch for a moment is tried again", async (t) => {
  const lock = {
    "node_modules/here": { version: "1.2.3", optional: true, os: ["linux"] },
    "node_modules/elsewhere": { version: "1.2.3", optional: true, os: ["!linux"] },
  };
  const reset = "echo 'npm error code ECONNRESET' >&2; exit 1";
  const rows: readonly { name: string; ends: string[]; code: number; want: RegExp }[] = [
    {
      name: "a connection that was reset, and a package that was left out without a word",
      ends: [reset, "mkdir node_modules", "mkdir node_modules/here"],
      code: 0,
      want: /dependencies: npm error code ECONNRESET; trying.*\n.*here@1\.2\.3; trying.*\n.*done: /,
    },
    {
      name: "no network at all",
      ends: [reset, reset, reset],
      code: 69,
      want: /trying again in 20 s\nnpm error code ECONNRESET\nsetup: npm could not install/,
    },
    {
      name: "a network that swallows everything, which each try learns after minutes",
      ends: [`echo 500 >"\${0%/*}/now"; ${reset}`],
      code: 69,
      want: /node_modules\nnpm error code ECONNRESET\nsetup: npm could not install/,
    },
    {
      name: "what does not pass",
      ends: ["echo 'npm error code E404' >&2; exit 1"],
      code: 69,
      want: /node_modules\nnpm error code E404\nsetup: npm could not install the dependencies/,
    },
  ];
  for (const { name, ends, code, want } of rows) {
    await t.test(name, async (t) => {
      const { folder, programs } = await bareCheckout(t);
      await pretendNpm(programs, ends);
      await writeFile(join(folder, "package-lock.json"), JSON.stringify({ packages: lock }));
      const run = await setup(folder, [], programs);
      t.equal(run.code, code, run.stderr);
      t.match(run.stderr, want);
      t.notMatch(run.stderr, /not found/, "no program was missing");
      t.equal(await readFile(join(folder, "asked"), "utf8"), "x\n".repeat(ends.length));
    });
  }
});

t.test("--docker looks for an engine, and without it not for one", async (t) => {
  const { folder, programs } = await bareCheckout(t);
  await pretend(programs, "node", "24.0.0");
  const engine = /missing: a Docker Engine that answers \(there is no docker command\)/;
  const asked = await setup(folder, ["--docker", "--check"], programs);
  t.match(asked, { code: 69, stderr: engine });
  t.notMatch(asked.stderr, /not found/, "no program was missing");
  const { stderr } = await setup(folder, ["--check"], programs);
  t.notMatch(stderr, /Docker/);
});

/** A program that answers as a Node of that version does when it is asked for its version. */
async function pretend(folder: string, program: string, version: string): Promise<void> {
  const major = version.split(".")[0];
  const script = `#!/bin/sh\ncase "$*" in *split*) echo ${major} ;; -p*) echo ${version} ;; *) echo v${version} ;; esac\n`;
  const write = `cat >${program} && chmod 755 ${program}`;
  await runChild("sh", ["-c", write], { ...brief, cwd: folder, input: script });
}
