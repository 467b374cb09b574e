/** bin/lab as an operator runs it: what up gives, what down leaves, and what is refused. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { access, copyFile, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import type { Test } from "tap";
import { loadEnvironment } from "../../config/load.ts";
import { inCheckout } from "../../kit/checkout.ts";
import { runChild } from "../../kit/child.ts";
import type { ChildResult } from "../../kit/child.ts";
import { holdPlace } from "../../lab/claim.ts";
import { labDown } from "../../lab/down.ts";
import { listCuts } from "../../lab/driver/faults.ts";
import type { LabModel } from "../../lab/model.ts";
import { labPlace } from "../../lab/place.ts";
import { processesOf, processesUnder, signalProcess } from "../../lab/driver/processes.ts";
import { environmentHead } from "../../lab/environment.ts";
import { withLock } from "../../lab/lock.ts";
import { freeIndexes, labFolder, modelOf, readState, requireState } from "../../lab/state.ts";
import type { LabSummary } from "../../lab/summary.ts";
import { checkProcesses } from "../../lab/driver/process-place.ts";
import { upHeldAt } from "../support/held-up.ts";
import { withLab } from "../support/lab.ts";
import { checkSettings, letsIn, unusualWords } from "../support/lab-checks.ts";

const checkout = inCheckout("");
const place = await labPlace();
const nameOf = (number: number): string => `t${process.pid}-${900 + number}`;

/** Runs bin/lab to its end; every exit code is a result. */
async function lab(...words: string[]): Promise<ChildResult> {
  const accept = [0, 1, 3, 4, 64, 69, 75, 78];
  return await runChild(join(checkout, "bin/lab"), words, { deadlineMs: 120_000, accept });
}

/** The same, for who speaks to an engine of another machine. */
async function labFromAfar(...words: string[]): Promise<ChildResult> {
  const all = ["DOCKER_HOST=tcp://127.0.0.1:1", join(checkout, "bin/lab"), ...words];
  return await runChild("/usr/bin/env", all, { deadlineMs: 60_000, accept: [0, 69] });
}

/** What of a lab is on this machine: processes, files, packet rules. */
async function remains(name: string, model: LabModel | undefined): Promise<string[]> {
  const folder = labFolder(place, name);
  const files = [folder, join(place.configFolder, `${name}.yml`)];
  const there = await Promise.all(
    files.map((file) =>
      access(file).then(
        () => [file],
        () => [],
      ),
    ),
  );
  const parts = [...processesOf(model?.parts ?? [])].flatMap(([part, seen]) =>
    seen.map(({ pid }) => `${part} ${pid}`),
  );
  const others = processesUnder(folder).map(({ pid }) => `process ${pid}`);
  const ruleset = place.privileged
    ? await runChild("/usr/sbin/nft", ["list", "tables"], { deadlineMs: 30_000 })
    : { stdout: "" };
  const tables = ruleset.stdout.split("\n").filter((line) => line.includes(name.replace("-", "_")));
  return [...there.flat(), ...parts, ...others, ...tables];
}

