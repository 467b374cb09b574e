/** Three real resolvers behind one real registry: from a commit to every answer, and through its faults. */
import { spawn } from "node:child_process";
import { cp, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { runChild } from "../../../kit/child.ts";
import { eventually } from "../../../kit/clock.ts";
import { reconcile } from "../../../registry/client.ts";
import { ask } from "../../support/health-process.ts";
import { soon } from "./fake-registry.ts";
import { programPath, startResolverProcess, variablesOf } from "./resolver-process.ts";
import type { ResolverProcess } from "./resolver-process.ts";
import { testFolder } from "./sync-rig.ts";

const host = "127.63.0.9";
const url = `http://${host}:8053`;
const program = fileURLToPath(new URL("../../../bin/commands/registry.ts", import.meta.url));
const folder = await testFolder(t);
const data = join(folder, "store");
const adminToken = join(folder, "admin.token");

/** A verb of bin/registry; what it printed. */
async function registry(...words: readonly string[]): Promise<string> {
  const { stdout } = await runChild(process.execPath, [program, ...words], {
    deadlineMs: 20_000,
    env: { PATH: programPath, REGISTRY_URL: url, REGISTRY_TOKEN_FILE: adminToken },
  });
  return stdout;
}

async function startRegistry(): Promise<(signal: NodeJS.Signals) => Promise<void>> {
  const child = spawn(process.execPath, [program, "start", "--data", data], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: programPath, REGISTRY_LISTEN: `${host}:8053` },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
  }
  const { promise: exited, resolve } = Promise.withResolvers<void>();
  child.on("close", () => resolve());
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await exited;
  };
  t.teardown(() => end("SIGKILL"));
  await eventually("the registry is ready", soon, async () => {
    if (child.exitCode !== null) throw new Error(`it ended: ${output}`);
    return (await ask({ host, port: 8053 }, "/readyz")).status === 200 || undefined;
  });
  return end;
}

await mkdir(data, { recursive: true });
await registry("init", "--data", data, "--token-file", adminToken);
let endRegistry = await startRegistry();

/** A node of the registry with its resolver. */
async function startNode(number: number): Promise<ResolverProcess> {
  const tokenFile = join(folder, `node-${number}.token`);
  const words = [`app-0${number}`, "--token-file", tokenFile, "--json"];
  const { id } = JSON.parse(await registry("node", "add", ...words)) as { id: number };
  const at = `127.63.0.${number}`;
  const { DNS_RESOLVER_TOKEN: _, ...variables } = variablesOf(at, url, join(folder, at));
  return await startResolverProcess(t, at, {
    ...variables,
    DNS_RESOLVER_NODE: String(id),
    DNS_RESOLVER_TOKEN_FILE: tokenFile,
  });
}

const resolvers = await Promise.all([1, 2, 3].map(startNode));

/** Waits until all resolvers answer with these addresses. */
async function allAnswer(name: string, addresses: readonly string[]): Promise<void> {
  await eventually(`${name} is ${addresses.join()}`, soon, async () => {
    const answers = await Promise.all(resolvers.map((one) => one.ask(name)));
    const right = answers.filter((one) => one.addresses.join() === addresses.join());
    if (right.length !== resolvers.length) throw new Error(JSON.stringify(answers));
    return true;
  });
}

async function nodeRows(): Promise<readonly { health: string; applied_generation: number }[]> {
  const { nodes } = JSON.parse(await registry("node", "list", "--json")) as {
    nodes: { health: string; applied_generation: number }[];
  };
  return nodes;
}

await t.test("a commit changes the answer at every resolver", async (t) => {
  const member = "--member=dal-01=10.0.0.1";
  await registry("cluster", "create", "mydb", "--source", "none", member);
  await allAnswer("mydb-1.mydb", ["10.0.0.1"]);
  await registry("member", "update", "mydb", "dal-01", "--address", "10.0.0.2");
  await allAnswer("mydb-1.mydb", ["10.0.0.2"]);
  const token = (await readFile(adminToken, "utf8")).trim();
  const { generation } = await reconcile({ url, token: () => token }, "mydb");
  await eventually("all have acknowledged", soon, async () => {
    const rows = await nodeRows();
    const isSo = rows.every((one) => one.applied_generation === generation);
    return (isSo && rows.every(({ health }) => health === "healthy")) || undefined;
  });
  for (const one of resolvers) {
    t.match(await one.ask("", "SOA"), { serial: generation });
    await eventually("it is healthy", soon, async () => (await one.status()).healthy || undefined);
  }
});

