/**
 * What becomes of the batched engine when its thread does not start, dies, or does not do what it is
 * told: another engine takes its place, or it comes back; no address and no descriptor is left behind.
 */
import { createSocket } from "node:dgram";
import { readdir, readlink } from "node:fs/promises";
import t from "tap";
import type { Address } from "../../../kit/address.ts";
import { eventually } from "../../../kit/clock.ts";
import { createLogger } from "../../../kit/logger.ts";
import { startBatched } from "../../../sidecars/dns-resolver/engine/batched.ts";
import { createDesk } from "../../../sidecars/dns-resolver/engine/desk.ts";
import type { Desk } from "../../../sidecars/dns-resolver/engine/desk.ts";
import { openEngine } from "../../../sidecars/dns-resolver/engine/open.ts";
import type { Served } from "../../../sidecars/dns-resolver/zone/served.ts";
import { createServing } from "../../../sidecars/dns-resolver/zone/serving.ts";
import { udpClient } from "./engine-rig.ts";
import { askBytes, tell } from "./message-kit.ts";
import { builtView, settings } from "./zone-case.ts";

const soon = { deadlineMs: 20_000, intervalMs: 20 };
const address: Address = { host: "127.53.3.1", port: 5300 };
const question = askBytes({ name: "v4only.temps.local", type: 1 });
const logger = createLogger({ name: "test", level: "silent" });
/** No image: a thread that reads it as one dies. */
const poison: Served = { ...builtView().served, image: new SharedArrayBuffer(3) };

interface Scene {
  readonly desk: Desk;
  /** What a thread begins with from now on. */
  begins(served: Served): void;
  /** Whoever hears of a new zone. */
  readonly heard: Set<(served: Served) => Promise<void> | void>;
}

function newScene(first: Served): Scene {
  let served = first;
  const view = builtView();
  const heard: Scene["heard"] = new Set();
  const serving = {
    ...createServing(settings),
    current: () => ({ ...view, served }),
    onPut: (listener: (served: Served) => Promise<void> | void) => {
      heard.add(listener);
      return () => void heard.delete(listener);
    },
  };
  const desk = createDesk(settings, serving, undefined);
  return { desk, heard, begins: (next) => void (served = next) };
}

/** How many descriptors of this process wake a thread of the engine. */
async function signals(): Promise<number> {
  const names = await readdir("/proc/self/fd");
  const links = await Promise.all(
    names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => "")),
  );
  // Each event loop has one of its own; those of the threads that ended are gone with them.
  return links.filter((link) => link === "anon_inode:[eventfd]").length;
}

t.test("a thread that dies before it answers is no engine", async (t) => {
  const { desk, heard } = newScene(poison);
  const before = await signals();
  const engine = await openEngine("auto", desk, logger);
  t.equal(engine.name, "dgram");
  await engine.close();
  await t.rejects(openEngine("batched", desk, logger), { code: "ERR_DNS_ENGINE" });
  t.equal(heard.size, 0, "nobody hears of new zones");
  await eventually("no descriptor is left", soon, async () =>
    (await signals()) <= before ? true : undefined,
  );
});

t.test("a thread that cannot be started at all is no engine", async (t) => {
  const { desk, heard } = newScene(builtView().served);
  // What it is started with cannot be handed to a thread.
  const udp = { ...desk.options.udp, refuses: () => undefined };
  const before = await signals();
  const engine = await openEngine("auto", { ...desk, options: { ...desk.options, udp } }, logger);
  t.equal(engine.name, "dgram");
  t.equal(heard.size, 0, "nobody hears of new zones");
  t.equal(await signals(), before, "no descriptor is left");
  await engine.close();
});

t.test(
  "a thread that dies again and again comes back when it can, and holds nothing",
  async (t) => {
    const scene = newScene(builtView().served);
    // So short, since two things are to last that long; a busy machine may need more than one try.
    const deadlineMs = 2000;
    const engine = await eventually("the engine", soon, () =>
      startBatched(scene.desk, logger, deadlineMs),
    );
    t.teardown(() => engine.close());
    const [serve] = [...scene.heard];
    scene.begins(poison);
    await t.rejects(async () => await serve?.(poison), { code: "ERR_DEADLINE" });
    await t.rejects(engine.listen(address), { code: "ERR_DEADLINE" });
    await bindOnce(address);
    scene.begins(builtView().served);
    await eventually("it is back", soon, async () => {
      await serve?.(builtView().served);
      return true;
    });
    const socket = await eventually("it listens", soon, () => engine.listen(address));
    const client = await udpClient(t, address);
    t.match(tell(await client.ask(question)), { rcode: "NOERROR" });
    await socket.close();
    await bindOnce(address);
  },
);

/** @throws where somebody has the address */
async function bindOnce({ host, port }: Address): Promise<void> {
  const socket = createSocket("udp4");
  const bound = Promise.withResolvers<void>();
  socket.on("error", bound.reject);
  socket.bind({ address: host, port, exclusive: true }, () => bound.resolve());
  await bound.promise;
  const closed = Promise.withResolvers<void>();
  socket.close(() => closed.resolve());
  await closed.promise;
}
