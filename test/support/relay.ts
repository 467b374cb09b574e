/** A TCP relay that can stop passing bytes, as a firewall does that has forgotten a connection. */
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";

interface Teardown {
  teardown(fn: () => void | Promise<void>): void;
}

export interface Relay {
  /** Connections of now stay open and pass nothing any more; later ones pass. */
  readonly stall: () => void;
}

/** Relays `host` and the port of `target` to `target` until the test ends. */
export async function startRelay(
  t: Teardown,
  host: string,
  target: { readonly host: string; readonly port: number },
): Promise<Relay> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const server = createServer((near) => {
    const far = connect(target.port, target.host);
    const pair = [near, far] as const;
    pairs.add(pair);
    near.pipe(far);
    far.pipe(near);
    for (const socket of pair) {
      socket.on("error", () => undefined);
      socket.on("close", () => {
        for (const one of pair) one.destroy();
        pairs.delete(pair);
      });
    }
  });
  const { promise: listening, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(target.port, host, resolve);
  await listening;
  t.teardown(async () => {
    const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
    server.close(() => onClosed());
    for (const pair of pairs) for (const socket of pair) socket.destroy();
    await closed;
  });
  return {
    stall: () => {
      for (const [near, far] of pairs) {
        near.unpipe(far);
        far.unpipe(near);
        near.resume();
        far.resume();
      }
    },
  };
}
