/** What bin/lab refuses, and how it says so. */
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import t from "tap";
import { runChild } from "../../../kit/child.ts";
import { labLock } from "../../../lab/down.ts";
import { withLock } from "../../../lab/lock.ts";
import { modelLab } from "../../../lab/model.ts";
import type { LabModel } from "../../../lab/model.ts";
import { checkAddresses, checkPaths } from "../../../lab/driver/process-place.ts";
import { refuseUnlessAsWished } from "../../../lab/up-checks.ts";

const program = join(import.meta.dirname, "../../../bin/lab");
const accept = [0, 1, 3, 64, 69, 78];

const refused: readonly { name: string; words: readonly string[]; code: number; says: RegExp }[] = [
  { name: "no such lab", words: ["status", "--name", "nobody"], code: 69, says: /bin\/lab up/ },
  { name: "no such verb", words: ["upp"], code: 64, says: /did you mean up/ },
  { name: "a name that is none", words: ["up", "--name", "../x"], code: 64, says: /--name/ },
  { name: "an example's name", words: ["up", "--name", "production"], code: 3, says: /production/ },
  { name: "an example's alias", words: ["up", "--name", "prod"], code: 3, says: /another name/ },
  { name: "nine app hosts", words: ["up", "--app-hosts", "9"], code: 64, says: /1 to 8/ },
  { name: "no app host", words: ["up", "--app-hosts", "0"], code: 64, says: /1 to 8/ },
  { name: "a size that is none", words: ["up", "--shared-buffers", "1TB"], code: 64, says: /size/ },
  { name: "a driver that is none", words: ["up", "--driver", "vm"], code: 64, says: /docker/ },
  { name: "a pooling that is none", words: ["up", "--pooling", "no"], code: 64, says: /session/ },
  {
    name: "a command of two lines",
    words: ["up", "--archive-command", "true\nfsync=off"],
    code: 64,
    says: /control characters/,
  },
  { name: "one end of a cut", words: ["cut", "dal-01"], code: 64, says: /needs PART/ },
];
for (const { name, words, code, says } of refused) {
  t.test(`refuses ${name}`, async (t) => {
    const run = await runChild(program, words, { deadlineMs: 30_000, accept });
    t.equal(run.code, code, run.stderr);
    t.match(run.stderr, says);
    t.notMatch(run.stderr, /\n\s+at /, "no stack");
    t.equal(run.stdout, "");
  });
}

function modelIn(folder: string): LabModel {
  return modelLab({
    ...{
      name: "some-lab",
      driver: "process",
      index: 19,
      folder,
      appHosts: 8,
      pooling: "transaction",
    },
    ...{ sharedBuffers: "128MB", archiveCommand: null },
    ...{ cluster: "pair", memberCount: 2, names: false, dnsPort: 53 },
  });
}

t.test("an address that something else has", async (t) => {
  const model = modelIn("/lab");
  await checkAddresses(model);
  const server = createServer();
  t.teardown(() => server.close());
  server.listen({ host: "127.29.1.8", port: 8404 });
  await once(server, "listening");
  await t.rejects(checkAddresses(model), {
    code: "ERR_LAB_UNAVAILABLE",
    message: /127\.29\.1\.8:8404.*something else listens there/,
  });
});

t.test("a lab that another tool works on", async (t) => {
  const lock = labLock(`t${process.pid}-lock`);
  await withLock(lock, { purpose: "bin/lab up" }, async () => {
    await t.rejects(
      withLock(lock, { purpose: "bin/lab down", patience: 60 }, async () => undefined),
      { code: "ERR_LOCKED", message: new RegExp(`bin/lab up \\(pid ${process.pid}\\) is at work`) },
    );
  });
  t.equal(await withLock(lock, { purpose: "later" }, async () => "free"), "free");
});

t.test("a folder that is too long for a socket in it", async (t) => {
  const model = modelIn(`/${"x".repeat(90)}`);
  t.throws(() => checkPaths(model), { code: "ERR_LAB_UNAVAILABLE", message: /shorter/ });
});

t.test("a lab that stands is compared with what is asked for, and with nothing else", async (t) => {
  const state = {
    ...({
      name: "some-lab",
      driver: "process",
      appHosts: 2,
      pooling: "transaction",
      sharedBuffers: "48MB",
    } as const),
    ...({ cluster: "pair", memberCount: 2, names: false } as const),
    archiveCommand: null,
  };
  refuseUnlessAsWished(state, {});
  refuseUnlessAsWished(state, { ...state });
  const other = {
    driver: "docker",
    names: true,
    appHosts: 1,
    sharedBuffers: "48MB",
    archiveCommand: "true",
  } as const;
  t.throws(() => refuseUnlessAsWished(state, other), {
    code: "ERR_REFUSED",
    message:
      /up already, with driver process instead of docker, names off instead of on, app hosts 2 instead of 1, archive_command off instead of true; nothing was changed: bin\/lab down --name some-lab/,
  });
});
