/** bin/lab up --driver docker as an operator runs it: what is there, what goes, and what is refused. */
import { access, appendFile, chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { inCheckout } from "../../kit/checkout.ts";
import { runChild } from "../../kit/child.ts";
import type { ChildResult } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import type { DockerEngine } from "../../kit/docker-engine.ts";
import { labImages } from "../../lab/driver/docker-images.ts";
import { containerName, labLabels, networkName } from "../../lab/driver/docker-names.ts";
import { labDown } from "../../lab/down.ts";
import { labPlace } from "../../lab/place.ts";
import { labFolder, modelOf, requireState } from "../../lab/state.ts";
import type { LabSummary } from "../../lab/summary.ts";
import { engineWithARival, withVolume } from "../lab/volumes.ts";
import { engineHere } from "../support/containers.ts";
import { upHeldAt } from "../support/held-up.ts";
import { checkSettings, letsIn, unusualWords } from "../support/lab-checks.ts";

const found = await engineHere();
const skip = typeof found === "string" ? found : false;
const place = await labPlace({ engine: process.env["DOCKER_HOST"] });
const nameOf = (number: number): string => `t${process.pid}-${700 + number}`;

function engineOr(): DockerEngine {
  if (typeof found === "string") throw new TypeError(found);
  return found;
}

/** Runs bin/lab to its end; every exit code is a result. */
async function lab(words: readonly string[], env?: Record<string, string>): Promise<ChildResult> {
  return await runChild(inCheckout("bin/lab"), words, {
    deadlineMs: 180_000,
    accept: [0, 1, 3, 4, 64, 69, 75, 78],
    ...(env === undefined ? {} : { env: { PATH: process.env["PATH"] ?? "", ...env } }),
  });
}

/** What of a lab is on this machine and on its engine. */
async function remains(name: string): Promise<string[]> {
  const engine = engineOr();
  const labels = labLabels(undefined, name);
  const files = [labFolder(place, name), join(place.configFolder, `${name}.yml`)];
  const there = await Promise.all(
    files.map((file) =>
      access(file).then(
        () => [file],
        () => [],
      ),
    ),
  );
  const containers = await engine.list(labels);
  const links = await engine.listNetworks(labels);
  const rules = place.privileged
    ? await runChild("/usr/sbin/nft", ["list", "tables"], { deadlineMs: 30_000 })
    : { stdout: "" };
  return [
    ...there.flat(),
    ...containers.map((one) => `container ${one.name}`),
    ...(await engine.listVolumes(labels)).map((one) => `volume ${one}`),
    ...(containers.length > 0 ? links : await unlessMiscounted(links)).map(
      (one) => `network ${one}`,
    ),
    ...rules.stdout.split("\n").filter((line) => line.includes(name.replace("-", "_"))),
  ];
}

/**
 * Those of these networks without containers that the engine would remove. It may hold on to one whose
 * ends it has miscounted, as it may after an up that was killed, and `lab down` passes over that.
 */
async function unlessMiscounted(links: readonly string[]): Promise<string[]> {
  const left: string[] = [];
  for (const one of links) {
    const why = await engineOr()
      .removeNetwork(one)
      .then(
        () => "it could be removed",
        (error: Error) => error.message,
      );
    if (!why.includes("active endpoints")) left.push(one);
  }
  return left;
}

t.teardown(() => {
  if (typeof found !== "string") found.close();
});

t.test("up, all there is about it, and down", { skip }, async (t) => {
  const engine = engineOr();
  const name = nameOf(1);
  t.teardown(() => labDown(place, name));
  const up = await lab(["up", "--driver", "docker", "--name", name, "--json", ...unusualWords]);
  t.equal(up.code, 0, up.stderr);
  t.match(up.stdout, /^\{.*\}\n$/, "one object on one line, and nothing else");
  const json = JSON.parse(up.stdout) as LabSummary;
  const model = modelOf(place, await requireState(place, name));
  await letsIn(t, json);
  for (const member of json.members) await checkSettings(t, member, json.superuser);

  const seen = await engine.list(labLabels(place.root, name));
  t.strictSame(
    seen.map((one) => one.name).toSorted(),
    model.parts.map((part) => containerName(model, part)).toSorted(),
  );
  t.ok(
    seen.some((one) => one.name === `${name}-haproxy-app-02`),
    "named as Kamal names them",
  );
  for (const facts of seen) {
    t.equal(facts.restart, "unless-stopped", facts.name);
    t.notMatch(facts.user, /^(root|0)?$/, `${facts.name} is not root`);
    t.equal(facts.networks.length, 2, `${facts.name} stands in its site and between them`);
  }
  const secrets = [json.password, json.superuser.password];
  for (const one of secrets) t.notOk(up.stderr.includes(one), "no password among the progress");
  const raw = await runChild("/usr/bin/docker", ["inspect", ...seen.map((one) => one.id)], {
    deadlineMs: 60_000,
  });
  for (const one of secrets) t.notOk(raw.stdout.includes(one), "nor in what the engine shows");
  await eventually(
    "every health check passes",
    { deadlineMs: 60_000, intervalMs: 500 },
    async () => {
      const now = await engine.list(labLabels(place.root, name));
      return now.every((one) => one.health === "healthy") ? true : undefined;
    },
  );

  const again = await lab(["up", "--name", name, "--json"]);
  t.equal(again.stdout, up.stdout, "a second up says the same");
  const other = await lab(["up", "--name", name, "--driver", "process"]);
  t.equal(other.code, 3);
  t.match(other.stderr, /driver docker instead of process; nothing was changed/);
  // A probe may take longer than it may while the machine is busy.
  await appendFile(join(place.configFolder, `${name}.yml`), "thresholds:\n  probe: 20s\n");
  const patience = { deadlineMs: 60_000, intervalMs: 500 };
  const topology = await eventually("topology finds nothing", patience, async () => {
    const options = { deadlineMs: 20_000, accept: [0, 1, 2] };
    const seen = await runChild(inCheckout("bin/recovery"), [name, "topology"], options);
    return seen.code === 0 ? seen : undefined;
  });
  t.match(topology.stdout, "dal-01");
  const gate = `${name}-pool-gate-app-01`;
  await engine.remove(gate);
  const start = await lab(["start", "app-01/gate", "--name", name]);
  t.equal(start.code, 1, start.stderr);
  t.match(
    start.stderr,
    new RegExp(`${gate} was removed: bin/lab down --name ${name}, and then up`),
  );
  const down = await lab(["down", "--name", name]);
  t.equal(down.code, 0, down.stderr);
  t.strictSame(await remains(name), []);
});

for (const [number, signal] of [
  [2, "SIGINT"],
  [3, "SIGKILL"],
] as const) {
  t.test(`an up that is ended by ${signal}`, { skip }, async (t) => {
    const name = nameOf(number);
    t.teardown(() => labDown(place, name));
    const up = await upHeldAt(t, "containers are made", ["--driver", "docker", "--name", name]);
    t.strictSame(await up.end(signal), signal === "SIGINT" ? [4, null] : [null, signal]);
    if (signal === "SIGKILL") {
      t.not((await remains(name)).length, 0);
      // Even what says so is gone: its labels tell.
      await rm(labFolder(place, name), { recursive: true });
      t.equal((await lab(["down", "--name", name])).code, 0);
    }
    t.strictSame(await remains(name), []);
  });
}

t.test("what is in the way, or missing, is said; nothing is left", { skip }, async (t) => {
  const engine = engineOr();
  const name = nameOf(4);
  t.teardown(() => labDown(place, name));
  const folder = await mkdtemp(join(tmpdir(), "switchyard-no-engine-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const up = ["up", "--driver", "docker", "--name", name];

  const network = networkName({ name }, "chicago");
  await engine.createNetwork(network, {});
  t.teardown(() => engine.removeNetwork(network));
  const taken = await lab(up);
  t.equal(taken.code, 69, taken.stderr);
  t.match(taken.stderr, new RegExp(`create network ${network} .*already exists`));
  await engine.removeNetwork(network);
  t.strictSame(await remains(name), []);

  const container = `${name}-pgbouncer-dal-01`;
  const { pgbouncer: image } = await labImages();
  await engine.create({ name: container, image, networks: [] });
  t.teardown(() => engine.remove(container));
  const named = await lab(up);
  t.equal(named.code, 69, named.stderr);
  t.match(named.stderr, new RegExp(`create container ${container} .*in use`));
  t.ok(await engine.inspect(container), "what is another's stays");
  await engine.remove(container);
  t.strictSame(await remains(name), []);

  const elsewhere = await lab(up, { DOCKER_HOST: "tcp://127.0.0.1:1" });
  t.equal(elsewhere.code, 69);
  t.match(elsewhere.stderr, /run on this machine.*DOCKER_HOST is tcp:/);
  const silent = await lab(up, { DOCKER_HOST: `unix://${folder}/docker.sock` });
  t.equal(silent.code, 69, silent.stderr);
  t.match(silent.stderr, /needs an engine and its images: .*docker\.sock/);
  t.strictSame(await remains(name), []);
});

t.test("a volume of the lab's name that is somebody else's stays as it is", { skip }, async (t) => {
  const engine = engineOr();
  const name = nameOf(5);
  t.teardown(() => labDown(place, name));
  const up = ["up", "--driver", "docker", "--name", name];
  const volume = `${name}-postgres-dal-01`;
  // That of another user's lab is as foreign as one that is no lab's at all.
  for (const labels of [{}, labLabels("/home/other/switchyard/lab", name)]) {
    await engine.createVolume(volume, labels);
    t.teardown(() => engine.removeVolume(volume));
    const content = "twenty years of orders";
    await withVolume(engine, volume, async (container) => {
      await engine.writeFiles(container, "/kept", [{ path: "lab.conf", content, mode: 0o600 }]);
    });
    const taken = await lab(up);
    t.equal(taken.code, 69, taken.stderr);
    t.match(taken.stderr, new RegExp(`name of volume ${volume}.*not the lab's.*is left alone`));
    t.notMatch(taken.stderr, /clearing away/, "nothing was made");
    await withVolume(engine, volume, async (container) => {
      t.strictSame(await engine.listFolder(container, "/kept"), ["lab.conf"]);
      t.equal(String(await engine.readFile(container, "/kept/lab.conf")), content);
    });
    t.equal((await lab(["down", "--name", name])).code, 0);
    t.ok((await engine.listVolumes(labels)).includes(volume), "down leaves it alone as well");
    await engine.removeVolume(volume);
    t.strictSame(await remains(name), []);
  }

  await engine.createVolume(volume, labLabels(place.root, name));
  const left = await lab(up);
  t.equal(left.code, 69, left.stderr);
  t.match(left.stderr, new RegExp(`volume ${volume} was left by.*bin/lab down --name ${name}`));
  t.strictSame(await remains(name), [`volume ${volume}`]);
  t.equal((await lab(["down", "--name", name])).code, 0);
  t.strictSame(await remains(name), []);
});

t.test("a volume that somebody makes in the same moment is not taken over", { skip }, async (t) => {
  const engine = engineOr();
  const name = nameOf(6);
  const foreign = async (): Promise<string[]> =>
    (await engine.listVolumes({})).filter((one) => one.startsWith(`${name}-`));
  t.teardown(async () => {
    await labDown(place, name);
    for (const one of await foreign()) await engine.removeVolume(one);
  });
  const words = ["up", "--driver", "docker", "--name", name];
  const raced = await lab(words, { DOCKER_HOST: await engineWithARival(t, place.engine) });
  t.equal(raced.code, 69, raced.stderr);
  t.match(raced.stderr, /name of volume .*not the lab's.*is left alone/);
  t.strictSame(await remains(name), []);
  const theirs = await foreign();
  t.ok(theirs.includes(`${name}-postgres-dal-01`));
  for (const one of theirs) {
    t.strictSame(
      await withVolume(
        engine,
        one,
        async (container) => await engine.listFolder(container, "/kept"),
      ),
      [],
      `nothing was written into ${one}`,
    );
  }
});

t.test("a user who may not use the engine", { skip }, async (t) => {
  if (!place.privileged) {
    t.pass("another user", { skip: "only root becomes another user" });
    return;
  }
  const home = await mkdtemp("/var/tmp/switchyard-docker-");
  t.teardown(() => rm(home, { recursive: true, force: true }));
  await chmod(home, 0o777);
  const script = `
    const { openEngine } = await import(${JSON.stringify(inCheckout("kit/docker.ts"))});
    const { readyImages } = await import(${JSON.stringify(inCheckout("lab/driver/docker-images.ts"))});
    const engine = openEngine({ url: ${JSON.stringify(place.engine)} });
    const options = { note: () => undefined, signal: new AbortController().signal };
    await readyImages(engine, options).catch((error) => console.log(error.code, error.message));
    engine.close();`;
  const run = await runChild(process.execPath, ["--input-type=module", "-e", script], {
    deadlineMs: 20_000,
    env: { PATH: "/usr/bin:/bin", HOME: home },
    uid: place.uid,
    gid: 65_534,
    accept: [0, 1],
  });
  t.match(run.stdout, /^ERR_DOCKER_ENGINE .*group docker/, run.stderr);
});