t.test("up, all there is about it, and down", async (t) => {
  const name = nameOf(1);
  t.teardown(() => labDown(place, name));
  const up = await lab("up", "--name", name, "--json", ...unusualWords);
  t.equal(up.code, 0, up.stderr);
  t.match(up.stdout, /^\{.*\}\n$/, "one object on one line, and nothing else");
  const json = JSON.parse(up.stdout) as LabSummary;
  const state = await requireState(place, name);
  const model = modelOf(place, state);
  const passwords = [json.password, json.superuser.password];
  for (const one of passwords) t.notOk(up.stderr.includes(one), "no password among the progress");

  await letsIn(t, json);
  for (const { runtime } of json.routers) await access(runtime.replace(/^unix:/, ""));
  const environment = await loadEnvironment(name, { folder: place.configFolder });
  t.strictSame(
    environment.members.map((one) => one.postgres),
    json.members.map((one) => one.postgres),
  );

  for (const member of json.members) await checkSettings(t, member, json.superuser);
  const seen = processesOf(model.parts.filter((one) => one.kind === "postgres"));
  t.ok([...seen.values()].every((one) => one.length > 1));
  for (const { pid } of [...seen.values()].flat()) {
    // A background worker may have ended since.
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    t.notMatch(status, /^Uid:\s+0\b/m, "Postgres never runs as root");
  }
  const secrets = join(model.folder, "secrets");
  const modes = await runChild("/usr/bin/find", [secrets, "-perm", "/077"], { deadlineMs: 30_000 });
  t.equal(modes.stdout, "", "secrets are for their owner alone");

  const again = await lab("up", "--name", name, "--json");
  t.equal(again.code, 0);
  t.equal(again.stdout, up.stdout, "a second up says the same");
  t.match(again.stderr, /is up already/);
  const other = await lab("up", "--name", name, "--app-hosts", "1");
  t.equal(other.code, 3, "another lab than the one that stands");
  t.match(other.stderr, /app hosts 2 instead of 1; nothing was changed: bin\/lab down/);

  const status = JSON.parse((await lab("status", "--json", "--name", name)).stdout) as {
    parts: { part: string; state: string; pid: number }[];
    cuts: unknown[];
  };
  t.strictSame(
    status.parts.map((one) => `${one.part} ${one.state}`),
    model.parts.map((one) => `${one.name} running`),
  );
  t.strictSame(status.cuts, []);

  const file = join(place.configFolder, `${name}.yml`);
  const copy = join(place.configFolder, `${name}c.yml`);
  t.teardown(() => Promise.all([file, copy].map((one) => rm(one, { force: true }))));
  await copyFile(file, copy);
  const none = await lab("down", "--name", `${name}c`);
  t.match(none.stderr, /there is no lab/);
  const taken = await lab("up", "--name", `${name}c`);
  t.equal(taken.code, 3, "what is another lab's environment is no name for a lab");
  t.match(taken.stderr, /is the environment of a lab .* in another place/);
  t.equal(await readFile(copy, "utf8"), await readFile(file, "utf8"), "it is not this lab's file");

  const down = await lab("down", "--name", name);
  t.equal(down.code, 0, down.stderr);
  t.strictSame(await remains(name, model), []);
  await writeFile(file, `${environmentHead}\n`);
  t.match((await lab("down", "--name", name)).stderr, /there is no lab/);
  await access(file);
  await rm(file);
  const twice = await lab("down", "--name", name);
  t.equal(twice.code, 0);
  t.match(twice.stderr, /there is no lab/);
});

/** A Node that is none of the lab's and stands in its folder, as an operator's might. */
async function visit(t: Test, folder: string): Promise<ChildProcess> {
  const script = "process.stdout.write('here'); process.stdin.resume()";
  const visitor = spawn(process.execPath, ["-e", script], {
    cwd: folder,
    stdio: ["pipe", "pipe", "ignore"],
  });
  t.teardown(() => visitor.kill("SIGKILL"));
  await once(visitor.stdout, "data");
  return visitor;
}

