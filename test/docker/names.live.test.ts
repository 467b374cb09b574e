/** Names in a lab of containers: each container asks the resolver of its site, and lives without it. */
import t from "tap";
import { inCheckout } from "../../kit/checkout.ts";
import { runChild } from "../../kit/child.ts";
import { eventually } from "../../kit/clock.ts";
import type { DockerEngine } from "../../kit/docker-engine.ts";
import { labImages } from "../../lab/driver/docker-images.ts";
import { containerName, dnsOf, labLabels, networkName } from "../../lab/driver/docker-names.ts";
import { engineHere } from "../support/containers.ts";
import { withLab } from "../support/lab.ts";
import type { TestLab } from "../support/lab.ts";

const found = await engineHere();
const skip = typeof found === "string" ? found : false;
const asking = ["dal-01/postgres", "chi-02/pooler", "app-01/router", "app-01/gate"] as const;

/** What `program` printed in a container; rejects when it ends with another code than 0. */
async function printed(
  engine: DockerEngine,
  container: string,
  argv: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const { code, stdout, stderr } = await engine.exec(container, argv, { deadlineMs: 40_000, env });
  if (code !== 0) throw new Error(`${argv.join(" ")} in ${container}: ${code}: ${stderr}`);
  return stdout.trim();
}

/** The address that the C library of a container finds for a name, by one question. */
async function lookedUp(engine: DockerEngine, container: string, name: string): Promise<string> {
  const line = await printed(engine, container, ["getent", "ahostsv4", name]);
  return line.split(/\s+/)[0] ?? "";
}

/** A container elsewhere on the tailnet, which reaches both members; it goes with the lab. */
async function stranger(engine: DockerEngine, { model, place }: TestLab): Promise<string> {
  const name = `${model.name}-stranger`;
  const { postgres: image } = await labImages();
  await engine.create({
    ...{ name, image, entrypoint: ["sleep"], command: ["infinity"] },
    networks: [{ network: networkName(model, "tailnet") }],
    dns: model.resolvers.map(({ dns }) => dns.host),
    labels: labLabels(place.root, model.name),
  });
  await engine.start(name);
  return name;
}

t.test("names of a lab of containers", { skip }, async (t) => {
  if (typeof found === "string") throw new TypeError(found);
  const engine = found;
  t.teardown(() => engine.close());
  const lab = await withLab(t, { driver: "docker", names: true });
  const nameOf = (part: string): string => containerName(lab.model, lab.part(part));
  const primary = `primary.${lab.name}.temps.local`;
  const [dal, chi] = lab.json.members.map(({ postgres }) => postgres.host);
  const everywhere = async (): Promise<string[]> =>
    await Promise.all(asking.map((part) => lookedUp(engine, nameOf(part), primary)));
  const elsewhere = await stranger(engine, lab);
  const { user, password, database } = lab.json;
  const question = "SELECT host(inet_server_addr()), pg_is_in_recovery()";
  const login = ["-h", primary, "-U", user, database, "-Atc", question];
  const throughPsql = async (): Promise<string> =>
    await printed(engine, elsewhere, ["psql", ...login], { PGPASSWORD: password });

  await t.test("the registry and the resolvers are containers as the others", async (t) => {
    t.strictSame(
      lab.json.resolvers.map(({ name }) => name),
      ["dallas", "chicago"],
      "one on each host of containers",
    );
    for (const part of ["ctl-01/registry", "dallas/resolver", "chicago/resolver"]) {
      const what = `${part} is healthy`;
      await eventually(what, { deadlineMs: 60_000, intervalMs: 500 }, async () => {
        const facts = await engine.inspect(nameOf(part));
        return facts?.health === "healthy" ? true : undefined;
      });
      const id = await printed(engine, nameOf(part), ["id", "-un"]);
      t.equal(id, "switchyard", `${part} is not root, whatever its port`);
    }
    const status = ["/switchyard/bin/dns-resolver", "status", "--json"];
    const json = await printed(engine, nameOf("dallas/resolver"), status);
    t.match(JSON.parse(json), { state: "ready" });
  });

  await t.test("each container finds the primary by name, and its neighbours", async (t) => {
    t.strictSame(
      await everywhere(),
      asking.map(() => dal),
    );
    t.equal(await throughPsql(), `${dal}|f`);
    const neighbour = await lookedUp(engine, nameOf("app-01/router"), nameOf("dal-01/postgres"));
    t.match(neighbour, /^10\.213\./);
    t.not(neighbour, dal, "in the network of their site");
  });

  await t.test("after a flip they find the other one", async (t) => {
    const words = [lab.name, "flip-db", "--yes"];
    const flip = await eventually("a flip", { deadlineMs: 90_000, intervalMs: 500 }, async () => {
      const options = { deadlineMs: 60_000, accept: [0, 1, 3] };
      const done = await runChild(inCheckout("bin/recovery"), words, options);
      // Refused: on a busy machine a look may take longer than it may, and nothing was done.
      return done.code === 3 ? undefined : done;
    });
    t.equal(flip.code, 0, flip.stderr);
    t.strictSame(
      await everywhere(),
      asking.map(() => chi),
    );
    t.equal(await throughPsql(), `${chi}|f`, "the same container, without another word");
  });

  await t.test("without the resolver of its site the other one answers", async (t) => {
    await lab.run("stop", "dallas/resolver");
    t.equal(await lookedUp(engine, nameOf("app-01/gate"), primary), chi);
  });

  await t.test("without any, containers start, and find each other", async (t) => {
    await lab.run("kill", "chicago/resolver");
    const gate = nameOf("app-01/gate");
    await engine.restart(gate, 5);
    t.ok(await lookedUp(engine, gate, nameOf("app-01/edge")));
    await eventually("the gate answers", { deadlineMs: 20_000, intervalMs: 100 }, async () =>
      (await lab.status()).some((one) => one.part === "app-01/gate" && one.state === "running")
        ? true
        : undefined,
    );
    const [asked] = dnsOf(lab.model, lab.part("app-01/gate"), []) ?? [];
    const fresh = await engine.openContainer({
      image: (await labImages()).switchyard,
      entrypoint: ["getent", "hosts", gate],
      networks: [{ network: networkName(lab.model, "dallas") }],
      dns: [asked ?? ""],
    });
    let said = "";
    fresh.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
    t.match(await fresh.ended, { code: 0 });
    t.match(said, new RegExp(`^10\\.213\\.\\S+ +${gate}`), "also one that is made only now");
    await lab.run("start", "chicago/resolver");
    t.equal(await lookedUp(engine, nameOf("chi-02/pooler"), primary), chi, "and back again");
  });
});
