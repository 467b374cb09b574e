/** Environment files: what is taken, what each wrong one says, and that no secret ever shows. */
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import t from "tap";
import type { Test } from "tap";
import { parse } from "yaml";
import { listEnvironments, loadEnvironment, parseEnvironment } from "../../config/load.ts";
import { redactEnvironment } from "../../config/redact.ts";
import { schemaKeys } from "../../config/schema-keys.ts";
import { Secret } from "../../config/secret.ts";
import { formatDuration, formatSize, parseDuration, parseSize } from "../../config/units.ts";
import { addressValue } from "../../config/values.ts";
import { formatAddress } from "../../kit/address.ts";
import { isMonitored } from "../../router/cluster/managers.ts";
import { base, contradictory, secretText, variables, withLogin, wrong } from "./wrong-files.ts";
import { contradictoryBackends } from "./wrong-backends.ts";
import type { Tree } from "./wrong-files.ts";

/** Parses a tree (JSON is YAML) or a text; returns the lines of the error, "" when there is none. */
async function complaints(input: Tree | string): Promise<string> {
  const text = typeof input === "string" ? input : JSON.stringify(input);
  try {
    await parseEnvironment(text, { name: "x", file: "x.yml", variables });
    return "";
  } catch (error) {
    t.equal((error as { code?: string }).code, "ERR_CONFIG");
    t.notMatch(inspect(error, { depth: null, showHidden: true }), secretText);
    return (error as Error).message;
  }
}

t.test("each wrong file says what is wrong with it, one line each", async (t) => {
  for (const { name, given, want } of wrong) {
    await t.test(name, async (t) => {
      const lines = (await complaints(given)).split("\n");
      for (const line of want) {
        t.ok(
          lines.some((one) => one.startsWith(`x.yml: ${line}`)),
          `${line}\n got: ${lines.join("\n      ")}`,
        );
      }
    });
  }
});

t.test("a file with very many problems stays readable", async (t) => {
  const spare = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`key${index}`, 1]));
  const lines = (await complaints({ ...base, ...spare })).split("\n");
  t.equal(lines.length, 21);
  t.equal(lines.at(-1), "and 30 more");
});

t.test("values that contradict each other are refused", async (t) => {
  t.equal(await complaints(base), "", "the file that the cases start from is right");
  for (const { name, given, want } of [...contradictory, ...contradictoryBackends]) {
    await t.test(name, async (t) => {
      const [line = "", ...others] = (await complaints(given)).split("\n");
      t.ok(line.startsWith(`x.yml: ${want}`), line);
      t.same(others, [], "one line for one contradiction");
    });
  }
});

t.test("addresses: read and written", (t) => {
  for (const text of ["10.0.0.1:5432", "[fd00::1]:1", "db-1.example.com:65535", "x:1"]) {
    t.equal(formatAddress(addressValue.parse(text)), text);
  }
  const refused = [
    "",
    "x",
    "x:0",
    "x:65536",
    "x:01",
    "256.1.1.1:5",
    "1.2.3:4",
    "::1:5432",
    "[x]:1",
  ];
  refused.push(
    "[::1%lo]:1",
    "a b:1",
    "-a:1",
    "a-:1",
    "a..b:1",
    "a:1\n",
    "a#:1",
    `${"a".repeat(64)}:1`,
  );
  for (const text of refused) t.notOk(addressValue.safeParse(text).success, JSON.stringify(text));
  t.end();
});

t.test("durations and sizes: read and written", (t) => {
  for (const text of ["1ms", "300ms", "90s", "2m", "12h", "2d"]) {
    t.equal(formatDuration(parseDuration(text) ?? -1), text);
  }
  for (const text of ["1B", "64kB", "16MB", "3GB"])
    t.equal(formatSize(parseSize(text) ?? -1), text);
  for (const text of ["", "1", "s", "1 s", "-1s", "1.5s", "1S", "1s\n", "1constructor"]) {
    t.equal(parseDuration(text), undefined, JSON.stringify(text));
  }
  t.equal(parseSize("1mb"), undefined);
  t.end();
});