t.test("down after a crash of everything, with a cut, and without lab.json", async (t) => {
  const one = await withLab(t);
  if (place.privileged) {
    await one.run("cut", "dal-01", "chi-02");
    t.strictSame(await listCuts(one.model), [["chi-02", "dal-01"]]);
  }
  // What stands in the place of a part is never taken for the part.
  t.throws(() => checkProcesses(one.model), {
    code: "ERR_LAB_UNAVAILABLE",
    message: /needs the place of dal-01\/postgres.*pid [0-9]+/,
  });
  // With lab.json gone its place counts as free: whoever comes leaves it alone, and goes elsewhere.
  const stateFile = join(one.model.folder, "lab.json");
  const before = await one.status();
  await rename(stateFile, `${stateFile}.away`);
  const other = nameOf(8);
  t.teardown(() => labDown(place, other));
  const beside = await lab("up", "--name", other);
  await rename(`${stateFile}.away`, stateFile);
  t.equal(beside.code, 0, beside.stderr);
  t.not((await requireState(place, other)).index, one.model.index);
  t.strictSame(await one.status(), before, "the lab that stands there goes on");
  t.equal((await lab("down", "--name", other)).code, 0);
  t.strictSame(await one.status(), before, "and after the other's end too");
  await one.run("freeze", "chi-02/postgres");
  // Main processes only: what they leave behind is for down to find.
  for (const { pid } of (await one.status()).filter((part) => part.part.startsWith("dal-01"))) {
    if (pid !== null) signalProcess(pid, "SIGKILL");
  }
  await rm(join(one.model.folder, "lab.json"));
  const visitor = await visit(t, one.model.folder);
  // It may have been a lab of containers, but not one of an engine that runs none.
  const down = await labFromAfar("down", "--name", one.name);
  t.equal(down.code, 0, down.stderr);
  t.strictSame(await remains(one.name, one.model), []);
  const twice = await labFromAfar("down", "--name", one.name);
  t.equal(twice.code, 0, twice.stderr);
  t.match(twice.stderr, /there is no lab/);
  t.equal(visitor.exitCode ?? visitor.signalCode, null, "an operator's own Node goes on");
  t.doesNotThrow(() => checkProcesses(one.model));
});

/** Takes the two lowest places: one as a lab of another user that is being made, one by an address. */
async function squat(t: Test): Promise<number[]> {
  // As an up does it: while nobody else looks for a place.
  return await withLock("lab-index", { purpose: "a test" }, async () => {
    const taken: number[] = [];
    for (const index of await freeIndexes(place)) {
      const settle = await holdPlace(index, nameOf(7)).catch(() => undefined);
      if (settle === undefined) continue;
      taken.push(index);
      if (taken.length === 1) {
        t.teardown(settle);
        continue;
      }
      const squatter = createServer();
      t.teardown(() => squatter.close());
      squatter.listen({ host: `127.${10 + index}.0.2`, port: 6432 });
      await once(squatter, "listening");
      settle();
      break;
    }
    return taken;
  });
}

t.test("what something else has moves the lab to the next place", async (t) => {
  const taken = await squat(t);
  t.equal(taken.length, 2);
  const one = await withLab(t);
  t.notOk(taken.includes(one.model.index), "neither is taken");
  t.ok((await one.status()).every((part) => part.state === "running"));
});

t.test("two labs at the same moment, and one lab twice at the same moment", async (t) => {
  const [first, second] = [nameOf(2), nameOf(3)];
  t.teardown(() => Promise.all([labDown(place, first), labDown(place, second)]));
  const ups = await Promise.all(
    [first, second, first].map((name) => lab("up", "--name", name, "--json")),
  );
  t.strictSame(
    ups.map((one) => one.code),
    [0, 0, 0],
    ups.map((one) => one.stderr).join(""),
  );
  const [a, b, c] = ups.map((one) => JSON.parse(one.stdout) as LabSummary);
  t.not(a?.write.host, b?.write.host);
  t.strictSame(a, c);
});

for (const [number, signal, code] of [
  [4, "SIGINT", 4],
  [5, "SIGKILL", null],
] as const) {
  t.test(`an up that is ended by ${signal}`, async (t) => {
    const name = nameOf(number);
    t.teardown(() => labDown(place, name));
    // In the middle: one Postgres runs, the other is being copied.
    const up = await upHeldAt(t, "primary runs", ["--name", name]);
    const state = await readState(place, name);
    t.equal(state?.phase, "making");
    const model = state === undefined ? undefined : modelOf(place, state);
    t.not((await remains(name, model)).length, 0);
    t.strictSame(await up.end(signal), code === null ? [null, signal] : [code, null]);
    if (code === null) {
      t.match((await lab("stop", "dal-01", "--name", name)).stderr, /was never finished/);
      t.equal((await lab("down", "--name", name)).code, 0);
    }
    t.strictSame(await remains(name, model), []);
  });
}
