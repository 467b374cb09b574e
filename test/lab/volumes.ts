/** Volumes of somebody else: what is in them, and an engine where they turn up in the last moment. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import type { DockerEngine } from "../../kit/docker-engine.ts";
import { labImages } from "../../lab/driver/docker-images.ts";

/** Does `work` with a container that has `volume` at /kept, and removes the container. */
export async function withVolume<T>(
  engine: DockerEngine,
  volume: string,
  work: (container: string) => Promise<T>,
): Promise<T> {
  const { pgbouncer: image } = await labImages();
  const name = `${volume}-visitor`;
  const mounts = [{ source: volume, target: "/kept" }];
  const container = await engine.create({ name, image, mounts, networks: [] });
  try {
    return await work(container);
  } finally {
    await engine.remove(container);
  }
}

/**
 * The engine at `url` (unix:///path) by a socket of its own, where somebody else makes each volume
 * of a lab a moment before the lab asks for it. @returns its URL, until the end of the test
 */
export async function engineWithARival(t: Test, url: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "switchyard-rival-"));
  const path = join(folder, "docker.sock");
  const server = createServer((client) => {
    const real = connect(url.replace("unix://", ""));
    client.on("data", (chunk: Buffer) => {
      const asked = chunk.toString("latin1");
      const made = asked.replace(/(\{"Name":"[^"]+","Labels":\{"org\.switchyard\.)lab"/, '$1bal"');
      real.write(made, "latin1");
    });
    real.pipe(client);
    client.on("end", () => real.end());
    for (const one of [client, real]) one.on("error", () => [client, real].map((x) => x.destroy()));
  });
  server.listen(path);
  await once(server, "listening");
  t.teardown(async () => {
    server.close();
    await rm(folder, { recursive: true, force: true });
  });
  return `unix://${path}`;
}
