/** The Docker Engine of a host of an environment, with its certificates read. */
import { readFile } from "node:fs/promises";
import type { EngineAddress } from "../kit/docker-engine.ts";
import type { Environment } from "./schema.ts";

/** The engine of a host cannot be spoken to as the environment says. */
export class HostError extends Error {
  override readonly name = "HostError";
  readonly code = "ERR_HOST";
}

/**
 * Where the engine of the host called `name` listens, and the certificates it asks for.
 * @throws HostError when the environment has no such host, or a certificate cannot be read
 */
export async function engineOfHost(environment: Environment, name: string): Promise<EngineAddress> {
  const host = environment.hosts.find((one) => one.name === name);
  if (host === undefined) throw new HostError(`there is no host ${name} in ${environment.file}`);
  const { engine, tls } = host;
  if (tls === undefined) return { url: engine };
  const read = async (key: keyof typeof tls): Promise<string> =>
    await readFile(tls[key], "utf8").catch((cause: Error) => {
      throw new HostError(`read ${tls[key]}, the ${key} of host ${name}: ${cause.message}`, {
        cause,
      });
    });
  const [ca, cert, key] = await Promise.all([read("ca"), read("cert"), read("key")]);
  return { url: engine, tls: { ca, cert, key } };
}
