/**
 * Ways to a Docker Engine, each as an agent of Node's HTTP client: a unix socket, TCP with TLS in
 * both directions, and ssh. Connections are kept, so that a request in a hurry opens none.
 */
import { Agent } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { EngineAddress } from "./docker-engine.ts";
import { openSsh } from "./docker-ssh.ts";

/** An address that no engine can be reached by. */
export class EngineAddressError extends Error {
  override readonly name = "EngineAddressError";
  readonly code = "ERR_DOCKER_ADDRESS";
}

const tlsPort = 2376;
/** Each connection over ssh is a program here and a session there; sshd bounds those. */
const kept = { unix: 8, tcp: 8, ssh: 3 } as const;

type Opened = (error: Error | null, socket?: Duplex) => void;

class EngineAgent extends Agent {
  readonly #open: () => Duplex | Promise<Duplex>;
  constructor(open: () => Duplex | Promise<Duplex>, maxFreeSockets: number) {
    super({ keepAlive: true, maxFreeSockets });
    this.#open = open;
  }

  override createConnection(_: object, opened: Opened): Duplex | undefined {
    const made = this.#open();
    if (!(made instanceof Promise)) return made;
    made.then((socket) => opened(null, socket), opened);
    return undefined;
  }
}

/**
 * The agent whose connections lead to the engine at `address`; opens none yet.
 * @throws EngineAddressError for another scheme, a unix address without a path, TCP without
 * certificates (who reaches that port owns the host)
 */
export function engineAgent(address: EngineAddress): Agent {
  const url = URL.parse(address.url);
  if (url?.protocol === "unix:" && url.host === "" && url.pathname.length > 1) {
    const path = decodeURIComponent(url.pathname);
    return new EngineAgent(() => connect({ path }), kept.unix);
  }
  if (url?.protocol === "ssh:" && url.hostname !== "" && url.password === "") {
    const { hostname, port, username } = url;
    const target = { host: bare(hostname), port, user: decodeURIComponent(username) };
    return new EngineAgent(() => openSsh(target), kept.ssh);
  }
  if (url?.protocol === "tcp:" && url.hostname !== "" && address.tls !== undefined) {
    const { tls } = address;
    const host = bare(url.hostname);
    const port = url.port === "" ? tlsPort : Number(url.port);
    const options = {
      host,
      port,
      ...tls,
      rejectUnauthorized: true,
      minVersion: "TLSv1.2",
    } as const;
    return new EngineAgent(() => connectTls(options), kept.tcp);
  }
  throw new EngineAddressError(
    `${address.url}: no address of a Docker Engine: expected unix:///path, ` +
      `ssh://[user@]host[:port], or tcp://host:port with tls (ca, cert and key)`,
  );
}

/** An IPv6 address stands in brackets in a URL only. */
function bare(hostname: string): string {
  return hostname.replace(/^\[(.*)\]$/, "$1");
}
