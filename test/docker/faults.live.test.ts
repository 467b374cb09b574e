/** The faults of a lab of containers: those of every lab, and what containers alone do. */
import { parse, stringify } from "yaml";
import { readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import t from "tap";
import { imageUsers, poolerPaths } from "../../config/kamal-words.ts";
import { inCheckout } from "../../kit/checkout.ts";
import { runChild } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import { containerName } from "../../lab/driver/docker-names.ts";
import { engineHere } from "../support/containers.ts";
import { signalOne } from "../support/kill-process.ts";
import { ask, breaksParts, cutsParts, stateOf } from "../support/lab-faults.ts";
import { withLab } from "../support/lab.ts";

const soon = { deadlineMs: 60_000, intervalMs: 50 };
const engine = await engineHere();
const skip = typeof engine === "string" ? engine : false;
const root = process.getuid?.() === 0;

t.test("faults of a lab of containers", { skip }, async (t) => {
  if (typeof engine === "string") throw new TypeError(engine);
  t.teardown(() => engine.close());
  const lab = await withLab(t, { driver: "docker" });
  const nameOf = (part: string): string => containerName(lab.model, lab.part(part));
  await breaksParts(t, lab);

  await t.test("a process that ends by itself is started again by the engine", async (t) => {
    for (const part of ["dal-01/health", "app-01/gate", "app-01/edge", "app-01/router"]) {
      const before = (await engine.inspect(nameOf(part)))?.restarts ?? 0;
      const [status] = (await lab.status()).filter((one) => one.part === part);
      signalOne(status?.pid, "SIGKILL");
      await eventually(`${part} runs again`, soon, async () => {
        const facts = await engine.inspect(nameOf(part));
        return facts?.status === "running" && facts.restarts > before ? true : undefined;
      });
      t.equal(await stateOf(lab, part), "running", part);
    }
    await eventually("writes go through", soon, async () => {
      const client = await lab.connect(lab.json.edge);
      return (await ask(client, "SELECT 1")) === "1" ? true : undefined;
    });
  });

  await t.test("a pooler that is stopped lets a transaction end first", async (t) => {
    const client = await lab.connect(lab.json.edge);
    client.on("error", () => undefined);
    await client.query("CREATE TABLE carried (id int)");
    await client.query("BEGIN");
    await client.query("INSERT INTO carried VALUES (1)");
    const stopped = lab.run("stop", "app-01/edge");
    await eventually("the pooler was told", soon, async () =>
      /got SIG(INT|TERM)/.test(await engine.logs(nameOf("app-01/edge"), 20)) ? true : undefined,
    );
    t.equal(await stateOf(lab, "app-01/edge"), "running", "it waits");
    await client.query("COMMIT");
    await stopped;
    t.equal(await stateOf(lab, "app-01/edge"), "stopped");
    const facts = await engine.inspect(nameOf("app-01/edge"));
    t.equal(facts?.exitCode, 0, "by itself, and not by force");
    await lab.run("start", "app-01/edge");
    const rows = "SELECT count(*) FROM carried";
    t.equal(await ask(await lab.connect(lab.json.edge), rows), "1");
  });

  await t.test("kill holds what ends by itself at the same moment", async (t) => {
    for (const part of ["app-01/gate", "app-01/edge"]) {
      const pid = (await engine.inspect(nameOf(part)))?.pid;
      const killed = lab.run("kill", part);
      signalOne(pid, "SIGKILL");
      await killed;
      t.equal((await engine.inspect(nameOf(part)))?.status, "exited", `${part} is held`);
      await lab.run("start", part);
    }
  });

  await t.test(
    "a part that was killed stays down, and one that cannot start says why",
    async (t) => {
      await lab.run("kill", "app-01/edge");
      t.equal((await engine.inspect(nameOf("app-01/edge")))?.restart, "unless-stopped");
      t.equal(await stateOf(lab, "app-01/edge"), "crashed");
      const file = { path: "pgbouncer.ini", content: "[pgbouncer]\npool_mode = nonsense\n" };
      const good = await engine.readFile(nameOf("app-01/edge"), poolerPaths.ini);
      const owned = { mode: 0o600, uid: imageUsers.pgbouncer, gid: imageUsers.pgbouncer };
      await engine.writeFiles(nameOf("app-01/edge"), dirname(poolerPaths.ini), [
        { ...file, ...owned },
      ]);
      await t.rejects(lab.run("start", "app-01/edge"), {
        code: "ERR_LAB_PART",
        message: /^app-01\/edge: ended by itself: .*(FATAL|ERROR).*see docker logs /,
      });
      t.equal(await stateOf(lab, "app-01/edge"), "crashed");
      const back = { ...file, content: good ?? "" };
      await engine.writeFiles(nameOf("app-01/edge"), dirname(poolerPaths.ini), [
        { ...back, ...owned },
      ]);
      await lab.run("start", "app-01/edge");
      t.equal(await stateOf(lab, "app-01/edge"), "running");
    },
  );

  if (root) await cutsParts(t, lab);
  else t.pass("cuts", { skip: "only root may drop packets" });

  const unseparated = root ? false : "only root may drop packets";
  await t.test(
    "a container cannot reach what its own host published",
    { skip: unseparated },
    async (t) => {
      const router = nameOf("app-01/router");
      const reaches = async (host: string): Promise<boolean> => {
        const script = `timeout 5 bash -c '</dev/tcp/${host}/6432'`;
        const done = await engine.exec(router, ["bash", "-c", script], { deadlineMs: 30_000 });
        return done.code === 0;
      };
      const [dal, chi] = lab.json.members;
      t.equal(await reaches(dal?.pooler.host ?? ""), false, "dal-01 by its published address");
      t.equal(await reaches(nameOf("dal-01/pooler")), true, "dal-01 by its container's name");
      t.equal(await reaches(chi?.pooler.host ?? ""), true, "chi-02 by its published address");
      // Who addresses it so all the same is told before HAProxy would find out.
      const file = join(lab.configFolder, `${lab.name}.yml`);
      const wrong = `${lab.name}w`;
      const text = parse(await readFile(file, "utf8")) as { members: { local?: unknown }[] };
      for (const member of text.members) delete member.local;
      const wrongFile = join(lab.configFolder, `${wrong}.yml`);
      t.teardown(() => rm(wrongFile, { force: true }));
      await writeFile(wrongFile, stringify(text));
      const check = await runChild(inCheckout("bin/router"), [wrong, "check"], {
        deadlineMs: 60_000,
        accept: [0, 1, 3, 78],
      });
      t.not(check.code, 0);
      t.match(
        check.stdout + check.stderr,
        /a container can't reach a port that its own host published/,
      );
      t.match(check.stdout + check.stderr, /local: \{pooler: /, "and what to write instead");
    },
  );
});