/** A folder with environment files, and the texts of two examples with secrets in the folder. */
async function examples(t: Test): Promise<{ folder: string; production: string; kamal: string }> {
  const folder = t.testdir({ "pgbouncer.password": `${secretText}\n` });
  await chmod(join(folder, "pgbouncer.password"), 0o600);
  await writeFile(join(folder, "registry.token"), `${secretText}\n`);
  await chmod(join(folder, "registry.token"), 0o600);
  const text = await readFile("config/production.example.yml", "utf8");
  const production = text.replaceAll("file:/etc/switchyard/", `file:${folder}/`);
  await writeFile(join(folder, "production.yml"), production);
  await writeFile(
    join(folder, "staging.yml"),
    await readFile("config/staging.example.yml", "utf8"),
  );
  await writeFile(join(folder, "production.example.yml"), "this is no environment");
  const kamal = await readFile("config/kamal.example.yml", "utf8");
  await copyFile("test/fixtures/kamal/made-from-facts.yml", join(folder, "production.kamal.yml"));
  return { folder, production, kamal };
}

const exampleVariables = {
  SWITCHYARD_PASSWORD: secretText,
  EDGE_POOLER_PASSWORD: secretText,
  POOL_GATE_TOKEN: secretText,
  NODE_POOLER_PASSWORD: secretText,
  REGISTRY_TOKEN: secretText,
  DNS_RESOLVER_TOKEN: secretText,
};

t.test("both examples load, by name and by alias", async (t) => {
  const { folder } = await examples(t);
  t.same(await listEnvironments(folder), ["production", "staging"]);
  for (const [word, name] of [
    ["production", "production"],
    ["prod", "production"],
    ["stage", "staging"],
  ] as const) {
    const environment = await loadEnvironment(word, { folder, variables: exampleVariables });
    t.equal(environment.name, name);
    t.equal(environment.file, join(folder, `${name}.yml`));
    t.equal(environment.login.password.reveal(), secretText);
  }
});

t.test("the example with a monitor loads", async (t) => {
  const text = await readFile("config/monitor.example.yml", "utf8");
  const variables = { SWITCHYARD_PASSWORD: secretText, AUTOCTL_NODE_PASSWORD: secretText };
  const read = await parseEnvironment(text, { name: "x", file: "x.yml", variables });
  t.match(read.monitor, { formation: "default", group: 0, user: "autoctl_node" });
  t.ok(isMonitored(read));
});

/** The paths of all keys in a parsed file, with [] for a place in a list. */
function pathsIn(value: unknown, path = ""): string[] {
  if (Array.isArray(value)) return value.flatMap((one) => pathsIn(one, `${path}[]`));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) => {
    const own = path === "" ? key : `${path}.${key}`;
    return [own, ...pathsIn(one, own)];
  });
}

t.test("the Kamal example loads, with what Kamal knows", async (t) => {
  const { folder, kamal } = await examples(t);
  const source = { name: "production", file: join(folder, "x.yml"), variables: exampleVariables };
  const { members } = await parseEnvironment(kamal, source);
  t.same(
    members.map((one) => one.control?.container),
    ["orders-postgres-dal-01", "heatwave-pg"],
  );
});

