/**
 * Where a Runtime API or a master's socket listens: `unix:/path`, `tcp://host:port` or
 * `docker://container/path`, as the environment file writes it.
 */
import { socketInContainer } from "../../../config/values.ts";
import type { EngineAddress } from "../../../kit/docker-engine.ts";

/** The Docker Engine of a container, found out when it is needed first. */
export interface EngineSource {
  /** Two sources with one key lead to one engine. */
  readonly key: string;
  /** @throws what says why the engine's address is not known */
  readonly read: () => Promise<EngineAddress>;
}

/** A socket inside a container, reached through the engine that runs the container. */
export interface ContainerSocket {
  readonly kind: "docker";
  readonly text: string;
  readonly container: string;
  readonly path: string;
  readonly engine: EngineSource;
}

/** `text` is the address as it was written, for messages. */
export type RuntimeAddress =
  | { readonly kind: "unix"; readonly text: string; readonly path: string }
  | { readonly kind: "tcp"; readonly text: string; readonly host: string; readonly port: number }
  | ContainerSocket;

/** An address that says all by itself. */
export type PlainAddress = `unix:${string}` | `tcp://${string}`;

/** What every caller may name a socket with. */
export type RuntimePlace = RuntimeAddress | PlainAddress;

const unixPattern = /^unix:(\/[A-Za-z0-9._/@+-]{1,106})$/;
const tcpPattern = /^tcp:\/\/(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]{1,253})):([1-9][0-9]{0,4})$/;

/**
 * Reads an address as config/schema.ts lets it pass; `engine` is that of the container in it.
 * @throws TypeError when the text has none of the forms, the port is above 65535, or a container
 * stands there and no engine is given
 */
export function parseRuntimeAddress(text: string, engine?: EngineSource): RuntimeAddress {
  const path = unixPattern.exec(text)?.[1];
  if (path !== undefined) return { kind: "unix", text, path };
  const inside = socketInContainer(text);
  if (inside !== undefined) {
    if (engine !== undefined) return { kind: "docker", text, ...inside, engine };
    throw new TypeError(`${text}: nobody said on which Docker Engine`);
  }
  const match = tcpPattern.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host !== undefined && port <= 65_535) return { kind: "tcp", text, host, port };
  throw new TypeError(
    `not a Runtime API address: ${JSON.stringify(text)}; expected unix:/path, tcp://host:port or docker://container/path`,
  );
}

/** The same as a value. @throws TypeError */
export function addressAt(place: RuntimePlace): RuntimeAddress {
  return typeof place === "string" ? parseRuntimeAddress(place) : place;
}