await t.test("killed and started again, it is followed on", async (t) => {
  await endRegistry("SIGKILL");
  for (const one of resolvers) {
    t.match(await one.ask("mydb-1.mydb"), { addresses: ["10.0.0.2"], authoritative: true });
  }
  endRegistry = await startRegistry();
  await registry("member", "update", "mydb", "dal-01", "--address", "10.0.0.3");
  await allAnswer("mydb-1.mydb", ["10.0.0.3"]);
});

await t.test("Z10: restored from an old copy of its folder, it is followed", async (t) => {
  await endRegistry("SIGTERM");
  const backup = join(folder, "backup");
  await cp(data, backup, { recursive: true });
  endRegistry = await startRegistry();
  for (const last of [4, 5, 6]) {
    await registry("member", "update", "mydb", "dal-01", "--address", `10.0.0.${last}`);
  }
  await allAnswer("mydb-1.mydb", ["10.0.0.6"]);
  const before = await Promise.all(resolvers.map((one) => one.status()));
  await endRegistry("SIGTERM");
  await runChild("rm", ["-r", data], { deadlineMs: 5000 });
  await cp(backup, data, { recursive: true });
  endRegistry = await startRegistry();
  await allAnswer("mydb-1.mydb", ["10.0.0.3"]);
  for (const [index, one] of resolvers.entries()) {
    const { generation } = await one.status();
    t.ok((generation ?? 0) < (before[index]?.generation ?? 0), "the generation is the old one");
  }
  await eventually("all have acknowledged", soon, async () => {
    const rows = await nodeRows();
    return rows.every(({ health }) => health === "healthy") || undefined;
  });
});

await t.test("restored while a role source is silent, it takes no name away", async (t) => {
  const words = ["--source", "probe", "--user", "nobody", "--member", "chi-02=127.63.0.99"];
  await registry("cluster", "create", "orders", "--password-file", adminToken, ...words);
  await allAnswer("orders-1.orders", ["127.63.0.99"]);
  await endRegistry("SIGTERM");
  const backup = join(folder, "backup-2");
  await cp(data, backup, { recursive: true });
  endRegistry = await startRegistry();
  await registry("member", "update", "mydb", "dal-01", "--address", "10.0.0.7");
  await allAnswer("mydb-1.mydb", ["10.0.0.7"]);
  await endRegistry("SIGTERM");
  await runChild("rm", ["-r", data], { deadlineMs: 5000 });
  await cp(backup, data, { recursive: true });
  endRegistry = await startRegistry();
  for (const one of resolvers) {
    await eventually("it is told to wait", soon, async () => {
      const { sync } = await one.status();
      return /role source of orders was not heard/.test(sync.lastError ?? "") || undefined;
    });
    t.match(await one.ask("mydb-1.mydb"), { addresses: ["10.0.0.7"] });
  }
  await registry("cluster", "update", "orders", "--source", "none", "--yes");
  await allAnswer("mydb-1.mydb", ["10.0.0.3"]);
});

await t.test(
  "a node that is revoked goes on answering, and says why it does not follow",
  async (t) => {
    const [one] = resolvers;
    await registry("node", "revoke", "app-01", "--yes");
    await eventually("it is noticed", soon, async () => {
      const { sync } = (await one?.status()) ?? {};
      return /revoked|token.*DNS_RESOLVER_NODE/i.test(sync?.lastError ?? "") || undefined;
    });
    t.match(await one?.ask("mydb-1.mydb"), { addresses: ["10.0.0.3"] });
    t.match(await one?.get("/readyz"), { status: 200 });
  },
);
