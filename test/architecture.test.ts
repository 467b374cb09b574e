/** The checkout keeps its own rules, and each rule of the test and of the linter can be broken. */
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { runChild } from "../kit/child.ts";
import { rules } from "./support/architecture.ts";
import { lintFaults, sound } from "./support/lint-faults.ts";
import { faultsIn, readRepository } from "./support/repository.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const repository = readRepository(root);

t.ok(repository.has("package.json") && repository.has("kit/clock.ts"), "the checkout is read");

for (const rule of rules) {
  t.test(rule.rule, (t) => {
    t.same(rule.check(repository), []);
    t.ok(rule.planted.length > 0, "there is a planted fault");
    for (const texts of rule.planted) {
      t.not(faultsIn(rule, texts).length, 0, `finds the fault in ${Object.keys(texts)[0]}`);
    }
    t.end();
  });
}

interface Diagnostic {
  readonly filename: string;
  readonly code: string;
}

t.test("the linter finds each planted fault, and nothing where there is none", async (t) => {
  // Outside the checkout, whose .gitignore would hide the faults from the linter.
  const folder = await mkdtemp(join(tmpdir(), "switchyard-lint-"));
  t.teardown(() => rm(folder, { recursive: true }));
  await symlink(join(root, "node_modules"), join(folder, "node_modules"));
  for (const name of [".oxlintrc.json", "tsconfig.json", "package.json"]) {
    await copyFile(join(root, name), join(folder, name));
  }
  const planted = lintFaults.map(({ file, text }) => [file, text] as const);
  for (const [file, text] of [...Object.entries(sound), ...planted]) {
    await mkdir(join(folder, dirname(file)), { recursive: true });
    await writeFile(join(folder, file), text);
  }
  const linter = join(root, "node_modules/.bin/oxlint");
  // tap hands its loaders to every child by NODE_OPTIONS, and the linter does not start with them.
  const words = ["-u", "NODE_OPTIONS", process.execPath, linter, "-f", "json"];
  const { stdout } = await runChild("env", words, {
    deadlineMs: 60_000,
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "" },
    accept: [1],
  });
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: Diagnostic[] };
  for (const { file, rule } of lintFaults) {
    const codes = diagnostics.filter(({ filename }) => filename === file).map(({ code }) => code);
    t.ok(
      codes.some((code) => code.includes(rule)),
      `${rule} in ${file}; found: ${codes.join(", ")}`,
    );
  }
  t.same(
    diagnostics.filter(({ filename }) => Object.hasOwn(sound, filename)),
    [],
  );
});