t.test("the examples have every key, and the reference describes every key", async (t) => {
  const { production, kamal } = await examples(t);
  const monitor = await readFile("config/monitor.example.yml", "utf8");
  const keys = schemaKeys();
  t.same(
    [...new Set([production, kamal, monitor].flatMap((one) => pathsIn(parse(one))))].toSorted(),
    keys.map((key) => key.path).toSorted(),
  );
  const reference = await readFile("docs/configuration.md", "utf8");
  const rows = [...reference.matchAll(/^\| `([^`]+)` \| (.+?) \| (.+?) \| (.+) \|$/gm)];
  t.same(
    rows.map(([, path, notation, fallback]) => ({ path, notation, fallback })),
    keys.map((key) => ({
      path: key.path,
      notation: key.notation === "" ? `a ${key.kind}` : key.notation,
      fallback: fallbackCell(key.required, key.fallback),
    })),
  );
});

function fallbackCell(required: boolean, fallback: string | undefined): string {
  if (required) return "required";
  return fallback === undefined || fallback === "[]" ? "none" : `\`${fallback}\``;
}

t.test("no secret of an environment can be printed", async (t) => {
  const { folder } = await examples(t);
  const environment = await loadEnvironment("prod", { folder, variables: exampleVariables });
  const secrets: Secret[] = [];
  const walk = (value: unknown): void => {
    if (value instanceof Secret) secrets.push(value);
    else if (typeof value === "object" && value !== null) Object.values(value).forEach(walk);
  };
  walk(environment);
  t.equal(secrets.length, 8, "login, two node poolers, two edge poolers, their gates, registry");
  for (const secret of secrets) t.equal(secret.reveal(), secretText);
  const printed = {
    json: JSON.stringify(environment),
    inspected: inspect(environment, { depth: null, showHidden: true, getters: true }),
    texts: secrets.map((secret) => `${String(secret)} ${[secret].join("")}`).join(),
    error: inspect(new Error("x", { cause: environment.login }), { depth: null }),
    assigned: JSON.stringify(secrets.map((secret) => Object.assign({}, secret))),
    redacted: JSON.stringify(redactEnvironment(environment)),
  };
  for (const [how, text] of Object.entries(printed)) t.notMatch(text, secretText, how);
  t.equal(printed.redacted.split("[redacted]").length - 1, 8);
});

t.test("a redacted environment is written as the file is, and reads as the same", async (t) => {
  const { folder } = await examples(t);
  for (const name of ["production", "staging"]) {
    const environment = await loadEnvironment(name, { folder, variables: exampleVariables });
    const text = JSON.stringify({
      ...redactEnvironment(environment),
      name: undefined,
      file: undefined,
    });
    const again = await parseEnvironment(text.replaceAll("[redacted]", "${PASSWORD}"), {
      name,
      file: environment.file,
      variables,
    });
    t.same(again, environment);
  }
});

/** Numbers from 0 to below `limit`, the same ones for the same seed (a linear congruence). */
function dice(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

t.test("whatever is in the file, it loads or it is refused in words", async (t) => {
  const { production } = await examples(t);
  const seed = Number(process.env["SWITCHYARD_TEST_SEED"] ?? process.pid);
  t.comment(`seed ${seed}: SWITCHYARD_TEST_SEED=${seed} repeats it`);
  const roll = dice(seed);
  const lines = production.split("\n").filter((line) => !/^\s*#/.test(line));
  const strange = [
    "",
    ":",
    "- ",
    "~",
    "[",
    "{a: 1}",
    '"',
    "\t",
    "&a *a",
    "!!set",
    "1e999",
    "\u0000",
  ];
  let refusals = 0;
  for (let round = 0; round < 150; round += 1) {
    const changed = [...lines];
    const at = roll(changed.length);
    const line = changed[at] ?? "";
    const cut = roll(line.length + 1);
    changed[at] = line.slice(0, cut) + (strange[roll(strange.length)] ?? "") + line.slice(cut + 1);
    const text = changed.join("\n");
    try {
      await parseEnvironment(text, { name: "x", file: "x.yml", variables: exampleVariables });
    } catch (error) {
      refusals += 1;
      const { code, message } = error as { code?: string; message: string };
      if (code === "ERR_CONFIG" && !/undefined|\[object|NaN/.test(message)) continue;
      t.fail(`line ${at + 1} as ${JSON.stringify(changed[at])}: ${message}`);
    }
  }
  t.ok(refusals > 50, `${refusals} of 150 were refused`);
});

t.test("secret files", async (t) => {
  // Not below the checkout: that may lie where others cannot come at all, and then nothing is open.
  const folder = await mkdtemp(join(tmpdir(), "switchyard-secrets-"));
  t.teardown(() => rm(folder, { recursive: true }));
  await chmod(folder, 0o755);
  await mkdir(join(folder, "dir"));
  const texts = { good: secretText, empty: "\n", long: "x".repeat(5000) };
  for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text);
  for (const name of ["good", "empty", "long"]) await chmod(join(folder, name), 0o640);
  const open = join(folder, "open");
  await writeFile(open, secretText);
  await chmod(open, 0o604);
  const writable = join(folder, "writable");
  await writeFile(writable, secretText);
  await chmod(writable, 0o602);
  await symlink(open, join(folder, "link"));
  await mkdir(join(folder, "closed"));
  await writeFile(join(folder, "closed", "open"), secretText);
  await chmod(join(folder, "closed"), 0o700);
  const say = (name: string): Promise<string> =>
    complaints(withLogin({ password: `file:${join(folder, name)}` }));
  t.equal(await say("good"), "");
  t.equal(await say("closed/open"), "", "others cannot come as far as this file");
  t.match(await say("none"), /login\.password: cannot read .*none: ENOENT/);
  t.match(await say("dir"), /login\.password: .*dir is not a regular file/);
  t.match(await say("empty"), /login\.password: .*empty is empty/);
  t.match(await say("long"), /login\.password: .*long has 5000 bytes: expected at most 4096/);
  t.match(await say("open"), /open can be read by every user of this machine: chmod 600 .*open/);
  t.match(await say("link"), /link can be read by every user/, "a link is as open as its target");
  t.match(await say("writable"), /writable can be written by every user/);
});

t.test("secrets that another user's files hold are one line, with each key", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-secrets-"));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "mine"), secretText, { mode: 0o000 });
  const config = { folder, variables: exampleVariables };
  const { production } = await examples(t);
  const mine = `"file:${join(folder, "mine")}"`;
  const text = production
    .replace(/password: .*/g, `password: ${mine}`)
    .replace(/token: file:.*/g, `token: ${mine}`);
  const keys = text.match(/(password|token): "file:/g)?.length ?? 0;
  await writeFile(join(folder, "production.yml"), `${text}\nnonsense: true\n`);
  await chmod(folder, 0o755);
  // Root reads everything: the test looks as the user nobody.
  const before = process.geteuid?.() ?? 0;
  if (before === 0) process.seteuid?.(65_534);
  const error = await loadEnvironment("production", config).catch((one: Error) => one);
  if (before === 0) process.seteuid?.(before);
  const lines = (error as Error).message.split("\n");
  t.equal(lines.length, 2, (error as Error).message);
  t.match(
    lines[0],
    new RegExp(
      `production\\.yml: cannot read ${keys} secrets under ${folder} as u\\S+ \\S+: permission denied \\(login\\.password, members\\[0\\]`,
    ),
  );
  t.match(lines[1], /nonsense: unknown key/, "what else is wrong has its line");
});

t.test("files that cannot be found or read", async (t) => {
  const { folder } = await examples(t);
  const say = async (name: string): Promise<string> => {
    try {
      await loadEnvironment(name, { folder, variables: exampleVariables });
      return "";
    } catch (error) {
      return `${(error as { code: string }).code} ${(error as Error).message}`;
    }
  };
  t.match(await say("nowhere"), /^ERR_CONFIG_UNKNOWN_ENVIRONMENT unknown environment "nowhere"/);
  t.match(await say("nowhere"), /\(there is production, staging\)$/);
  t.match(await say("staging2"), /did you mean staging\?$/);
  t.match(await say("../production"), /^ERR_CONFIG_UNKNOWN_ENVIRONMENT/, "a name is not a path");
  t.match(await say("production.example"), /^ERR_CONFIG_UNKNOWN_ENVIRONMENT/);
  await writeFile(join(folder, "other.yml"), "aliases: [stage, alone]\nnonsense: true");
  t.match(await say("stage"), /alias stage stands in other and staging: use a full name/);
  t.match(await say("alone"), /other\.yml: nonsense: unknown key/, "found by alias all the same");
  await writeFile(join(folder, "broken.yml"), "a: b: c");
  t.equal(await say("prod"), "", "a broken file does not stand in another's way");
  t.match(await say("nowhere"), /, broken\.yml cannot be read\)/);
  await mkdir(join(folder, "folder.yml"));
  t.match(await say("folder"), /^ERR_CONFIG cannot read .*folder\.yml: not a regular file$/);
  await writeFile(join(folder, "long.yml"), `# ${"x".repeat(256 * 1024)}`);
  t.match(
    await say("long"),
    /cannot read .*long\.yml: it has 262146 bytes, expected at most 262144/,
  );
  await symlink(join(folder, "gone"), join(folder, "dangling.yml"));
  t.match(await say("dangling"), /cannot read .*dangling\.yml: ENOENT/);
  await t.rejects(listEnvironments(join(folder, "none")), /cannot list .*none: ENOENT/);
});

t.test("a command that needs no secret reads none", async (t) => {
  const source = { name: "x", file: "x.yml", variables: {} };
  const text = JSON.stringify(base);
  await t.rejects(parseEnvironment(text, source), { code: "ERR_CONFIG" });
  const { login } = await parseEnvironment(text, { ...source, withoutSecrets: true });
  t.throws(() => login.password.reveal(), /left unread/);
  t.equal(JSON.stringify(login.password), '"[redacted]"');
});
